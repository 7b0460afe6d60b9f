/** Reading what is there: datasets, the list of leads, leads by company, job, place or name, one lead. */

import { findLeads } from '../find-leads.ts';
import { defineIntent, readingIntent, type Step } from '../intent.ts';
import { describe, type People, readCertainPeople, readPeople, type Search } from '../people.ts';
import { field, heading, leadDetails, leadTable, paragraphs, table, time } from '../replies.ts';
import { rowsAt, type Scene } from '../scene.ts';
import { core, limitIn } from '../words.ts';

const DATASETS =
  /^(?:data ?sets?|(?:lead |contact )?lists|lists? leads|(?:csv |uploaded |imported )?files|uploads|imports)(?: (?:uploaded|upload|imported|import))?$/;
const ASKS_IMPORTED = /^what (?:have|did|has) (?:i|we) (?:already )?(?:upload|import)(?:ed)?(?: so far)?$/i;

const ALL_LEADS =
  /^(?:(?:lead|contact|prospect)s?|people|everyone|everybody|(?:lead |contact )?list|(?:lead |contact )?database)(?: (?:list|database))?$/;
const ASKS_ALL = /^who(?:m| all)? (?:do|have) (?:i|we) (?:have|got|know)$/i;

const SHOW =
  /^(?:show|give|see|view|display|get|open|describe|look up|pull up|bring up|check)(?: me)?\s+(.+)$/i;
const ABOUT =
  /^(?:(?:show|give|get|tell|open|see|view|what are)?\s*(?:me\s+)?(?:(?:all|the|some|any|more|full|contact)\s+)*(?:details?|info|information|profile|data|record|facts)\s+(?:for|of|on|about)|(?:tell me|what do (?:you|we|i) (?:know|have)|what is known|anything)\s+(?:more |everything |all )?(?:about|on)|who(?:'s| is)(?!\s+(?:at|in|from|with|working|based)\b))\s+(.+)$/i;
const FIND =
  /^(?:find|search(?:ing)?|look(?:ing)? for|i(?:'m| am) looking for|filter|fetch|list|get)(?: me)?(?:\s+(?:(?:in|through)\s+)?(?:my|the|our|all)\s+(?:leads|contacts|list|database))?(?:\s+(?:for|by))?\s+(.+)$/i;
const ASKS =
  /^(?:(?:is|are) there|(?:do|have) (?:i|we) (?:have|got|know)|which(?: of (?:my|our|the))?|what|any|who(?:m)?(?: all)?(?: (?:do|have) (?:i|we) (?:have|got|know))?|how many)(?:'s| is| are)?\s+(.+)$/i;

export const leadIntents = [
  readingIntent({
    example: 'List my datasets',
    tool: 'list_datasets',
    what: 'your datasets',
    read: ({ said }) => (DATASETS.test(core(said)) || ASKS_IMPORTED.test(said) ? {} : undefined),
    tell(result) {
      const datasets = rowsAt(result, 'datasets');
      if (datasets.length === 0) return 'There is no dataset yet. Upload a CSV file to make one.';
      return paragraphs(
        heading(result, datasets.length, 'dataset'),
        table(
          {
            Dataset: field('name'),
            Rows: field('row_count'),
            Columns: ({ columns }) => (Array.isArray(columns) ? columns.map(String).join(', ') : ''),
            Created: time('created_at'),
          },
          datasets,
        ),
      );
    },
  }),
  readingIntent({
    example: 'Show my leads',
    suggested: true,
    tool: 'search_leads',
    what: 'your leads',
    read: ({ said }) => (ALL_LEADS.test(core(said)) || ASKS_ALL.test(said) ? limitIn(said) : undefined),
    tell(result) {
      const leads = rowsAt(result, 'leads');
      if (leads.length === 0) return 'There is no lead yet. Upload a CSV file to make a dataset of leads.';
      return paragraphs(heading(result, leads.length, 'lead'), leadTable(leads));
    },
  }),
  defineIntent<People[]>({
    example: 'Find people in CITY, at COMPANY or by job, such as “find CTOs”',
    tools: ['search_leads'],
    // To look is to see all that match; only a deed needs to know which one is meant.
    read: ({ said }) => readLookup(said)?.map((one) => ('criteria' in one ? { ...one, many: true } : one)),
    next(people, scene) {
      const found = findLeads(people, scene);
      if (found.step) return found.step;
      const [only] = people.length === 1 ? people : [];
      if (only && 'criteria' in only) return tellSearch(only, found.notes, scene);
      return { text: paragraphs(...found.notes, ...found.leads.map(leadDetails)) };
    },
  }),
];

function tellSearch(search: Search, notes: readonly string[], scene: Scene): Step {
  const outcomes = scene.outcomes('search_leads');
  const last = outcomes.at(-1);
  if (last?.status !== 'ok') return { text: paragraphs(...notes) };
  const leads = rowsAt(last.result, 'leads');
  // "in Germany", "in sales": what follows "in" is not always a city, so it is tried once more in every field.
  const { city, ...others } = search.criteria;
  const looser = { many: true, criteria: { ...others, query: city } };
  if (leads.length === 0 && city && !others.query && !search.dataset && outcomes.length === 1) {
    return { toolCalls: [{ name: 'search_leads', args: looser.criteria }] };
  }
  const [lead] = leads;
  if (!lead) return { text: paragraphs(...notes) };
  if (leads.length === 1) return { text: leadDetails(lead) };
  const meant = describe(outcomes.length > 1 ? looser : search);
  return { text: paragraphs(heading(last.result, leads.length, 'lead', meant), leadTable(leads)) };
}

function readLookup(said: string): People[] | undefined {
  const named = ABOUT.exec(said)?.[1] ?? SHOW.exec(said)?.[1];
  if (named) return readPeople(plain(named), 'name');
  const wanted = FIND.exec(said)?.[1];
  if (wanted) return readPeople(plain(wanted), 'query');
  const certain = readCertainPeople(plain(ASKS.exec(said)?.[1] ?? said));
  return certain && [certain];
}

/** The phrase without the verb that ties people to their place: "leads are in Berlin", "works for Crosby Inc". */
function plain(phrase: string): string {
  return phrase
    .replace(/\s+(?:are there|is there|exist|(?:do|have) (?:i|we) (?:have|got|know))$/i, '')
    .replace(/(^|\s)(?:is|are|do|does)\s+(?=(?:at|in|from|works?|lives?|based|located)\b)/gi, '$1')
    .replace(/(^|\s)(?:works?|working)\s+(?:at|for)\s/gi, '$1at ')
    .replace(/(^|\s)(?:lives?|living|based|located)\s+in\s/gi, '$1in ');
}
