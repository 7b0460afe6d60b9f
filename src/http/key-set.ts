/** The keys of one JWKS address: read when they are needed, and the last good set stays in use while it cannot be read. */

import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { ServiceError } from '../errors.ts';

/** After so many milliseconds the set is read again. */
const FRESH_MS = 600_000;
/** A token that names an unknown key brings a read at most this often: anyone can write such tokens. */
const COOLDOWN_MS = 30_000;
/** The same while there is no set at all. */
const FIRST_COOLDOWN_MS = 2_000;
const TIMEOUT_MS = 5_000;

/** Makes the look-up. It throws jose's errors for a token whose key is not there, `SIGN_IN_UNAVAILABLE` where no set was ever read. */
export function createKeySet(url: string): JWTVerifyGetKey {
  let keys: ReturnType<typeof createLocalJWKSet> | null = null;
  let readAt = 0;
  let triedAt = 0;
  let reading: Promise<void> | null = null;
  let fault: unknown;

  async function read(): Promise<void> {
    triedAt = Date.now();
    try {
      const response = await fetch(url, {
        headers: { accept: 'application/json, application/jwk-set+json' },
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (!response.ok) throw new Error(`the JWKS address answered ${response.status}`);
      const given: JSONWebKeySet = JSON.parse(await response.text());
      keys = createLocalJWKSet(given);
      readAt = Date.now();
    } catch (error) {
      fault = error;
    } finally {
      reading = null;
    }
  }

  /** Reads the set, unless that was just tried; many who ask at once wait for one read. */
  async function refresh(): Promise<void> {
    const cooldown = keys === null ? FIRST_COOLDOWN_MS : COOLDOWN_MS;
    if (reading === null && Date.now() - triedAt >= cooldown) reading = read();
    await reading;
  }

  return async (header, token) => {
    if (keys === null || Date.now() - readAt >= FRESH_MS) await refresh();
    if (keys === null) {
      throw new ServiceError(
        'SIGN_IN_UNAVAILABLE',
        'The keys that session tokens are checked with cannot be read (JWT_JWKS_URL). Try again in a few seconds.',
        { cause: fault, headers: { 'retry-after': '2' } },
      );
    }
    try {
      return await keys(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await refresh();
      return keys(header, token);
    }
  };
}
