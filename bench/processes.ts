/** Processes of the benchmark: how they are started, spoken to, and what they have used. */

import { type ChildProcess, fork, type Serializable } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

/** What the model's process tells of itself. */
export interface ModelStatus {
  /** Answers that wait to be released. */
  held: number;
  /** The last request that brought tools. */
  lastRequest: { messages: { role: string; content: unknown }[]; tools?: unknown[] } | null;
}

/** Longer than any row takes. */
const KEEP_ALIVE_MS = 600_000;

type Handlers = Record<string, (argument: never) => unknown>;

/** In a child: listens on a free port, says so, and answers the parent's questions until the parent is gone. */
export function serveChild(server: Server, handlers: Handlers): void {
  // Node closes kept connections after 5 s: about as long as the others' turn in a round takes, so that a relay which used
  // one again in that very moment lost a turn of the burst.
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.listen(0, '127.0.0.1', () => {
    answerParent(handlers);
    process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  });
}

/** In a child: answers questions; how much memory it needs is one that all of them answer. */
export function answerParent(handlers: Handlers): void {
  const all: Handlers = { memory: measureMemory, ...handlers };
  process.on('disconnect', () => process.exit(0));
  process.on('message', async ({ id, name, argument }: Question) => {
    try {
      const answer = await all[name]?.(argument as never);
      process.send?.({ id, answer });
    } catch (error) {
      process.send?.({ id, error: told(error) });
    }
  });
}

/** An error with all that caused it. */
function told(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.stack}${error.cause === undefined ? '' : `\n  because: ${told(error.cause)}`}`;
}

/** What is left after a collection; it needs `--expose-gc`. */
function measureMemory(): NodeJS.MemoryUsage {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage();
}

interface Question {
  id: number;
  name: string;
  argument: unknown;
}

export interface Child {
  pid: number;
  /** Where it listens; empty if it does not. */
  url: string;
  ask<Answer>(name: string, argument?: Serializable): Promise<Answer>;
  stop(): Promise<void>;
}

/** Starts one of the benchmark's own files; resolves when it is ready. */
export async function startChild(file: string, args: string[] = [], execArgv: string[] = []): Promise<Child> {
  const child = fork(path.join(import.meta.dirname, file), args, {
    execArgv,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (hello: { url?: string }) => resolve(hello.url ?? ''));
    child.once('exit', (code) => reject(new Error(`${file} ended with code ${code}`)));
  });
  return { pid: child.pid ?? 0, url, ...conversationWith(child), stop: () => stopProcess(child) };
}

/** Questions and answers over a child's channel. */
export function conversationWith(child: ChildProcess): Pick<Child, 'ask'> {
  const open = new Map<number, { resolve(answer: never): void; reject(error: Error): void }>();
  let asked = 0;
  child.on('message', ({ id, answer, error }: { id: number; answer: never; error?: string }) => {
    const waiting = open.get(id);
    open.delete(id);
    if (error === undefined) waiting?.resolve(answer);
    else waiting?.reject(new Error(error));
  });
  child.once('exit', () => {
    for (const waiting of open.values()) waiting.reject(new Error('the process has ended'));
  });
  return {
    ask(name, argument) {
      asked += 1;
      const id = asked;
      return new Promise((resolve, reject) => {
        open.set(id, { resolve, reject });
        child.send({ id, name, argument: argument ?? null });
      });
    },
  };
}

/** Asks a process to end, and makes it after five seconds. */
export async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const impatience = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await gone;
  clearTimeout(impatience);
}

/** Clock ticks a second in /proc: 100 on every Linux that Node runs on. */
const TICK_MS = 10;

function statOf(pid: number): { parent: number; ownMs: number; endedChildrenMs: number } {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name, in brackets, may hold spaces.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [parent = 0, user = 0, system = 0, endedUser = 0, endedSystem = 0] = [1, 11, 12, 13, 14].map(
    (index) => fields[index] ?? 0,
  );
  return {
    parent,
    ownMs: (user + system) * TICK_MS,
    endedChildrenMs: (endedUser + endedSystem) * TICK_MS,
  };
}

/** Milliseconds of CPU that a process has used so far, in user and system mode; NaN where there is no /proc. */
export function cpuOf(pid: number): number {
  try {
    return statOf(pid).ownMs;
  } catch {
    return Number.NaN;
  }
}

/** The same for a process and all its children, also those that ended: PostgreSQL's backends. */
export function cpuOfFamily(pid: number): number {
  try {
    const head = statOf(pid);
    let total = head.ownMs + head.endedChildrenMs;
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      try {
        const child = statOf(Number(name));
        if (child.parent === pid) total += child.ownMs;
      } catch {
        // It ended while the list was read.
      }
    }
    return total;
  } catch {
    return Number.NaN;
  }
}
