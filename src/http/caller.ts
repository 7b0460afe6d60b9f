/** Says who calls: an API key, a session token, or, in dev mode, the local user. */

import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { ServiceError } from '../errors.ts';
import type { Caller } from '../runtime/caller.ts';

/** What is stored of a key. */
export interface KeyRecord {
  id: string;
  workspaceId: string;
  userId: string;
  sandbox: boolean;
  scopes: string[] | null;
}

export interface Identities {
  /** The live key with this SHA-256, or null. */
  findKey(hash: Buffer): Promise<KeyRecord | null>;
  /** Makes sure that the workspace has its rows; cheap when it was seen before. */
  ensureWorkspace(workspaceId: string, name: string): Promise<void>;
}

export interface SessionClaims {
  userId: string;
  workspaceId: string;
  email: string | null;
  plan: string;
  /** Milliseconds of the epoch. */
  expiresAt: number;
}

export interface AuthenticateNeeds {
  mode: 'dev' | 'jwt';
  identities: Identities;
  /** Checks a session token; throws `UNAUTHORIZED`. Null in dev mode without JWT settings. */
  verifyToken: ((token: string) => Promise<SessionClaims>) | null;
}

/** The one user of dev mode. */
export const DEV_USER = 'local';
export const DEV_WORKSPACE = '00000000-0000-7000-8000-000000000001';
/** Writes that are not JSON must carry this header in dev mode: a foreign page cannot set it without a preflight. */
export const DEV_HEADER = 'x-overture-client';

const API_KEY = /^bav_(live|test)_[A-Za-z0-9_-]{43}$/;
const PROXY_HEADER =
  /^(forwarded|x-forwarded-.+|x-real-ip|x-original-.+|via|cf-connecting-ip|true-client-ip)$/;
const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i;

/** One sentence for every failure, so that an answer does not tell which part was wrong. */
function unauthorized(): ServiceError {
  return new ServiceError(
    'UNAUTHORIZED',
    'Send "Authorization: Bearer …" with a live API key or a valid session token.',
    { headers: { 'www-authenticate': 'Bearer' } },
  );
}

/** Makes the function that names the caller of a request; throws `UNAUTHORIZED` or `ORIGIN_REFUSED`. */
export function createAuthenticate({ mode, identities, verifyToken }: AuthenticateNeeds) {
  return async function authenticate(incoming: IncomingMessage): Promise<Caller> {
    const header = incoming.headers.authorization ?? keyHeaderOf(incoming);
    if (header === undefined) {
      if (mode !== 'dev') throw unauthorized();
      refuseForeignReach(incoming);
      await identities.ensureWorkspace(DEV_WORKSPACE, 'Local workspace');
      return {
        workspaceId: DEV_WORKSPACE,
        userId: DEV_USER,
        kind: 'dev',
        scopes: null,
        sandbox: false,
        email: 'local@localhost',
        keyId: null,
        plan: 'dev',
      };
    }
    const token = /^Bearer ([^\s]+)$/i.exec(header)?.[1];
    if (token === undefined) throw unauthorized();
    if (token.startsWith('bav_')) {
      if (!API_KEY.test(token)) throw unauthorized();
      const key = await identities.findKey(hashKey(token));
      if (key === null) throw unauthorized();
      return {
        workspaceId: key.workspaceId,
        userId: key.userId,
        kind: 'api_key',
        scopes: key.scopes,
        sandbox: key.sandbox,
        email: null,
        keyId: key.id,
        plan: 'standard',
      };
    }
    if (verifyToken === null) throw unauthorized();
    const claims = await verifyToken(token);
    await identities.ensureWorkspace(claims.workspaceId, claims.email ?? claims.userId);
    return { ...claims, kind: 'person', scopes: null, sandbox: false, keyId: null };
  };
}

/** LangGraph's clients send a key in a header of their own; a key of another service, from their environment, is not ours. */
function keyHeaderOf(incoming: IncomingMessage): string | undefined {
  const key = incoming.headers['x-api-key']?.toString();
  return key?.startsWith('bav_') === true ? `Bearer ${key}` : undefined;
}

/** What is stored of a key: it has 256 random bits, so a plain SHA-256 is enough. */
export function hashKey(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

/**
 * Dev mode trusts whoever reaches the loopback port, so it refuses every way in which somebody else's page or a proxy
 * could reach it: another Host (DNS rebinding), forwarded headers (a proxy), a foreign or null Origin, and writes that a
 * foreign form could make (design.md §9).
 */
function refuseForeignReach(incoming: IncomingMessage): void {
  const { host, origin } = incoming.headers;
  const refuse = (message: string) => {
    throw new ServiceError('ORIGIN_REFUSED', message);
  };
  if (host === undefined || !LOOPBACK_HOST.test(host)) {
    refuse(
      'Dev mode answers to localhost, 127.0.0.1 and [::1] only. Set AUTH_MODE=jwt to serve other names.',
    );
  }
  if (Object.keys(incoming.headers).some((name) => PROXY_HEADER.test(name))) {
    refuse('Dev mode cannot be reached through a proxy. Set AUTH_MODE=jwt.');
  }
  if (origin !== undefined && origin !== `http://${host}`) {
    refuse('Dev mode answers to its own page only. Set AUTH_MODE=jwt and CORS_ORIGINS for other origins.');
  }
  // What a browser says of a request that another site's page caused, also where it sends no Origin.
  const site = incoming.headers['sec-fetch-site'];
  if (site === 'cross-site' || site === 'same-site') {
    refuse('Dev mode answers to its own page only, not to what another site loads from it.');
  }
  const writes = incoming.method !== 'GET' && incoming.method !== 'HEAD' && incoming.method !== 'OPTIONS';
  const json = /^application\/([a-z0-9.+-]+\+)?json\b/i.test(incoming.headers['content-type'] ?? '');
  if (writes && !json && incoming.headers[DEV_HEADER] === undefined) {
    refuse(`In dev mode a write that is not JSON needs the header "${DEV_HEADER}: 1".`);
  }
}
