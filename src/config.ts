/** The only reader of the environment: it turns variables into settings, or into one sentence that names the wrong one. */

import { createPrivateKey, type KeyObject, randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import type { JwtSettings } from './http/jwt.ts';

export interface Config {
  host: string;
  port: number;
  publicUrl: string | null;
  corsOrigins: string[];
  /** Null: the embedded server in `dataDir`. */
  databaseUrl: string | null;
  dataDir: string;
  /** Null: the offline model. */
  model: { apiKey: string; baseUrl: string | undefined; name: string } | null;
  authMode: 'dev' | 'jwt';
  jwt: JwtSettings | null;
  signingSecret: string;
  smtpUrl: string | null;
  /** Null: mails are not signed here. */
  dkim: { domain: string; selector: string; privateKey: string } | null;
  leaseSeconds: number;
  logLevel: string;
  /** Where traces are sent; null: nowhere. */
  otlpEndpoint: string | null;
  /** Values that must never be logged. */
  secrets: string[];
}

/** A wrong variable; the message is the one sentence that the start ends with. */
export class ConfigError extends Error {}

const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];

/** Reads the settings. `environment` is `process.env` but for tests. Throws `ConfigError`. */
export function readConfig(environment: Record<string, string | undefined> = process.env): Config {
  const read = (name: string): string | null => {
    const value = environment[name]?.trim();
    return value === undefined || value === '' ? null : value;
  };
  const host = read('HOST') ?? '127.0.0.1';
  const jwt = readJwt(read);
  const authMode = readAuthMode(read, host, jwt);
  const databaseUrl = readUrl(read, 'DATABASE_URL', ['postgres:', 'postgresql:']);
  const dataDir = path.resolve(read('DATA_DIR') ?? './.data');
  const apiKey = read('OPENAI_API_KEY');
  const baseUrl = readUrl(read, 'OPENAI_BASE_URL', ['http:', 'https:']);
  const smtpUrl = readUrl(read, 'SMTP_URL', ['smtp:', 'smtps:']);
  const dkim = readDkim(read);
  const otlpEndpoint = readUrl(read, 'OTEL_EXPORTER_OTLP_ENDPOINT', ['http:', 'https:']);
  const signingSecret = readSigningSecret(read, databaseUrl, dataDir);
  const logLevel = read('LOG_LEVEL') ?? 'info';
  if (!LEVELS.includes(logLevel)) throw new ConfigError(`LOG_LEVEL must be one of ${LEVELS.join(', ')}.`);
  return {
    host,
    port: readWhole(read, 'PORT', 8080, 0, 65_535),
    publicUrl: readUrl(read, 'PUBLIC_URL', ['http:', 'https:']),
    corsOrigins: readOrigins(read),
    databaseUrl,
    dataDir,
    model:
      apiKey === null && baseUrl === null
        ? null
        : { apiKey: apiKey ?? '', baseUrl: baseUrl ?? undefined, name: read('OPENAI_MODEL') ?? 'gpt-5-mini' },
    authMode,
    jwt,
    signingSecret,
    smtpUrl,
    dkim,
    leaseSeconds: readWhole(read, 'LEASE_SECONDS', 15, 2, 600),
    logLevel,
    otlpEndpoint,
    secrets: [
      apiKey,
      jwt?.secret,
      signingSecret,
      dkim?.privateKey,
      read('DKIM_KEY'),
      passwordOf(databaseUrl),
      passwordOf(smtpUrl),
      passwordOf(otlpEndpoint),
    ].filter((secret) => secret != null),
  };
}

type Read = (name: string) => string | null;

function readWhole(read: Read, name: string, standard: number, least: number, most: number): number {
  const value = read(name);
  if (value === null) return standard;
  const parsed = z.coerce.number().int().min(least).max(most).safeParse(value);
  if (!parsed.success || !/^\d+$/.test(value))
    throw new ConfigError(`${name} must be a whole number from ${least} to ${most}.`);
  return parsed.data;
}

function readUrl(read: Read, name: string, protocols: string[]): string | null {
  const value = read(name);
  if (value === null) return null;
  if (!URL.canParse(value) || !protocols.includes(new URL(value).protocol)) {
    throw new ConfigError(
      `${name} must be an address that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}.`,
    );
  }
  const { username, password, hostname } = new URL(value);
  if (![username, password].every(isDecodable)) {
    throw new ConfigError(`${name} holds a "%" in its user or password that is not written as "%25".`);
  }
  // Without a host PostgreSQL is asked for at its socket; nothing else can be.
  if (hostname === '' && !name.startsWith('DATABASE')) throw new ConfigError(`${name} names no host.`);
  return value;
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function readOrigins(read: Read): string[] {
  const origins = (read('CORS_ORIGINS') ?? '')
    .split(',')
    .flatMap((origin) => (origin.trim() === '' ? [] : [origin.trim()]));
  for (const origin of origins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      throw new ConfigError(
        'CORS_ORIGINS must be origins such as https://app.example.com, with commas between them and no paths.',
      );
    }
  }
  return origins;
}

