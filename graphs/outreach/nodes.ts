/** The steps of the chat agent: ask the model, plan its calls, carry each of them out behind the gate. */

import type { RunnableConfig } from '@langchain/core/runnables';
import { Command, interrupt, Send } from '@langchain/langgraph';
import type { Gate } from '../../src/engine/gate.ts';
import { estimateTokens, quotesStrangers, repair, toolContent } from '../../src/engine/history.ts';
import type { Model, ModelAnswer, ModelSink, ModelTool, PlainMessage } from '../../src/engine/model.ts';
import type { ToolBox } from '../../src/engine/proposals.ts';
import { type GraphRun, runOf } from '../../src/engine/runner.ts';
import { ServiceError } from '../../src/errors.ts';
import type { CallTask, Outreach } from './state.ts';

/** What a turn may use; waiting for a person counts for nothing. */
export interface Budget {
  modelCalls: number;
  toolCalls: number;
  /** Input and output together, as the provider counts. */
  tokens: number;
  /** Milliseconds that one run may take before its next model call is the last. */
  runMs: number;
}

export interface OutreachNeeds {
  model: Model;
  toolBox: ToolBox;
  gate: Gate;
  budget: Budget;
  now(): number;
}

const NO_TOOLS: ModelTool[] = [];
const LAST_ANSWER =
  'The budget of this turn is used up. No tools are available any more: say what was done and what was not, briefly.';

export function createOutreachNodes({ model, toolBox, gate, budget, now }: OutreachNeeds) {
  /** Asks the model; its text is told as it comes. */
  async function askModel(state: Outreach, config: RunnableConfig): Promise<Partial<Outreach>> {
    const run = runOf(config);
    const call = state.calls + 1;
    const last = state.exhausted || isSpent(state, run);
    run.reply.stepStart('model');
    const past = await run.recall(state.calls === 0);
    if (last && !state.exhausted)
      run.reply.notice('BUDGET_EXHAUSTED', 'The budget of this turn is used up; this is its last answer.');
    const messages = [...past.messages, ...repair(state.messages)];
    if (last) messages.push({ role: 'system', content: LAST_ANSWER });
    const tainted = state.tainted || past.tainted;
    // Before the call: what is told of an answer that breaks off is kept, and may repeat what the model read.
    run.reply.tainted ||= tainted;
    const answer = await model.call({
      messages,
      tools: last ? NO_TOOLS : toolBox.forModel,
      sink: last ? withoutTools(sinkOf(run, call)) : sinkOf(run, call),
      signal: run.signal,
    });
    const toolCalls = last
      ? []
      : answer.toolCalls.map((one) => ({ id: callId(run, call, one.index), name: one.name, args: one.args }));
    for (const one of toolCalls) run.reply.toolArgs(one.id, one.args ?? {});
    run.reply.callEnd(call, answer.finishReason, {
      input_tokens: answer.usage.inputTokens,
      output_tokens: answer.usage.outputTokens,
    });
    refuseCutText(answer);
    run.reply.stepEnd('model');
    const message: PlainMessage = {
      role: 'assistant',
      content: answer.content,
      ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }),
    };
    return { messages: [message], calls: call, tainted, exhausted: last };
  }

  function isSpent(state: Outreach, run: GraphRun): boolean {
    const { input_tokens, output_tokens } = run.reply.usage;
    return (
      state.calls >= budget.modelCalls - 1 ||
      input_tokens + output_tokens + estimateTokens(state.messages) >= budget.tokens ||
      now() - run.startedAt >= budget.runMs
    );
  }

  /** Freezes what each call would do; one task a call, so that each waits, runs and is answered by itself. */
  async function propose(state: Outreach, config: RunnableConfig): Promise<Command> {
    const run = runOf(config);
    const calls = openCalls(state);
    const room = budget.toolCalls - state.messages.filter((message) => message.role === 'tool').length;
    const plan = { tainted: state.tainted, rejected: state.rejected, spent: state.spent };
    const planned = await Promise.all(
      calls.map(({ id, name, args }, index) =>
        index < room
          ? gate.plan(run, { toolCallId: id, name, args: isArgs(args) ? args : null }, plan)
          : gate.overBudget({ toolCallId: id, name, args: isArgs(args) ? args : {} }),
      ),
    );
    run.reply.usage.tool_calls += planned.length;
    const tasks = planned.map(
      (call) => new Send('call', { call, tainted: state.tainted } satisfies CallTask),
    );
    return new Command({ goto: tasks, update: { exhausted: calls.length > room } });
  }

  /** Carries one call out, or stops and asks. Going on after a decision runs this again from its first line. */
  async function carryOut({ call, tainted }: CallTask, config: RunnableConfig): Promise<Partial<Outreach>> {
    const run = runOf(config);
    const outcome = await run.hold(async () => {
      const executed = await gate.execute(run, call, tainted);
      if (executed.kind === 'ended') await run.reply.toolEnd(call.toolCallId, executed.end);
      return executed;
    });
    if (outcome.kind === 'ask') {
      interrupt({ approval: outcome.card });
      // A decision is read from its row; a value that somebody resumes with must never stand in for it.
      throw new Error('an approval was answered past its row');
    }
    const { end } = outcome;
    const untrusted = toolBox.get(call.name)?.untrusted === true && end.status === 'ok';
    const tainting = outcome.tainted || quotesStrangers(end);
    run.reply.tainted ||= tainting;
    return {
      messages: [
        {
          role: 'tool',
          tool_call_id: call.toolCallId,
          content: toolContent(end, untrusted, outcome.editedArgs),
        },
      ],
      tainted: tainting,
      rejected: outcome.rejectedHash === null ? [] : [outcome.rejectedHash],
      spent: call.card === null ? call.credits : 0,
    };
  }

  return { askModel, propose, carryOut };
}

