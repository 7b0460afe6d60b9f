/** The chat agent: model → propose → call (one task for each tool call) → model … → end. */

import type { BaseCheckpointSaver } from '@langchain/langgraph';
import { END, START, StateGraph } from '@langchain/langgraph';
import { afterModel, createOutreachNodes, type OutreachNeeds } from './nodes.ts';
import { OutreachState } from './state.ts';

/** Builds the graph; the result compiles it for one run, with that run's checkpointer. */
export function createOutreachGraph(needs: OutreachNeeds) {
  const { askModel, propose, carryOut } = createOutreachNodes(needs);
  const graph = new StateGraph(OutreachState)
    .addNode('model', askModel)
    .addNode('propose', propose, { ends: ['call'] })
    .addNode('call', carryOut)
    .addEdge(START, 'model')
    .addConditionalEdges('model', afterModel, { propose: 'propose', end: END })
    .addEdge('call', 'model');
  return (checkpointer: BaseCheckpointSaver) => graph.compile({ checkpointer });
}
