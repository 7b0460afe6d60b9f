/** The turn's two transactions and its lease in memory: the twin of resources/turns/turn-store.ts. */

import { ServiceError } from '../../../src/errors.ts';
import { BLOCK, toStored } from '../../../src/resources/turns/lease.ts';
import { type Message, type NewEvent, NO_USAGE } from '../../../src/runtime/events.ts';
import type { Accepted, AcceptRequest, LeasedTurn, TurnStore } from '../../../src/runtime/ports.ts';
import { pendingOf } from './approvals.ts';
import { insertEvents, jsonb, liveTurn, must, type TurnRow } from './database.ts';
import { closeWaiting, forgetInbox, leaseTurn, type MemoryNeeds, numberInbox, takeNumbers } from './lease.ts';

export function createMemoryTurnStore(needs: MemoryNeeds): TurnStore {
  const { database, owner, leaseSeconds, modelName, newId } = needs;

  /** The turn that the same Idempotency-Key brought before; throws when the body was another. */
  function sameTurn({ idempotency }: AcceptRequest): Accepted | null {
    if (idempotency === null) return null;
    const row = database.keys.find(
      (one) => one.principal === idempotency.principal && one.key === idempotency.key,
    );
    if (row === undefined) return null;
    if (row.bodyHash !== idempotency.bodyHash) throw new ServiceError('IDEMPOTENCY_MISMATCH', 'another body');
    const turn = must(database.turns.get(row.turnId), 'turn');
    return {
      kind: 'same',
      threadId: turn.threadId,
      turnId: turn.id,
      runId: row.begun?.runId ?? turn.runId,
      firstSeq: row.begun?.firstSeq ?? turn.firstSeq,
    };
  }

  /** Throws the refusals of design.md §3; answers a waiting turn that is given up. */
  function requireRoom({ caller, threadId, supersede }: AcceptRequest): TurnRow | null {
    if (threadId === null) return null;
    const conversation = database.conversations.get(threadId);
    if (conversation?.workspaceId !== caller.workspaceId || conversation.userId !== caller.userId)
      throw new ServiceError('NOT_FOUND', 'There is no such conversation.');
    if (conversation.archived) throw new ServiceError('CONVERSATION_ARCHIVED', 'It is archived.');
    const live = liveTurn(database, threadId);
    if (live?.status === 'running')
      throw new ServiceError('TURN_RUNNING', 'It runs.', { facts: { turn_id: live.id } });
    if (live !== undefined && !supersede) {
      const approvals = pendingOf(database, threadId);
      throw new ServiceError('APPROVAL_PENDING', 'It waits.', { facts: { turn_id: live.id, approvals } });
    }
    return live ?? null;
  }

  function insert(request: AcceptRequest, closed: boolean): Accepted {
    const { caller, input, clientMessageId, idempotency } = request;
    const { workspaceId, userId } = caller;
    const [threadId, turnId, messageId, assistantId, runId] = [
      request.threadId ?? newId(),
      newId(),
      newId(),
      newId(),
      newId(),
    ];
    const created_at = new Date(database.now()).toISOString();
    if (request.threadId === null) {
      database.conversations.set(threadId, {
        id: threadId,
        workspaceId,
        userId,
        title: null,
        archived: false,
        lastSeq: 0,
        inboxWaiting: 0,
      });
    }
    const conversation = must(database.conversations.get(threadId), 'conversation');
    conversation.title ??= input.message.slice(0, 80);
    const base = takeNumbers(database, threadId, BLOCK);
    const message: Message = {
      id: messageId,
      thread_id: threadId,
      turn_id: turnId,
      role: 'user',
      status: 'complete',
      content: input.message,
      parts: [{ type: 'text', call: 0, text: input.message }],
      metadata: {
        ...(clientMessageId === null ? {} : { client_message_id: clientMessageId }),
        ...(input.page_context === undefined ? {} : { page_context: input.page_context }),
      },
      created_at,
    };
    const told: NewEvent[] = [
      {
        type: 'user-message',
        data: { message, ...(clientMessageId === null ? {} : { client_message_id: clientMessageId }) },
      },
      {
        type: 'run-start',
        data: { thread_id: threadId, kind: 'message', message_id: assistantId, model: modelName },
      },
    ];
    const events = told.map((event, index) => toStored(needs, event, base + 1 + index, turnId, runId));
    database.messages.set(messageId, jsonb({ ...message, seq: base + 1 }));
    insertEvents(database, threadId, events, null);
    const turn: TurnRow = {
      id: turnId,
      threadId,
      workspaceId,
      userId,
      status: 'running',
      input: jsonb(input),
      caller: jsonb(caller),
      messageId: assistantId,
      runId,
      runKind: 'message',
      firstSeq: base + 1,
      keptSeq: base,
      leaseOwner: owner,
      leaseEpoch: 1,
      leaseUntil: database.now() + leaseSeconds * 1000,
      takeovers: 0,
      takeoverMark: null,
      decisions: 0,
      usage: { ...NO_USAGE },
      tainted: false,
      cancelRequested: false,
      createdAt: created_at,
    };
    database.turns.set(turnId, turn);
    if (idempotency !== null) database.keys.push({ ...idempotency, turnId, begun: null });
    const leased: LeasedTurn = {
      turnId,
      threadId,
      workspaceId,
      caller,
      input,
      messageId: assistantId,
      runId,
      runKind: 'message',
      epoch: 1,
      nextSeq: base + 3,
      parts: [],
      usage: { ...NO_USAGE },
      tainted: false,
      decisions: 0,
      cancelRequested: false,
      takeovers: 0,
      createdAt: created_at,
    };
    return { kind: 'new', closed, turn: leased, events };
  }

  /** Progress since the last takeover shows in the checkpoints. */
  function markOf(turnId: string): string | null {
    const rows = database.checkpoints.get(turnId) ?? [];
    if (rows.length === 0) return null;
    const newest = rows.map((row) => row.checkpointId).toSorted();
    return `${newest.at(-1)}:${rows.reduce((sum, row) => sum + row.writes.length, 0)}`;
  }

  return {
    accept: (request) =>
      database.transact(() => {
        const same = sameTurn(request);
        if (same !== null) return same;
        const waiting = requireRoom(request);
        if (waiting !== null) closeWaiting(needs, waiting, 'superseded');
        return insert(request, waiting !== null);
      }),

    settle: (leased, settlement) =>
      database.transact(() => {
        const { status, rows } = settlement;
        const turn = database.turns.get(leased.turnId);
        if (turn === undefined || turn.leaseEpoch !== leased.epoch) return 'lost';
        if (turn.status === status && turn.keptSeq === rows.at(-1)?.seq) return 'inbox-waiting';
        if (turn.status !== 'running') return 'lost';
        if (turn.decisions !== leased.decisions) return 'decisions-waiting';
        if (status === 'awaiting_approval' && turn.cancelRequested) return 'cancel-requested';
        const seq = rows.at(-1)?.seq ?? 0;
        turn.status = status;
        turn.usage = { ...settlement.usage };
        turn.tainted = settlement.tainted;
        turn.keptSeq = seq;
        turn.leaseOwner = null;
        turn.leaseUntil = null;
        forgetInbox(database, turn.threadId, settlement.inboxIds);
        const conversation = must(database.conversations.get(turn.threadId), 'conversation');
        conversation.lastSeq = seq;
        const before = database.messages.get(turn.messageId);
        database.messages.set(
          turn.messageId,
          jsonb({
            id: turn.messageId,
            thread_id: turn.threadId,
            turn_id: turn.id,
            role: 'assistant',
            ...settlement.message,
            created_at: before?.created_at ?? new Date(database.now()).toISOString(),
            seq: before?.seq ?? seq,
          }),
        );
        insertEvents(database, turn.threadId, rows, owner);
        for (const card of settlement.approvals) {
          if (database.cards.has(card.approval_id)) continue;
          database.cards.set(card.approval_id, {
            id: card.approval_id,
            threadId: turn.threadId,
            turnId: turn.id,
            toolCallId: card.tool_call_id,
            card: jsonb(card),
            argsHash: card.args_hash,
            status: 'pending',
            decision: null,
            decidedBy: null,
            decidedAt: null,
            reason: null,
            executedArgs: null,
            executedHash: null,
            createdAt: database.now(),
            expiresAt: database.now() + Date.parse(card.expires_at) - Date.parse(card.created_at),
          });
        }
        if (status === 'cancelled' || status === 'failed') {
          for (const card of database.cards.values()) {
            if (card.turnId !== turn.id || card.status !== 'pending') continue;
            card.status = 'superseded';
            card.decidedAt = new Date(database.now());
          }
        }
        if (status !== 'awaiting_approval') database.checkpoints.delete(turn.id);
        return conversation.inboxWaiting > 0 ? 'inbox-waiting' : 'settled';
      }),

    renew: (held) =>
      database.transact(() => {
        const kept = held.flatMap(({ turnId, epoch }) => {
          const turn = database.turns.get(turnId);
          return turn?.leaseEpoch === epoch && turn.status === 'running' ? [turn] : [];
        });
        for (const turn of kept) turn.leaseUntil = database.now() + leaseSeconds * 1000;
        return {
          lost: held.filter(
            ({ turnId, epoch }) => !kept.some((turn) => turn.id === turnId && turn.leaseEpoch === epoch),
          ),
          cancel: kept.filter((turn) => turn.cancelRequested).map((turn) => turn.id),
        };
      }),

    takeOver: (limit) =>
      database.transact(() => {
        const lost = [...database.turns.values()]
          .filter((turn) => turn.status === 'running' && (turn.leaseUntil ?? 0) < database.now())
          .sort((one, other) => (one.leaseUntil ?? 0) - (other.leaseUntil ?? 0));
        return lost.slice(0, limit).map((turn) => {
          const mark = markOf(turn.id);
          turn.takeovers = turn.takeoverMark === mark ? turn.takeovers + 1 : 1;
          turn.takeoverMark = mark;
          const lostRun = turn.runId;
          const end: NewEvent = {
            type: 'run-end',
            data: { status: 'lost', message_id: turn.messageId, usage: turn.usage },
          };
          const taken = leaseTurn(needs, turn, 'recovery', [end]);
          // The end is the lost run's, and says so.
          for (const rows of [taken.events, must(database.events.get(turn.threadId), 'journal')])
            for (const row of rows) if (row.seq === taken.events[0]?.seq) row.runId = lostRun;
          return taken;
        });
      }),

    release: (leased) =>
      database.transact(() => {
        const turn = database.turns.get(leased.turnId);
        if (turn?.leaseEpoch === leased.epoch && turn.status === 'running')
          turn.leaseUntil = database.now() - 1000;
        database.notify({ kind: 'released' });
      }),

    countDecisions: (leased) =>
      database.transact(() => database.turns.get(leased.turnId)?.decisions ?? leased.decisions),

    readInbox: (leased) =>
      database.transact(() =>
        database.inbox
          .filter((row) => row.threadId === leased.threadId)
          .map((row) => ({ id: String(row.id), event: jsonb(row.event) })),
      ),

    tellInbox: (threadId) => database.transact(() => numberInbox(needs, threadId)),
  };
}
