/** Brings a database to the newest schema; safe when several processes start at once, as Kysely's migrator takes a lock. */

import { promises as fs } from 'node:fs';
import path from 'node:path';
import { Kysely, PostgresDialect } from 'kysely';
import { FileMigrationProvider, Migrator } from 'kysely/migration';
import type { Log } from '../log.ts';
import { createPool } from './pool.ts';

/** Runs the migrations in `folder` that `url`'s database lacks, as its owner. Throws with the failed migration's name. */
export async function migrate({
  url,
  folder,
  log,
}: {
  url: string;
  folder: string;
  log: Log;
}): Promise<string[]> {
  const pool = createPool({ url, role: null, size: 2, log });
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    const migrator = new Migrator({
      db,
      provider: new FileMigrationProvider({ fs, path, migrationFolder: folder }),
    });
    const { error, results } = await migrator.migrateToLatest();
    const failed = results?.find((result) => result.status === 'Error');
    if (error !== undefined) {
      throw new Error(
        failed === undefined
          ? 'The database cannot be used; check DATABASE_URL.'
          : `The migration ${failed.migrationName} failed; the database is as it was before.`,
        { cause: error },
      );
    }
    const done = (results ?? []).map((result) => result.migrationName);
    if (done.length > 0) log.info({ migrations: done }, 'the database was migrated');
    return done;
  } finally {
    await db.destroy();
  }
}

/** Throws one sentence if the role that serves requests could see through row level security. */
export async function assertRowLevelSecurity(pool: {
  query(text: string): Promise<{ rows: { bypasses: boolean; role: string; owner: boolean }[] }>;
}): Promise<void> {
  const { rows } = await pool.query(
    `select current_user as role, (rolsuper or rolbypassrls) as bypasses,
            pg_has_role(current_user, (select tableowner from pg_tables where schemaname = 'public' and tablename = 'turns'), 'member') as owner
       from pg_roles where rolname = current_user`,
  );
  const row = rows[0];
  if (row === undefined || row.bypasses || row.owner) {
    throw new Error(
      `The database role ${row?.role ?? '(none)'} bypasses row level security. Let DATABASE_URL name a user that may "set role" to overture_app and overture_runtime.`,
    );
  }
}