/** Where the graph goes after the model: to its calls, or to the end. */
export function afterModel(state: Outreach): 'propose' | 'end' {
  return openCalls(state).length > 0 ? 'propose' : 'end';
}

function openCalls(state: Outreach) {
  const last = state.messages.at(-1);
  return last?.role === 'assistant' ? (last.tool_calls ?? []) : [];
}

/** Our own id of a call, made of turn, call and index; providers repeat theirs, and take at most 40 characters. */
export function callId(run: GraphRun, call: number, index: number): string {
  return `t${run.turn.turnId.replaceAll('-', '')}c${call}i${index}`;
}

function sinkOf(run: GraphRun, call: number): ModelSink {
  return {
    text: (delta) => run.reply.text(call, delta),
    reasoning: (delta) => run.reply.reasoning(call, delta),
    toolStart: (index, _providerId, name) => run.reply.toolStart(call, callId(run, call, index), name),
    toolArgs: (index, delta) => run.reply.toolArgsDelta(callId(run, call, index), delta),
  };
}

/** Tools that were not offered are not told of either: nobody would ever answer their calls. */
function withoutTools(sink: ModelSink): ModelSink {
  return { ...sink, toolStart: () => {}, toolArgs: () => {} };
}

/** An answer that was cut is kept as it came, and never taken for a whole one. */
function refuseCutText(answer: ModelAnswer): void {
  if (answer.toolCalls.length > 0 || answer.finishReason === 'stop' || answer.finishReason === 'tool_calls')
    return;
  if (answer.finishReason === 'content_filter') {
    throw new ServiceError(
      'MODEL_REFUSED',
      "The model provider's content filter stopped the answer. Say it in other words.",
    );
  }
  throw new ServiceError(
    'MODEL_STREAM_BROKEN',
    `The model stopped before its answer was whole (${answer.finishReason.slice(0, 40)}). What came is kept; ask it to go on.`,
  );
}

function isArgs(args: unknown): args is Record<string, unknown> {
  return typeof args === 'object' && args !== null && !Array.isArray(args);
}
