/** A wrong setting stops the start with one sentence that names it, before anything is served. */

import { spawn } from 'node:child_process';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError, readConfig } from '../../src/config.ts';
import { assertRowLevelSecurity, migrate } from '../../src/db/migrate.ts';
import { createPool } from '../../src/db/pool.ts';
import { createLog } from '../../src/log.ts';
import { startTestCluster } from '../support/cluster.ts';
import { openDatabase, type TestDatabase } from '../support/database.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const SECRET = 'x'.repeat(32);
const CANARY = 'canary-of-this-start-51f0';

const rsaKey = (modulusLength: number, form: 'pkcs8' | 'pkcs1' = 'pkcs8') =>
  String(generateKeyPairSync('rsa', { modulusLength }).privateKey.export({ type: form, format: 'pem' }));
const KEY = rsaKey(1024);
const DKIM = { DKIM_DOMAIN: 'mail.example', DKIM_SELECTOR: 'overture', DKIM_KEY: KEY };

const log = createLog({ level: 'silent', write: () => {}, secrets: [] });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'overture-start-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs Node with nothing in its environment but what is given. */
async function run(args: string[], environment: Record<string, string>) {
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', DATA_DIR: folder, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [told, output, [code]] = await Promise.all([
    text(child.stderr),
    text(child.stdout),
    once(child, 'exit'),
  ]);
  return { code, told, output };
}

const start = (environment: Record<string, string>) => run(['src/main.ts'], environment);

/** One line, one sentence, no stack. */
function expectSentence(told: string, variable: string): void {
  expect(told).toMatch(/^Overture cannot start: [^\n]+\n$/);
  expect(told).toContain(variable);
  expect(told).not.toMatch(/\bat .*:\d+:\d+|Error:/);
}

