/** The tables of a turn in memory, for tests that decide themselves in which order things happen. */

import type { StoredCheckpoint } from '../../../src/engine/checkpoint-store.ts';
import type { EffectCall, LedgerRow } from '../../../src/resources/turns/effects.ts';
import { toJson } from '../../../src/resources/turns/rows.ts';
import type { Caller } from '../../../src/runtime/caller.ts';
import type {
  Approval,
  ApprovalStatus,
  Decision,
  Message,
  NewEvent,
  RunKind,
  TurnStatus,
  Usage,
} from '../../../src/runtime/events.ts';
import type { StoredEvent, TurnInput } from '../../../src/runtime/ports.ts';

export interface ConversationRow {
  id: string;
  workspaceId: string;
  userId: string;
  title: string | null;
  archived: boolean;
  lastSeq: number;
  inboxWaiting: number;
}

export interface TurnRow {
  id: string;
  threadId: string;
  workspaceId: string;
  userId: string;
  status: TurnStatus;
  input: TurnInput;
  caller: Caller;
  messageId: string;
  runId: string;
  runKind: RunKind;
  firstSeq: number;
  keptSeq: number;
  leaseOwner: string | null;
  leaseEpoch: number;
  /** Milliseconds of the database's time; null where no run is live. */
  leaseUntil: number | null;
  takeovers: number;
  takeoverMark: string | null;
  decisions: number;
  usage: Usage;
  tainted: boolean;
  cancelRequested: boolean;
  createdAt: string;
}

export interface InboxRow {
  id: number;
  threadId: string;
  turnId: string | null;
  event: NewEvent;
}

export interface CardRow {
  id: string;
  threadId: string;
  turnId: string;
  toolCallId: string;
  card: Approval;
  argsHash: string;
  status: ApprovalStatus;
  decision: Decision | null;
  decidedBy: string | null;
  decidedAt: Date | null;
  reason: string | null;
  executedArgs: Record<string, unknown> | null;
  executedHash: string | null;
  createdAt: number;
  expiresAt: number;
}

export interface EffectRow extends LedgerRow {
  turnId: string;
  call: EffectCall;
}

export interface KeyRow {
  principal: string;
  key: string;
  bodyHash: string;
  turnId: string;
  begun: { runId: string; firstSeq: number } | null;
}

/** What one process tells the others; as PostgreSQL's notifications, delivered after the commit, or lost. */
export type Notice =
  | { kind: 'journal'; threadId: string; origin: string | null }
  | { kind: 'cancel' | 'inbox'; turnId: string }
  | { kind: 'released' };

export type MemoryDatabase = ReturnType<typeof createMemoryDatabase>;

/** Makes empty tables. `now` is the database's own time, in milliseconds. */
export function createMemoryDatabase({ now }: { now(): number }) {
  let last: Promise<unknown> = Promise.resolve();
  let notices: Notice[] = [];
  const listeners = new Set<(notice: Notice) => void>();

  return {
    now,
    conversations: new Map<string, ConversationRow>(),
    turns: new Map<string, TurnRow>(),
    messages: new Map<string, Message & { seq: number }>(),
    /** By conversation, ascending. */
    events: new Map<string, StoredEvent[]>(),
    inbox: [] as InboxRow[],
    cards: new Map<string, CardRow>(),
    effects: new Map<string, EffectRow>(),
    keys: [] as KeyRow[],
    checkpoints: new Map<string, StoredCheckpoint[]>(),

    /**
     * Does work that nothing comes between; what it notifies is told when it succeeded. It must refuse before it
     * writes: nothing is rolled back.
     */
    transact<T>(work: () => T | Promise<T>): Promise<T> {
      const done = last.then(async () => {
        notices = [];
        const result = await work();
        for (const notice of notices) for (const listener of [...listeners]) listener(notice);
        return result;
      });
      last = done.catch(() => undefined);
      return done;
    },

    notify(notice: Notice): void {
      notices.push(notice);
    },

    listen(listener: (notice: Notice) => void): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/** A copy as a jsonb column would give it back. */
export function jsonb<T>(value: T): T {
  return JSON.parse(toJson(value));
}

/** Adds rows to a conversation's journal; a number that is there already stays as it is. */
export function insertEvents(
  database: MemoryDatabase,
  threadId: string,
  rows: readonly StoredEvent[],
  origin: string | null,
): void {
  const stored = database.events.get(threadId) ?? [];
  const taken = new Set(stored.map((row) => row.seq));
  stored.push(...rows.filter((row) => !taken.has(row.seq)).map(jsonb));
  stored.sort((one, other) => one.seq - other.seq);
  database.events.set(threadId, stored);
  database.notify({ kind: 'journal', threadId, origin });
}

/** The turn of a conversation that has not ended. */
export function liveTurn(database: MemoryDatabase, threadId: string): TurnRow | undefined {
  return [...database.turns.values()].find(
    (turn) =>
      turn.threadId === threadId && (turn.status === 'running' || turn.status === 'awaiting_approval'),
  );
}

/** Reads a row that must be there. */
export function must<T>(row: T | undefined, what: string): T {
  if (row === undefined) throw new Error(`there is no such ${what}`);
  return row;
}
