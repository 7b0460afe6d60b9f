/** Hot statements in one network round trip: the transaction around them is sent without waiting. */

import type pg from 'pg';
import { isDatabaseAway } from './away.ts';

/**
 * Runs one statement in a transaction scoped to the workspace: begin, scope, statement and commit travel together.
 * Throws the statement's error; the transaction is rolled back then.
 */
export async function runScoped<Row extends pg.QueryResultRow>(
  pool: pg.Pool,
  workspaceId: string,
  statement: pg.QueryConfig,
): Promise<pg.QueryResult<Row>> {
  return (await runScopedWith<Row, never>(pool, workspaceId, statement, null)).result;
}

/** The same with a read that travels behind the statement and sees what it has written. */
export async function runScopedWith<Row extends pg.QueryResultRow, Read extends pg.QueryResultRow>(
  pool: pg.Pool,
  workspaceId: string,
  statement: pg.QueryConfig,
  read: pg.QueryConfig | null,
): Promise<{ result: pg.QueryResult<Row>; read: pg.QueryResult<Read> | null }> {
  const client = await pool.connect();
  const sent = await Promise.allSettled([
    client.query('begin'),
    client.query({
      name: 'scope',
      text: `select set_config('app.workspace_id', $1, true)`,
      values: [workspaceId],
    }),
    client.query<Row>(statement),
    read === null ? null : client.query<Read>(read),
    client.query('commit'),
  ]);
  const failed = sent.find((outcome) => outcome.status === 'rejected');
  const result = sent[2];
  // A statement that the server refused has been rolled back, and the connection serves on; any other fault ends it.
  const refused = result.status === 'rejected' && !isDatabaseAway(result.reason);
  client.release(failed !== undefined && !refused);
  if (failed !== undefined) throw result.status === 'rejected' ? result.reason : failed.reason;
  if (result.status === 'rejected') throw result.reason;
  return { result: result.value, read: sent[3].status === 'fulfilled' ? sent[3].value : null };
}

/** Something that runs statements: a pool, or a client inside a transaction. */
export interface Queryable {
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<pg.QueryResult<Row>>;
}

/** Begins a transaction whose reads all see the same moment. */
export const SNAPSHOT = 'begin isolation level repeatable read read only';

/** Runs `work` in one transaction on one client of the pool; scoped to the workspace unless that is null. */
export async function transact<T>(
  pool: pg.Pool,
  workspaceId: string | null,
  work: (client: Queryable) => Promise<T>,
  begin: 'begin' | typeof SNAPSHOT = 'begin',
): Promise<T> {
  const client = await pool.connect();
  let broken = true;
  try {
    await client.query(begin);
    if (workspaceId !== null)
      await client.query(`select set_config('app.workspace_id', $1, true)`, [workspaceId]);
    const result = await work(client);
    await client.query('commit');
    broken = false;
    return result;
  } catch (error) {
    // A connection that cannot even roll back is thrown away by the pool.
    broken = await client.query('rollback').then(
      () => false,
      () => true,
    );
    throw error;
  } finally {
    client.release(broken);
  }
}

/** Runs `work` again after a deadlock or a serialisation failure, a few times. */
export async function retryDeadlocks<T>(work: () => Promise<T>, tries = 4): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : '';
      if (attempt >= tries || (code !== '40P01' && code !== '40001')) throw error;
    }
  }
}

/** How long a step of a run waits for a database that is away: as long as its lease may still hold. */
export interface Patience {
  leaseSeconds: number;
  now(): number;
}

/** Repeats work that the database's absence interrupted, while the lease may still hold. The work must bear repeating. */
export async function whileDatabaseReturns<T>(
  { now, leaseSeconds }: Patience,
  work: () => Promise<T>,
): Promise<T> {
  const until = now() + leaseSeconds * 1000;
  for (let wait = 50; ; wait = Math.min(wait * 2, 1000)) {
    try {
      return await work();
    } catch (error) {
      if (!isDatabaseAway(error) || now() + wait > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}
