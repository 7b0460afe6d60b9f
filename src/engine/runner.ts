/** Runs a compiled LangGraph graph as the runtime's engine: what it starts from, how it ends, what a run lends to its nodes. */

import type { RunnableConfig } from '@langchain/core/runnables';
import { GraphDrained, GraphRecursionError, RunControl } from '@langchain/langgraph';
import { isDatabaseAway } from '../db/away.ts';
import { errorFact, ServiceError } from '../errors.ts';
import type { Approval } from '../runtime/events.ts';
import type { Engine, LeasedTurn, LegOutcome, Performance, Reply } from '../runtime/ports.ts';
import type { CheckpointStore, StoredCheckpoint } from './checkpoint-store.ts';
import { createCheckpointer } from './checkpointer.ts';
import { withSaver } from './checkpointer-of-run.ts';
import type { CallRun, GateRun, Policy } from './gate.ts';
import type { PlainMessage } from './model.ts';

/** What the model is shown before this turn's own messages, and whether any of it is a stranger's. */
export interface Recalled {
  messages: PlainMessage[];
  tainted: boolean;
}

/** What a run reads once: the workspace's limits, and what the model can be shown of the past. */
export interface TurnContext {
  /** What the turn's calls have captured before this run began, by the ledger. */
  creditsSpent: number;
  policy: Policy;
  /** `beginning`: no model was asked in this turn yet, so what has outgrown the window may be summed up first. */
  recall(run: CallRun, beginning: boolean): Promise<Recalled>;
}

/** What a run lends to the nodes of its graph. */
export interface GraphRun extends GateRun {
  startedAt: number;
  /** What the model is shown before the turn's own messages (`TurnContext.recall`), once a run. */
  recall(beginning: boolean): Promise<Recalled>;
  /** Does work that must not be cut off: cancelling waits until it has settled. */
  hold<T>(work: () => Promise<T>): Promise<T>;
}

/** As much of a compiled graph as the runner uses. */
export interface Runnable {
  invoke(input: unknown, config: RunnableConfig & Record<string, unknown>): Promise<unknown>;
}

export interface EngineNeeds {
  /** The graph that this turn runs, compiled with the checkpointer of its run (checkpointer-of-run.ts). */
  graphOf(turn: LeasedTurn): Runnable;
  checkpoints: CheckpointStore;
  modelName: string;
  readContext(turn: LeasedTurn): Promise<TurnContext>;
  /** Answers the turn's open calls whose effect was begun, by the ledger (gate.ts). */
  answerBegun(run: CallRun): Promise<void>;
  /** Supersteps a run may take; the budgets end it before that. */
  recursionLimit: number;
  now(): number;
  report(error: unknown, turn: LeasedTurn): void;
}