describe('a wrong variable', () => {
  it.each<[string, Record<string, string>]>([
    ['PORT', { PORT: 'http' }],
    ['PORT', { PORT: '-1' }],
    ['PORT', { PORT: '65536' }],
    ['PORT', { PORT: '80.5' }],
    ['PORT', { PORT: '0x50' }],
    ['PORT', { PORT: '1e3' }],
    ['LEASE_SECONDS', { LEASE_SECONDS: '0' }],
    ['LEASE_SECONDS', { LEASE_SECONDS: '601' }],
    ['LEASE_SECONDS', { LEASE_SECONDS: 'soon' }],
    ['LOG_LEVEL', { LOG_LEVEL: 'loud' }],
    ['PUBLIC_URL', { PUBLIC_URL: 'example.com' }],
    ['PUBLIC_URL', { PUBLIC_URL: 'javascript:alert(1)' }],
    ['CORS_ORIGINS', { CORS_ORIGINS: '*' }],
    ['CORS_ORIGINS', { CORS_ORIGINS: 'https://a.example/' }],
    ['CORS_ORIGINS', { CORS_ORIGINS: 'https://a.example, b.example' }],
    ['CORS_ORIGINS', { CORS_ORIGINS: 'null' }],
    ['DATABASE_URL', { DATABASE_URL: 'mysql://localhost/x', SIGNING_SECRET: SECRET }],
    ['DATABASE_URL', { DATABASE_URL: 'localhost:5432', SIGNING_SECRET: SECRET }],
    ['DATABASE_URL', { DATABASE_URL: `postgres://user:${CANARY}%@localhost/x`, SIGNING_SECRET: SECRET }],
    ['SIGNING_SECRET', { DATABASE_URL: `postgres://user:${CANARY}@localhost/x` }],
    ['SIGNING_SECRET', { SIGNING_SECRET: CANARY }],
    ['OPENAI_BASE_URL', { OPENAI_BASE_URL: 'localhost:11434' }],
    ['OPENAI_BASE_URL', { OPENAI_BASE_URL: 'ftp://models.example' }],
    ['SMTP_URL', { SMTP_URL: 'mail.example:25' }],
    ['SMTP_URL', { SMTP_URL: 'http://mail.example' }],
    ['SMTP_URL', { SMTP_URL: 'smtp://' }],
    ['SMTP_URL', { SMTP_URL: `smtp://user:${CANARY}%@mail.example` }],
    ['DKIM_KEY', { ...DKIM, DKIM_KEY: '' }],
    ['DKIM_SELECTOR', { ...DKIM, DKIM_SELECTOR: ' ' }],
    ['DKIM_DOMAIN', { DKIM_KEY: KEY, DKIM_SELECTOR: 'overture' }],
    ['DKIM_DOMAIN', { ...DKIM, DKIM_DOMAIN: 'mail' }],
    ['DKIM_DOMAIN', { ...DKIM, DKIM_DOMAIN: 'mail.example; d=other.example' }],
    ['DKIM_SELECTOR', { ...DKIM, DKIM_SELECTOR: 'a b' }],
    ['DKIM_SELECTOR', { ...DKIM, DKIM_SELECTOR: '.a' }],
    ['DKIM_KEY', { ...DKIM, DKIM_KEY: CANARY }],
    ['DKIM_KEY', { ...DKIM, DKIM_KEY: KEY.replace('MII', CANARY) }],
    ['DKIM_KEY', { ...DKIM, DKIM_KEY: rsaKey(512) }],
    ['DKIM_KEY', { ...DKIM, DKIM_KEY: String(createPublicKey(KEY).export({ type: 'spki', format: 'pem' })) }],
    [
      'DKIM_KEY',
      {
        ...DKIM,
        DKIM_KEY: String(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })),
      },
    ],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', { OTEL_EXPORTER_OTLP_ENDPOINT: 'localhost:4318' }],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', { OTEL_EXPORTER_OTLP_ENDPOINT: 'grpc://collector.example:4317' }],
    ['JWT_SECRET', { JWT_SECRET: CANARY }],
    ['JWT_SECRET', { JWT_SECRET: SECRET, JWT_JWKS_URL: 'https://issuer.example/jwks' }],
    ['JWT_JWKS_URL', { JWT_JWKS_URL: 'issuer.example' }],
    ['JWT_JWKS_URL', { JWT_JWKS_URL: 'file:///etc/passwd' }],
    ['AUTH_MODE', { AUTH_MODE: 'none' }],
    ['AUTH_MODE', { AUTH_MODE: 'jwt' }],
    ['AUTH_MODE', { AUTH_MODE: 'dev', HOST: '0.0.0.0' }],
    ['AUTH_MODE', { AUTH_MODE: 'dev', HOST: '::' }],
    ['AUTH_MODE', { AUTH_MODE: 'dev', HOST: '192.168.0.10' }],
    ['AUTH_MODE', { AUTH_MODE: 'dev', HOST: 'localhost.example' }],
    ['HOST', { AUTH_MODE: 'dev', HOST: '0.0.0.0', JWT_SECRET: SECRET }],
    ['JWT_SECRET', { HOST: '0.0.0.0' }],
  ])('is named in one sentence without its value: %s of %j', (variable, environment) => {
    const read = () => readConfig({ DATA_DIR: folder, ...environment });
    expect(read).toThrow(ConfigError);
    const sentence = messageOf(read);
    expectSentence(`Overture cannot start: ${sentence}\n`, variable);
    expect(sentence).not.toContain(CANARY);
    expect(sentence).toMatch(/\.$/);
  });

  it('of the folder is named where nothing can be written', async () => {
    const file = path.join(folder, 'a-file');
    await writeFile(file, '');
    expectSentence(
      `Overture cannot start: ${messageOf(() => readConfig({ DATA_DIR: path.join(file, 'x') }))}\n`,
      'DATA_DIR',
    );
  });

  it('ends the process with exit code 1 and that sentence alone', async () => {
    const busy = createServer().listen(0, '127.0.0.1');
    await once(busy, 'listening');
    const port = String((busy.address() as AddressInfo).port);
    const file = path.join(folder, 'another-file');
    await writeFile(file, '');
    await using database = await disposable();
    const real = { DATABASE_URL: database.url, SIGNING_SECRET: SECRET };
    const cases: [string, Record<string, string>][] = [
      ['PORT', { PORT: 'http' }],
      ['DATABASE_URL', { ...real, DATABASE_URL: `postgres://user:${CANARY}@127.0.0.1:1/none` }],
      ['DATA_DIR', { DATA_DIR: path.join(file, 'x'), SIGNING_SECRET: SECRET }],
      ['PORT', { ...real, PORT: port }],
    ];
    // Two at a time: each is a whole process.
    const rest = cases.values();
    const tell = async () => {
      for (const [variable, environment] of rest) {
        const { code, told, output } = await start({ ...environment, LOG_LEVEL: 'warn' });
        expect({ variable, code, output }).toEqual({ variable, code: 1, output: '' });
        expectSentence(told, variable);
        expect(told).not.toContain(CANARY);
      }
    };
    await Promise.all([tell(), tell()]);
    busy.close();
  });
});

