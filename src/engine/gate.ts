/**
 * The tool gate: propose (pure) → ask, if a person must decide → execute what was approved and nothing else.
 * LangGraph's part, the interrupt between the two, is in the graph; here is what happens before and after it.
 */

import canonicalize from 'canonicalize';
import { isDatabaseAway } from '../db/away.ts';
import { type ErrorFact, errorFact, ServiceError } from '../errors.ts';
import type { ApprovalRow } from '../resources/approvals/approvals.ts';
import type { EffectCall, Ledger, LedgerRow } from '../resources/turns/effects.ts';
import { providerKey } from '../resources/turns/effects.ts';
import { type Caller, mayDo, type Scope } from '../runtime/caller.ts';
import type { Approval, EffectClass } from '../runtime/events.ts';
import type { LeasedTurn, Reply, ToolEnd } from '../runtime/ports.ts';
import type {
  ExecuteContext,
  InsideTool,
  Outcome,
  OutsideTool,
  Proposal,
  ReadTool,
  Tool,
} from '../tools/tool.ts';
import {
  hashProposal,
  makeCard,
  makeOutcomeCard,
  proposeCall,
  reasonToAsk,
  shownOf,
  type ToolBox,
} from './proposals.ts';

export interface GateNeeds {
  toolBox: ToolBox;
  ledger: Ledger;
  /** The newest card of a call. */
  cardOf(turn: LeasedTurn, toolCallId: string): Promise<ApprovalRow | null>;
  newId(): string;
  now(): number;
  /** Told of faults of ours that became a call's error. */
  report(error: unknown, turn: LeasedTurn): void;
}

/** A call of the model, on its way through the gate: plain data, as it stands in graph state. */
export interface PlannedCall {
  toolCallId: string;
  name: string;
  /** As the model gave them, or frozen by the proposal. */
  args: Record<string, unknown>;
  argsHash: string | null;
  /** The card that a person must decide first; null where nobody is asked. */
  card: Approval | null;
  /** Set where the call is answered without being carried out. */
  refusal: ToolEnd | null;
  credits: number;
}

/** What the workspace lets pass without asking, and how long it lets a card wait. */
export interface Policy {
  autoSpendCredits: number;
  approvalTtlHours: number;
}

/** What a call is carried out for. */
export interface CallRun {
  turn: LeasedTurn;
  reply: Reply;
  signal: AbortSignal;
}

/** What a run lends to the gate. */
export interface GateRun extends CallRun {
  policy(): Promise<Policy>;
}

/** What calls are planned by; the calls of one answer share it. */
export interface PlanState {
  tainted: boolean;
  rejected: readonly string[];
  /** Credits that pass without asking; it grows by what is planned. */
  spent: number;
}

export type Executed =
  | {
      kind: 'ended';
      end: ToolEnd;
      rejectedHash: string | null;
      tainted: boolean;
      /** What was carried out, where the user changed what the model had asked for. */
      editedArgs?: Record<string, unknown>;
    }
  /** A person must decide (again): the proposal went stale, or the outcome is unknown. */
  | { kind: 'ask'; card: Approval };

export type Gate = ReturnType<typeof createGate>;

