/** One process at a time: the lock under which the embedded PostgreSQL is made, started and stopped. */

import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { errorCode } from './embedded-binaries.ts';

/** Longer than the longest holder takes: initdb on a slow machine, then a crash recovery of 60 s. */
const PATIENCE_MS = 150_000;
const POLL_MS = 50;

/**
 * Runs `work` while holding the exclusive lock of `dataDir`, among processes and inside this one.
 * The lock is SQLite's file lock, which the kernel drops when its holder dies, however it dies: there is no
 * stale lock to detect, so no race in detecting one.
 * @throws Error when another process keeps the lock for more than 150 s; the abort reason of `signal`.
 */
export async function withLock<T>(dataDir: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const lock = await acquire(join(dataDir, 'postgres.lock'), signal);
  try {
    return await work();
  } finally {
    lock.close();
  }
}

async function acquire(path: string, signal: AbortSignal): Promise<DatabaseSync> {
  createPrivate(path);
  const deadline = Date.now() + PATIENCE_MS;
  const lock = new DatabaseSync(path);
  try {
    while (!tryExclusive(lock)) {
      if (Date.now() > deadline) {
        throw new Error(
          `Another process has been starting or stopping the database of ${path} for too long.`,
        );
      }
      await pause(POLL_MS, undefined, { signal });
    }
    return lock;
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** SQLite would make the file readable for others. Only a file that is new may be opened and closed here:
 * closing any descriptor of a POSIX-locked file drops the locks that this process holds on it. */
function createPrivate(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return;
    throw new Error(
      `${path} cannot be made (${errorCode(error)}): let this user write there, or set DATA_DIR.`,
      {
        cause: error,
      },
    );
  }
}

const SQLITE_BUSY = 5;

function tryExclusive(lock: DatabaseSync): boolean {
  try {
    lock.exec('begin exclusive');
    return true;
  } catch (error) {
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) return false;
    throw error;
  }
}
