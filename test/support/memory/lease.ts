/** A lease in memory, and what ends a waiting turn: the twins of resources/turns/lease.ts, close.ts and inbox.ts. */

import { BLOCK, type LeaseNeeds, toStored } from '../../../src/resources/turns/lease.ts';
import type { NewEvent, Part, RunKind } from '../../../src/runtime/events.ts';
import type { LeasedTurn, StoredEvent } from '../../../src/runtime/ports.ts';
import { applyEvent, closingEvents, contentOf } from '../../../src/runtime/reply.ts';
import { insertEvents, jsonb, type MemoryDatabase, must, type TurnRow } from './database.ts';

export interface MemoryNeeds extends LeaseNeeds {
  database: MemoryDatabase;
}

/** Gives away the next numbers of a conversation; answers the one before them. */
export function takeNumbers(database: MemoryDatabase, threadId: string, count: number): number {
  const conversation = must(database.conversations.get(threadId), 'conversation');
  const base = conversation.lastSeq;
  conversation.lastSeq += count;
  return base;
}

/** Gives the turn to this process. `before` are events told ahead of the run-start. */
export function leaseTurn(
  needs: MemoryNeeds,
  turn: TurnRow,
  kind: RunKind,
  before: readonly NewEvent[],
): { turn: LeasedTurn; events: StoredEvent[] } {
  const { database, owner, leaseSeconds, modelName, newId } = needs;
  turn.status = 'running';
  turn.leaseOwner = owner;
  turn.leaseEpoch += 1;
  turn.leaseUntil = database.now() + leaseSeconds * 1000;
  turn.runId = newId();
  turn.runKind = kind;
  const base = takeNumbers(database, turn.threadId, BLOCK);
  const start: NewEvent = {
    type: 'run-start',
    data: { thread_id: turn.threadId, kind, message_id: turn.messageId, model: modelName },
  };
  const events = [...before, start].map((event, index) =>
    toStored(needs, event, base + 1 + index, turn.id, turn.runId),
  );
  const parts = partsUpTo(database, turn, base);
  insertEvents(database, turn.threadId, events, null);
  return {
    events: jsonb(events),
    turn: jsonb({
      turnId: turn.id,
      threadId: turn.threadId,
      workspaceId: turn.workspaceId,
      caller: turn.caller,
      input: turn.input,
      messageId: turn.messageId,
      runId: turn.runId,
      runKind: kind,
      epoch: turn.leaseEpoch,
      nextSeq: base + 1 + events.length,
      parts: before.reduce<Part[]>(applyEvent, parts),
      usage: turn.usage,
      tainted: turn.tainted,
      decisions: turn.decisions,
      cancelRequested: turn.cancelRequested,
      takeovers: turn.takeovers,
      createdAt: turn.createdAt,
    }),
  };
}

function partsUpTo(database: MemoryDatabase, turn: TurnRow, base: number): Part[] {
  return (database.events.get(turn.threadId) ?? [])
    .filter((row) => row.turnId === turn.id && row.seq > turn.keptSeq && row.seq <= base)
    .map((row) => row.event)
    .reduce<Part[]>(applyEvent, database.messages.get(turn.messageId)?.parts ?? []);
}

/** Ends a turn that waits for a person: its cards are closed, every open call is answered. */
export function closeWaiting(
  needs: MemoryNeeds,
  turn: TurnRow,
  how: 'cancelled' | 'superseded' | 'expired',
): void {
  const { database, newId, modelName } = needs;
  if (turn.status !== 'awaiting_approval') throw new Error('only a waiting turn can be closed');
  turn.status = 'cancelled';
  turn.leaseEpoch += 1;
  turn.runId = newId();
  const message = must(database.messages.get(turn.messageId), 'message');
  const told: NewEvent[] = [
    {
      type: 'run-start',
      data: { thread_id: turn.threadId, kind: 'resume', message_id: turn.messageId, model: modelName },
    },
    ...closingEvents(message.parts, how),
    { type: 'notice', data: { code: how === 'expired' ? 'APPROVAL_EXPIRED' : 'TURN_CLOSED', message: how } },
    { type: 'run-end', data: { status: 'cancelled', message_id: turn.messageId, usage: turn.usage } },
  ];
  message.parts = jsonb(told.reduce<Part[]>(applyEvent, message.parts));
  message.content = contentOf(message.parts);
  message.status = 'partial';
  for (const card of database.cards.values()) {
    if (card.turnId !== turn.id || card.status !== 'pending') continue;
    card.status = how === 'expired' ? 'expired' : 'superseded';
    card.decidedAt = new Date(database.now());
  }
  const base = takeNumbers(database, turn.threadId, told.length);
  insertEvents(
    database,
    turn.threadId,
    told.map((event, index) => toStored(needs, event, base + 1 + index, turn.id, turn.runId)),
    null,
  );
  turn.keptSeq = base + told.length;
  database.checkpoints.delete(turn.id);
}

/** Leaves facts for the owner of the live run. */
export function leaveInInbox(database: MemoryDatabase, turn: TurnRow, facts: readonly NewEvent[]): void {
  for (const fact of facts) {
    inboxIds += 1;
    database.inbox.push({ id: inboxIds, threadId: turn.threadId, turnId: turn.id, event: jsonb(fact) });
  }
  must(database.conversations.get(turn.threadId), 'conversation').inboxWaiting += facts.length;
  database.notify({ kind: 'inbox', turnId: turn.id });
}

let inboxIds = 0;

/** Takes told rows out of the inbox. */
export function forgetInbox(database: MemoryDatabase, threadId: string, ids: readonly string[]): void {
  const gone = database.inbox.filter((row) => row.threadId === threadId && ids.includes(String(row.id)));
  database.inbox = database.inbox.filter((row) => !gone.includes(row));
  must(database.conversations.get(threadId), 'conversation').inboxWaiting -= gone.length;
}

/** Numbers and tells what waits in the inbox where no run is live; else wakes its owner. */
export function numberInbox(needs: MemoryNeeds, threadId: string): void {
  const { database } = needs;
  const conversation = must(database.conversations.get(threadId), 'conversation');
  if (conversation.inboxWaiting === 0) return;
  const live = [...database.turns.values()].find(
    (turn) => turn.threadId === threadId && turn.status === 'running',
  );
  if (live !== undefined) {
    database.notify({ kind: 'inbox', turnId: live.id });
    return;
  }
  const rows = database.inbox.filter((row) => row.threadId === threadId);
  database.inbox = database.inbox.filter((row) => row.threadId !== threadId);
  conversation.inboxWaiting = 0;
  const base = takeNumbers(database, threadId, rows.length);
  insertEvents(
    database,
    threadId,
    rows.map((row, index) => toStored(needs, row.event, base + 1 + index, row.turnId, null)),
    null,
  );
}