export function createGate(needs: GateNeeds) {
  const { toolBox, ledger, cardOf, newId, now, report } = needs;

  /**
   * Computes what a call would do and whether a person is asked. A refusal is the call's result; thrown is only that the
   * database is away, which says nothing of the call.
   */
  async function plan(
    run: GateRun,
    call: { toolCallId: string; name: string; args: Record<string, unknown> | null },
    state: PlanState,
  ): Promise<PlannedCall> {
    // Before anything is waited for: cards then stand in the order of their calls.
    const [approvalId, createdAt] = [newId(), new Date(now())];
    const planned = {
      toolCallId: call.toolCallId,
      name: call.name,
      args: call.args ?? {},
      argsHash: null,
      card: null,
      credits: 0,
    };
    const refuse = (end: ToolEnd): PlannedCall => ({ ...planned, refusal: end });
    const tool = toolBox.get(call.name);
    if (tool === undefined) return refuse(failure('UNKNOWN_TOOL', `There is no tool ${call.name}.`));
    if (call.args === null) {
      return refuse(
        failure(
          'INVALID_ARGUMENTS',
          'The arguments were cut short or are not a JSON object. Send the call again, whole.',
        ),
      );
    }
    try {
      const context = contextOf(run, call.toolCallId, state.tainted);
      const proposal = await proposeCall(tool, context, call.args);
      requireScope(run.turn.caller, proposal.effectClass);
      const argsHash = hashProposal(run.turn.workspaceId, tool, proposal);
      const frozen = { ...planned, args: proposal.args, argsHash, credits: proposal.credits };
      if (state.rejected.includes(argsHash)) {
        return {
          ...frozen,
          refusal: rejection('The user rejected exactly this before in this turn. Do not propose it again.'),
        };
      }
      const { autoSpendCredits, approvalTtlHours } = await run.policy();
      const reason = reasonToAsk(proposal.effectClass, {
        tainted: state.tainted,
        credits: state.spent + proposal.credits,
        autoSpend: autoSpendCredits,
      });
      if (reason === null) {
        state.spent += proposal.credits;
        return { ...frozen, refusal: null };
      }
      const card = makeCard(tool, proposal, argsHash, {
        approvalId,
        threadId: run.turn.threadId,
        turnId: run.turn.turnId,
        toolCallId: call.toolCallId,
        reason,
        createdAt,
        ttlHours: approvalTtlHours,
        caller: run.turn.caller,
      });
      return { ...frozen, card, refusal: null };
    } catch (error) {
      if (isDatabaseAway(error)) throw error;
      if (!(error instanceof ServiceError)) report(error, run.turn);
      return refuse(ended(error));
    }
  }

  /** Carries out a call that needs no decision, or has one; the decision is read from its row, never from the graph. */
  async function execute(run: GateRun, call: PlannedCall, tainted: boolean): Promise<Executed> {
    if (call.refusal !== null)
      return { kind: 'ended', end: call.refusal, rejectedHash: null, tainted: false };
    const tool = toolBox.get(call.name);
    if (tool === undefined)
      return {
        kind: 'ended',
        end: failure('UNKNOWN_TOOL', `There is no tool ${call.name}.`),
        rejectedHash: null,
        tainted: false,
      };
    try {
      const executed = await (call.card === null
        ? free(run, call, tool, tainted)
        : asked(run, call, call.card, tool, tainted));
      // As the ledger has it, so that a call that is replayed is not counted twice.
      if (call.credits > 0) run.reply.usage.credits = await ours(ledger.spent(run.turn));
      return executed;
    } catch (error) {
      if (error instanceof ServiceError && error.code === 'LEASE_LOST') throw error;
      // Only the ledger may say how an effect ended that was begun.
      if (error instanceof LedgerFault || isDatabaseAway(error)) throw error;
      if (run.signal.aborted && !(error instanceof ServiceError)) throw error;
      if (!(error instanceof ServiceError)) report(error, run.turn);
      return { kind: 'ended', end: ended(error), rejectedHash: null, tainted: false };
    }
  }

  async function free(run: GateRun, call: PlannedCall, tool: Tool, tainted: boolean): Promise<Executed> {
    const context = contextOf(run, call.toolCallId, tainted);
    if (tool.effect === 'none') return done(tool, await (tool as ReadTool<unknown>).run(context, call.args));
    const proposal = await proposeCall(tool, context, call.args);
    // Between plan and act there may be a crash, and what passed without asking may have become another thing.
    const { effectClass, credits } = proposal;
    if (reasonToAsk(effectClass, { tainted, credits, autoSpend: call.credits }) !== null) {
      throw new ServiceError(
        'STALE_PROPOSAL',
        'What this would do has changed since it was planned. Nothing was done; call it again, and a person is asked.',
      );
    }
    return perform(run, call, tool, proposal, context, null);
  }

  /** A call that a person must decide. Its newest row is the truth; without a decision there, it only asks. */
  async function asked(
    run: GateRun,
    call: PlannedCall,
    first: Approval,
    tool: Tool,
    tainted: boolean,
  ): Promise<Executed> {
    const row = await cardOf(run.turn, call.toolCallId);
    if (row === null) return { kind: 'ask', card: first };
    const card = row.card;
    if (row.status === 'pending') return { kind: 'ask', card };
    const outcome = { kind: 'ended', rejectedHash: null, tainted: false } as const;
    if (card.kind === 'outcome' && row.status !== 'approved')
      return { ...outcome, end: unknownEnd('Nobody said how it ended, so it may have happened or not.') };
    if (row.status === 'expired')
      return { ...outcome, end: cancelled('Nobody decided in time. Nothing was done.') };
    if (row.status === 'superseded')
      return { ...outcome, end: cancelled('It was given up before a decision. Nothing was done.') };
    if (row.status === 'rejected') {
      const reason = row.reason === null ? '' : ` Their reason: ${row.reason}`;
      return {
        ...outcome,
        end: rejection(`The user rejected this.${reason} Nothing was done.`),
        rejectedHash: card.args_hash,
      };
    }
    if (card.kind === 'outcome')
      return withEdit(call, card.args, await resolveUnknown(run, call, card, row, tool, tainted));
    const args = row.executed_args ?? card.args;
    const approvedHash = row.executed_hash ?? card.args_hash;
    // A send that was intended before a crash is judged by the ledger, not by rows that its own doing may have changed.
    const before = tool.effect === 'none' ? null : await ledger.read(run.turn, call.toolCallId);
    const context = contextOf(run, call.toolCallId, tainted, approvedHash, tool.name);
    const approved = { ...call, args, argsHash: approvedHash };
    if (before !== null) {
      const shown = await approvedCard(run, tool, context, row);
      return withEdit(call, args, await recover(run, approved, tool, context, shown, before));
    }
    const proposal = await proposeCall(tool, context, args);
    const current = hashProposal(run.turn.workspaceId, tool, proposal);
    if (current !== approvedHash)
      return { kind: 'ask', card: await askAgain(run, call, tool, proposal, current) };
    const shown = { ...card, ...shownOf(proposal), args_hash: current };
    return withEdit(call, args, await perform(run, approved, tool, proposal, context, shown));
  }

  /** The card as it was approved; of an edit what the edit showed, as far as that can still be computed. */
  async function approvedCard(
    run: GateRun,
    tool: Tool,
    context: ExecuteContext,
    { card, executed_args: args, executed_hash: hash }: ApprovalRow,
  ): Promise<Approval> {
    if (args === null || hash === null) return card;
    const edited = { ...card, args, args_hash: hash };
    const proposal = await proposeCall(tool, context, args).catch(() => null);
    if (proposal !== null && hashProposal(run.turn.workspaceId, tool, proposal) === hash)
      return { ...edited, ...shownOf(proposal) };
    const facts = Object.entries(args).map(([label, value]) => ({
      label,
      value: typeof value === 'string' ? value : JSON.stringify(value),
    }));
    return { ...edited, title: tool.name, facts, warnings: [], preview: [] };
  }

  /** What was approved is not what would happen now: nothing is done, and a new card asks. */
  async function askAgain(
    run: GateRun,
    call: PlannedCall,
    tool: Tool,
    proposal: Proposal,
    hash: string,
  ): Promise<Approval> {
    const { approvalTtlHours } = await run.policy();
    run.reply.notice(
      'STALE_PROPOSAL',
      'What was approved has changed since it was shown. Nothing was done; look at the new card.',
    );
    return makeCard(tool, proposal, hash, {
      approvalId: newId(),
      threadId: run.turn.threadId,
      turnId: run.turn.turnId,
      toolCallId: call.toolCallId,
      reason: 'What you approved has changed since it was shown to you.',
      createdAt: new Date(now()),
      ttlHours: approvalTtlHours,
      caller: run.turn.caller,
    });
  }

  async function perform(
    run: GateRun,
    call: PlannedCall,
    tool: Tool,
    proposal: Proposal,
    context: ExecuteContext,
    card: Approval | null,
  ): Promise<Executed> {
    const entry: EffectCall = {
      toolCallId: call.toolCallId,
      tool: tool.name,
      effectClass: proposal.effectClass,
      argsHash: call.argsHash ?? '',
      approvalId: card?.approval_id ?? null,
    };
    if (tool.effect === 'none') return done(tool, await (tool as ReadTool<unknown>).run(context, call.args));
    if (tool.effect === 'inside') {
      const inside = tool as InsideTool<unknown>;
      const result = await ours(
        ledger.inside(run.turn, entry, (tx) => inside.runWithin(tx, context, proposal)),
      );
      return done(tool, result);
    }
    const outside = tool as OutsideTool<unknown>;
    const intent = await ours(
      ledger.intend(run.turn, entry, (tx) => outside.intendWithin(tx, context, proposal)),
    );
    if ('before' in intent) return recover(run, call, tool, context, card, intent.before);
    if ('done' in intent) return done(tool, intent.done);
    return actAndSettle(run, call, outside, proposal, context, card);
  }

  async function actAndSettle(
    run: GateRun,
    call: PlannedCall,
    tool: OutsideTool<unknown>,
    proposal: Proposal,
    context: ExecuteContext,
    card: Approval | null,
  ): Promise<Executed> {
    let outcome = await tool.act(context, proposal);
    // Nobody is asked what a provider can be told again without doing it twice.
    for (
      let repeats = 0;
      outcome.state === 'unknown' && tool.deduplicates && repeats < REPEATS;
      repeats += 1
    ) {
      await ours(ledger.again(run.turn, call.toolCallId, card?.approval_id ?? null));
      outcome = await tool.act(context, proposal);
    }
    return settleOutcome(run, call, tool, proposal, context, card, outcome);
  }

  async function settleOutcome(
    run: GateRun,
    call: PlannedCall,
    tool: OutsideTool<unknown>,
    proposal: Proposal,
    context: ExecuteContext,
    card: Approval | null,
    outcome: Outcome,
  ): Promise<Executed> {
    const result = await ours(
      ledger.settle(run.turn, call.toolCallId, outcome, (tx) =>
        tool.settleWithin(tx, context, proposal, outcome),
      ),
    );
    if (outcome.state === 'done') return done(tool, result);
    if (outcome.state === 'failed')
      return {
        kind: 'ended',
        end: { status: 'error', error: outcome.error },
        rejectedHash: null,
        tainted: false,
      };
    return { kind: 'ask', card: await askOutcome(run, card, outcome.error) };
  }

  /** Nobody knows whether it happened: it is never repeated by itself, a person is asked. */
  async function askOutcome(run: GateRun, card: Approval | null, error: ErrorFact): Promise<Approval> {
    if (card === null) throw new ServiceError('EFFECT_UNKNOWN', error.message);
    const { approvalTtlHours } = await run.policy();
    return makeOutcomeCard(card, {
      approvalId: newId(),
      reason: error.message,
      createdAt: new Date(now()),
      ttlHours: approvalTtlHours,
    });
  }

  /** An earlier attempt left its row: done is replayed, intended is repeated only where the provider deduplicates. */
  async function recover(
    run: GateRun,
    call: PlannedCall,
    tool: Tool,
    context: ExecuteContext,
    card: Approval | null,
    before: LedgerRow,
  ): Promise<Executed> {
    if (before.state === 'done') return done(tool, before.result);
    if (before.state === 'failed') {
      return {
        kind: 'ended',
        end: { status: 'error', error: before.error ?? errorFact(null) },
        rejectedHash: null,
        tainted: false,
      };
    }
    if (tool.effect !== 'outside') throw new Error('only an act outside can be left unfinished');
    const outside = tool as OutsideTool<unknown>;
    const proposal = asApproved(call);
    if (before.state === 'intended' && outside.deduplicates) {
      await ours(ledger.again(run.turn, call.toolCallId, before.approvalId));
      return actAndSettle(run, call, outside, proposal, context, card);
    }
    const error = before.error ?? LOST;
    return settleOutcome(run, call, outside, proposal, context, card, { state: 'unknown', error });
  }

  /** A person has said what happened to an effect of unknown outcome, or wants it done again. */
  async function resolveUnknown(
    run: GateRun,
    call: PlannedCall,
    card: Approval,
    row: ApprovalRow,
    tool: Tool,
    tainted: boolean,
  ): Promise<Executed> {
    if (tool.effect !== 'outside') throw new Error('only an act outside can have an unknown outcome');
    const outside = tool as OutsideTool<unknown>;
    const approved = { ...call, args: card.args, argsHash: card.args_hash };
    const context = contextOf(run, call.toolCallId, tainted, card.args_hash, tool.name);
    const proposal = asApproved(approved);
    const before = await ledger.read(run.turn, call.toolCallId);
    if (before?.state === 'done') return done(tool, before.result);
    if (row.decision === 'mark_done') {
      return settleOutcome(run, approved, outside, proposal, context, card, {
        state: 'done',
        providerRef: before?.providerRef ?? null,
      });
    }
    if (row.decision === 'mark_failed') {
      const error: ErrorFact = {
        code: 'TOOL_FAILED',
        message: 'The user checked: it did not happen.',
        retryable: false,
      };
      return settleOutcome(run, approved, outside, proposal, context, card, { state: 'failed', error });
    }
    // "retry" allows one more attempt; when that was made already, it is judged like a first one.
    if (before !== null && before.approvalId === card.approval_id) {
      return recover(run, approved, tool, context, card, before);
    }
    await ours(ledger.again(run.turn, call.toolCallId, card.approval_id));
    return actAndSettle(run, approved, outside, proposal, context, card);
  }

  function contextOf(
    run: CallRun,
    toolCallId: string,
    tainted: boolean,
    argsHash = '',
    tool = '',
  ): ExecuteContext {
    return {
      caller: run.turn.caller,
      turnId: run.turn.turnId,
      toolCallId,
      tainted,
      signal: run.signal,
      providerKey: providerKey(run.turn, { toolCallId, tool, argsHash }),
      progress: (count, total, note) => run.reply.toolProgress(toolCallId, count, total, note),
      spent({ input_tokens, output_tokens, model_calls }) {
        run.reply.usage.input_tokens += input_tokens;
        run.reply.usage.output_tokens += output_tokens;
        run.reply.usage.model_calls += model_calls;
      },
    };
  }

  /** A call beyond the budget: answered, not carried out. */
  function overBudget(call: {
    toolCallId: string;
    name: string;
    args: Record<string, unknown>;
  }): PlannedCall {
    const error: ErrorFact = {
      code: 'BUDGET_EXHAUSTED',
      message: 'The budget of this turn is used up; this was not carried out.',
      retryable: false,
    };
    return { ...call, argsHash: null, card: null, credits: 0, refusal: { status: 'error', error } };
  }

  /**
   * Before a turn ends early: answers those of its open calls whose effect was begun, by the ledger. What a lost process
   * left unfinished is not repeated; it is told, and kept, as unknown.
   */
  async function answerBegun(run: CallRun): Promise<void> {
    let begun = false;
    for (const part of run.reply.parts) {
      if (part.type !== 'tool' || part.status !== 'running') continue;
      const tool = toolBox.get(part.name);
      if (tool === undefined || tool.effect === 'none') continue;
      const toolCallId = part.tool_call_id;
      const before = await ledger.read(run.turn, toolCallId);
      if (before === null) continue;
      begun = true;
      if (before.state === 'intended' && tool.effect === 'outside') {
        const outcome: Outcome = { state: 'unknown', error: LOST };
        const proposal = asApproved({ name: part.name, args: part.args, credits: 0 });
        await ledger.settle(run.turn, toolCallId, outcome, (tx) =>
          (tool as OutsideTool<unknown>).settleWithin(
            tx,
            contextOf(run, toolCallId, true),
            proposal,
            outcome,
          ),
        );
      }
      await run.reply.toolEnd(toolCallId, recordedEnd(before));
    }
    if (begun) run.reply.usage.credits = await ledger.spent(run.turn);
  }

  return { plan, execute, overBudget, answerBegun };
}