describe('the signing secret of a folder', () => {
  it('is refused where it is not whole, and is the same for processes that start at once', async () => {
    const own = await mkdtemp(path.join(folder, 'secret-'));
    await writeFile(path.join(own, 'signing-secret'), '');
    const sentence = messageOf(() => readConfig({ DATA_DIR: own }));
    expectSentence(`Overture cannot start: ${sentence}\n`, 'SIGNING_SECRET');
    await rm(path.join(own, 'signing-secret'));
    const script =
      "import('./src/config.ts').then(({ readConfig }) => console.log(readConfig().signingSecret))";
    const made = await Promise.all([0, 1, 2].map(() => run(['-e', script], { DATA_DIR: own })));
    expect(made.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(new Set(made.map(({ output }) => output)).size).toBe(1);
    expect(await readdir(own)).toEqual(['signing-secret']);
    expect((await stat(path.join(own, 'signing-secret'))).mode & 0o777).toBe(0o600);
  });
});

describe('a good start', () => {
  it('takes what is left out by its standard', () => {
    expect(readConfig({ DATA_DIR: folder, PORT: ' ', HOST: '', LOG_LEVEL: '' })).toMatchObject({
      host: '127.0.0.1',
      port: 8080,
      authMode: 'dev',
      model: null,
      smtpUrl: null,
      corsOrigins: [],
      leaseSeconds: 15,
    });
    expect(readConfig({ DATA_DIR: folder, JWT_SECRET: SECRET }).authMode).toBe('jwt');
    expect(readConfig({ DATA_DIR: folder }).dkim).toBeNull();
    const one = readConfig({ DATA_DIR: folder }).signingSecret;
    expect(one.length).toBeGreaterThanOrEqual(32);
    expect(readConfig({ DATA_DIR: folder }).signingSecret).toBe(one);
  });
});

describe('a key for signing mails', () => {
  const pem = rsaKey(2048);
  const body = pem.replaceAll(/-----[^-]+-----|\s/g, '');
  it.each([
    ['as it is', pem],
    ['on one line', pem.replaceAll('\n', '\\n')],
    ['of the older form', rsaKey(2048, 'pkcs1')],
    ['without its frame', body],
    ['of the older form, without its frame', rsaKey(2048, 'pkcs1').replaceAll(/-----[^-]+-----|\s/g, '')],
    ['whose PEM is base64 again', Buffer.from(pem).toString('base64')],
  ])('is taken %s, and is never logged', (_how, key) => {
    const config = readConfig({ DATA_DIR: folder, ...DKIM, DKIM_KEY: key });
    expect(config.dkim).toMatchObject({ domain: 'mail.example', selector: 'overture' });
    expect(config.dkim?.privateKey).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    let logged = '';
    const heard = createLog({
      level: 'info',
      write: (line) => {
        logged += line;
      },
      secrets: config.secrets,
    });
    heard.info({ key, nested: { pem: config.dkim?.privateKey } }, 'a key');
    expect(logged).toContain('[scrubbed]');
    expect(logged).not.toContain(body.slice(100, 140));
  });
});

describe('an error that nobody caught', () => {
  it('ends the process with exit code 1 and a line in the log, scrubbed', async () => {
    await using database = await disposable();
    const striking = `
      const { write } = process.stdout;
      process.stdout.write = (line) => {
        if (String(line).includes('"listening"')) setTimeout(() => { throw new Error('sk-${CANARY}'); });
        return write.call(process.stdout, line);
      };`;
    const { code, told, output } = await run(
      ['--import', `data:text/javascript,${encodeURIComponent(striking)}`, 'src/main.ts'],
      { DATABASE_URL: database.url, SIGNING_SECRET: SECRET, PORT: '0' },
    );
    expect(code).toBe(1);
    expect(output).toContain('an error that nobody caught ends the process');
    expect(output + told).not.toContain(CANARY);
  });
});

describe('an old Node', () => {
  it('is told which one is needed, and nothing else happens', async () => {
    const old =
      'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } })';
    const args = [
      '--import',
      `data:text/javascript,${encodeURIComponent(old)}`,
      '--import',
      './src/node-check.mjs',
      'src/main.ts',
    ];
    const { code, told, output } = await run(args, {});
    expect({ code, output }).toEqual({ code: 1, output: '' });
    expect(told).toMatch(
      /^Overture needs Node 24 or newer; this is v[\d.]+\. Run it with "npm start"[^\n]*\n$/,
    );
  });
});

describe('a database role', () => {
  it('that sees past row level security stops the start', async () => {
    // Roles belong to a whole server, so this one is broken on a server of its own.
    const cluster = await startTestCluster();
    try {
      await migrate({ url: cluster.url, folder: path.join(ROOT, 'migrations'), log });
      const owner = createPool({ url: cluster.url, role: null, size: 1, log });
      for (const role of ['overture_app', 'overture_runtime'] as const) {
        for (const power of ['bypassrls', 'superuser']) {
          await owner.query(`alter role ${role} ${power}`);
          const pool = createPool({ url: cluster.url, role, size: 1, log });
          await expect(assertRowLevelSecurity(pool)).rejects.toThrow(`${role} bypasses row level security`);
          await pool.end();
          await owner.query(`alter role ${role} no${power}`);
        }
      }
      await owner.query('alter role overture_runtime bypassrls');
      await owner.end();
      const { code, told } = await start({
        DATABASE_URL: cluster.url,
        SIGNING_SECRET: SECRET,
        PORT: '0',
        LOG_LEVEL: 'warn',
      });
      expect(code).toBe(1);
      expectSentence(told, 'DATABASE_URL');
      expect(told).toContain('overture_runtime bypasses row level security');
    } finally {
      await cluster.stop();
    }
  });
});

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Error) return error.message;
  }
  throw new Error('it was not refused');
}

async function disposable(): Promise<TestDatabase & AsyncDisposable> {
  const database = await openDatabase();
  return { ...database, [Symbol.asyncDispose]: () => database.close() };
}
