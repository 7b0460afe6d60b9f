/** Finding what is not plainly listed: the leads that fit a wish best, a person's address, and whether mail reaches one. */

import { defineIntent } from '../intent.ts';
import { describe, readPeople, type Search } from '../people.ts';
import { count, field, inline, paragraphs, table, trouble } from '../replies.ts';
import { numberAt, type Row, rowsAt, textAt } from '../scene.ts';
import { limitIn, unquote } from '../words.ts';

const BEST =
  /^(?:find|search for|look for|get|show|rank)(?: me)?\s+(?:the\s+|my\s+|our\s+)*(?:(\d{1,2})\s+)?best\s+(?:(\d{1,2})\s+)?(?:(?:leads|matches|prospects|people|contacts)\s+(?:for|among|as)\s+)?(.+)$/i;
const ADDRESS =
  /^(?:find|find out|work out|guess|look up|get|what is|what's)(?: me)?\s+(?:the\s+)?(?:work\s+|business\s+)?e-?mail(?:\s+address)?\s+(?:of|for)\s+(.+?)\s+(?:at|from)\s+(\S.*)$/i;
const ONE = '["\'<]?([^\\s@"\'<>]+@[^\\s@"\'<>]+)["\'>]?';
const NAMED = `(?:(?:the|this|that|an?|my|our) )?(?:e-?mail )?(?:address )?(?:of |for )?${ONE}`;
const SOUND = '(?:valid|deliverable|real|reachable|good|ok|okay|correct|working|risky|invalid|still in use)';
const VERIFY = [
  `(?:re-?)?(?:verify|validate|check|test) ${NAMED}`,
  `(?:check|verify|see|find out|tell me)(?: whether| if) ${NAMED} (?:is (?:an? )?${SOUND}(?: (?:e-?mail )?address)?|exists|works|can (?:get|receive|take) (?:e-?)?mails?)`,
  `is ${NAMED} (?:an? )?${SOUND}(?: (?:e-?mail )?address)?`,
  `(?:does|do|will|would|can) ${NAMED} (?:exist|work|(?:get|receive|take) (?:e-?)?mails?)`,
].map((pattern) => new RegExp(`^${pattern}$`, 'i'));
const DOMAIN = /^[a-z\d-]+(?:\.[a-z\d-]+)*\.[a-z]{2,}$/i;

export const findingIntents = [
  defineIntent<{ search: Search; limit: { limit?: number } }>({
    example: 'Find the 5 best CTOs in CITY',
    tools: ['find_leads'],
    read({ said }) {
      const [, before, after, whom = ''] = BEST.exec(said) ?? [];
      const [search] = whom === '' ? [] : readPeople(whom, 'query');
      if (search === undefined || !('criteria' in search)) return undefined;
      const { email, lead_id } = search.criteria;
      return email === undefined && lead_id === undefined
        ? { search, limit: limitIn(before ?? after ?? '') }
        : undefined;
    },
    next({ search, limit }, scene) {
      const [outcome] = scene.outcomes('find_leads');
      if (!outcome) {
        const { query: keywords, city: location, limit: _, ...criteria } = search.criteria;
        const wish = { ...criteria, location, keywords };
        const given = Object.entries(wish).filter(([, value]) => value !== undefined);
        return { toolCalls: [{ name: 'find_leads', args: { ...Object.fromEntries(given), ...limit } }] };
      }
      if (outcome.status !== 'ok') return { text: trouble('find leads', outcome) };
      const leads = rowsAt(outcome.result, 'leads');
      if (leads.length === 0) return { text: `I found no lead${describe(search)}.` };
      const columns = { Name: field('name'), Email: field('email'), Company: field('company') };
      return {
        text: paragraphs(
          `The best ${count(leads.length, 'lead')}${describe(search)}${priced(outcome.result)}:`,
          table({ ...columns, Title: field('title'), City: field('city'), Fit: percent }, leads),
        ),
      };
    },
  }),
  defineIntent<{ name: string; domain?: string; company?: string }>({
    example: 'Find the email address of NAME at DOMAIN',
    tools: ['find_email'],
    read({ said }) {
      const [, name = '', place = ''] = ADDRESS.exec(said) ?? [];
      if (name === '') return undefined;
      const where = unquote(place);
      return { name: unquote(name), ...(DOMAIN.test(where) ? { domain: where } : { company: where }) };
    },
    next(wanted, scene) {
      const [outcome] = scene.outcomes('find_email');
      if (!outcome) return { toolCalls: [{ name: 'find_email', args: wanted }] };
      if (outcome.status !== 'ok')
        return { text: trouble(`find the address of ${inline(wanted.name)}`, outcome) };
      const { result } = outcome;
      const name = inline(wanted.name);
      const email = inline(textAt(result, 'email'));
      if (result.found !== true)
        return { text: `I found no address of ${name}. ${inline(textAt(result, 'error'))}`.trim() };
      return {
        text:
          result.result === 'known'
            ? `**${name}** is among your leads: ${email}.`
            : `The address of **${name}** is probably ${email} (${percent(result)} sure, by the pattern of known addresses). Nobody has verified it${priced(result)}.`,
      };
    },
  }),
  defineIntent<{ email: string }>({
    example: 'Verify ADDRESS',
    tools: ['verify_email'],
    read({ said }) {
      const email = VERIFY.map((pattern) => pattern.exec(said)?.[1]).find((one) => one !== undefined);
      return email === undefined ? undefined : { email };
    },
    next(wanted, scene) {
      const [outcome] = scene.outcomes('verify_email');
      if (!outcome) return { toolCalls: [{ name: 'verify_email', args: wanted }] };
      if (outcome.status !== 'ok') return { text: trouble(`verify ${inline(wanted.email)}`, outcome) };
      const { result } = outcome;
      const verdict = inline(textAt(result, 'result'));
      const email = inline(textAt(result, 'email'));
      const why = rowsAt(result, 'reasons').map((reason) => inline(textAt(reason, 'message')));
      return {
        text: paragraphs(
          verdict === 'unknown'
            ? `Whether mail reaches **${email}** could not be found out.`
            : `**${email}** is ${verdict}${priced(result)}.`,
          why.join(' '),
          verdict === 'unknown' ? 'Nothing was charged; try again later.' : '',
          result.cached === true ? 'This was known here already, so nothing was charged.' : '',
        ),
      };
    },
  }),
];

function percent(row: Row): string {
  return `${Math.round(numberAt(row, 'confidence', 0) * 100)} %`;
}

/** What it cost, as the end of a sentence; nothing where it was free. */
function priced(result: Row): string {
  const credits = numberAt(result, 'credits', 0);
  return credits === 0 ? '' : `; it cost ${count(credits, 'credit')}`;
}
