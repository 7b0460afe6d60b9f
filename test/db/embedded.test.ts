/** The launcher's promises, with real servers and real processes. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
  chmod,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { createEmbeddedDatabase, type RunningDatabase } from '../../src/db/embedded.ts';
import { findBinaries, linkLibraries } from '../../src/db/embedded-binaries.ts';
import { adopt } from '../../src/db/embedded-cluster.ts';
import { shutDown } from '../../src/db/embedded-postmaster.ts';
import { quietLog } from '../support/cluster.ts';

const dataDirs: { dataDir: string; folder: string }[] = [];
const databases: RunningDatabase[] = [];
const children: ChildProcess[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await Promise.allSettled(databases.splice(0).map((database) => database.stop()));
  for (const { dataDir, folder } of dataDirs.splice(0)) {
    await shutDownWhatRuns(join(dataDir, 'postgres'));
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});

async function shutDownWhatRuns(cluster: string): Promise<void> {
  if (!existsSync(join(cluster, 'postmaster.pid'))) return;
  const password = await readFile(join(cluster, 'overture.password'), 'utf8');
  const found = await adopt(cluster, password, new AbortController().signal);
  if ('client' in found) await shutDown(found.client, cluster, await findBinaries());
}

/** A path for data below a fresh folder: that folder itself, or `below` it and not there yet. */
async function makeDataDir(below = ''): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'overture-embedded-'));
  // A root that may make no user namespace runs the server as nobody, who must get there.
  if (below !== '') await chmod(folder, 0o755);
  const dataDir = join(folder, below);
  dataDirs.push({ dataDir, folder });
  return dataDir;
}

async function use(dataDir: string): Promise<RunningDatabase> {
  const database = await createEmbeddedDatabase({ dataDir, log: quietLog }).start();
  databases.push(database);
  return database;
}

interface UserProcess {
  child: ChildProcess;
  url: string;
}

function spawnUser(dataDir: string): ChildProcess {
  const script = join(import.meta.dirname, '../support/embedded-user.ts');
  const child = spawn(process.execPath, [script, dataDir], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

async function useFromProcess(dataDir: string): Promise<UserProcess> {
  const child = spawnUser(dataDir);
  if (child.stdout === null) throw new Error('the process has no output');
  for await (const url of createInterface({ input: child.stdout })) return { child, url };
  throw new Error('the process ended before it had a database');
}

async function end(child: ChildProcess, how: 'stop' | 'SIGKILL'): Promise<void> {
  const exited = once(child, 'exit');
  if (how === 'stop') child.stdin?.end('stop\n');
  else child.kill(how);
  await exited;
}

async function query(url: string, text: string): Promise<Record<string, unknown>> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows[0] ?? {};
  } finally {
    await client.end();
  }
}

async function postmasterOf(url: string): Promise<number> {
  const row = await query(url, `select split_part(pg_read_file('postmaster.pid'), chr(10), 1)::int as pid`);
  return Number(row.pid);
}

async function expectEnded(dataDir: string, url: string): Promise<void> {
  expect(existsSync(join(dataDir, 'postgres', 'postmaster.pid'))).toBe(false);
  await expect(query(url, 'select 1')).rejects.toThrow('ECONNREFUSED');
}

async function until(fact: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await fact())) await pause(10);
}

async function filesBelow(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  return names.map((name) => join(folder, name));
}

