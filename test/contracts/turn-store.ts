/** What every turn store promises: one live turn a conversation, one owner a turn, one end a run. */

import { describe, expect, it } from 'vitest';
import type { TurnPorts } from '../support/turn-ports.ts';
import {
  batchOf,
  beginTurn,
  journalOf,
  letWait,
  notice,
  numbered,
  requestOf,
  settlementOf,
  takeOver,
  toolStart,
  typesOf,
} from './turn-ports.ts';

export function describeTurnStore(name: string, subject: () => TurnPorts): void {
  describe(`${name} as a turn store: accept`, () => {
    it('keeps the words, begins a run under a lease, and tells both', async () => {
      const ports = subject();
      const { turn, events } = await beginTurn(ports, { clientMessageId: 'mine' });
      expect(turn).toMatchObject({
        epoch: 1,
        runKind: 'message',
        parts: [],
        decisions: 0,
        takeovers: 0,
        cancelRequested: false,
      });
      expect(typesOf(events)).toEqual(['user-message', 'run-start']);
      expect(turn.nextSeq).toBe((events.at(-1)?.seq ?? 0) + 1);
      expect(await journalOf(ports, turn.threadId)).toEqual(events);
      expect(events[0]?.event).toMatchObject({
        data: { client_message_id: 'mine', message: { content: 'Hello', role: 'user', status: 'complete' } },
      });
    });

    it('takes one of many messages at once', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      await ports.turns.settle(turn, settlementOf(turn, 'completed'));
      const tries = await Promise.allSettled(
        Array.from({ length: 8 }, () => beginTurn(ports, { threadId: turn.threadId })),
      );
      expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      for (const one of tries)
        if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'TURN_RUNNING' });
    });

    it('refuses what the table of a turn’s life refuses', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      const { threadId } = turn;
      const again = (changes = {}) => ports.turns.accept(requestOf(ports, { threadId, ...changes }));
      await expect(again()).rejects.toMatchObject({
        code: 'TURN_RUNNING',
        facts: { turn_id: turn.turnId },
      });
      await expect(again({ supersede: true })).rejects.toMatchObject({ code: 'TURN_RUNNING' });
      const [card] = await letWait(ports, turn, ['call-1']);
      await expect(again()).rejects.toMatchObject({
        code: 'APPROVAL_PENDING',
        facts: { turn_id: turn.turnId, approvals: [{ approval_id: card?.approval_id }] },
      });
      await ports.conversations.archive(ports.caller, threadId);
      await expect(again({ supersede: true })).rejects.toMatchObject({ code: 'CONVERSATION_ARCHIVED' });
      await ports.conversations.restore(ports.caller, threadId);
      await expect(again({ caller: { ...ports.caller, userId: 'another' } })).rejects.toMatchObject({
        code: 'NOT_FOUND',
      });
    });

    it('joins the turn that the same key began, and refuses another body', async () => {
      const ports = subject();
      const key = { principal: 'user:user', key: crypto.randomUUID(), bodyHash: 'one' };
      const { turn, events } = await beginTurn(ports, { idempotency: key });
      const same = {
        kind: 'same',
        threadId: turn.threadId,
        turnId: turn.turnId,
        runId: turn.runId,
        firstSeq: events[0]?.seq,
      };
      expect(await ports.turns.accept(requestOf(ports, { idempotency: key }))).toEqual(same);
      await ports.turns.settle(turn, settlementOf(turn, 'completed'));
      expect(await ports.turns.accept(requestOf(ports, { idempotency: key }))).toEqual(same);
      await expect(
        ports.turns.accept(requestOf(ports, { idempotency: { ...key, bodyHash: 'other' } })),
      ).rejects.toMatchObject({ code: 'IDEMPOTENCY_MISMATCH' });
    });

    it('gives up what waits and begins anew, both told in order', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      const [card] = await letWait(ports, turn, ['call-1']);
      const next = await beginTurn(ports, { threadId: turn.threadId, supersede: true });
      expect(next.closed).toBe(true);
      const told = await journalOf(ports, turn.threadId);
      expect(typesOf(told.slice(-8))).toEqual([
        'run-end',
        'run-start',
        'tool-end',
        'approval-end',
        'notice',
        'run-end',
        'user-message',
        'run-start',
      ]);
      expect(told.map(({ seq }) => seq)).toEqual(told.map(({ seq }) => seq).toSorted((a, b) => a - b));
      expect(await ports.message(turn.messageId)).toMatchObject({
        status: 'partial',
        parts: [
          { type: 'tool', status: 'cancelled', error: { code: 'TURN_NOT_LIVE' } },
          { type: 'approval', approval: { approval_id: card?.approval_id, status: 'superseded' } },
          { type: 'notice' },
        ],
      });
      expect(await ports.approvals.ofCall(turn, 'call-1')).toMatchObject({ status: 'superseded' });
      expect(await ports.checkpoints.read(turn.turnId)).toEqual([]);
    });
  });

  describe(`${name} as a turn store: settle`, () => {
    it('keeps the message and the last rows, and frees the conversation', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      const parts = [{ type: 'text', call: 1, text: 'Good day.' } as const];
      expect(await ports.turns.settle(turn, settlementOf(turn, 'completed', { parts }))).toBe('settled');
      expect(await ports.message(turn.messageId)).toEqual({
        status: 'complete',
        content: 'Good day.',
        parts,
      });
      expect(typesOf(await journalOf(ports, turn.threadId))).toEqual([
        'user-message',
        'run-start',
        'run-end',
      ]);
      const next = await beginTurn(ports, { threadId: turn.threadId });
      expect(next.closed).toBe(false);
      expect(next.turn.nextSeq).toBeGreaterThan(turn.nextSeq);
    });

    it('says that it has settled when it is asked once more', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      const settlement = settlementOf(turn, 'completed');
      await ports.turns.settle(turn, settlement);
      expect(await ports.turns.settle(turn, settlement)).toBe('inbox-waiting');
      expect(typesOf(await journalOf(ports, turn.threadId))).toEqual([
        'user-message',
        'run-start',
        'run-end',
      ]);
    });

    it('writes nothing where a decision was not seen', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      const [card] = await letWait(ports, turn, ['call-1', 'call-2']);
      if (card === undefined) throw new Error('there is no card');
      const recorded = await ports.approvals.decide(
        ports.caller,
        turn.threadId,
        [{ approval_id: card.approval_id, decision: 'approve', args_hash: card.args_hash }],
        true,
      );
      if (recorded.kind !== 'leased') throw new Error('a run was expected');
      const resumed = recorded.turn;
      const before = await journalOf(ports, turn.threadId);
      expect(await ports.turns.countDecisions(resumed)).toBe(1);
      const unaware = { ...resumed, decisions: 0 };
      expect(await ports.turns.settle(unaware, settlementOf(unaware, 'completed'))).toBe('decisions-waiting');
      expect(await journalOf(ports, turn.threadId)).toEqual(before);
      expect(await ports.turns.settle(resumed, settlementOf(resumed, 'completed'))).toBe('settled');
    });

    it('does not let a turn wait that somebody wants cancelled', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      expect(await ports.conversations.cancel(ports.caller, turn.threadId)).toEqual({
        turn_id: turn.turnId,
        status: 'cancelling',
      });
      expect(await ports.turns.settle(turn, settlementOf(turn, 'awaiting_approval'))).toBe(
        'cancel-requested',
      );
      expect(await ports.turns.settle(turn, settlementOf(turn, 'cancelled'))).toBe('settled');
    });

    it('supersedes the cards that still wait when it ends the turn', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      const cards = await letWait(ports, turn, ['call-1', 'call-2']);
      const [first] = cards;
      if (first === undefined) throw new Error('there is no card');
      const recorded = await ports.approvals.decide(
        ports.caller,
        turn.threadId,
        [{ approval_id: first.approval_id, decision: 'reject', args_hash: first.args_hash }],
        true,
      );
      if (recorded.kind !== 'leased') throw new Error('a run was expected');
      await ports.turns.settle(recorded.turn, settlementOf(recorded.turn, 'failed'));
      expect(await ports.approvals.ofCall(turn, 'call-1')).toMatchObject({ status: 'rejected' });
      expect(await ports.approvals.ofCall(turn, 'call-2')).toMatchObject({ status: 'superseded' });
    });

    it('is refused without the lease, and writes nothing', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      const { turn: taken } = await takeOver(ports, turn.turnId);
      const before = await journalOf(ports, turn.threadId);
      expect(await ports.turns.settle(turn, settlementOf(turn, 'completed'))).toBe('lost');
      expect(await journalOf(ports, turn.threadId)).toEqual(before);
      expect(await ports.message(turn.messageId)).toBeUndefined();
      expect(await ports.turns.settle(taken, settlementOf(taken, 'completed'))).toBe('settled');
    });
  });

  describe(`${name} as a turn store: leases`, () => {
    it('takes over only what ran out: next epoch, next block, the lost run told as its own', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      expect((await ports.turns.takeOver(10)).map((one) => one.turn.turnId)).not.toContain(turn.turnId);
      await ports.journal.append([batchOf(turn, [numbered(turn, notice('said'))])]);
      const { turn: taken, events } = await takeOver(ports, turn.turnId);
      expect(taken).toMatchObject({
        epoch: 2,
        runKind: 'recovery',
        takeovers: 1,
        parts: [{ type: 'notice' }],
      });
      expect(taken.runId).not.toBe(turn.runId);
      expect(events.map(({ runId, event }) => [runId, event.type])).toEqual([
        [turn.runId, 'run-end'],
        [taken.runId, 'run-start'],
      ]);
      expect(events[0]?.event.data).toMatchObject({ status: 'lost' });
      expect(events[0]?.seq).toBeGreaterThan(turn.nextSeq + 1000);
      expect((await journalOf(ports, turn.threadId)).slice(-2)).toEqual(events);
    });

    it('counts takeovers, and anew after a checkpoint', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      expect((await takeOver(ports, turn.turnId)).turn.takeovers).toBe(1);
      const second = (await takeOver(ports, turn.turnId)).turn;
      expect(second.takeovers).toBe(2);
      const row = { ns: '', checkpointId: '01', parentId: null, metadata: {}, writes: [] };
      const checkpoint = {
        v: 4,
        id: '01',
        ts: '',
        channel_values: {},
        channel_versions: {},
        versions_seen: {},
      };
      await ports.checkpoints.write(turn.turnId, second.epoch, {
        ...row,
        checkpoint,
        metadata: { source: 'loop', step: 1, parents: {} },
      });
      expect((await takeOver(ports, turn.turnId)).turn.takeovers).toBe(1);
      expect((await takeOver(ports, turn.turnId)).turn.takeovers).toBe(2);
    });

    it('renews what is held, says what is lost and what shall be cancelled', async () => {
      const ports = subject();
      const [kept, lost, ended] = await Promise.all([beginTurn(ports), beginTurn(ports), beginTurn(ports)]);
      await takeOver(ports, lost.turn.turnId);
      await ports.turns.settle(ended.turn, settlementOf(ended.turn, 'completed'));
      await ports.conversations.cancel(ports.caller, kept.turn.threadId);
      const held = [kept, lost, ended].map(({ turn: { turnId, epoch } }) => ({ turnId, epoch }));
      await ports.lapse(kept.turn.turnId);
      expect(await ports.turns.renew(held)).toEqual({
        lost: [held[1], held[2]],
        cancel: [kept.turn.turnId],
      });
      expect((await ports.turns.takeOver(10)).map((one) => one.turn.turnId)).not.toContain(kept.turn.turnId);
    });

    it('gives a turn back at once', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      await ports.turns.release(turn);
      expect((await ports.turns.takeOver(10)).map((one) => one.turn.turnId)).toContain(turn.turnId);
      // Whoever has lost it has nothing to give back.
      await ports.turns.release(turn);
      expect((await ports.turns.takeOver(10)).map((one) => one.turn.turnId)).not.toContain(turn.turnId);
    });

    it('hands on what a lost run told after the last settle, and not the parts twice', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      const [card] = await letWait(ports, turn, ['call-1']);
      if (card === undefined) throw new Error('there is no card');
      const decision = {
        approval_id: card.approval_id,
        decision: 'approve',
        args_hash: card.args_hash,
      } as const;
      const recorded = await ports.approvals.decide(ports.caller, turn.threadId, [decision], true);
      if (recorded.kind !== 'leased') throw new Error('a run was expected');
      await ports.journal.append([
        batchOf(recorded.turn, [numbered(recorded.turn, toolStart(recorded.turn, 'call-2'))]),
      ]);
      const { turn: taken } = await takeOver(ports, turn.turnId);
      expect(taken.parts).toMatchObject([
        { type: 'tool', tool_call_id: 'call-1' },
        { type: 'approval', approval: { status: 'approved' } },
        { type: 'tool', tool_call_id: 'call-2' },
      ]);
      expect(taken.decisions).toBe(1);
    });
  });

  describe(`${name} as a turn store: the inbox`, () => {
    it('keeps facts for the owner until they are told, in order', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      await ports.conversations.rename(ports.caller, turn.threadId, 'One');
      await ports.conversations.archive(ports.caller, turn.threadId);
      const facts = await ports.turns.readInbox(turn);
      expect(facts.map(({ event }) => event.data)).toEqual([{ title: 'One' }, { archived: true }]);
      await ports.turns.tellInbox(turn.threadId);
      expect(await ports.turns.readInbox(turn)).toEqual(facts);
      const [first, second] = facts;
      if (first === undefined || second === undefined) throw new Error('two facts were expected');
      await ports.journal.append([batchOf(turn, [numbered(turn, first.event)], [first.id])]);
      expect(await ports.turns.readInbox(turn)).toEqual([second]);
      expect(
        await ports.turns.settle(
          turn,
          settlementOf(turn, 'completed', { told: [second.event], inboxIds: [second.id] }),
        ),
      ).toBe('settled');
    });

    it('is told behind the run’s end where the run ended without it', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      await ports.conversations.rename(ports.caller, turn.threadId, 'Late');
      expect(await ports.turns.settle(turn, settlementOf(turn, 'completed'))).toBe('inbox-waiting');
      await Promise.all([ports.turns.tellInbox(turn.threadId), ports.turns.tellInbox(turn.threadId)]);
      const told = await journalOf(ports, turn.threadId);
      expect(typesOf(told)).toEqual(['user-message', 'run-start', 'run-end', 'conversation-update']);
      await ports.conversations.rename(ports.caller, turn.threadId, 'Later');
      expect((await journalOf(ports, turn.threadId)).at(-1)?.event.data).toEqual({ title: 'Later' });
    });

    it('is not forgotten by whoever has lost the turn', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      await ports.conversations.rename(ports.caller, turn.threadId, 'Mine');
      const [fact] = await ports.turns.readInbox(turn);
      if (fact === undefined) throw new Error('a fact was expected');
      const { turn: taken } = await takeOver(ports, turn.turnId);
      await ports.journal.append([batchOf(turn, [numbered(turn, fact.event)], [fact.id])]);
      expect(await ports.turns.readInbox(taken)).toEqual([fact]);
    });
  });
}
