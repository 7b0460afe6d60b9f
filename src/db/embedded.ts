/** The PostgreSQL that the service runs itself when no `DATABASE_URL` is given: one server per data directory. */

import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from 'pg';
import { chooseRunner, findBinaries } from './embedded-binaries.ts';
import { adopt, bringUp, type OpenCluster } from './embedded-cluster.ts';
import { withLock } from './embedded-lock.ts';
import { DATABASE, OWNER, shutDown } from './embedded-postmaster.ts';

/** Session-level advisory lock in database `overture`: every service process that uses the server holds it
 * shared, and PostgreSQL drops it when that process ends, however it ends. */
const USERS_LOCK = 7_233_905_071;

const RETRY_MS = 1_000;

export interface EmbeddedDatabaseNeeds {
  /** Made with mode 0700 if it is missing. The data is in `postgres` below it, the server's log beside that. */
  dataDir: string;
  log: {
    info(facts: object, message: string): void;
    warn(facts: object, message: string): void;
    error(facts: object, message: string): void;
  };
  /** Server settings for `-c`, in force when this process is the one that starts the server. */
  settings?: Readonly<Record<string, string>>;
}

export interface RunningDatabase {
  /** postgres:// URL of the superuser, who owns database `overture`. It holds while the service runs. */
  url: string;
  /** Ends this use. The last user's stop shuts the server down and waits for it. Idempotent. */
  stop(): Promise<void>;
}

export interface EmbeddedDatabase {
  /**
   * Makes the database if needed and uses the one server on its data directory: a running one is adopted,
   * also one left by a killed process. While in use, a server that dies is brought back on the same port.
   * @throws Error with one sentence for the operator; nothing of this use remains then.
   */
  start(): Promise<RunningDatabase>;
}

/** A launcher for the PostgreSQL of `dataDir`. Any number of processes may use one data directory. */
export function createEmbeddedDatabase(needs: EmbeddedDatabaseNeeds): EmbeddedDatabase {
  return { start: () => useDatabase(needs) };
}

async function useDatabase({ dataDir, log, settings = {} }: EmbeddedDatabaseNeeds): Promise<RunningDatabase> {
  const binaries = await findBinaries();
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const home = await realpath(dataDir);
  const cluster = join(home, 'postgres');
  const stopping = new AbortController();
  const { signal } = stopping;

  const joinUsers = () =>
    withLock(home, signal, async (): Promise<OpenCluster> => {
      const runner = await chooseRunner(binaries, home, cluster);
      const opened = await bringUp({ binaries, runner, cluster, settings, log, signal });
      await opened.client.query('select pg_advisory_lock_shared($1)', [USERS_LOCK]);
      return opened;
    });

  const first = await joinUsers();
  const { port, password } = first;
  let client = first.client;
  let comeback = Promise.resolve();

  const hold = (next: Client) => {
    client = next;
    next.once('end', () => {
      if (!signal.aborted) comeback = rejoin();
    });
  };

  const rejoin = async () => {
    log.warn({ port }, 'the embedded PostgreSQL went away; bringing it back');
    while (!signal.aborted) {
      try {
        const next = await joinUsers();
        if (next.port !== port) {
          log.error({ port, now: next.port }, 'the embedded PostgreSQL lost its port; restart the service');
        }
        return hold(next.client);
      } catch (error) {
        if (signal.aborted) return;
        log.error({ error }, 'the embedded PostgreSQL does not come back; trying again');
        await pause(RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
  };

  const leave = async () => {
    stopping.abort();
    await comeback;
    await client.end().catch(() => {});
    await withLock(home, new AbortController().signal, async () => {
      const found = await adopt(cluster, password, new AbortController().signal);
      if (!('client' in found)) return;
      const session = found.client;
      const { rows } = await session.query<{ last: boolean }>('select pg_try_advisory_lock($1) as last', [
        USERS_LOCK,
      ]);
      if (rows[0]?.last) {
        const gone = await shutDown(session, cluster, binaries);
        if (!gone) log.warn({ port }, 'the embedded PostgreSQL is still shutting down');
      } else {
        await session.end();
      }
    });
  };

  hold(first.client);
  let left: Promise<void> | undefined;
  return {
    url: `postgres://${OWNER}:${password}@127.0.0.1:${port}/${DATABASE}`,
    stop: () => {
      left ??= leave();
      return left;
    },
  };
}
