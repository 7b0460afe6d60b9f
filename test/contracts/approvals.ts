/** What every keeper of cards promises: the first decision stands, in time, by who may, and is handed on. */

import { describe, expect, it } from 'vitest';
import type { Approval } from '../../src/runtime/events.ts';
import type { LeasedTurn } from '../../src/runtime/ports.ts';
import { EDITED_HASH, type TurnPorts } from '../support/turn-ports.ts';
import { beginTurn, cardFor, journalOf, letWait, settlementOf, toolStart, typesOf } from './turn-ports.ts';

type Choice = 'approve' | 'reject' | 'edit';

function decide(ports: TurnPorts, card: Approval, decision: Choice, changes: object = {}) {
  const named = { approval_id: card.approval_id, decision, args_hash: card.args_hash, ...changes };
  return ports.approvals.decide(ports.caller, card.thread_id, [named], true);
}

async function waiting(
  ports: TurnPorts,
  ...calls: string[]
): Promise<{ turn: LeasedTurn; cards: Approval[] }> {
  const { turn } = await beginTurn(ports);
  return { turn, cards: await letWait(ports, turn, calls) };
}

function only(cards: readonly Approval[]): Approval {
  const [card] = cards;
  if (card === undefined) throw new Error('there is no card');
  return card;
}

