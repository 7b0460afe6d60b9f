/** Who the process named in a data directory's postmaster.pid is, and how to talk to it or end it. */

import { execFile } from 'node:child_process';
import { readFile, readlink, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { type Binaries, errorCode, PROGRAM_ENVIRONMENT } from './embedded-binaries.ts';

export const OWNER = 'overture';
export const DATABASE = 'overture';

const POLL_MS = 50;
const CONNECT_MS = 5_000;
const STOP_MS = 60_000;

/** What postmaster.pid says. It may be stale, and its pid may belong to any process by now. */
export interface PidFile {
  pid: number;
  /** NaN while the file is being written. */
  port: number;
}

/** The content of postmaster.pid, or undefined when there is none. */
export async function readPidFile(cluster: string): Promise<PidFile | undefined> {
  try {
    const lines = (await readFile(join(cluster, 'postmaster.pid'), 'utf8')).split('\n');
    return { pid: Number.parseInt(lines[0] ?? '', 10), port: Number.parseInt(lines[3] ?? '', 10) };
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Whether `pid` is the postmaster of `cluster` (an absolute path without links). `unknown` where the system
 * does not tell: then only a connection that knows our password can.
 */
export async function whoIs(pid: number, cluster: string): Promise<'ours' | 'other' | 'unknown'> {
  if (!isAlive(pid)) return 'other';
  if (process.platform !== 'linux') return 'unknown';
  try {
    const [program, directory] = await Promise.all([
      readlink(`/proc/${pid}/exe`),
      readlink(`/proc/${pid}/cwd`),
    ]);
    return basename(program).startsWith('postgres') && directory === cluster ? 'ours' : 'other';
  } catch (error) {
    // Another user's process is closed to a root without CAP_SYS_PTRACE, as in a container. A zombie has no
    // program any more: ENOENT.
    return ['EACCES', 'EPERM'].includes(errorCode(error) ?? '') ? 'unknown' : 'other';
  }
}

function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return errorCode(error) !== 'ESRCH';
  }
}

/** Opens a session as the owner. It has an error listener: a lost server shows as its `end` event. */
async function connect(port: number, password: string, database: string): Promise<Client> {
  if (!(port > 0)) throw new Error('the server has not told its port yet');
  const client = new Client({
    host: '127.0.0.1',
    port,
    user: OWNER,
    password,
    database,
    application_name: 'overture launcher',
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return client;
  } catch (error) {
    void client.end();
    throw error;
  }
}

/**
 * Opens a session on database `overture` (made if missing) of the postmaster that serves `cluster`. The
 * password is proven in both directions (SCRAM), and the server must name `cluster` as its data directory,
 * because a copied directory has the same password.
 * @throws Error while the server cannot be reached, is starting or stopping, or is not that postmaster.
 */
export async function openSession(port: number, password: string, cluster: string): Promise<Client> {
  try {
    return await verified(await connect(port, password, DATABASE), cluster);
  } catch (error) {
    if (errorCode(error) !== '3D000') throw error;
  }
  const maintenance = await verified(await connect(port, password, 'postgres'), cluster);
  try {
    await maintenance.query(`create database ${DATABASE}`);
  } finally {
    await maintenance.end();
  }
  return await connect(port, password, DATABASE);
}

async function verified(client: Client, cluster: string): Promise<Client> {
  try {
    const { rows } = await client.query<{ path: string }>(`select current_setting('data_directory') as path`);
    const path = rows[0]?.path ?? '';
    if ((await realpath(path)) === cluster) return client;
    throw new Error(`the server on this port serves ${path}`);
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
}

/**
 * Shuts down the postmaster behind `client`, a session of `openSession` (which ends with it), and waits until
 * the process is gone. Its pid comes from the server itself, so no other process can be hit.
 * @returns false when it was still there after 60 s.
 */
export async function shutDown(client: Client, cluster: string, binaries: Binaries): Promise<boolean> {
  const { rows } = await client.query<{ pid: number }>(
    `select split_part(pg_read_file('postmaster.pid'), chr(10), 1)::int as pid`,
  );
  const pid = rows[0]?.pid ?? 0;
  if (!isAlive(pid)) return true;
  if (process.platform === 'win32') {
    const args = ['stop', '-D', cluster, '-m', 'fast', '--no-wait'];
    await promisify(execFile)(binaries.pgCtl, args, { env: PROGRAM_ENVIRONMENT, windowsHide: true });
  } else {
    process.kill(pid, 'SIGINT');
  }
  await client.end().catch(() => {});
  const deadline = Date.now() + STOP_MS;
  while (await stillRuns(pid, cluster)) {
    if (Date.now() > deadline) return false;
    await pause(POLL_MS);
  }
  return true;
}

async function stillRuns(pid: number, cluster: string): Promise<boolean> {
  const who = await whoIs(pid, cluster);
  return who === 'unknown' ? (await readPidFile(cluster))?.pid === pid : who === 'ours';
}
