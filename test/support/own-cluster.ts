/** A PostgreSQL of a test's own, which it may break. */

import pg from 'pg';
import { startTestCluster, type TestCluster } from './cluster.ts';

/** What a row says beside its count that runs on one. */
export const OWN = 'on a server of its own';

export interface OwnCluster extends TestCluster {
  /** Runs SQL as the superuser, on a connection of its own each time. */
  query<Row extends pg.QueryResultRow>(sql: string, values?: unknown[]): Promise<Row[]>;
  /** Ends the server at once, as a crash does, and resolves when that has happened. It comes back by itself. */
  restart(): Promise<void>;
}

/** Starts it. What was committed outlives a crash of the server, as it must where commits are counted. */
export async function startOwnCluster(
  options: NonNullable<Parameters<typeof startTestCluster>[0]> = {},
): Promise<OwnCluster> {
  const cluster = await startTestCluster({
    ...options,
    settings: { synchronous_commit: 'on', ...options.settings },
  });

  async function query<Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> {
    const client = new pg.Client({ connectionString: cluster.url });
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query<Row>(sql, values)).rows;
    } finally {
      await client.end().catch(() => {});
    }
  }

  return {
    ...cluster,
    query,
    async restart() {
      const [row] = await query<{ pid: number }>(
        `select split_part(pg_read_file('postmaster.pid'), chr(10), 1)::int as pid`,
      );
      if (row === undefined) throw new Error('the server does not say its pid');
      process.kill(row.pid, 'SIGQUIT');
      while (isThere(row.pid)) await new Promise((resolve) => setTimeout(resolve, 5));
    },
  };
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
