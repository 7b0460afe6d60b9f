/** The lead-finder graph: plan → search* → rank, over any source of leads. */

import { END, RunControl, START, StateGraph } from '@langchain/langgraph';
import type { FindProfiles } from '../../src/resources/lead-finder/ports.ts';
import { afterSearch, type FinderRun, plan, rankFound, search } from './nodes.ts';
import { LeadFinderState } from './state.ts';

/**
 * Makes what finds leads: answers at most `limit` people, best first; of a person who is wished for by name only those
 * who are likely meant. Throws what the source throws.
 */
export function createFindProfiles(): FindProfiles {
  const graph = new StateGraph(LeadFinderState)
    .addNode('plan', plan)
    .addNode('search', search)
    .addNode('rank', rankFound)
    .addEdge(START, 'plan')
    .addEdge('plan', 'search')
    .addConditionalEdges('search', afterSearch, { search: 'search', rank: 'rank' })
    .addEdge('rank', END)
    // It reads a few rows and keeps nothing; run inside another graph it must not write into that one's checkpoints.
    .compile({ checkpointer: false });

  return async (source, scope, { wish, limit, progress = () => undefined }) => {
    const run: FinderRun = { source, scope, progress };
    const state = await graph.invoke(
      { wish, limit },
      // Its own control: a process that drains lets a call that has begun come to its end.
      { configurable: { finder: run }, signal: scope.signal, control: new RunControl() },
    );
    return state.ranked;
  };
}
