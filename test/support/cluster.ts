/** One throwaway PostgreSQL for a test run, and databases in it for single tests. */

import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, escapeIdentifier } from 'pg';
import { createEmbeddedDatabase } from '../../src/db/embedded.ts';

export interface TestCluster {
  /** postgres:// URL of the superuser on database `overture`. */
  url: string;
  /** Shuts the server down and removes its data. */
  stop(): Promise<void>;
}

/** Nothing survives a power cut here, which no test makes; enough connections for parallel test files. */
const TEST_SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '400',
};

/**
 * Starts a server on fresh data, for vitest's globalSetup or for one test that breaks its server. It comes back by itself.
 * @param options.settings over the tests' own.
 * @param options.folder where the data is made; default: the system's folder for such things.
 */
export async function startTestCluster({
  settings = {},
  folder = tmpdir(),
}: {
  settings?: Record<string, string>;
  folder?: string;
} = {}): Promise<TestCluster> {
  const dataDir = await mkdtemp(join(folder, 'overture-test-'));
  const remove = () => rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
  try {
    const database = await createEmbeddedDatabase({
      dataDir,
      log: quietLog,
      settings: { ...TEST_SETTINGS, ...settings },
    }).start();
    const stop = async () => {
      await database.stop();
      await remove();
    };
    return { url: database.url, stop };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Says only what a developer must see when a test run goes wrong. */
export const quietLog = {
  info: () => {},
  warn: () => {},
  error: (facts: object, message: string) => {
    process.stderr.write(`${message} ${'error' in facts ? String(facts.error) : JSON.stringify(facts)}\n`);
  },
};

export interface TestDatabase {
  name: string;
  /** `url` with this database in place of the one it names. */
  url: string;
}

/**
 * Makes a database with a name of its own on the server of `url`.
 * @param options.template a database of that server to copy; it must have no open connections.
 */
export async function createDatabase(
  url: string,
  options: { template?: string } = {},
): Promise<TestDatabase> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  const template = escapeIdentifier(options.template ?? 'template1');
  await maintain(url, `create database ${name} template ${template}`);
  return { name, url: withDatabase(url, name) };
}

/** Drops a database of the server of `url`, and the connections to it. */
export async function dropDatabase(url: string, name: string): Promise<void> {
  await maintain(url, `drop database if exists ${escapeIdentifier(name)} with (force)`);
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

/** Runs one statement from database `postgres`, so that no other database is kept in use by it. */
async function maintain(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: withDatabase(url, 'postgres') });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
