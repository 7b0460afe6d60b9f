/** Deeds of leads: find them, read one, and say what one stands for. */

import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { sql } from 'kysely';
import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import { ServiceError } from '../../errors.ts';
import type { Cursors } from '../../http/cursors.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { FoundLead, Lead } from './schema.ts';
import { behindLead, conditionsOf, type LeadSearch, scoreOf } from './search.ts';

export interface LeadNeeds {
  database: Database;
  cursors: Cursors;
}

export type Leads = ReturnType<typeof createLeads>;

export interface SearchInput extends LeadSearch {
  limit: number;
  cursor?: string;
}

interface FoundRow extends Omit<FoundLead, 'name'> {
  row_index: number;
  score: number;
}

interface LeadRow extends Omit<Lead, 'name' | 'created_at' | 'row'> {
  row_index: number;
  created_at: Date;
}

const suppressed = sql<boolean>`exists (select 1 from suppression_entries as s where s.workspace_id = l.workspace_id and s.email = l.address)`;

export function createLeads({ database, cursors }: LeadNeeds) {
  /** Reads one lead inside the caller's own transaction, from an archived dataset too; throws `NOT_FOUND`. */
  async function getWithin(tx: WorkspaceTransaction, leadId: string): Promise<Lead> {
    const { rows } = await sql<LeadRow>`
      select l.id as lead_id, l.email, l.first_name, l.last_name, l.company, l.title, l.city, l.country, l.dataset_id,
             l.website, l.phone, l.row_index, l.data, l.created_at, ${suppressed} as suppressed
      from leads as l where l.id = ${leadId}::uuid`.execute(tx);
    const [row] = rows;
    if (row === undefined) throw new ServiceError('NOT_FOUND', 'There is no such lead.');
    const { row_index: fileRow, created_at: createdAt, ...facts } = row;
    return { ...facts, name: nameOf(row), row: fileRow, created_at: createdAt.toISOString() };
  }

  return {
    getWithin,

    /** Whether some lead of the workspace has this address, ignoring case. */
    async hasAddressWithin(tx: WorkspaceTransaction, address: string): Promise<boolean> {
      const { rows } =
        await sql`select 1 from leads where address = ${address.toLowerCase()} limit 1`.execute(tx);
      return rows.length > 0;
    },

    /** Reads one lead; throws `NOT_FOUND`. */
    get(caller: Caller, leadId: string): Promise<Lead> {
      return database.within(caller.workspaceId, (tx) => getWithin(tx, leadId));
    },

    /**
     * Finds leads outside the archive: best match first, then newest dataset, then the order of its file.
     * `total` counts all matches, whatever the page. Throws `VALIDATION_ERROR` for a cursor that is not ours.
     */
    search(caller: Caller, { limit, cursor, ...search }: SearchInput) {
      const conditions = conditionsOf(search);
      const page = cursor === undefined ? sql`true` : behindLead(cursors, cursor);
      return database.within(caller.workspaceId, async (tx) => {
        const counted = await sql<{ total: string }>`
          select count(*) as total from leads as l join datasets as d on d.id = l.dataset_id where ${conditions}`.execute(
          tx,
        );
        const { rows } = await sql<FoundRow>`
          with ranked as (
            select l.*, ${scoreOf(search)} as score
            from leads as l join datasets as d on d.id = l.dataset_id where ${conditions}
          ), page as (
            select id, workspace_id, email, address, first_name, last_name, company, title, city, country, dataset_id, row_index, score
            from ranked where ${page} order by score desc, dataset_id desc, row_index limit ${limit + 1}
          )
          select id as lead_id, email, first_name, last_name, company, title, city, country, dataset_id, row_index, score,
                 ${suppressed} as suppressed
          from page as l order by score desc, dataset_id desc, row_index`.execute(tx);
        const leads = rows.slice(0, limit).map(toFound);
        const last = rows[limit - 1];
        const hasMore = rows.length > limit && last !== undefined;
        return {
          total: Number(counted.rows[0]?.total ?? 0),
          leads,
          next_cursor: hasMore ? cursors.encode([last.score, last.dataset_id, last.row_index]) : null,
          has_more: hasMore,
        };
      });
    },
  };
}

/** What a proposal about a lead stands on: SHA-256 (hex) of the canonical JSON (RFC 8785) of who it is; data columns and suppression apart. */
export function fingerprint(lead: Lead): string {
  const { lead_id, email, first_name, last_name, company, title, city, country, website, phone } = lead;
  const identity = { lead_id, email, first_name, last_name, company, title, city, country, website, phone };
  return createHash('sha256')
    .update(canonicalize(identity) ?? '')
    .digest('hex');
}

function toFound({ row_index: _row, score: _score, ...facts }: FoundRow): FoundLead {
  return { ...facts, name: nameOf(facts) };
}

function nameOf({
  first_name: first,
  last_name: last,
}: {
  first_name: string | null;
  last_name: string | null;
}): string | null {
  return [first, last].filter((part) => part !== null).join(' ') || null;
}
