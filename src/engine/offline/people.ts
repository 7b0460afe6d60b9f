/** Whom a phrase means: "all CTOs at Crosby Inc", "Maureen Fuentes", "her". */

import { inline } from './replies.ts';
import type { Row } from './scene.ts';
import { limitIn, unquote } from './words.ts';

/** What `search_leads` may be asked for. */
interface Criteria extends Row {
  query?: string;
  name?: string;
  company?: string;
  title?: string;
  city?: string;
  email?: string;
  lead_id?: string;
  limit?: number;
}

/** People who have to be searched. `many`: all that match are meant, not one of them. */
export interface Search {
  criteria: Criteria;
  /** The name of the dataset they are in, as the person said it. */
  dataset?: string;
  many: boolean;
}

/** People who stand in an earlier answer: all of them, the nth, the last, or the only one. */
export interface Reference {
  which: 'all' | 'one' | 'last' | number;
}

export type People = Search | Reference | { leads: readonly Row[] };

const EMAIL = /[\w.!#$%&'*+/=?^`{|}~-]+@[a-z\d](?:[a-z\d-]*[a-z\d])?(?:\.[a-z\d-]+)+/i;
const LEAD_ID = /\b[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\b/i;
const ALL_OF_THEM =
  /^(?:them|they|these|those|both|all|(?:all|both) of (?:them|these|those)|(?:these|those) (?:leads|people|contacts))$/i;
const THAT_ONE = /^(?:him|her|this|that|it|(?:this|that|the|the same) (?:lead|person|contact|one))$/i;
const NTH =
  /^(?:the )?(?:lead |number |no\.? |#)?(\d{1,2}|first|second|third|fourth|fifth|last)(?:st|nd|rd|th)?(?: (?:one|lead|person|contact))?$/i;
const NTH_WORDS = ['first', 'second', 'third', 'fourth', 'fifth'];

const QUANTIFIER =
  /^(?:all|any|every|each|some|the|my|our|a|an|of|these|those|first|next|few|other|\d{1,3})\s/i;
const MANY_WORDS = /^(?:all|any|every|each|some|few|[2-9]|\d\d+)$/i;
const ANY_PEOPLE =
  /^(?:who|leads|people|persons|contacts|prospects|everyone|everybody|anyone|anybody|folks|employees|staff|customers|colleagues)$/i;
const ANY_PERSON = /^(?:lead|person|contact|prospect|someone|somebody|one)$/i;
const JOB =
  /^(?:c[a-z]o|ciso|e?vp|svp|chief|head|director|manager|engineer|developer|(?:co-?)?founder|president|owner|partner|principal|analyst|consultant|designer|officer|specialist|recruiter|buyer|architect|accountant|executive|coordinator|administrator|scientist|researcher|lawyer|editor|producer|programmer|planner|strategist|supervisor|technician|secretary|assistant|advis[eo]r|agent|broker|representative|rep|marketer|surveyor|therapist|teacher|professor|nurse)$/i;

const SENTENCE = /\b(?:an?|the|for|to|with|is|are|my|our)\b/i;

const CLAUSES = {
  city: String.raw`(?:(?:who\s+|that\s+)?(?:lives?|based|located|living)\s+)?(?:in|near)`,
  company: String.raw`(?:who\s+|that\s+)?(?:works?|working)\s+(?:at|for)|employed\s+by|at`,
  query: 'from|matching|like',
  name: 'named|called',
  title: String.raw`with\s+(?:the\s+|a\s+)?(?:job\s+)?title(?:\s+of)?|whose\s+(?:job\s+)?title\s+is|working\s+as`,
};
const CLAUSE = `(?:(?:who|that)\\s+(?:is|are)\\s+)?(?:${Object.values(CLAUSES).join('|')})`;

/**
 * Reads a phrase that names people. `bare` says how to take words that are neither an address, a job nor a place: as a
 * person's name, or as a free query. Only names are split at commas and "and".
 */
export function readPeople(phrase: string, bare: 'name' | 'query'): People[] {
  const words = unquote(phrase);
  return (bare === 'name' ? splitNames(words) : [words]).map(
    (part) => readReference(part) ?? readSearch(part, bare),
  );
}

/** The only search in the phrase if all of it is certain: an address, a place, a company, a job; never a guess. */
export function readCertainPeople(phrase: string): Search | undefined {
  const search = readSearch(phrase, 'query');
  const { limit: _, query, name: __, ...certain } = search.criteria;
  return query === undefined && (Object.keys(certain).length > 0 || search.dataset) ? search : undefined;
}

/** The addresses that the person named, apart from the people who have to be found. */
export function splitAddresses(people: readonly People[]): { addresses: string[]; others: People[] } {
  const addressOf = (one: People) => ('criteria' in one ? one.criteria.email : undefined);
  return {
    addresses: people.flatMap((one) => addressOf(one) ?? []),
    others: people.filter((one) => addressOf(one) === undefined),
  };
}

/** The search in words that follow "lead": " at Crosby Inc in Berlin". */
export function describe(search: Search): string {
  const { query, name, company, title, city, email, lead_id: id } = search.criteria;
  const parts = [
    name && `named ${inline(name)}`,
    title && `with the title ${inline(title)}`,
    company && `at ${inline(company)}`,
    city && `in ${inline(city)}`,
    email && `with the address ${inline(email)}`,
    id && `with the id ${inline(id)}`,
    query && `matching “${inline(query)}”`,
    search.dataset && `in the dataset ${inline(search.dataset)}`,
  ].filter(Boolean);
  return parts.length === 0 ? '' : ` ${parts.join(' ')}`;
}

function splitNames(phrase: string): string[] {
  const parts = phrase.split(/\s*(?:[,;]\s*(?:and\s+)?|\s(?:and|&)\s)\s*/i).filter(Boolean);
  const clause = new RegExp(`\\s${CLAUSE}\\s`, 'i');
  const grouped = clause.test(` ${phrase}`) && !parts.every((part) => clause.test(part));
  return grouped ? [phrase] : parts;
}

function readReference(phrase: string): Reference | undefined {
  if (ALL_OF_THEM.test(phrase)) return { which: 'all' };
  if (THAT_ONE.test(phrase)) return { which: 'one' };
  const index = ordinal(phrase);
  if (index === undefined) return undefined;
  return { which: index < 0 ? 'last' : index };
}

/** Where the nth ("the second one", "#2") stands, from 0; -1 for the last; undefined for other words. */
export function ordinal(phrase: string): number | undefined {
  const nth = NTH.exec(phrase)?.[1]?.toLowerCase();
  if (nth === undefined) return undefined;
  if (nth === 'last') return -1;
  return /\d/.test(nth) ? Number(nth) - 1 : NTH_WORDS.indexOf(nth);
}

function readSearch(phrase: string, bare: 'name' | 'query'): Search {
  const email = EMAIL.exec(phrase)?.[0];
  if (email) return { criteria: { email }, many: false };
  const leadId = LEAD_ID.exec(phrase)?.[0];
  if (leadId) return { criteria: { lead_id: leadId }, many: false };

  const clauses = [
    ...` ${phrase}`.matchAll(
      new RegExp(`\\s(${CLAUSE})\\s+("[^"]*"|.+?)(?=\\s+(?:and\\s+)?${CLAUSE}\\s|$)`, 'gi'),
    ),
  ];
  const head = readHead((clauses[0] ? ` ${phrase}`.slice(0, clauses[0].index) : phrase).trim(), bare);
  const criteria: Criteria = { ...head.criteria };
  let dataset: string | undefined;
  for (const [, key = '', value = ''] of clauses) {
    const named =
      /^(?:the |my |our )?(?:dataset|list|file)\s+(?:called\s+|named\s+)?(.+)$/i.exec(value) ??
      /^(?:the |my |our )?(.+?)\s+(?:dataset|list|file)$/i.exec(value);
    const kind = clauseKind(key);
    if (/^(?:the |my |our )?(?:lists?|leads|data|database|contacts)$/i.test(value)) continue;
    if (named?.[1] && (kind === 'city' || kind === 'query')) dataset = unquote(named[1]);
    else criteria[kind] = unquote(value.replace(/^the (?:city|company)(?: of)? /i, ''));
  }
  return { criteria, many: head.many, ...(dataset && { dataset }) };
}

function clauseKind(key: string): keyof typeof CLAUSES {
  const plain = key.replace(/^(?:who|that)\s+(?:is|are)\s+/i, '');
  if (new RegExp(`^(?:${CLAUSES.city})$`, 'i').test(plain)) return 'city';
  if (new RegExp(`^(?:${CLAUSES.company})$`, 'i').test(plain)) return 'company';
  if (new RegExp(`^(?:${CLAUSES.query})$`, 'i').test(plain)) return 'query';
  return new RegExp(`^(?:${CLAUSES.name})$`, 'i').test(plain) ? 'name' : 'title';
}

/** What stands before the places and companies: whom in general, a job, or a name. */
function readHead(head: string, bare: 'name' | 'query'): { criteria: Criteria; many: boolean } {
  let words = head;
  let many = false;
  const limit = QUANTIFIER.test(`${head} `) ? limitIn(head) : {};
  for (let found = QUANTIFIER.exec(`${words} `); found; found = QUANTIFIER.exec(`${words} `)) {
    many ||= MANY_WORDS.test(found[0].trim());
    words = words.slice(found[0].length).trim();
  }
  words = words.replace(/^(?:lead|contact|prospect|person|mr\.?|mrs\.?|ms\.?|dr\.?)\s+(?=\S)/i, '');
  if (words === '' || ANY_PEOPLE.test(words)) return { criteria: limit, many: true };
  if (ANY_PERSON.test(words)) return { criteria: limit, many };

  const group = /^(.+)\s+(?:leads|people|contacts|prospects|employees)$/i.exec(words)?.[1];
  if (group) return { criteria: { ...readHead(group, 'query').criteria, ...limit }, many: true };
  const job = words.split(' ').map((word) => (JOB.test(singular(word)) ? singular(word) : word));
  if (job.length <= 5 && job.some((word) => JOB.test(word)) && !SENTENCE.test(words)) {
    const title = job.join(' ');
    return { criteria: { title, ...limit }, many: many || title !== words };
  }
  const proper =
    /^(?:\p{Lu}[\p{L}'’.-]*\s+){1,3}\p{Lu}[\p{L}'’.-]*$/u.test(words) && words !== words.toUpperCase();
  return { criteria: { [proper ? 'name' : bare]: unquote(words), ...limit }, many };
}

function singular(word: string): string {
  return /[^s]s$/i.test(word) ? word.replace(/ies$/i, 'y').replace(/s$/i, '') : word;
}
