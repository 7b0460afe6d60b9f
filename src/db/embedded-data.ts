/** Makes the data directory of the embedded PostgreSQL, once and as a whole. */

import { randomBytes } from 'node:crypto';
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Binaries, errorCode, giveTo, type Runner, run } from './embedded-binaries.ts';
import { OWNER } from './embedded-postmaster.ts';

/** What it takes to make a data directory and to run a server on it. */
export interface ClusterNeeds {
  binaries: Binaries;
  runner: Runner;
  /** An absolute path without links: the data directory of PostgreSQL. */
  cluster: string;
  /** Passed to the server as `-c name=value` when this process starts it. */
  settings: Readonly<Record<string, string>>;
  log: { info(facts: object, message: string): void };
  /** Ends the waiting, not a server that was started. */
  signal: AbortSignal;
}

const PASSWORD_FILE = 'overture.password';

/**
 * The owner's password of the data directory, which is made if it is missing. The caller holds the lock.
 * Password and data become visible in one rename, so neither is ever used alone or half made.
 * @throws Error with one sentence when the data cannot be made; an errno error when it cannot be read.
 */
export async function ensureData(needs: ClusterNeeds): Promise<string> {
  const { cluster } = needs;
  if (!(await isMade(cluster))) {
    await clearLeftovers(cluster);
    await make(needs);
  }
  return await readFile(join(cluster, PASSWORD_FILE), 'utf8');
}

/** Anything but a clear "not there" is an error: data that is only unreadable must not be made again. */
async function isMade(cluster: string): Promise<boolean> {
  try {
    await access(join(cluster, 'PG_VERSION'));
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

const workshopPrefix = (cluster: string) => `${basename(cluster)}.new-`;

/** Retries, because the initdb of a killed process may still be writing. */
async function clearLeftovers(cluster: string): Promise<void> {
  const parent = dirname(cluster);
  for (const name of await readdir(parent)) {
    if (!name.startsWith(workshopPrefix(cluster))) continue;
    await rm(join(parent, name), { recursive: true, force: true, maxRetries: 10 });
  }
}

async function make({ binaries, runner, cluster, settings, log }: ClusterNeeds): Promise<void> {
  log.info({ path: cluster }, 'making the embedded PostgreSQL database');
  const parent = dirname(cluster);
  const workshop = await mkdtemp(join(parent, workshopPrefix(cluster)));
  try {
    const [data, secret] = [join(workshop, 'data'), join(workshop, 'password')];
    await mkdir(data, { mode: 0o700 });
    await writeFile(secret, randomBytes(24).toString('base64url'), { mode: 0o600, flush: true });
    await giveTo(runner, workshop);
    const args = ['-D', data, '-U', OWNER, '--pwfile', secret, '-A', 'scram-sha-256', '-E', 'UTF8'];
    // The same order and letter cases on every machine, whatever its C library has.
    args.push('--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8');
    if (settings.fsync === 'off') args.push('--no-sync');
    await run(runner, binaries.initdb, args, parent);
    await rename(secret, join(data, PASSWORD_FILE));
    await rename(data, cluster);
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim() : String(error);
    throw new Error(`The embedded database could not be made in ${cluster}: ${reason}`, { cause: error });
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}
