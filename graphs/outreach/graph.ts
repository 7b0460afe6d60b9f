/** The chat agent: model → propose → call (one task for each tool call) → model … → end. */

import { END, START, StateGraph } from '@langchain/langgraph';
import { createCheckpointerOfRun } from '../../src/engine/checkpointer-of-run.ts';
import { afterModel, createOutreachNodes, type OutreachNeeds } from './nodes.ts';
import { OutreachState } from './state.ts';

/** Builds the graph, once for all runs: each brings its own checkpointer. */
export function createOutreachGraph(needs: OutreachNeeds) {
  const { askModel, propose, carryOut } = createOutreachNodes(needs);
  const graph = new StateGraph(OutreachState)
    .addNode('model', askModel)
    .addNode('propose', propose, { ends: ['call'] })
    .addNode('call', carryOut)
    .addEdge(START, 'model')
    .addConditionalEdges('model', afterModel, { propose: 'propose', end: END })
    .addEdge('call', 'model');
  return graph.compile({ checkpointer: createCheckpointerOfRun() });
}
