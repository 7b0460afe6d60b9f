/** The workspace's view of the database: nothing is read or written outside a transaction that names the workspace. */

import { Kysely, PostgresDialect, sql, type Transaction } from 'kysely';
import type pg from 'pg';
import type { Tables } from './tables.ts';

/** A transaction in which row level security shows one workspace's rows only. */
export type WorkspaceTransaction = Transaction<Tables>;

export interface Database {
  /** Runs `work` in one transaction scoped to the workspace; commits when it resolves, rolls back when it throws. */
  within<T>(workspaceId: string, work: (tx: WorkspaceTransaction) => Promise<T>): Promise<T>;
}

/** Wraps the serving role's pool. `pool` must have been made for `overture_app`. */
export function createDatabase({ pool }: { pool: pg.Pool }): Database {
  const kysely = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  return {
    within(workspaceId, work) {
      return kysely.transaction().execute(async (tx) => {
        await sql`select set_config('app.workspace_id', ${workspaceId}, true)`.execute(tx);
        return work(tx);
      });
    },
  };
}
