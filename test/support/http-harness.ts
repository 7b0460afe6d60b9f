/** Serves some routes over real HTTP on a real PostgreSQL database of their own, for tests of resources. */

import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type pg from 'pg';
import { v7 } from 'uuid';
import { createDatabase, type Database } from '../../src/db/database.ts';
import { createPool } from '../../src/db/pool.ts';
import type { Cursors } from '../../src/http/cursors.ts';
import { createRateLimit } from '../../src/http/rate-limit.ts';
import type { Route } from '../../src/http/route.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { createLog, type Log } from '../../src/log.ts';
import { createIdempotencyStore } from '../../src/resources/idempotency/store.ts';
import type { Caller } from '../../src/runtime/caller.ts';
import { cursors } from './cursors.ts';
import { openDatabase } from './database.ts';

/** The header by which a request chooses its workspace: `a` (as without it) or `b`. */
export const WORKSPACE_HEADER = 'x-test-workspace';

export interface HarnessNeeds {
  /** Of the owner, for pools of other roles. */
  databaseUrl: string;
  database: Database;
  cursors: Cursors;
  pool: pg.Pool;
  newId(): string;
  now(): number;
  log: Log;
}

export interface HarnessOptions {
  routes(needs: HarnessNeeds): Route[];
  /** Changes both callers. */
  caller?: Partial<Caller>;
  /** Names the caller in place of the fixed two. */
  authenticate?(needs: HarnessNeeds): (incoming: IncomingMessage) => Promise<Caller>;
}

export interface HttpHarness {
  url: string;
  /** Of the owner, for pools of other roles. */
  databaseUrl: string;
  database: Database;
  cursors: Cursors;
  pool: pg.Pool;
  newId(): string;
  /** The caller of workspace A. */
  caller: Caller;
  /** The caller of workspace B. */
  other: Caller;
  /** What was logged, a parsed line each. */
  lines: Record<string, unknown>[];
  /** Asks the server; a `body` that is not a string goes as JSON, an answer that is JSON comes parsed as what the test says it is. */
  ask<Body = Record<string, unknown>>(
    method: string,
    path: string,
    options?: AskOptions,
  ): Promise<HttpAnswer<Body>>;
  /** Runs SQL as the owner, who sees every workspace. */
  ownerQuery(sql: string, params?: unknown[]): Promise<Record<string, unknown>[]>;
  /** Stops the server and drops the database. */
  close(): Promise<void>;
}

export interface AskOptions {
  body?: unknown;
  headers?: Record<string, string>;
  workspace?: 'a' | 'b';
}

export interface HttpAnswer<Body> {
  status: number;
  headers: Headers;
  body: Body;
}

/** Starts a server for `routes` on a free port, and a migrated database for it. */
export async function startHttpHarness({
  routes,
  caller: changes = {},
  authenticate,
}: HarnessOptions): Promise<HttpHarness> {
  const { url, query, close } = await openDatabase();
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ level: 'info', secrets: [], write: (line) => lines.push(JSON.parse(line)) });
  const pool = createPool({ url, role: 'overture_app', size: 8, log });
  const database = createDatabase({ pool });
  const needs: HarnessNeeds = {
    databaseUrl: url,
    database,
    cursors,
    pool,
    newId: () => v7(),
    now: () => Date.now(),
    log,
  };

  const [caller, other] = ['a', 'b'].map((letter) => ({
    workspaceId: v7(),
    userId: `user-${letter}`,
    kind: 'person' as const,
    scopes: null,
    sandbox: false,
    email: `${letter}@example.com`,
    keyId: null,
    plan: 'dev',
    ...changes,
  })) as [Caller, Caller];
  for (const { workspaceId } of [caller, other]) {
    await query('insert into workspaces (id, name) values ($1, $2)', [workspaceId, 'Test']);
    await query('insert into credit_accounts (workspace_id) values ($1)', [workspaceId]);
  }

  const server = createHttpServer({
    routes: routes(needs),
    authenticate:
      authenticate?.(needs) ??
      (async (incoming) => (incoming.headers[WORKSPACE_HEADER] === 'b' ? other : caller)),
    rateLimit: createRateLimit(needs),
    idempotency: createIdempotencyStore({ database }),
    corsOrigins: [],
    newId: needs.newId,
    now: needs.now,
    log,
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    url: address,
    databaseUrl: url,
    database,
    cursors,
    pool,
    newId: needs.newId,
    caller,
    other,
    lines,
    async ask<Body>(method: string, path: string, { body, headers = {}, workspace = 'a' }: AskOptions = {}) {
      const response = await fetch(`${address}${path}`, {
        method,
        headers: {
          [WORKSPACE_HEADER]: workspace,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
      });
      const text = await response.text();
      const json = response.headers.get('content-type')?.startsWith('application/json') === true;
      return {
        status: response.status,
        headers: response.headers,
        body: (json ? JSON.parse(text) : text) as Body,
      };
    },
    async ownerQuery(sql, params = []) {
      return query(sql, params);
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await pool.end();
      await close();
    },
  };
}