export function describeApprovals(name: string, subject: () => TurnPorts): void {
  describe(`${name} as a keeper of cards`, () => {
    it('records a decision and leases the waiting turn with it', async () => {
      const ports = subject();
      const { turn, cards } = await waiting(ports, 'call-1');
      expect(await ports.approvals.ofCall(turn, 'call-1')).toMatchObject({
        status: 'pending',
        decision: null,
      });
      expect(await ports.approvals.ofCall(turn, 'call-9')).toBeNull();
      const recorded = await decide(ports, only(cards), 'approve', { reason: 'fine' });
      if (recorded.kind !== 'leased') throw new Error('a run was expected');
      expect(recorded.turn).toMatchObject({ epoch: 2, runKind: 'resume', decisions: 1 });
      expect(typesOf(recorded.events)).toEqual(['approval-end', 'run-start']);
      expect(recorded.events[0]?.event.data).toMatchObject({
        status: 'approved',
        decision: 'approve',
        decided_by: 'user:user',
        reason: 'fine',
        args: { to: 'a@example.com' },
        args_hash: only(cards).args_hash,
      });
      expect(await ports.approvals.ofCall(turn, 'call-1')).toMatchObject({
        status: 'approved',
        decision: 'approve',
        reason: 'fine',
        executed_args: null,
      });
    });

    it('lets one of many decisions at once stand', async () => {
      const ports = subject();
      const { turn, cards } = await waiting(ports, 'call-1');
      const tries = await Promise.allSettled(
        Array.from({ length: 6 }, (_, index) => decide(ports, only(cards), index % 2 ? 'approve' : 'reject')),
      );
      expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      const row = await ports.approvals.ofCall(turn, 'call-1');
      for (const one of tries) {
        if (one.status === 'fulfilled') continue;
        expect(one.reason).toMatchObject({
          code: 'ALREADY_DECIDED',
          facts: { winner: { decision: row?.decision } },
        });
      }
      expect(
        typesOf(await journalOf(ports, turn.threadId)).filter((one) => one === 'approval-end'),
      ).toHaveLength(1);
    });

    it('leaves the decision on a sibling to the owner of the live run', async () => {
      const ports = subject();
      const { turn, cards } = await waiting(ports, 'call-1', 'call-2');
      const [first, second] = cards as [Approval, Approval];
      const leased = await decide(ports, first, 'approve');
      if (leased.kind !== 'leased') throw new Error('a run was expected');
      const noted = await decide(ports, second, 'reject');
      expect(noted).toMatchObject({ kind: 'noted', turnId: turn.turnId, runId: leased.turn.runId });
      const facts = await ports.turns.readInbox(leased.turn);
      expect(facts.map(({ event }) => event)).toMatchObject([
        { type: 'approval-end', data: { approval_id: second.approval_id, status: 'rejected' } },
      ]);
      expect(await ports.turns.countDecisions(leased.turn)).toBe(2);
    });

    it('records an edit with what it showed, and refuses a hash that nobody was shown', async () => {
      const ports = subject();
      const { turn, cards } = await waiting(ports, 'call-1');
      const card = only(cards);
      const changed = { code: 'APPROVAL_CHANGED' };
      await expect(decide(ports, card, 'approve', { args_hash: 'b'.repeat(64) })).rejects.toMatchObject(
        changed,
      );
      await expect(decide(ports, card, 'edit', { args: { to: 'b@example.com' } })).rejects.toMatchObject(
        changed,
      );
      const args = { to: 'b@example.com' };
      await decide(ports, card, 'edit', { args, args_hash: EDITED_HASH });
      expect(await ports.approvals.ofCall(turn, 'call-1')).toMatchObject({
        status: 'approved',
        decision: 'edit',
        executed_args: args,
        executed_hash: EDITED_HASH,
      });
    });

    it('refuses who may not decide, what is not there, and what the card does not offer', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      const card = cardFor(turn, 'call-1', { allowed_decisions: ['approve'] });
      const told = [toolStart(turn, 'call-1')];
      await ports.turns.settle(turn, settlementOf(turn, 'awaiting_approval', { told, approvals: [card] }));
      const named = {
        approval_id: card.approval_id,
        decision: 'approve' as const,
        args_hash: card.args_hash,
      };
      for (const kind of ['agent', 'mcp'] as const) {
        await expect(
          ports.approvals.decide({ ...ports.caller, kind }, card.thread_id, [named], true),
        ).rejects.toMatchObject({ code: 'FORBIDDEN' });
      }
      const stranger = { ...ports.caller, userId: 'stranger' };
      await expect(ports.approvals.decide(stranger, card.thread_id, [named], true)).rejects.toMatchObject({
        code: 'NOT_FOUND',
      });
      await expect(
        ports.approvals.decide(ports.caller, crypto.randomUUID(), [named], true),
      ).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(
        ports.approvals.decide(ports.caller, card.thread_id, [named, named], true),
      ).rejects.toMatchObject({ code: 'AMBIGUOUS_DECISION' });
      await expect(decide(ports, card, 'reject')).rejects.toMatchObject({ code: 'VALIDATION_ERROR' });
      // A colleague decides from the workspace's inbox.
      expect(await ports.approvals.decide(stranger, card.thread_id, [named], false)).toMatchObject({
        kind: 'leased',
      });
    });

    it('records all decisions of a request or none', async () => {
      const ports = subject();
      const { turn, cards } = await waiting(ports, 'call-1', 'call-2');
      const [first, second] = cards as [Approval, Approval];
      await ports.expireCard(second.approval_id);
      const both = [first, second].map((card) => ({
        approval_id: card.approval_id,
        decision: 'approve' as const,
        args_hash: card.args_hash,
      }));
      await expect(ports.approvals.decide(ports.caller, turn.threadId, both, true)).rejects.toMatchObject({
        code: 'APPROVAL_EXPIRED',
      });
      expect(await ports.approvals.ofCall(turn, 'call-1')).toMatchObject({ status: 'pending' });
      expect(await ports.approvals.expire(50)).toBe(1);
    });

    it('expires the last card by ending its turn', async () => {
      const ports = subject();
      const { turn, cards } = await waiting(ports, 'call-1');
      await ports.expireCard(only(cards).approval_id);
      await expect(decide(ports, only(cards), 'approve')).rejects.toMatchObject({ code: 'APPROVAL_EXPIRED' });
      expect(await ports.approvals.expire(50)).toBe(1);
      expect(await ports.approvals.expire(50)).toBe(0);
      expect(typesOf(await journalOf(ports, turn.threadId)).slice(-5)).toEqual([
        'run-start',
        'tool-end',
        'approval-end',
        'notice',
        'run-end',
      ]);
      await expect(decide(ports, only(cards), 'approve')).rejects.toMatchObject({ code: 'APPROVAL_EXPIRED' });
      expect((await beginTurn(ports, { threadId: turn.threadId })).closed).toBe(false);
    });

    it('expires a card whose siblings wait by answering its call, and the turn waits on', async () => {
      const ports = subject();
      const { turn, cards } = await waiting(ports, 'call-1', 'call-2');
      const [first, second] = cards as [Approval, Approval];
      await ports.expireCard(first.approval_id);
      expect(await ports.approvals.expire(50)).toBe(1);
      expect((await journalOf(ports, turn.threadId)).slice(-2).map(({ event }) => event)).toMatchObject([
        { type: 'approval-end', data: { approval_id: first.approval_id, status: 'expired' } },
        { type: 'tool-end', data: { tool_call_id: 'call-1', status: 'cancelled' } },
      ]);
      const leased = await decide(ports, second, 'approve');
      if (leased.kind !== 'leased') throw new Error('a run was expected');
      expect(leased.turn.decisions).toBe(2);
      expect(leased.turn.parts).toMatchObject([
        { tool_call_id: 'call-1', status: 'cancelled' },
        { tool_call_id: 'call-2', status: 'running' },
        { approval: { status: 'expired' } },
        { approval: { status: 'approved' } },
      ]);
    });

    it('leaves it to the owner to tell what expired while the turn runs', async () => {
      const ports = subject();
      const { cards } = await waiting(ports, 'call-1', 'call-2');
      const [first, second] = cards as [Approval, Approval];
      const leased = await decide(ports, first, 'approve');
      if (leased.kind !== 'leased') throw new Error('a run was expected');
      await ports.expireCard(second.approval_id);
      await ports.approvals.expire(50);
      expect(await ports.turns.readInbox(leased.turn)).toMatchObject([
        { event: { type: 'approval-end', data: { approval_id: second.approval_id, status: 'expired' } } },
      ]);
      expect(await ports.turns.countDecisions(leased.turn)).toBe(2);
    });

    it('gives up what waits on a cancel', async () => {
      const ports = subject();
      const { turn, cards } = await waiting(ports, 'call-1');
      await expect(
        ports.conversations.cancel(ports.caller, turn.threadId, crypto.randomUUID()),
      ).rejects.toMatchObject({ code: 'TURN_NOT_LIVE' });
      const cancelled = { turn_id: turn.turnId, status: 'cancelled' };
      expect(await ports.conversations.cancel(ports.caller, turn.threadId)).toEqual(cancelled);
      expect(await ports.conversations.cancel(ports.caller, turn.threadId, turn.turnId)).toEqual(cancelled);
      expect(await ports.conversations.cancel(ports.caller, turn.threadId)).toEqual({
        turn_id: null,
        status: 'idle',
      });
      await expect(decide(ports, only(cards), 'approve')).rejects.toMatchObject({ code: 'ALREADY_DECIDED' });
    });
  });
}
