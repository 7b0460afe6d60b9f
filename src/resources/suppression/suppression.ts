/** Deeds of the do-not-contact list: what stands on it is never written to. */

import type { z } from 'zod';
import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import { ServiceError } from '../../errors.ts';
import { type Cursors, idPosition } from '../../http/cursors.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { addSuppressionBody, listSuppressionQuery, SuppressionEntry } from './schema.ts';

export interface SuppressionNeeds {
  database: Database;
  cursors: Cursors;
  newId(): string;
}

export type Suppression = ReturnType<typeof createSuppression>;

export function createSuppression({ database, cursors, newId }: SuppressionNeeds) {
  /** Adds the address inside the caller's own transaction; `already` says that it stood there before. */
  async function addWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    input: { email: string; reason?: string | null; source: string },
  ): Promise<{ entry: SuppressionEntry; already: boolean }> {
    const email = input.email.trim().toLowerCase();
    const made = await tx
      .insertInto('suppression_entries')
      .values({
        id: newId(),
        workspace_id: caller.workspaceId,
        email,
        reason: input.reason ?? null,
        source: input.source,
      })
      .onConflict((conflict) => conflict.doNothing())
      .returningAll()
      .executeTakeFirst();
    if (made !== undefined) return { entry: toEntry(made), already: false };
    const found = await tx
      .selectFrom('suppression_entries')
      .selectAll()
      .where('email', '=', email)
      .executeTakeFirstOrThrow();
    return { entry: toEntry(found), already: true };
  }

  return {
    addWithin,

    /** Suppresses an address; throws `ALREADY_EXISTS` where it is suppressed already. */
    add(caller: Caller, input: z.output<typeof addSuppressionBody>): Promise<SuppressionEntry> {
      return database.within(caller.workspaceId, async (tx) => {
        const { entry, already } = await addWithin(tx, caller, { ...input, source: 'api' });
        if (already) {
          throw new ServiceError('ALREADY_EXISTS', `${entry.email} is suppressed already.`, {
            facts: { entry },
          });
        }
        return entry;
      });
    },

    /** Lists entries, newest first. */
    list(caller: Caller, query: z.output<typeof listSuppressionQuery>) {
      return database.within(caller.workspaceId, async (tx) => {
        let rows = tx.selectFrom('suppression_entries');
        if (query.search !== undefined && query.search !== '') {
          rows = rows.where('email', 'ilike', `%${query.search.replaceAll(/[\\%_]/g, '\\$&')}%`);
        }
        const { total } = await rows
          .select((row) => row.fn.countAll<string>().as('total'))
          .executeTakeFirstOrThrow();
        let page = rows
          .selectAll()
          .orderBy('id', 'desc')
          .limit(query.limit + 1);
        page =
          query.cursor === undefined
            ? page.offset(query.offset)
            : page.where('id', '<', cursors.decode(query.cursor, idPosition)[0]);
        const found = await page.execute();
        const items = found.slice(0, query.limit).map(toEntry);
        const last = items.at(-1);
        const more = found.length > query.limit && last !== undefined;
        return {
          entries: items,
          items,
          total: Number(total),
          next_cursor: more ? cursors.encode([last.entry_id]) : null,
          has_more: more,
        };
      });
    },

    /** Lifts a suppression; throws `NOT_FOUND`. */
    async remove(caller: Caller, entryId: string): Promise<void> {
      await database.within(caller.workspaceId, async (tx) => {
        const gone = await tx.deleteFrom('suppression_entries').where('id', '=', entryId).executeTakeFirst();
        if (gone.numDeletedRows === 0n)
          throw new ServiceError('NOT_FOUND', 'There is no such suppression entry.');
      });
    },

    /** Which of these addresses are suppressed, in lower case. */
    async suppressedWithin(tx: WorkspaceTransaction, addresses: readonly string[]): Promise<Set<string>> {
      if (addresses.length === 0) return new Set();
      const rows = await tx
        .selectFrom('suppression_entries')
        .select('email')
        .where(
          'email',
          'in',
          addresses.map((address) => address.toLowerCase()),
        )
        .execute();
      return new Set(rows.map((row) => row.email));
    },
  };
}

function toEntry(row: {
  id: string;
  email: string;
  reason: string | null;
  source: string | null;
  created_at: Date;
}): SuppressionEntry {
  return {
    entry_id: row.id,
    email: row.email,
    reason: row.reason,
    source: row.source,
    created_at: row.created_at.toISOString(),
  };
}
