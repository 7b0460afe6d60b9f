/** What a turn's life needs of the rest of the house, each port as small as its use. */

import type { ErrorFact } from '../errors.ts';
import type { Caller } from './caller.ts';
import type { Approval, Message, NewEvent, Part, RunKind, TurnStatus, Usage } from './events.ts';

/** What the user asked for; it is kept in the turn's row, so that a lost turn can begin again. */
export interface TurnInput {
  message: string;
  page_context?: Record<string, unknown>;
  /** The one call that the turn is for, where no model is asked: somebody called a tool by name. */
  tool_call?: { name: string; args: Record<string, unknown> };
  /** Where the turn's trace begins, kept for whoever goes on with it; only tracing reads it. */
  trace?: string;
}

/** A turn that this process holds under a lease. */
export interface LeasedTurn {
  turnId: string;
  threadId: string;
  workspaceId: string;
  /** In whose name the agent acts: the conversation's user. */
  caller: Caller;
  input: TurnInput;
  /** Id of the turn's one assistant message. */
  messageId: string;
  runId: string;
  /** `message` for a brand-new turn; else there may be a checkpoint. */
  runKind: RunKind;
  epoch: number;
  /** The next free number of the block that came with the lease. */
  nextSeq: number;
  /** Parts of the message as they were settled last, and the events told after that by a lost run. */
  parts: Part[];
  usage: Usage;
  tainted: boolean;
  /** How many decisions this process has seen; a settle that missed one is refused. */
  decisions: number;
  cancelRequested: boolean;
  /** Takeovers since the last checkpoint. */
  takeovers: number;
  createdAt: string;
}

/** One row of the journal: an event, or adjacent deltas of one part merged. */
export interface StoredEvent {
  seq: number;
  /** The first number that the row stands for; equal to `seq` unless deltas were merged. */
  seqFrom: number;
  /** Where each number's text ends in the merged delta, in UTF-16 units; null unless merged. */
  marks: number[] | null;
  turnId: string | null;
  runId: string | null;
  at: string;
  event: NewEvent;
}

export interface RunBatch {
  turnId: string;
  threadId: string;
  epoch: number;
  rows: StoredEvent[];
  /** Inbox rows that these events tell; they go in the same statement. */
  inboxIds: string[];
}

/** A fact that somebody else left for a live run's owner to number and tell. */
export interface InboxFact {
  id: string;
  event: NewEvent;
}

/** Time, handed in so that tests own it. */
export interface Clock {
  /** Milliseconds since 1970, UTC. */
  now(): number;
  /** Calls back once after `ms`; answers how to call it off. Does not keep the process alive. */
  after(ms: number, callback: () => void): () => void;
}

export interface JournalStore {
  /**
   * Stores rows of live runs, each under its epoch, in one statement; answers the batches whose lease is lost (a process
   * may hold a turn that it took over from itself). Storing a row again is harmless.
   */
  append(batches: readonly RunBatch[]): Promise<Set<RunBatch>>;
  /** Rows that hold a number above `after` (and none from `before` on), ascending. */
  read(
    scope: { workspaceId: string; threadId: string },
    after: number,
    before: number | null,
    limit: number,
  ): Promise<StoredEvent[]>;
}

/** Tells that a conversation moved, in whichever process. */
export interface Wake {
  /** Calls back after rows of the conversation were committed elsewhere, or may have been (after a lost connection); answers how to stop. */
  onJournal(threadId: string, callback: () => void): () => void;
}

export interface AcceptRequest {
  caller: Caller;
  threadId: string | null;
  input: TurnInput;
  clientMessageId: string | null;
  supersede: boolean;
  idempotency: { principal: string; key: string; bodyHash: string } | null;
}

export type Accepted =
  | { kind: 'new'; turn: LeasedTurn; events: StoredEvent[]; closed: boolean }
  /** The same Idempotency-Key brought this turn before. */
  | { kind: 'same'; threadId: string; turnId: string; runId: string; firstSeq: number };

export interface Settlement {
  status: Exclude<TurnStatus, 'running'>;
  message: Pick<Message, 'status' | 'content' | 'parts' | 'metadata'>;
  /** The last rows of the run, run-end included. */
  rows: StoredEvent[];
  inboxIds: string[];
  approvals: readonly Approval[];
  usage: Usage;
  tainted: boolean;
  error: ErrorFact | null;
}

