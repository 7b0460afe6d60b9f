/** Finding what is not plainly listed: the leads that fit a wish best, and a person's address at their company. */

import { defineIntent } from '../intent.ts';
import { describe, readPeople, type Search } from '../people.ts';
import { count, field, inline, paragraphs, table, trouble } from '../replies.ts';
import { numberAt, type Row, rowsAt, textAt } from '../scene.ts';
import { limitIn, unquote } from '../words.ts';

const BEST =
  /^(?:find|search for|look for|get|show|rank)(?: me)?\s+(?:the\s+|my\s+|our\s+)*(?:(\d{1,2})\s+)?best\s+(?:(\d{1,2})\s+)?(?:(?:leads|matches|prospects|people|contacts)\s+(?:for|among|as)\s+)?(.+)$/i;
const ADDRESS =
  /^(?:find|find out|work out|guess|look up|get|what is|what's)(?: me)?\s+(?:the\s+)?(?:work\s+|business\s+)?e-?mail(?:\s+address)?\s+(?:of|for)\s+(.+?)\s+(?:at|from)\s+(\S.*)$/i;
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
];

function percent(row: Row): string {
  return `${Math.round(numberAt(row, 'confidence', 0) * 100)} %`;
}

/** What it cost, as the end of a sentence; nothing where it was free. */
function priced(result: Row): string {
  const credits = numberAt(result, 'credits', 0);
  return credits === 0 ? '' : `; it cost ${count(credits, 'credit')}`;
}
