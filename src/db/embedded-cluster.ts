/** Brings the PostgreSQL of a data directory up: makes the data once, adopts a server that runs, or starts one. */

import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from 'pg';
import { errorCode, PROGRAM_ENVIRONMENT } from './embedded-binaries.ts';
import { type ClusterNeeds, ensureData } from './embedded-data.ts';
import { openSession, readPidFile, whoIs } from './embedded-postmaster.ts';

const POLL_MS = 50;
const READY_MS = 60_000;
/** How long a live process that cannot be identified may fail to answer as our server. */
const DOUBT_MS = 5_000;
/** A start may lose its port to another program, or find processes of a killed server still ending: it is
 * tried again every 200 ms for 10 s. */
const START_PAUSE_MS = 200;
const START_MS = 10_000;
const PORT_TRIES = 100;

/** Sized for a laptop or a small machine beside the service. */
const SETTINGS: Readonly<Record<string, string>> = {
  max_connections: '100',
  shared_buffers: '128MB',
  // Refused statements are told to their client; in the log they would only pile up, with people's data.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_checkpoints: 'off',
};

/** A running server: a session on database `overture`, and what is needed to open more. */
export interface OpenCluster {
  client: Client;
  port: number;
  password: string;
}

/**
 * Makes the data directory if there is none, and returns a session of the one server on it, adopted or
 * started. The caller holds the lock of the data directory.
 * @throws Error with one sentence when the data cannot be made or the server is not ready within 60 s.
 */
export async function bringUp(needs: ClusterNeeds): Promise<OpenCluster> {
  const { cluster } = needs;
  const password = await ensureData(needs);
  const found = await adopt(cluster, password, needs.signal);
  if ('client' in found) {
    needs.log.info({ port: found.port }, 'using the embedded PostgreSQL that is running');
    return { ...found, password };
  }
  return { ...(await start(needs, password, found.namesake)), password };
}

/**
 * A session of the server that runs on `cluster`, waiting while it starts, recovers or stops. If none runs:
 * `namesake`, a process that is not our server but bears the pid in postmaster.pid, if there is that file.
 * The caller holds the lock of the data directory.
 * @throws Error when a server is there and not usable within 60 s; the abort reason of `signal`.
 */
export async function adopt(
  cluster: string,
  password: string,
  signal: AbortSignal,
): Promise<Omit<OpenCluster, 'password'> | { namesake: number | undefined }> {
  const began = Date.now();
  for (;;) {
    const file = await readPidFile(cluster);
    if (file === undefined) return { namesake: undefined };
    const { pid, port } = file;
    const who = await whoIs(pid, cluster);
    if (who === 'other') return { namesake: pid };
    try {
      return { client: await openSession(port, password, cluster), port };
    } catch (error) {
      const waited = Date.now() - began;
      if (who === 'unknown' && waited > DOUBT_MS && !isBusy(error)) return { namesake: pid };
      if (waited > READY_MS || (who === 'ours' && errorCode(error) === '28P01'))
        throw notReady(cluster, error);
    }
    await pause(POLL_MS, undefined, { signal });
  }
}

/** A PostgreSQL that is starting, recovering or stopping, or has no connection free. */
function isBusy(error: unknown): boolean {
  return ['57P03', '53300'].includes(errorCode(error) ?? '');
}

function notReady(cluster: string, cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const sentence = `The embedded PostgreSQL is not usable (${reason}): see ${cluster}.log, then start again.`;
  return new Error(sentence, { cause });
}

async function start(
  needs: ClusterNeeds,
  password: string,
  namesake: number | undefined,
): Promise<Omit<OpenCluster, 'password'>> {
  const { cluster, log, signal } = needs;
  const began = Date.now();
  while (Date.now() < began + START_MS) {
    const port = await choosePort(cluster);
    const child = await spawnPostmaster(needs, port, namesake);
    let failure: unknown;
    while (child.exitCode === null && child.signalCode === null) {
      try {
        const client = await openSession(port, password, cluster);
        log.info({ pid: child.pid, port }, 'started the embedded PostgreSQL');
        return { client, port };
      } catch (error) {
        failure = error;
      }
      // It may be recovering a large journal: it is left to that, and the next start adopts it.
      if (Date.now() > began + READY_MS) throw notReady(cluster, failure);
      await pause(POLL_MS, undefined, { signal });
    }
    await pause(START_PAUSE_MS, undefined, { signal });
  }
  const output = (await readFile(`${cluster}.log`, 'utf8')).trim().split('\n').slice(-3).join(' | ');
  throw new Error(`The embedded PostgreSQL does not start; ${cluster}.log ends with: ${output}`);
}

/**
 * The port of the server before this one, where processes that outlived it still call. If that is taken or
 * unknown: a free one below those that systems give to outgoing connections, because a client that keeps
 * calling a server that is down could be given the server's port as its own.
 */
async function choosePort(cluster: string): Promise<number> {
  const file = `${cluster}.port`;
  const last = existsSync(file) ? Number.parseInt(await readFile(file, 'utf8'), 10) : 0;
  if (last > 0 && (await isFree(last))) return last;
  for (let tries = 0; tries < PORT_TRIES; tries += 1) {
    const port = randomInt(20_000, 32_768);
    if (!(await isFree(port))) continue;
    await writeFile(file, String(port), { mode: 0o600 });
    return port;
  }
  throw new Error('The embedded PostgreSQL finds no free port on 127.0.0.1: set DATABASE_URL.');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1' }, () => server.close(() => resolve(true)));
  });
}

/** The server gets its own session and a file for its words, so it outlives this process in any case. */
async function spawnPostmaster(
  { binaries, runner, cluster, settings }: ClusterNeeds,
  port: number,
  namesake: number | undefined,
): Promise<ChildProcess> {
  const options = {
    ...SETTINGS,
    ...settings,
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
  };
  const args = Object.entries(options).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const [file = binaries.postgres, ...rest] = [...runner.wrap, binaries.postgres, '-D', cluster, ...args];
  const output = await open(`${cluster}.log`, 'a', 0o600);
  try {
    const child = spawn(file, rest, {
      cwd: dirname(cluster),
      detached: true,
      windowsHide: true,
      stdio: ['ignore', output.fd, output.fd],
      uid: runner.uid,
      gid: runner.gid,
      // The server takes a postmaster.pid that names a live process for its own, except this very pid
      // (src/backend/utils/init/miscinit.c, CreateLockFile). Deleting the file could hit a newer one.
      env:
        namesake === undefined
          ? PROGRAM_ENVIRONMENT
          : { ...PROGRAM_ENVIRONMENT, PG_GRANDPARENT_PID: String(namesake) },
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => reject(notReady(cluster, error)));
    });
    child.unref();
    return child;
  } finally {
    await output.close();
  }
}
