/** Our side of the benchmark: the service as `npm start` runs it, on a PostgreSQL of its own with everything on. */

import { fork } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { openSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { SignJWT } from 'jose';
import pg from 'pg';
import { createEmbeddedDatabase } from '../src/db/embedded.ts';
import { type Child, conversationWith, stopProcess } from './processes.ts';

export interface Database {
  url: string;
  /** Process id of the postmaster. */
  pid: number;
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  stop(): Promise<void>;
}

/** Starts a PostgreSQL with its standard settings (fsync is on); what is added only counts statements. */
export async function startDatabase(folder: string): Promise<Database> {
  const dataDir = path.join(folder, 'data');
  const silent = () => {};
  const running = await createEmbeddedDatabase({
    dataDir,
    log: { info: silent, warn: silent, error: silent },
    settings: { shared_preload_libraries: 'pg_stat_statements' },
  }).start();
  const client = new pg.Client({ connectionString: running.url });
  await client.connect();
  await client.query('create extension if not exists pg_stat_statements');
  const pidFile = await readFile(path.join(dataDir, 'postgres', 'postmaster.pid'), 'utf8');
  return {
    url: running.url,
    pid: Number.parseInt(pidFile, 10),
    async query(text, values) {
      return (await client.query(text, values)).rows;
    },
    async stop() {
      await client.end();
      await running.stop();
    },
  };
}

export interface ServiceNeeds {
  databaseUrl: string;
  modelUrl: string;
  /** For the log of the service, which is on. */
  folder: string;
  /** Callers, each with an API key and a workspace of their own: a key may ask 3,000 times a minute. */
  callers: number;
  /** Further settings of the service. */
  environment?: Record<string, string>;
  /** Options of Node. */
  execArgv?: string[];
}

export interface Service extends Child {
  keys: string[];
}

const JWT_SECRET = randomBytes(32).toString('hex');

/** Starts the service and makes its keys. */
export async function startService(needs: ServiceNeeds): Promise<Service> {
  await mkdir(needs.folder, { recursive: true });
  const log = openSync(path.join(needs.folder, `service-${randomUUID()}.log`), 'w');
  const port = await freePort();
  const child = fork(path.join(import.meta.dirname, '../src/main.ts'), {
    execArgv: needs.execArgv ?? [],
    stdio: ['ignore', log, log, 'ipc'],
    env: {
      PATH: process.env.PATH,
      PORT: String(port),
      DATABASE_URL: needs.databaseUrl,
      SIGNING_SECRET: randomBytes(32).toString('hex'),
      AUTH_MODE: 'jwt',
      JWT_SECRET,
      OPENAI_API_KEY: 'bench',
      OPENAI_BASE_URL: `${needs.modelUrl}/v1`,
      OPENAI_MODEL: 'bench',
      ...needs.environment,
    },
  });
  const url = `http://127.0.0.1:${port}`;
  await ready(url, () => child.exitCode, needs.folder);
  const keys = await Promise.all(Array.from({ length: needs.callers }, () => makeKey(url)));
  return { pid: child.pid ?? 0, url, keys, ...conversationWith(child), stop: () => stopProcess(child) };
}

async function ready(url: string, exitCode: () => number | null, folder: string): Promise<void> {
  for (;;) {
    const answer = await fetch(`${url}/api/v1/ready`).catch(() => null);
    if (answer?.ok === true) return;
    if (exitCode() !== null) throw new Error(`the service did not start; see its log in ${folder}`);
    await pause(50);
  }
}

async function makeKey(url: string): Promise<string> {
  const token = await new SignJWT({ app_metadata: { plan: 'dev' } })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(`bench-${randomUUID()}`)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(JWT_SECRET));
  const answer = await fetch(`${url}/api/v1/api-keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'bench' }),
  });
  if (answer.status !== 201) throw new Error(`no API key was made: ${answer.status}`);
  return ((await answer.json()) as { key: string }).key;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