export function createEngine(needs: EngineNeeds): Engine {
  const { graphOf, checkpoints, modelName, readContext, recursionLimit, now, report } = needs;
  /** Turns that were performed here before: they are not brand-new any more. */
  const performed = new WeakSet<LeasedTurn>();

  return {
    modelName,

    async perform({ turn, reply, signal, drain }: Performance): Promise<LegOutcome> {
      const fresh = turn.runKind === 'message' && !performed.has(turn);
      performed.add(turn);
      const settling = new Set<Promise<unknown>>();
      let context: Promise<TurnContext> | null = null;
      let recalled: Promise<Recalled> | null = null;
      const readOnce = () => {
        context ??= readContext(turn).then((read) => {
          // A run that was lost told nobody what it had spent; what this one spent meanwhile is counted already.
          reply.usage.credits = Math.max(reply.usage.credits, read.creditsSpent);
          return read;
        });
        return context;
      };
      const run: GraphRun = {
        turn,
        reply,
        signal,
        startedAt: now(),
        recall(beginning) {
          recalled ??= readOnce().then((read) => read.recall(run, beginning));
          return recalled;
        },
        policy: async () => (await readOnce()).policy,
        hold(work) {
          const held = work();
          settling.add(held);
          const forget = () => settling.delete(held);
          held.then(forget, forget);
          return held;
        },
      };
      const control = new RunControl();
      const leave = () => control.requestDrain('the process is shutting down');
      drain.addEventListener('abort', leave);
      if (drain.aborted) leave();
      try {
        const rows = fresh ? null : await checkpoints.read(turn.turnId);
        const begin = rows === null || rootOf(rows) === undefined;
        const store = behindJournal(reply, rows);
        const result = await graphOf(turn).invoke(begin ? {} : null, {
          configurable: {
            thread_id: `${turn.workspaceId}:${turn.turnId}`,
            lease_epoch: turn.epoch,
            fresh,
            run,
            ...withSaver(createCheckpointer({ store, lazy: true })),
          },
          durability: 'sync',
          recursionLimit,
          signal,
          control,
        });
        const approvals = interruptsOf(result);
        return approvals.length === 0 ? { status: 'completed' } : { status: 'waiting', approvals };
      } catch (error) {
        // LangGraph rejects at once; what was begun goes on behind its back and has to settle first.
        await Promise.allSettled(settling);
        return outcomeOf(error, signal, turn);
      } finally {
        await Promise.allSettled(settling);
        drain.removeEventListener('abort', leave);
      }
    },

    answerBegun: ({ turn, reply, signal }) => needs.answerBegun({ turn, reply, signal }),

    async completedCalls(turn) {
      const root = rootOf(await checkpoints.read(turn.turnId));
      if (root === undefined) return 0;
      // A write that has no checkpoint yet counts too: going on applies it and does not ask the model again.
      const written = root.writes
        .filter((write) => write.channel === 'calls')
        .map((write) => Number(write.value));
      return Math.max(Number(root.checkpoint.channel_values.calls ?? 0), ...written);
    },
  };

  /**
   * A checkpoint never overtakes the journal: a takeover that finds a model call done does not tell it again, so all that
   * was told of it must be stored by then. `rows` were read already: the graph begins with what decided how it is begun,
   * also where another process takes the turn meanwhile.
   */
  function behindJournal(reply: Reply, rows: StoredCheckpoint[] | null): CheckpointStore {
    let read = rows;
    return {
      ...checkpoints,
      async read(turnId) {
        const known = read;
        read = null;
        return known ?? checkpoints.read(turnId);
      },
      async write(...row) {
        await reply.stored();
        await checkpoints.write(...row);
      },
      async addWrites(...writes) {
        await reply.stored();
        await checkpoints.addWrites(...writes);
      },
    };
  }

  /** How a leg ended that threw; throws what is not its end. */
  function outcomeOf(error: unknown, signal: AbortSignal, turn: LeasedTurn): LegOutcome {
    if (error instanceof GraphDrained) return { status: 'drained' };
    // A turn does not fail of it: the lease runs out, and whoever finds it goes on from the last checkpoint.
    if (isDatabaseAway(error)) throw error;
    if (signal.aborted) return { status: 'cancelled' };
    if (error instanceof GraphRecursionError) {
      const fault = new ServiceError(
        'BUDGET_EXHAUSTED',
        'The agent took too many steps and was stopped. Write a message to go on.',
        { cause: error },
      );
      return { status: 'failed', error: errorFact(fault) };
    }
    if (!(error instanceof ServiceError)) report(error, turn);
    return { status: 'failed', error: errorFact(error) };
  }
}

/** The graph's own checkpoint among a turn's. */
function rootOf(rows: readonly StoredCheckpoint[]): StoredCheckpoint | undefined {
  return rows.find((row) => row.ns === '');
}

/** The cards for which the graph stopped. */
function interruptsOf(result: unknown): Approval[] {
  if (
    typeof result !== 'object' ||
    result === null ||
    !('__interrupt__' in result) ||
    !Array.isArray(result.__interrupt__)
  ) {
    return [];
  }
  const cards = result.__interrupt__.map((one: { value: { approval: Approval } }) => one.value.approval);
  // LangGraph gives them in no order; ids ascend in the order of the calls.
  return cards.sort((one: Approval, other: Approval) => (one.approval_id < other.approval_id ? -1 : 1));
}

/** The run that a node works for. */
export function runOf(config: RunnableConfig): GraphRun {
  const run: GraphRun | undefined = config.configurable?.run;
  if (run === undefined) throw new Error('the graph was not started by the runner');
  return run;
}
