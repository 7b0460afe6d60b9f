/** The built-in source of leads: the datasets of the workspace, by ranked full-text search. It costs nothing. */

import { sql } from 'kysely';
import { wordsOf } from '../leads/search.ts';
import { essentialWords } from './likeness.ts';
import type { LeadSource, Profile, SourceQuery } from './ports.ts';
import { FOUND } from './schema.ts';

/** Parts of the index (migration 0001): names and companies, job titles, places and addresses. */
type Label = 'A' | 'B' | 'C' | '';

interface Row extends Omit<Profile, 'linkedin_url'> {
  data: Record<string, unknown>;
}

const PROFILE_PAGE =
  /(?:^|[/.])linkedin\.com\/(in|pub)\/([\p{L}\p{N}_%-]{1,120}(?:\/[\p{L}\p{N}_%-]{1,60}){0,3})/iu;

export function createOwnData(): LeadSource {
  return {
    name: 'own_data',
    title: 'your own datasets',
    operation: 'lead_finder_own_data',

    search(scope, query) {
      const wanted = tsqueryOf(query);
      if (wanted === '') return Promise.resolve([]);
      return scope.within(async (tx) => {
        scope.signal.throwIfAborted();
        // Whoever stands in several datasets is one person: the best match, then the newest row.
        const { rows } = await sql<Row>`
          with wanted as (select to_tsquery('simple', ${wanted}) as words),
          found as (
            select distinct on (l.address) l.*, ts_rank(l.search, wanted.words) as rank
              from leads as l join datasets as d on d.id = l.dataset_id, wanted
             where d.archived_at is null and d.source_type <> ${FOUND} and l.search @@ wanted.words
             order by l.address, rank desc, d.created_at desc, l.id
          )
          select f.id as lead_id, f.email, f.first_name, f.last_name, f.company, f.title, f.city, f.country, f.website, f.data,
                 exists (select 1 from suppression_entries as s where s.workspace_id = f.workspace_id and s.email = f.address) as suppressed
            from found as f order by f.rank desc, f.dataset_id desc, f.row_index limit ${query.limit}`.execute(
          tx,
        );
        return rows.map(({ data, ...row }) => ({ ...row, linkedin_url: profilePageIn(data) }));
      });
    },
  };
}

/** The search in PostgreSQL's words: all parts must hold, each in its part of the index. Empty where nothing is asked. */
function tsqueryOf({ name, company, titles, location, keywords }: SourceQuery): string {
  const jobs = titles.map((title) => all(essentialWords(title), 'B')).filter((job) => job !== '');
  const parts = [
    all(wordsOf(name), 'A'),
    all(essentialWords(company), 'A'),
    jobs.length > 1 ? `(${jobs.map((job) => `(${job})`).join(' | ')})` : (jobs[0] ?? ''),
    all(wordsOf(location), 'C'),
    all(wordsOf(keywords), ''),
  ];
  return parts.filter((part) => part !== '').join(' & ');
}

/** Every word, or a word that begins with it. They are quoted, so no sign in them is an operator. */
function all(words: readonly string[], label: Label): string {
  return words.map((word) => `'${word}':*${label}`).join(' & ');
}

/** The person's page in any column of their file, in one form. */
function profilePageIn(data: Record<string, unknown>): string | null {
  for (const value of Object.values(data)) {
    const found = typeof value === 'string' ? PROFILE_PAGE.exec(value) : null;
    if (found !== null) return `https://www.linkedin.com/${found[1]?.toLowerCase()}/${found[2]}`;
  }
  return null;
}