/** `inbox-waiting`: settled, and what others left in the inbox is to be told behind the run's end. */
export type Settled = 'settled' | 'inbox-waiting' | 'decisions-waiting' | 'cancel-requested' | 'lost';

export interface Held {
  turnId: string;
  epoch: number;
}

export interface TurnStore {
  /** The one transaction of design.md §3. Throws the refusals of its table. */
  accept(request: AcceptRequest): Promise<Accepted>;
  /** The other one. Nothing is written when a decision was not seen or the lease is lost. */
  settle(turn: LeasedTurn, settlement: Settlement): Promise<Settled>;
  /** Renews what this process holds; answers what it lost and what somebody wants cancelled. */
  renew(held: readonly Held[]): Promise<{ lost: Held[]; cancel: string[] }>;
  /**
   * Takes over turns whose lease ran out, oldest first; each gets its next epoch, block and run, and the events that say
   * so. Tells, too, what a lost process left in the inbox of a conversation in which no run is live.
   */
  takeOver(limit: number): Promise<{ turn: LeasedTurn; events: StoredEvent[] }[]>;
  /** Gives a turn back at once, for whoever sweeps next. */
  release(turn: LeasedTurn): Promise<void>;
  /** How many decisions were recorded for the turn so far. */
  countDecisions(turn: LeasedTurn): Promise<number>;
  /** Facts that others left for this conversation while the run was live; telling them removes them. */
  readInbox(turn: LeasedTurn): Promise<InboxFact[]>;
  /** Numbers and tells what waits in the inbox of a conversation in which no run is live. */
  tellInbox(threadId: string): Promise<void>;
}

export type LegOutcome =
  | { status: 'completed' }
  | { status: 'waiting'; approvals: Approval[] }
  /** The next checkpoint is reached and the process wants to leave. */
  | { status: 'drained' }
  | { status: 'cancelled' }
  | { status: 'failed'; error: ErrorFact };

/** What an engine may do with the turn while it runs. */
export interface Performance {
  turn: LeasedTurn;
  reply: Reply;
  /** Aborts when the turn is cancelled or its lease is lost. An effect that was intended settles first. */
  signal: AbortSignal;
  /** Aborts when the process wants to leave at the next checkpoint. */
  drain: AbortSignal;
}

export interface Engine {
  /** The model as `run-start` names it. */
  readonly modelName: string;
  /**
   * Runs the graph until it ends, waits, drains, fails or is cancelled; never throws. From the turn's last checkpoint,
   * or from its stored input where there is none; decisions are read from their rows, so going on is always the same call.
   */
  perform(performance: Performance): Promise<LegOutcome>;
  /**
   * Before the turn is cancelled or failed: answers those of its open calls whose effect was begun with what is known of
   * it. Nothing is done again.
   */
  answerBegun(performance: Omit<Performance, 'drain'>): Promise<void>;
  /** How many model calls the turn's last checkpoint holds: what was told of later ones is told again. */
  completedCalls(turn: LeasedTurn): Promise<number>;
}

/** The assistant's message as it is made: every method tells the journal and keeps the part (reply.ts). */
export interface Reply {
  readonly parts: readonly Part[];
  usage: Usage;
  tainted: boolean;
  text(call: number, delta: string): void;
  reasoning(call: number, delta: string): void;
  toolStart(call: number, toolCallId: string, name: string): void;
  toolArgsDelta(toolCallId: string, delta: string): void;
  toolArgs(toolCallId: string, args: Record<string, unknown>): void;
  toolProgress(toolCallId: string, done: number, total: number, note: string): void;
  /** Told after it is committed; a second end of the same call is ignored. */
  toolEnd(toolCallId: string, end: ToolEnd): Promise<void>;
  callEnd(call: number, finishReason: string, usage: { input_tokens: number; output_tokens: number }): void;
  stepStart(step: string): void;
  stepEnd(step: string): void;
  notice(code: string, message: string): void;
  /** Resolves when all that was told so far is stored. */
  stored(): Promise<void>;
}

export type ToolEnd =
  | { status: 'ok'; result: unknown }
  | { status: 'rejected' | 'cancelled' | 'unknown' | 'error'; error: ErrorFact; result?: unknown };