function readJwt(read: Read): JwtSettings | null {
  const secret = read('JWT_SECRET');
  const jwksUrl = readUrl(read, 'JWT_JWKS_URL', ['http:', 'https:']);
  if (secret === null && jwksUrl === null) return null;
  if (secret !== null && jwksUrl !== null) throw new ConfigError('Set JWT_SECRET or JWT_JWKS_URL, not both.');
  if (secret !== null && secret.length < 32)
    throw new ConfigError('JWT_SECRET must have at least 32 characters.');
  return { secret, jwksUrl, issuer: read('JWT_ISSUER'), audience: read('JWT_AUDIENCE') };
}

function readAuthMode(read: Read, host: string, jwt: JwtSettings | null): 'dev' | 'jwt' {
  const loopback = host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
  const mode = read('AUTH_MODE') ?? (jwt === null && loopback ? 'dev' : 'jwt');
  if (mode !== 'dev' && mode !== 'jwt') throw new ConfigError('AUTH_MODE must be dev or jwt.');
  if (mode === 'dev' && !loopback) {
    throw new ConfigError(
      'AUTH_MODE=dev trusts whoever can reach it, so HOST must be 127.0.0.1, ::1 or localhost; set AUTH_MODE=jwt to serve others.',
    );
  }
  if (mode === 'jwt' && jwt === null) {
    throw new ConfigError('AUTH_MODE=jwt needs JWT_SECRET or JWT_JWKS_URL.');
  }
  return mode;
}

const DOMAIN = /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$/i;
const SELECTOR = /^(?=.{1,128}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i;
/** Receivers take no signature of a shorter key (RFC 8301). */
const LEAST_DKIM_BITS = 1024;

/** All three or none: with a part of them mails would leave unsigned without a word. */
function readDkim(read: Read): Config['dkim'] {
  const names = ['DKIM_DOMAIN', 'DKIM_SELECTOR', 'DKIM_KEY'] as const;
  const [domain, selector, key] = names.map(read);
  if (domain == null && selector == null && key == null) return null;
  if (domain == null || selector == null || key == null) {
    const missing = names.filter((name) => read(name) === null).join(' and ');
    throw new ConfigError(`Set DKIM_DOMAIN, DKIM_SELECTOR and DKIM_KEY together; ${missing} is missing.`);
  }
  if (!DOMAIN.test(domain)) throw new ConfigError('DKIM_DOMAIN must be a domain such as example.com.');
  if (!SELECTOR.test(selector)) {
    throw new ConfigError('DKIM_SELECTOR must be a name as in DNS, of letters, digits, "-" and ".".');
  }
  const rsa = readRsaKey(key);
  const bits = rsa?.asymmetricKeyDetails?.modulusLength ?? 0;
  if (rsa === null || bits < LEAST_DKIM_BITS) {
    throw new ConfigError(
      `DKIM_KEY must be a private RSA key of at least ${LEAST_DKIM_BITS} bits without a passphrase, as PEM (its line breaks may be written as "\\n") or its base64.`,
    );
  }
  return { domain, selector, privateKey: String(rsa.export({ type: 'pkcs8', format: 'pem' })) };
}

/** The key, however it was put into one variable; null where it is none. */
function readRsaKey(value: string): KeyObject | null {
  const text = value.replaceAll('\\n', '\n');
  const bytes = Buffer.from(text, 'base64');
  const tries = [
    () => createPrivateKey(text),
    () => createPrivateKey(bytes.toString()),
    () => createPrivateKey({ key: bytes, format: 'der', type: 'pkcs8' }),
    () => createPrivateKey({ key: bytes, format: 'der', type: 'pkcs1' }),
  ];
  for (const open of tries) {
    try {
      const key = open();
      return key.asymmetricKeyType === 'rsa' ? key : null;
    } catch {
      // It is spelled another way, or is no key: the sentence must not quote what was found in it.
    }
  }
  return null;
}

/** Made once for a laptop; several processes on one database must be given the same. */
function readSigningSecret(read: Read, databaseUrl: string | null, dataDir: string): string {
  const given = read('SIGNING_SECRET');
  if (given !== null) {
    if (given.length < 32) throw new ConfigError('SIGNING_SECRET must have at least 32 characters.');
    return given;
  }
  if (databaseUrl !== null) {
    throw new ConfigError(
      'SIGNING_SECRET is required with DATABASE_URL: set the same value, of at least 32 characters, in every process.',
    );
  }
  const file = path.join(dataDir, 'signing-secret');
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  let secret: string;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    if (!existsSync(file)) {
      // Whole or not at all: a process that dies here must not leave half a secret for the next.
      writeFileSync(draft, randomBytes(32).toString('base64url'), { mode: 0o600, flag: 'wx' });
      try {
        linkSync(draft, file);
      } catch (error) {
        // Another process was first; its secret is then the one to read.
        if (!existsSync(file)) throw error;
      } finally {
        unlinkSync(draft);
      }
    }
    secret = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new ConfigError(`DATA_DIR (${dataDir}) cannot be read and written. Choose a folder that can.`, {
      cause: error,
    });
  }
  if (secret.length < 32) {
    throw new ConfigError(
      `SIGNING_SECRET is not set, and ${file} in DATA_DIR holds none of at least 32 characters. Remove that file, and a new one is made.`,
    );
  }
  return secret;
}

function passwordOf(url: string | null): string | null {
  if (url === null) return null;
  const { password } = new URL(url);
  return password === '' ? null : decodeURIComponent(password);
}
