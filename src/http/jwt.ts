/** Checks session tokens with jose: HS256 by a shared secret, or the keys of one fixed JWKS address. */

import { createHash } from 'node:crypto';
import { errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose';
import { ServiceError } from '../errors.ts';
import type { SessionClaims } from './caller.ts';
import { createKeySet } from './key-set.ts';

export interface JwtSettings {
  secret: string | null;
  jwksUrl: string | null;
  issuer: string | null;
  audience: string | null;
}

/** Seconds by which two clocks may differ. */
const TOLERANCE_SECONDS = 30;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Makes the check. It throws `UNAUTHORIZED` for any fault of a token, and `SIGN_IN_UNAVAILABLE` while no keys could be read. */
export function createVerifyToken(settings: JwtSettings): (token: string) => Promise<SessionClaims> {
  const options: JWTVerifyOptions = { requiredClaims: ['exp', 'sub'], clockTolerance: TOLERANCE_SECONDS };
  if (settings.issuer !== null) options.issuer = settings.issuer;
  if (settings.audience !== null) options.audience = settings.audience;
  const verify = createVerify(settings, options);
  return async (token) => {
    try {
      return claimsOf(await verify(token), settings.issuer);
    } catch (cause) {
      if (cause instanceof ServiceError) throw cause;
      const expired = cause instanceof errors.JWTExpired;
      throw new ServiceError(
        'UNAUTHORIZED',
        expired
          ? 'The session token has expired. Sign in again and repeat the request.'
          : 'Send "Authorization: Bearer …" with a live API key or a valid session token.',
        { cause, headers: { 'www-authenticate': expired ? 'Bearer error="invalid_token"' : 'Bearer' } },
      );
    }
  };
}

function createVerify(
  settings: JwtSettings,
  options: JWTVerifyOptions,
): (token: string) => Promise<JWTPayload> {
  if (settings.jwksUrl !== null) {
    const keys = createKeySet(settings.jwksUrl);
    const asymmetric = {
      ...options,
      algorithms: ['RS256', 'RS384', 'RS512', 'PS256', 'ES256', 'ES384', 'EdDSA'],
    };
    return async (token) => (await jwtVerify(token, keys, asymmetric)).payload;
  }
  const secret = new TextEncoder().encode(settings.secret ?? '');
  return async (token) => (await jwtVerify(token, secret, { ...options, algorithms: ['HS256'] })).payload;
}

/** `app_metadata.workspace_id` where it is given, else a workspace of the user's own, made of issuer and subject. */
function claimsOf(payload: JWTPayload, issuer: string | null): SessionClaims {
  const userId = typeof payload.sub === 'string' ? payload.sub : '';
  const metadata = isRecord(payload.app_metadata) ? payload.app_metadata : {};
  const named = metadata.workspace_id;
  if (userId === '' || userId.length > 255) throw new Error('the subject is empty or too long');
  if (!userId.isWellFormed() || userId.includes('\0')) throw new Error('the subject cannot be stored');
  if (named !== undefined && (typeof named !== 'string' || !UUID.test(named))) {
    throw new Error('app_metadata.workspace_id is not a UUID');
  }
  return {
    userId,
    workspaceId: (named ?? ownWorkspace(issuer ?? '', userId)).toLowerCase(),
    email: typeof payload.email === 'string' ? payload.email : null,
    plan: typeof metadata.plan === 'string' ? metadata.plan : 'free',
    expiresAt: ((payload.exp ?? 0) + TOLERANCE_SECONDS) * 1000,
  };
}

function ownWorkspace(issuer: string, userId: string): string {
  const hex = createHash('sha256').update(`workspace\n${issuer}\n${userId}`).digest('hex');
  // UUID version 8 (RFC 9562): vendor-made, here from a digest.
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-9${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
