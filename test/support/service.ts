/** The whole service for a test: in this process, with time and settings of the test's, or as a process that can be killed. */

import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type App, type AppNeeds, createApp } from '../../src/app.ts';
import { type Client, createClient } from '../../src/client/client.ts';
import { readConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import type { Clock } from '../../src/runtime/ports.ts';

const SIGNING_SECRET = 'test-signing-secret-of-32-characters-or-more';
export const JWT_SECRET = 'test-jwt-secret-of-at-least-32-characters';

export interface ServiceOptions {
  databaseUrl: string;
  /** Variables as the operator would set them (OPENAI_BASE_URL, SMTP_URL, LEASE_SECONDS, AUTH_MODE …). */
  environment?: Record<string, string>;
}

export interface Service {
  url: string;
  /** Of the dev user, unless the test says otherwise. */
  client: Client;
  /** Everything that was logged, as text. */
  logged(): string;
}

export interface ServiceHere extends Service {
  app: App;
  /** Drains and stops. */
  close(): Promise<void>;
}

export interface ServiceProcess extends Service {
  process: ChildProcess;
  /** Sends a signal and resolves when the process is gone; answers its exit code (null after SIGKILL). */
  kill(signal?: NodeJS.Signals): Promise<number | null>;
  exited: Promise<number | null>;
}

export function environmentOf({ databaseUrl, environment = {} }: ServiceOptions): Record<string, string> {
  return {
    DATABASE_URL: databaseUrl,
    SIGNING_SECRET,
    PORT: '0',
    LEASE_SECONDS: '2',
    DATA_DIR: '/nonexistent',
    ...environment,
  };
}

export interface HereOptions extends Pick<AppNeeds, 'wrap' | 'createResolver'> {
  clock?: Clock;
}

/**
 * Starts the service in this process. `clock` lets the test own the time of timers and timestamps, `wrap` break its ports,
 * `createResolver` answer for the DNS.
 */
export async function startService(options: ServiceOptions & HereOptions): Promise<ServiceHere> {
  const config = readConfig(environmentOf(options));
  let logged = '';
  const log = createLog({
    level: 'debug',
    write: (line) => {
      logged += line;
    },
    secrets: config.secrets,
  });
  const app = await createApp({
    config,
    databaseUrl: options.databaseUrl,
    log,
    clock: options.clock ?? realClock,
    ...(options.wrap === undefined ? {} : { wrap: options.wrap }),
    ...(options.createResolver === undefined ? {} : { createResolver: options.createResolver }),
  });
  const { url } = await app.start();
  return {
    app,
    url,
    client: createClient({ baseUrl: url }),
    logged: () => logged,
    async close() {
      await app.drain();
      await app.stop();
    },
  };
}

/** Starts the service as its own process, as `npm start` does; resolves when it listens. */
export async function startServiceProcess(options: ServiceOptions): Promise<ServiceProcess> {
  const child = spawn(process.execPath, [new URL('../../src/main.ts', import.meta.url).pathname], {
    env: {
      PATH: process.env.PATH ?? '',
      // Half of a start is compiling the same files again.
      NODE_COMPILE_CACHE: path.join(tmpdir(), 'overture-test-compile-cache'),
      LOG_LEVEL: 'info',
      ...environmentOf(options),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let logged = '';
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const url = await new Promise<string>((resolve, reject) => {
    const hear = (chunk: Buffer) => {
      logged += chunk.toString();
      const found = /"url":"(http:[^"]+)"/.exec(logged)?.[1];
      if (found !== undefined) resolve(found);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    void exited.then((code) => reject(new Error(`the service ended with code ${code}: ${logged}`)));
  });
  return {
    url,
    client: createClient({ baseUrl: url }),
    logged: () => logged,
    process: child,
    exited,
    async kill(signal = 'SIGKILL') {
      child.kill(signal);
      return exited;
    },
  };
}

export const realClock: Clock = {
  now: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** A name that no other test uses. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${randomBytes(4).toString('hex')}`;
}
