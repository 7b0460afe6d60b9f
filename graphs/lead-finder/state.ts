/** What the lead-finder graph carries from node to node: plain data. */

import { Annotation } from '@langchain/langgraph';
import type { Profile, RankedProfile, SourceQuery, Wish } from '../../src/resources/lead-finder/ports.ts';

/** A planned search, and how a person is told of it. */
export interface PlannedSearch {
  query: SourceQuery;
  note: string;
}

export const LeadFinderState = Annotation.Root({
  wish: Annotation<Wish>(),
  /** How many are wanted at most. */
  limit: Annotation<number>(),
  searches: Annotation<PlannedSearch[]>(),
  /** How many of the searches are done. */
  searched: Annotation<number>({ reducer: (before, more) => before + more, default: () => 0 }),
  found: Annotation<Profile[]>({ reducer: (before, more) => [...before, ...more], default: () => [] }),
  ranked: Annotation<RankedProfile[]>(),
});

export type LeadFinderStateValues = typeof LeadFinderState.State;