/** How often an act of unknown outcome is told again to a provider that deduplicates, before a person is asked. */
const REPEATS = 2;

const LOST: ErrorFact = {
  code: 'EFFECT_UNKNOWN',
  message: 'The process that carried this out was lost before it heard how it ended.',
  retryable: false,
};

/** How a call ended by its row in the ledger. */
function recordedEnd({ state, result, error }: LedgerRow): ToolEnd {
  if (state === 'done') return { status: 'ok', result };
  if (state === 'failed') return { status: 'error', error: error ?? errorFact(null) };
  return { status: 'unknown', error: error ?? LOST };
}

/** A fault of ours while an effect was under way. */
class LedgerFault extends Error {}

/** A step of the ledger; what it refuses is the call's answer, anything else is not. */
async function ours<T>(step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (cause) {
    if (cause instanceof ServiceError) throw cause;
    throw new LedgerFault('an effect could not be recorded', { cause });
  }
}

/** Tells of arguments that are not the model's own. */
function withEdit(call: PlannedCall, args: Record<string, unknown>, executed: Executed): Executed {
  if (executed.kind === 'ask' || canonicalize(args) === canonicalize(call.args)) return executed;
  return { ...executed, editedArgs: args };
}

/** The approved arguments as a proposal, for an act whose first half is done: nothing is computed anew. */
function asApproved(call: Pick<PlannedCall, 'name' | 'args' | 'credits'>): Proposal {
  return {
    args: call.args,
    stands: {},
    effectClass: 'send',
    credits: call.credits,
    title: call.name,
    facts: [],
    warnings: [],
    preview: [],
    consequence: '',
  };
}

