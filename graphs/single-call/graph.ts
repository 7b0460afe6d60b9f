/** One call of a tool that somebody made by name: the same gate, card and ledger as any, without a model. */

import type { RunnableConfig } from '@langchain/core/runnables';
import { START, StateGraph } from '@langchain/langgraph';
import { createCheckpointerOfRun } from '../../src/engine/checkpointer-of-run.ts';
import { runOf } from '../../src/engine/runner.ts';
import { callId, createOutreachNodes, type OutreachNeeds } from '../outreach/nodes.ts';
import { type Outreach, OutreachState } from '../outreach/state.ts';

/** Builds the graph, once for all runs: each brings its own checkpointer. */
export function createSingleCallGraph(needs: OutreachNeeds) {
  const { propose, carryOut } = createOutreachNodes(needs);
  const graph = new StateGraph(OutreachState)
    .addNode('begin', begin)
    .addNode('propose', propose, { ends: ['call'] })
    .addNode('call', carryOut)
    .addEdge(START, 'begin')
    .addEdge('begin', 'propose');
  return graph.compile({ checkpointer: createCheckpointerOfRun() });
}

/** The caller's call stands where a model's would. */
async function begin(_state: Outreach, config: RunnableConfig): Promise<Partial<Outreach>> {
  const run = runOf(config);
  const call = run.turn.input.tool_call;
  if (call === undefined) throw new Error('this turn is not for one call');
  const id = callId(run, 1, 0);
  run.reply.toolStart(1, id, call.name);
  run.reply.toolArgs(id, call.args);
  // What the caller's own model has read is not known here, so it counts as untrusted.
  run.reply.tainted = true;
  const message = {
    role: 'assistant' as const,
    content: '',
    tool_calls: [{ id, name: call.name, args: call.args }],
  };
  return { messages: [message], calls: 1, tainted: true };
}
