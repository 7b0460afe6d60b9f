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

/** A dead network shows by keep-alive probes after so many milliseconds of silence on an idle connection … */
export const PROBE_AFTER_MS = 10_000;
/** … and by no answer for so long on one that was asked something: no statement of a serving role takes that long. */
const ANSWER_MS = 60_000;

/** Makes a pool whose connections serve as `role`. Idle connections stay; errors on idle and on checked-out clients are logged. */
export function createPool({ url, role, size, log }: PoolNeeds): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: size,
    // pg closes idle clients after 10 s; opening one again costs a turn more than keeping it.
    idleTimeoutMillis: 0,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: PROBE_AFTER_MS,
    application_name: role ?? 'overture_owner',
    options: role === null ? undefined : `-c role=${role}`,
    // Queries sent without waiting for each other share one network round trip (research: accept in half the time).
    pipeline: true,
    stream: () => new BatchingSocket(role === null ? 0 : ANSWER_MS),
  });
  pool.on('error', (error) => log.warn({ err: error, role }, 'an idle database connection was lost'));
  pool.on('connect', (client) => {
    client.on('error', (error) => log.warn({ err: error, role }, 'a database connection was lost'));
  });
  return pool;
}

/**
 * A socket that sends what was written within one tick as one packet (pg would send each query of a pipeline by itself),
 * and that breaks off where nothing comes back for `answerMs`: a connection that a router has forgotten says nothing for
 * ever, and its queries would hang with it. 0: it waits as long as it takes.
 */
export class BatchingSocket extends Socket {
  #corked = false;
  /** What had been read when something was asked last. */
  #readBefore = -1;

  constructor(answerMs: number) {
    super();
    this.setTimeout(answerMs);
    this.on('timeout', () => {
      if (this.#readBefore !== this.bytesRead) return;
      this.destroy(Object.assign(new Error('the database does not answer'), { code: 'ETIMEDOUT' }));
    });
  }

  // Node takes no other `write` for a socket that connects; these two it calls.
  override _write(...sent: Parameters<Socket['_write']>): void {
    this.#readBefore = this.bytesRead;
    super._write(...sent);
  }

  override _writev(...sent: Parameters<NonNullable<Socket['_writev']>>): void {
    this.#readBefore = this.bytesRead;
    super._writev?.(...sent);
  }

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
