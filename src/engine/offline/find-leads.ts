/** From whom the person means to rows of leads, through the tools and the earlier answers. */

import type { Step, ToolCall } from './intent.ts';
import { describe, ordinal, type People, type Reference, type Search } from './people.ts';
import { heading, inline, leadName, leadTable, paragraphs, trouble } from './replies.ts';
import { type Outcome, outcomesOf, type Row, rowsAt, type Scene, type Turn, textAt } from './scene.ts';
import { sameText } from './words.ts';

/** Either the next step towards the leads, or the leads and what has to be said about those who are missing. */
export type Found = { step: Step; leads?: undefined } | { step?: undefined; leads: Row[]; notes: string[] };

/** Looks the people up through the tools, one step after the other, and picks the rows that are meant. */
export function findLeads(people: readonly People[], scene: Scene): Found {
  const searches = people.filter((one) => 'criteria' in one);
  const datasets = findDatasets(searches, scene);
  if (datasets.step) return { step: datasets.step };

  const outcomes = scene.outcomes('search_leads');
  if (outcomes.length < searches.length) {
    const calls = searches.map((search): ToolCall => {
      const dataset = search.dataset && datasets.ids.get(search.dataset);
      return {
        name: 'search_leads',
        args: dataset ? { ...search.criteria, dataset_id: dataset } : search.criteria,
      };
    });
    return { step: { toolCalls: calls.slice(outcomes.length) } };
  }

  const leads: Row[] = [];
  const notes: string[] = [];
  for (const one of people) {
    const picked =
      'criteria' in one ? pickFound(one, outcomes.shift()) : 'which' in one ? pickEarlier(one, scene) : one;
    if ('note' in picked) notes.push(picked.note);
    else leads.push(...picked.leads);
  }
  return { leads: onePerAddress(leads), notes };
}

/** The rows of the latest lead search of a turn; none where it made none. */
function searchedLeads(turn: Turn): Row[] {
  const found = outcomesOf(turn, 'search_leads').filter((outcome) => outcome.status === 'ok');
  return rowsAt(found.at(-1)?.result ?? {}, 'leads');
}

/** The first lead of each address: a person who stands in two datasets is one recipient. */
function onePerAddress(leads: readonly Row[]): Row[] {
  const byAddress = Map.groupBy(leads, (lead) =>
    (textAt(lead, 'email') || textAt(lead, 'lead_id')).toLowerCase(),
  );
  return [...byAddress.values()].flatMap((same) => same.slice(0, 1));
}

/**
 * The person's answer to "which one do you mean?": the earlier wish, with the one lead in place of the several. Holds
 * only right after that question, and only where the answer is an ordinal or a value of exactly one of the rows.
 */
export function answeredWith<Wanted extends { people: readonly People[] }>(
  scene: Scene,
  read: (turn: Turn) => Wanted | undefined,
): Wanted | undefined {
  const asked = scene.earlier.at(-1);
  if (!asked || asked.exchanges.some((exchange) => exchange.name !== 'search_leads')) return undefined;
  const rows = onePerAddress(searchedLeads(asked));
  if (rows.length < 2) return undefined;
  const answer = scene.said.replace(
    /^(?:i mean|it'?s|take|the one|(?:at|from|in|with|called|named)\b|\s)+/i,
    '',
  );
  if (answer === '') return undefined;
  const index = ordinal(answer);
  const chosen =
    index === undefined
      ? rows.filter((row) =>
          Object.values(row).some((value) => typeof value === 'string' && sameText(value, answer)),
        )
      : rows.slice(index).slice(0, 1);
  const wanted = chosen.length === 1 ? read(asked) : undefined;
  return wanted && { ...wanted, people: [{ leads: chosen }] };
}

/** The ids of the datasets that the searches name, by the name that was said. */
function findDatasets(searches: readonly Search[], scene: Scene): { step?: Step; ids: Map<string, string> } {
  const ids = new Map<string, string>();
  const names = searches.flatMap((search) => search.dataset ?? []);
  if (names.length === 0) return { ids };
  const [outcome] = scene.outcomes('list_datasets');
  if (!outcome) return { step: { toolCalls: [{ name: 'list_datasets', args: {} }] }, ids };
  if (outcome.status !== 'ok') return { step: { text: trouble('read your datasets', outcome) }, ids };
  for (const name of names) {
    const rows = rowsAt(outcome.result, 'datasets');
    const row = rows.find((dataset) => sameText(textAt(dataset, 'name'), name));
    if (!row) {
      const others = rows.map((dataset) => `- ${inline(textAt(dataset, 'name'))}`).join('\n');
      const known = others ? `These are there:\n\n${others}` : 'There is none yet.';
      return { step: { text: `I found no dataset named ${inline(name)}. ${known}` }, ids };
    }
    ids.set(name, textAt(row, 'dataset_id'));
  }
  return { ids };
}

type Picked = { leads: readonly Row[] } | { note: string };

function pickFound(search: Search, outcome: Outcome | undefined): Picked {
  if (outcome?.status !== 'ok') return { note: outcome ? trouble('search your leads', outcome) : '' };
  const rows = onePerAddress(rowsAt(outcome.result, 'leads'));
  if (rows.length === 0) return { note: `I found no lead${describe(search)}.` };
  if (search.many || rows.length === 1) return { leads: rows };
  const { name, email } = search.criteria;
  const exact = rows.filter(
    (row) => sameText(leadName(row), name ?? email ?? '') || sameText(textAt(row, 'email'), email ?? '\0'),
  );
  if (exact.length === 1) return { leads: exact };
  return {
    note: whichOne(heading(outcome.result, rows.length, 'lead', describe(search)), rows),
  };
}

function pickEarlier(reference: Reference, scene: Scene): Picked {
  const rows =
    [...scene.earlier]
      .reverse()
      .map(leadsOf)
      .find((leads) => leads.length > 0) ?? [];
  if (rows.length === 0) return { note: 'I do not know whom you mean: say a name or an address.' };
  const { which } = reference;
  if (which === 'all' || (which === 'one' && rows.length === 1)) return { leads: rows };
  if (which === 'one') return { note: whichOne(`My last answer has ${rows.length} leads:`, rows) };
  const row = rows.at(which === 'last' ? -1 : which);
  return row ? { leads: [row] } : { note: `My last answer has only ${rows.length} of them.` };
}

/** The leads that a turn was about: those it wrote to, else those it found. */
function leadsOf(turn: Turn): Row[] {
  const found = ['search_leads', 'find_leads']
    .flatMap((tool) => outcomesOf(turn, tool))
    .flatMap((outcome) => (outcome.status === 'ok' ? rowsAt(outcome.result, 'leads') : []));
  const written = new Set(
    turn.exchanges
      .filter((one) => one.name === 'personalize_email')
      .map((one) => textAt(one.args, 'lead_id')),
  );
  return written.size === 0 ? found : found.filter((lead) => written.has(textAt(lead, 'lead_id')));
}

function whichOne(situation: string, rows: readonly Row[]): string {
  return paragraphs(
    situation,
    leadTable(rows),
    'Which one do you mean? Say the address, or “the first one”.',
  );
}
