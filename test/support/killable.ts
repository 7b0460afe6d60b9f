/** Starts the service as a process that ends itself at a named point (killable-main.ts). */

import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { KillPoint } from './kill-points.ts';
import { environmentOf, type ServiceOptions } from './service.ts';

export interface Killable {
  url: string;
  /** Whether it is gone. */
  dead(): boolean;
  /** Resolves when it is gone: true where a signal ended it. */
  exited: Promise<boolean>;
  kill(): Promise<boolean>;
  /** Asks it to leave in good order. */
  drain(): void;
  /** Resolves when it waits at HOLD_AT, or is gone. */
  held: Promise<unknown>;
  /** Lets it go on from there. */
  goOn(): void;
  /** Where KILL_AT is empty: the points that it has passed. */
  passed(): KillPoint[];
}

/** Resolves when the process listens; rejects where it ends before that. */
export async function startKillable(options: ServiceOptions & { killAt: KillPoint }): Promise<Killable> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'killable-main.ts')], {
    env: {
      PATH: process.env.PATH ?? '',
      // Many of them are started: half of a start is compiling the same files again.
      NODE_COMPILE_CACHE: path.join(tmpdir(), 'overture-test-compile-cache'),
      LOG_LEVEL: 'warn',
      ...environmentOf(options),
      KILL_AT: options.killAt,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let said = '';
  let gone = false;
  // It may die with a line on its way.
  child.stdin.on('error', () => undefined);
  const exited = new Promise<boolean>((resolve) => {
    child.once('exit', (_code, signal) => {
      gone = true;
      resolve(signal !== null);
    });
  });
  const held = Promise.withResolvers<void>();
  const url = await new Promise<string>((resolve, reject) => {
    const hear = (chunk: Buffer) => {
      said += chunk.toString();
      if (/^held$/m.test(said)) held.resolve();
      const found = /^listening (.+)$/m.exec(said)?.[1];
      if (found !== undefined) resolve(found);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    void exited.then(() => reject(new Error(`the process ended before it listened: ${said}`)));
  });
  return {
    url,
    dead: () => gone,
    exited,
    kill() {
      child.kill('SIGKILL');
      return exited;
    },
    drain: () => void child.kill('SIGTERM'),
    held: Promise.race([held.promise, exited]),
    passed: () => [...said.matchAll(/^passed (.+)$/gm)].map(([, point]) => point ?? ''),
    goOn: () => void child.stdin.write('go on\n'),
  };
}
