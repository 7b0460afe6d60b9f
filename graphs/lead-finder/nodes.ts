/** The steps of finding leads: from the wish to searches, each search in the source, and the best of what was found. */

import type { RunnableConfig } from '@langchain/core/runnables';
import { rank, titlesFor } from '../../src/resources/lead-finder/likeness.ts';
import type {
  FindRequest,
  LeadSource,
  Profile,
  RankedProfile,
  SourceQuery,
  SourceScope,
  Wish,
} from '../../src/resources/lead-finder/ports.ts';
import type { LeadFinderStateValues, PlannedSearch } from './state.ts';

type State = LeadFinderStateValues;
type Update = Partial<State>;

/** What one run lends to the nodes. */
export interface FinderRun {
  source: LeadSource;
  scope: SourceScope;
  progress: NonNullable<FindRequest['progress']>;
}

/** Namesakes that are looked at before one is chosen. */
const NAMESAKES = 10;
/** Below this a person of the name is not taken for the one who is wished for. */
const SURE = 0.5;

/** Turns the wish into searches, the strictest first. */
export function plan(state: State): Update {
  return {
    searches: isPerson(state.wish) ? planPerson(state.wish) : [planCriteria(state.wish, state.limit)],
  };
}

/** Does the next search of the plan. */
export async function search(state: State, config: RunnableConfig): Promise<Update> {
  const { source, scope, progress } = runOf(config);
  const next = state.searches[state.searched];
  if (next === undefined) return { searched: 1 };
  const found = await source.search(scope, next.query);
  progress(state.searched + 1, state.searches.length + 1, `${next.note}: ${found.length}`);
  return { found, searched: 1 };
}

/** Another search is worth its while only as long as the stricter ones have found nobody. */
export function afterSearch(state: State): 'search' | 'rank' {
  const { wish, searches, searched, found } = state;
  return searched < searches.length && best(found, wish).length === 0 ? 'search' : 'rank';
}

/** Keeps each person once, the best first, and not more than are wanted. */
export function rankFound(state: State, config: RunnableConfig): Update {
  const ranked = best(state.found, state.wish).slice(0, state.limit);
  runOf(config).progress(state.searches.length + 1, state.searches.length + 1, `Ranked: ${ranked.length}`);
  return { ranked };
}

function best(found: readonly Profile[], wish: Wish): RankedProfile[] {
  const people = new Map<string, RankedProfile>();
  for (const profile of found) {
    const key = (profile.email ?? profile.lead_id ?? profile.linkedin_url ?? '').toLowerCase();
    if (key !== '' && !people.has(key)) people.set(key, rank(profile, wish));
  }
  // The sort is stable: among equals the source's own order stands.
  const sorted = [...people.values()].sort((one, other) => other.confidence - one.confidence);
  return isPerson(wish) ? mostLikely(sorted) : sorted.map(rounded);
}

/** Who of the namesakes is meant: where several fit equally well, each of them is less certain. */
function mostLikely(sorted: readonly RankedProfile[]): RankedProfile[] {
  const named = sorted.filter((one) => one.matched.includes('name'));
  return named
    .map((one) => {
      const equals = named.filter((other) => other.confidence === one.confidence).length;
      return rounded({ ...one, confidence: one.confidence / equals });
    })
    .filter((one) => one.confidence >= SURE);
}

function rounded(profile: RankedProfile): RankedProfile {
  return { ...profile, confidence: Math.round(profile.confidence * 100) / 100 };
}

function isPerson({ name }: Wish): boolean {
  return (name ?? '').trim() !== '';
}

/** A person may have changed job, place or company since the row was written: what is left out then costs confidence. */
function planPerson(wish: Wish): PlannedSearch[] {
  const whole = { ...queryOf(wish, NAMESAKES), keywords: '' };
  const stages = [
    { query: whole, note: 'Name and all that is known' },
    { query: { ...whole, titles: [], location: '' }, note: 'Name and company' },
    { query: { ...whole, titles: [], location: '', company: '' }, note: 'Name alone' },
  ];
  const texts = stages.map(({ query }) => JSON.stringify(query));
  return stages.filter((_, index) => !texts.slice(0, index).includes(texts[index] ?? ''));
}

function planCriteria(wish: Wish, limit: number): PlannedSearch {
  return { query: queryOf(wish, limit), note: 'All that is asked for' };
}

function queryOf(wish: Wish, limit: number): SourceQuery {
  return {
    name: wish.name ?? '',
    company: wish.company ?? '',
    titles: titlesFor(wish.title ?? ''),
    location: wish.location ?? '',
    keywords: wish.keywords ?? '',
    limit,
  };
}

function runOf(config: RunnableConfig): FinderRun {
  const run: FinderRun | undefined = config.configurable?.finder;
  if (run === undefined) throw new Error('the graph was not started by createFindProfiles');
  return run;
}
