/** A search for leads as SQL: what must hold, and how well a lead matches. */

import { type RawBuilder, type SqlBool, sql } from 'kysely';
import { z } from 'zod';
import type { Cursors } from '../../http/cursors.ts';

/** All that is given must hold; blank text counts as not given. */
export interface LeadSearch {
  query?: string;
  name?: string;
  company?: string;
  title?: string;
  city?: string;
  email?: string;
  lead_id?: string;
  dataset_id?: string;
}

/** Words of a query that are looked for. */
const WORD_LIMIT = 20;
/** What a field that is exactly the wanted one is worth, beside at most some ten million for the rank of the words. */
const EXACT = 100_000_000;

const fullName = sql`concat_ws(' ', l.first_name, l.last_name)`;

/** The conditions on `leads as l` and `datasets as d`. */
export function conditionsOf(search: LeadSearch): RawBuilder<SqlBool> {
  const { query, name, company, title, city, email, lead_id: leadId, dataset_id: datasetId } = search;
  const conditions = [sql<SqlBool>`d.archived_at is null`];
  if (leadId !== undefined) conditions.push(sql`l.id = ${leadId}::uuid`);
  if (datasetId !== undefined) conditions.push(sql`l.dataset_id = ${datasetId}::uuid`);
  if (isGiven(query)) conditions.push(sql`l.search @@ ${tsquery(query)}`);
  for (const word of wordsOf(name ?? '')) conditions.push(contains(fullName, word));
  if (isGiven(title)) conditions.push(contains(sql`l.title`, title.trim()));
  if (isGiven(city)) conditions.push(contains(sql`l.city`, city.trim()));
  if (isGiven(company)) {
    // The index finds "Crosby, Inc." for "Crosby Inc", which no pattern does.
    const same = sql`l.search @@ plainto_tsquery('simple', ${company}) and ${plain(sql`l.company`)} = ${plain(sql`${company}::text`)}`;
    conditions.push(sql`(${contains(sql`l.company`, company.trim())} or (${same}))`);
  }
  if (isGiven(email)) {
    const wanted = email.trim().toLowerCase();
    const whole = z.email().safeParse(wanted).success;
    conditions.push(whole ? sql`l.address = ${wanted.toLowerCase()}` : contains(sql`l.email`, wanted));
  }
  return sql.join(conditions, sql` and `);
}

/** How well a lead matches, as an integer: fields that are exactly the wanted ones first, then the rank of the words. */
export function scoreOf(search: LeadSearch): RawBuilder<number> {
  const { query, name, company, title, city } = search;
  const parts: RawBuilder<unknown>[] = [];
  const exact = (field: RawBuilder<unknown>, wanted: string) =>
    parts.push(
      sql`case when ${plain(field)} = ${plain(sql`${wanted}::text`)} then ${sql.lit(EXACT)} else 0 end`,
    );
  if (isGiven(name)) exact(fullName, name);
  if (isGiven(company)) exact(sql`l.company`, company);
  if (isGiven(title)) exact(sql`l.title`, title);
  if (isGiven(city)) exact(sql`l.city`, city);
  if (isGiven(query)) {
    exact(fullName, query);
    exact(sql`l.company`, query);
    parts.push(sql`round(ts_rank(l.search, ${tsquery(query)}) * 1000000)`);
  }
  return parts.length === 0 ? sql<number>`0` : sql<number>`(${sql.join(parts, sql` + `)})::int`;
}

const position = z.tuple([z.int32().min(0), z.uuid(), z.int32().min(0)]);

/** The rows of a ranked list behind the cursor; throws `VALIDATION_ERROR` where it is not one of ours. */
export function behindLead(cursors: Cursors, cursor: string): RawBuilder<SqlBool> {
  const [score, datasetId, row] = cursors.decode(cursor, position);
  return sql`(score < ${score}::int or (score = ${score}::int and (
    dataset_id < ${datasetId}::uuid or (dataset_id = ${datasetId}::uuid and row_index > ${row}::int))))`;
}

/** Every word must be there, the last as a beginning. The words are quoted, so no sign in them is an operator. */
function tsquery(query: string): RawBuilder<unknown> {
  const words = wordsOf(query).map((word) => `'${word}'`);
  return sql`to_tsquery('simple', ${words.length === 0 ? '' : `${words.join(' & ')}:*`})`;
}

/** Splits at blanks, and at the signs that to_tsquery's quoting or the index's own words stumble over. */
export function wordsOf(text: string): string[] {
  return text
    .split(/[\s'"\\@,;]+/u)
    .filter((word) => /[\p{L}\p{N}]/u.test(word))
    .slice(0, WORD_LIMIT);
}

function isGiven(value: string | undefined): value is string {
  return value !== undefined && value.trim() !== '';
}

function contains(field: RawBuilder<unknown>, part: string): RawBuilder<SqlBool> {
  return sql`${field} ilike ${`%${part.replaceAll(/[\\%_]/g, '\\$&')}%`}`;
}

/** A text without case and punctuation. */
export function plain(value: RawBuilder<unknown>): RawBuilder<string> {
  return sql`btrim(regexp_replace(lower(${value}), '[^[:alnum:]]+', ' ', 'g'))`;
}
