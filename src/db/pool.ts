/** Connections: one pool for each database role, with the listeners without which a lost connection ends the process. */

import { Socket } from 'node:net';
import pg from 'pg';
import type { Log } from '../log.ts';

export interface PoolNeeds {
  url: string;
  /** The role every connection takes at its start. `null` keeps the owner, for migrations only. */
  role: 'overture_app' | 'overture_runtime' | null;
  size: number;
  log: Log;
}

/** Makes a pool whose connections serve as `role`. Idle connections stay; errors on idle and on checked-out clients are logged. */
export function createPool({ url, role, size, log }: PoolNeeds): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: size,
    // pg closes idle clients after 10 s; opening one again costs a turn more than keeping it.
    idleTimeoutMillis: 0,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    application_name: role ?? 'overture_owner',
    options: role === null ? undefined : `-c role=${role}`,
    // Queries sent without waiting for each other share one network round trip (research: accept in half the time).
    pipeline: true,
    stream: () => new BatchingSocket(),
  });
  pool.on('error', (error) => log.warn({ err: error, role }, 'an idle database connection was lost'));
  pool.on('connect', (client) => {
    client.on('error', (error) => log.warn({ err: error, role }, 'a database connection was lost'));
  });
  return pool;
}

/** A socket that sends what was written within one tick as one packet: pg would send each query of a pipeline by itself. */
class BatchingSocket extends Socket {
  #corked = false;

  // pg corks for one query and uncorks after it; nested, that only counts.
  override cork(): void {
    super.cork();
    if (this.#corked) return;
    this.#corked = true;
    super.cork();
    process.nextTick(() => {
      this.#corked = false;
      this.uncork();
    });
  }
}
