/** A migrated database of a test's own. */

import pg from 'pg';
import { inject } from 'vitest';
import { createDatabase, dropDatabase } from './cluster.ts';

export interface TestDatabase {
  /** Of the owner, as DATABASE_URL would name it. */
  url: string;
  /** Runs SQL past row level security: through the server's superuser. */
  query<Row extends pg.QueryResultRow>(sql: string, values?: unknown[]): Promise<Row[]>;
  /** Ends the connections of `query`, so that this database can be a template. Answers its name. */
  freeze(): Promise<string>;
  close(): Promise<void>;
}

/** Copies the run's template, or another frozen database; `close` drops the copy. */
export async function openDatabase(template: string = inject('template')): Promise<TestDatabase> {
  const serverUrl = inject('serverUrl');
  const { name, url } = await createDatabase(serverUrl, { template });
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  pool.on('error', () => {});
  return {
    url,
    async query<Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []) {
      return (await pool.query<Row>(sql, values)).rows;
    },
    async freeze() {
      await pool.end();
      return name;
    },
    async close() {
      if (!pool.ended) await pool.end();
      await dropDatabase(serverUrl, name);
    },
  };
}
