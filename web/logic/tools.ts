/** Tool calls in plain words: what a call is named, what it came to, and the rows it found. */

import type { ToolPart } from '../../src/client/events.ts';
import { labelOf } from './fields.ts';

/** The verbs that tools' names begin with: while it runs, and after. */
const VERBS: Record<string, readonly [doing: string, done: string]> = {
  search: ['Searching', 'Searched'],
  find: ['Finding', 'Found'],
  verify: ['Checking', 'Checked'],
  preflight: ['Checking', 'Checked'],
  list: ['Reading', 'Read'],
  get: ['Reading', 'Read'],
  personalize: ['Writing', 'Wrote'],
  generate: ['Writing', 'Wrote'],
  send: ['Sending', 'Sent'],
  suppress: ['Suppressing', 'Suppressed'],
  create: ['Making', 'Made'],
  update: ['Changing', 'Changed'],
  add: ['Adding', 'Added'],
  save: ['Saving', 'Saved'],
  launch: ['Launching', 'Launched'],
  pause: ['Pausing', 'Paused'],
  resume: ['Resuming', 'Resumed'],
};

/** The call's name for a person: `search_leads` is "Searching leads", and then "Searched leads". */
export function toolName(part: ToolPart): string {
  const [verb = '', ...things] = part.name.split('_');
  const words = VERBS[verb];
  if (words === undefined) return labelOf(part.name);
  return [words[part.status === 'ok' ? 1 : 0], ...things].join(' ');
}

type Row = Record<string, unknown>;

/** The first list of rows in a result, and how many there are in all. */
export function rowsOf(result: unknown): { key: string; rows: Row[]; total: number } | null {
  if (!isRow(result)) return null;
  for (const [key, value] of Object.entries(result)) {
    if (!Array.isArray(value) || (value.length > 0 && !value.every(isRow))) continue;
    const total = typeof result.total === 'number' ? result.total : value.length;
    return { key, rows: value, total };
  }
  return null;
}

/** One short sentence on what came of a call; empty where there is nothing to say. */
export function toolSummary(part: ToolPart): string {
  if (part.status === 'error') return part.error?.message ?? 'failed';
  if (part.status === 'rejected') return 'rejected';
  if (part.status === 'cancelled') return 'not carried out';
  if (part.status === 'unknown') return 'outcome unknown';
  if (part.status === 'running') return argsSummary(part.args);
  const { result } = part;
  if (!isRow(result)) return '';
  if (typeof result.available_credits === 'number')
    return `${result.available_credits.toLocaleString()} credits`;
  if (typeof result.to === 'string') return `for ${result.to}`;
  // What was asked for by its id is told by its name, not by the lists in it.
  const found = part.name.startsWith('get_') ? null : rowsOf(result);
  if (found !== null) return `${found.total.toLocaleString()} ${noun(found.key, found.total)}`;
  if (typeof result.email === 'string') return result.email;
  return typeof result.name === 'string' ? result.name : '';
}

function argsSummary(args: Row): string {
  const words = Object.entries(args)
    .filter(
      ([name, value]) =>
        !/_ids?$/.test(name) && name !== 'limit' && (typeof value === 'string' || typeof value === 'number'),
    )
    .map(([, value]) => String(value).replaceAll(/\s+/g, ' '));
  const text = words.join(', ');
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function noun(key: string, count: number): string {
  const words = labelOf(key).toLowerCase();
  return count === 1 ? words.replace(/ies$/, 'y').replace(/s$/, '') : words;
}

/** What tells most about a person or a thing stands first. */
const FIRST = ['name', 'title', 'company', 'email', 'to', 'subject', 'status'];

/** The columns worth showing: those that hold short plain values somewhere, without ids and without a name twice. */
export function columnsOf(rows: readonly Row[]): string[] {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const rank = (name: string) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return names
    .filter((name) => !/_ids?$|^id$/.test(name))
    .filter((name) => !(names.includes('name') && (name === 'first_name' || name === 'last_name')))
    .filter((name) => rows.some((row) => isPlain(row[name]) && row[name] !== '' && row[name] !== false))
    .sort((one, other) => rank(one) - rank(other))
    .slice(0, 6);
}

/** A cell as text. */
export function cellOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string') {
    if (/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(value))
      return new Date(value).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
    return value.length > 120 ? `${value.slice(0, 119)}…` : value;
  }
  return typeof value === 'number' ? value.toLocaleString() : JSON.stringify(value);
}

/** The stages of a campaign's figures, widest first; null where the result is none. */
export function funnelOf(result: unknown): { label: string; value: number }[] | null {
  if (!isRow(result) || typeof result.sent !== 'number') return null;
  const stages = ['sent', 'delivered', 'opened', 'clicked', 'replied'].flatMap((name) => {
    const value = result[name];
    return typeof value === 'number' ? [{ label: labelOf(name), value }] : [];
  });
  return stages.length > 1 ? stages : null;
}

/** A mail in a result: what `personalize_email` wrote. */
export function mailOf(result: unknown): { to?: string; subject: string; body: string } | null {
  if (!isRow(result) || typeof result.subject !== 'string' || typeof result.body !== 'string') return null;
  return {
    subject: result.subject,
    body: result.body,
    ...(typeof result.to === 'string' ? { to: result.to } : {}),
  };
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isPlain(value: unknown): boolean {
  return ['string', 'number', 'boolean'].includes(typeof value);
}
