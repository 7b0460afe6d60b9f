/** What a tool is: a schema, a pure proposal of what would happen, and one of three ways to do it. */

import type { z } from 'zod';
import type { WorkspaceTransaction } from '../db/database.ts';
import type { ErrorFact } from '../errors.ts';
import type { Caller } from '../runtime/caller.ts';
import type { EffectClass, Fact, Preview, Usage, Warning } from '../runtime/events.ts';

/** Where a proposal is made. */
export interface ProposeContext {
  caller: Caller;
  turnId: string;
  toolCallId: string;
  /** Whether untrusted text is in the model's context: recipients must then be rows, not free text (design.md §6). */
  tainted: boolean;
  signal: AbortSignal;
}

/** Where a tool is carried out. */
export interface ExecuteContext extends ProposeContext {
  /** Our key for the provider: the same for every attempt of this call. */
  providerKey: string;
  progress(done: number, total: number, note: string): void;
  /** Counts what models used for this call into the turn's usage and budgets, whether the call succeeds or not. */
  spent(usage: ModelUsage): void;
}

/** What models used. */
export type ModelUsage = Pick<Usage, 'input_tokens' | 'output_tokens' | 'model_calls'>;

/** Somebody whom a proposal writes to, or whom it leaves out. */
export interface Recipient {
  email: string;
  name: string | null;
  company: string | null;
  /** Why nothing goes there; null where something does. */
  left_out: string | null;
}

/**
 * What one call would do, computed without doing it: the same input in the same state gives the same proposal.
 * `args` and `stands` are what is hashed and approved; the rest is shown.
 */
export interface Proposal {
  /** The arguments, frozen: defaults filled, ids resolved. */
  args: Record<string, unknown>;
  /** What holds for arguments that are not given, by their names: the card's schema tells it as their `default`. */
  assumed?: Record<string, unknown>;
  /** Everything the arguments stand for: recipients, rendered texts, fingerprints of rows. Not presentation, not balances. */
  stands: Record<string, unknown>;
  effectClass: EffectClass;
  /** The most it may cost, in credits. */
  credits: number;
  title: string;
  facts: Fact[];
  warnings: Warning[];
  preview: Preview[];
  consequence: string;
  /** Everybody it is about, those who are written to first; made only where somebody asks. */
  recipients?(): Recipient[];
}

/** How an act outside our database ended. `unknown`: it may have happened. */
export type Outcome =
  | { state: 'done'; providerRef: string | null }
  | { state: 'failed'; error: ErrorFact }
  | { state: 'unknown'; error: ErrorFact };

interface ToolBase<Args> {
  name: string;
  /** For the model: when to call it and what it answers. */
  description: string;
  /** Strict: what is not named is refused. */
  schema: z.ZodType<Args, unknown>;
  /** Whether results hold text that a stranger may have written; they taint the turn and reach the model fenced. */
  untrusted: boolean;
}

/** Changes nothing and costs nothing; it runs at once and may run again after a crash. */
export interface ReadTool<Args> extends ToolBase<Args> {
  effect: 'none';
  run(context: ExecuteContext, args: Args): Promise<unknown>;
}

/** Changes only our own database: it commits with its ledger row, exactly once. */
export interface InsideTool<Args> extends ToolBase<Args> {
  effect: 'inside';
  propose(context: ProposeContext, args: Args): Promise<Proposal>;
  runWithin(tx: WorkspaceTransaction, context: ExecuteContext, proposal: Proposal): Promise<unknown>;
}

/** Reaches outside our database: intended and settled in two transactions, acted on between them. */
export interface OutsideTool<Args> extends ToolBase<Args> {
  effect: 'outside';
  /** Whether the provider does a repeat with our key only once. */
  deduplicates: boolean;
  propose(context: ProposeContext, args: Args): Promise<Proposal>;
  /** Records what is about to happen; `done` where nothing outside has to (sandbox). May refuse by throwing a ServiceError. */
  intendWithin(
    tx: WorkspaceTransaction,
    context: ExecuteContext,
    proposal: Proposal,
  ): Promise<{ done: unknown } | { act: true }>;
  /** Does it. Never throws: what went wrong is an outcome. */
  act(context: ExecuteContext, proposal: Proposal): Promise<Outcome>;
  /** Records how it ended, also when a person says so later, and answers the call's result (of `done`) or nothing. */
  settleWithin(
    tx: WorkspaceTransaction,
    context: ExecuteContext,
    proposal: Proposal,
    outcome: Outcome,
  ): Promise<unknown>;
}

export type Tool = ReadTool<never> | InsideTool<never> | OutsideTool<never>;

/** Declares a tool; its arguments' type follows from the schema. */
export function tool<Args>(definition: ReadTool<Args> | InsideTool<Args> | OutsideTool<Args>): Tool {
  // The gate parses with this same schema before it calls, so the methods only ever see `Args`.
  return definition as Tool;
}