describe('the embedded database', { timeout: 60_000 }, () => {
  it('answers on a fresh directory, from a durable server with data checksums', async () => {
    const { url } = await use(await makeDataDir('data'));
    expect(await query(url, 'select 1 as one')).toEqual({ one: 1 });
    expect(await query(url, 'select current_database() as name, current_user as owner')).toEqual({
      name: 'overture',
      owner: 'overture',
    });
    for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes', 'data_checksums']) {
      expect(await query(url, `select current_setting('${setting}') as value`)).toEqual({ value: 'on' });
    }
  });

  it('keeps its files private and answers on loopback only, to the one password', async () => {
    const dataDir = await makeDataDir('data');
    const { url } = await use(dataDir);
    const owner = (await lstat(dataDir)).uid;
    for (const path of [dataDir, ...(await filesBelow(dataDir))]) {
      const status = await lstat(path).catch(() => undefined);
      if (status === undefined) continue;
      // A root that may make no user namespace lets the server's own group pass, and nobody else.
      const open = path === dataDir && (await lstat(join(dataDir, 'postgres'))).uid !== owner ? 0o710 : 0o700;
      expect([path, status.mode & 0o777]).toEqual([path, status.isDirectory() ? open : 0o600]);
    }
    expect(await query(url, `select current_setting('listen_addresses') as host`)).toEqual({
      host: '127.0.0.1',
    });
    const { hostname, port, password } = new URL(url);
    expect(hostname).toBe('127.0.0.1');
    expect(password.length).toBeGreaterThanOrEqual(32);
    await expect(query(url.replace(password, 'guess'), 'select 1')).rejects.toMatchObject({ code: '28P01' });
    for (const address of Object.values(networkInterfaces()).flat()) {
      if (address === undefined || address.internal || address.family !== 'IPv4') continue;
      await expect(
        query(`postgres://overture@${address.address}:${port}/overture`, 'select 1'),
      ).rejects.toThrow('ECONNREFUSED');
    }
  });

  it('is one server for all users of a directory, and ends with the last of them', async () => {
    const dataDir = await makeDataDir();
    const first = await use(dataDir);
    const second = await use(dataDir);
    const other = await useFromProcess(dataDir);
    expect([second.url, other.url]).toEqual([first.url, first.url]);
    const pid = await postmasterOf(first.url);
    expect(await postmasterOf(other.url)).toBe(pid);

    await first.stop();
    await first.stop();
    expect(await postmasterOf(second.url)).toBe(pid);
    await second.stop();
    expect(await postmasterOf(other.url)).toBe(pid);
    await end(other.child, 'stop');
    expect(other.child.exitCode).toBe(0);
    await expectEnded(dataDir, first.url);
  });

  it('is made and started once when two processes start at the same instant', async () => {
    const dataDir = await makeDataDir('data');
    const [one, two] = await Promise.all([useFromProcess(dataDir), useFromProcess(dataDir)]);
    expect(one.url).toBe(two.url);
    const pid = await postmasterOf(one.url);
    expect(await postmasterOf(two.url)).toBe(pid);

    await Promise.all([end(one.child, 'SIGKILL'), end(two.child, 'SIGKILL')]);
    process.kill(pid, 'SIGKILL');
    const [three, four] = await Promise.all([useFromProcess(dataDir), useFromProcess(dataDir)]);
    expect(three.url).toBe(four.url);
    const log = await readFile(join(dataDir, 'postgres.log'), 'utf8');
    expect(log.match(/ready to accept connections/g)).toHaveLength(2);
    await Promise.all([end(three.child, 'stop'), end(four.child, 'stop')]);
    await expectEnded(dataDir, three.url);
  });

  it('outlives a killed process, and the next start finds it with its rows', async () => {
    const dataDir = await makeDataDir();
    const { child, url } = await useFromProcess(dataDir);
    const pid = await postmasterOf(url);
    await query(url, 'create table note as select 1 as n');
    await end(child, 'SIGKILL');

    const next = await use(dataDir);
    expect(next.url).toBe(url);
    expect(await postmasterOf(next.url)).toBe(pid);
    expect(await query(next.url, 'select n from note')).toEqual({ n: 1 });
    await next.stop();
    await expectEnded(dataDir, url);
  });

  it('keeps committed rows when the server is killed and nobody was there to see it', async () => {
    const dataDir = await makeDataDir();
    const { child, url } = await useFromProcess(dataDir);
    const pid = await postmasterOf(url);
    await query(url, 'create table note as select 1 as n');
    await end(child, 'SIGKILL');
    process.kill(pid, 'SIGKILL');

    const next = await use(dataDir);
    expect(next.url).toBe(url);
    expect(await postmasterOf(next.url)).not.toBe(pid);
    expect(await query(next.url, 'select n from note')).toEqual({ n: 1 });
  });

  it.for(['SIGKILL', 'SIGQUIT'] as const)(
    'comes back on the same address after %s under its users',
    async (signal) => {
      const dataDir = await makeDataDir();
      const { url, stop } = await use(dataDir);
      const other = await useFromProcess(dataDir);
      await query(url, 'create table note as select 1 as n');
      const pid = await postmasterOf(url);
      process.kill(pid, signal);
      await until(async () => (await postmasterOf(url).catch(() => pid)) !== pid);
      const next = await postmasterOf(url);
      expect(await query(url, 'select n from note')).toEqual({ n: 1 });
      // Both users hold the new server: it stays for the one that remains.
      const users = `select count(*)::int as n from pg_locks where locktype = 'advisory' and mode = 'ShareLock'`;
      await until(async () => (await query(url, users)).n === 2);
      await stop();
      expect(await postmasterOf(other.url)).toBe(next);
    },
  );

  it('is there for a user who comes while the last one leaves', async () => {
    const dataDir = await makeDataDir();
    let current = await use(dataDir);
    for (let round = 0; round < 5; round += 1) {
      const [next] = await Promise.all([use(dataDir), current.stop()]);
      expect(await query(next.url, 'select 1 as one')).toEqual({ one: 1 });
      current = next;
    }
  });

  it('is not made of what a killed initdb left behind', async () => {
    const dataDir = await makeDataDir();
    const child = spawnUser(dataDir);
    const workshops = async () => (await readdir(dataDir)).filter((name) => name.startsWith('postgres.new-'));
    await until(async () => {
      const [name] = await workshops();
      return name !== undefined && existsSync(join(dataDir, name, 'data', 'PG_VERSION'));
    });
    await end(child, 'SIGKILL');
    expect(existsSync(join(dataDir, 'postgres'))).toBe(false);

    const { url } = await use(dataDir);
    expect(await query(url, 'select 1 as one')).toEqual({ one: 1 });
    expect(await workshops()).toEqual([]);
  });

  it('neither trusts nor signals a stranger whose pid is in postmaster.pid', async () => {
    const dataDir = await makeDataDir();
    await (await use(dataDir)).stop();
    const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    children.push(stranger);
    const lines = [stranger.pid, join(dataDir, 'postgres'), 1, 20_000, '', '127.0.0.1', '1 1', 'ready', ''];
    await writeFile(join(dataDir, 'postgres', 'postmaster.pid'), lines.join('\n'));
    const { url, stop } = await use(dataDir);
    expect(await postmasterOf(url)).not.toBe(stranger.pid);
    await stop();
    expect([stranger.exitCode, stranger.signalCode]).toEqual([null, null]);
  });

  it('keeps its port from start to start, and takes another when somebody has it', async () => {
    const dataDir = await makeDataDir();
    const first = await use(dataDir);
    await first.stop();
    const second = await use(dataDir);
    expect(second.url).toBe(first.url);
    await second.stop();
    const { port } = new URL(first.url);
    const squatter = createServer((socket) => socket.on('error', () => {}).end());
    await new Promise<void>((resolve) => squatter.listen(Number(port), '127.0.0.1', resolve));
    try {
      const { url } = await use(dataDir);
      expect(new URL(url).port).not.toBe(port);
      expect(await query(url, 'select 1 as one')).toEqual({ one: 1 });
    } finally {
      squatter.close();
    }
  });

  it('of a copied directory is a server of its own, though the copy names the first one', async () => {
    const [dataDir, copy] = [await makeDataDir(), await makeDataDir()];
    const original = await use(dataDir);
    await query(original.url, 'checkpoint');
    await cp(join(dataDir, 'postgres'), join(copy, 'postgres'), {
      recursive: true,
      preserveTimestamps: true,
    });
    const { url } = await use(copy);
    expect(await postmasterOf(url)).not.toBe(await postmasterOf(original.url));
    expect(await query(url, `select current_setting('data_directory') as path`)).toEqual({
      path: join(copy, 'postgres'),
    });
  });

  it('works below a private home, or root is told what to do', async () => {
    const dataDir = await makeDataDir('home/data');
    await mkdir(dirname(dataDir), { mode: 0o700 });
    const isStuck = process.getuid?.() === 0 && spawnSync('unshare', ['-U', 'true']).status !== 0;
    const outcome = await use(dataDir).then(
      ({ url }) => query(url, 'select 1 as one'),
      (error: Error) => error.message,
    );
    expect(outcome).toEqual(isStuck ? expect.stringContaining('set DATABASE_URL') : { one: 1 });
  });

  it('says what to do on a system that it has no server for', async () => {
    const arch = process.arch;
    Object.defineProperty(process, 'arch', { value: 'riscv64' });
    try {
      await expect(use(await makeDataDir())).rejects.toThrow('set DATABASE_URL');
    } finally {
      Object.defineProperty(process, 'arch', { value: arch });
    }
  });

  it('says what to do when the data directory holds something else', async () => {
    const dataDir = await makeDataDir();
    await mkdir(join(dataDir, 'postgres'));
    await writeFile(join(dataDir, 'postgres', 'note.txt'), 'mine');
    await expect(use(dataDir)).rejects.toThrow(/could not be made in .*postgres/);
    expect(await readdir(join(dataDir, 'postgres'))).toEqual(['note.txt']);
  });
});

describe('the library links of the bundled server', () => {
  it('are made when missing, by many at once', async () => {
    const home = await makeDataDir();
    await mkdir(join(home, 'native', 'lib'), { recursive: true });
    await writeFile(join(home, 'native', 'lib', 'libone.so.1.2'), 'one');
    const links = ['libone.so', 'libone.so.1'].map((name) => ({
      source: 'native/lib/libone.so.1.2',
      target: `native/lib/${name}`,
    }));
    await writeFile(join(home, 'native', 'pg-symlinks.json'), JSON.stringify(links));
    await Promise.all(Array.from({ length: 8 }, () => linkLibraries(home)));
    for (const { target } of links) {
      expect(await readlink(join(home, target))).toBe('libone.so.1.2');
      expect(await readFile(join(home, target), 'utf8')).toBe('one');
    }
  });
});