function done(tool: Pick<Tool, 'untrusted'>, result: unknown): Executed {
  return { kind: 'ended', end: { status: 'ok', result }, rejectedHash: null, tainted: tool.untrusted };
}

/** What a key must be allowed to do itself, its agent may not do for it without that. */
const SCOPE_NEEDED: Record<EffectClass, Scope> = {
  read: 'read',
  write: 'write',
  spend: 'write',
  send: 'send',
  launch: 'send',
};

function requireScope(caller: Caller, effectClass: EffectClass): void {
  const scope = SCOPE_NEEDED[effectClass];
  if (mayDo(caller, scope)) return;
  throw new ServiceError(
    'FORBIDDEN',
    `The API key of this conversation lacks the scope ${scope}, so this cannot be done with it.`,
  );
}

function failure(code: 'UNKNOWN_TOOL' | 'INVALID_ARGUMENTS', message: string): ToolEnd {
  return { status: 'error', error: { code, message, retryable: false } };
}

function rejection(message: string): ToolEnd {
  return { status: 'rejected', error: { code: 'FORBIDDEN', message, retryable: false } };
}

function cancelled(message: string): ToolEnd {
  return { status: 'cancelled', error: { code: 'TURN_NOT_LIVE', message, retryable: false } };
}

function unknownEnd(message: string): ToolEnd {
  return { status: 'unknown', error: { code: 'EFFECT_UNKNOWN', message, retryable: false } };
}

function ended(error: unknown): ToolEnd {
  const fact = errorFact(error);
  if (fact.code === 'EFFECT_UNKNOWN') return unknownEnd(fact.message);
  return { status: fact.code === 'TURN_NOT_LIVE' ? 'cancelled' : 'error', error: fact };
}
