/** `Idempotency-Key` on writes: the first answer is given again for 24 hours (design.md §5). */

import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { ServiceError } from '../errors.ts';

export interface StoredAnswer {
  bodyHash: string;
  /** Null while the first request is still at work. */
  status: number | null;
  response: unknown;
  ageSeconds: number;
}

/** Where the keys are kept; a key is scoped by workspace, principal and route. */
export interface IdempotencyStore {
  /** Claims the key; null when this request is the first, else what is known of the first. */
  claim(scope: IdempotencyScope, bodyHash: string): Promise<StoredAnswer | null>;
  keep(scope: IdempotencyScope, status: number, response: unknown): Promise<void>;
  /** Gives the key back: the request was refused before anything was done. */
  release(scope: IdempotencyScope): Promise<void>;
}

export interface IdempotencyScope {
  workspaceId: string;
  principal: string;
  route: string;
  key: string;
}

/** After this many seconds a request without an answer is taken for lost. */
const LOST_AFTER_SECONDS = 60;

/** Checks the header's form; undefined where it is not sent. Throws `VALIDATION_ERROR`. */
export function readIdempotencyKey(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (value.length < 1 || value.length > 255 || !/^[\x21-\x7e]+$/.test(value)) {
    throw new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
      details: [
        {
          loc: ['header', 'Idempotency-Key'],
          msg: 'Use 1 to 255 visible ASCII characters.',
          type: 'invalid_key',
        },
      ],
    });
  }
  return value;
}

/** The hash by which two bodies are the same: of their canonical JSON (RFC 8785). */
export function hashBody(body: unknown): string {
  return createHash('sha256')
    .update(canonicalize(body ?? null) ?? '')
    .digest('hex');
}

/**
 * Runs `work` once for the key. A repeat gets the first answer; one in flight 409; another body 422; one that never
 * answered (the process died in it) 409 `IDEMPOTENCY_OUTCOME_UNKNOWN`, as it may have been done.
 */
export async function once<T extends { status: number; body?: unknown }>(
  store: IdempotencyStore,
  scope: IdempotencyScope,
  body: unknown,
  work: () => Promise<T>,
): Promise<{ status: number; body?: unknown; replayed: boolean }> {
  const bodyHash = hashBody(body);
  const first = await store.claim(scope, bodyHash);
  if (first !== null) {
    if (first.bodyHash !== bodyHash) {
      throw new ServiceError(
        'IDEMPOTENCY_MISMATCH',
        'This Idempotency-Key was used with another body. Use a new key for a new request.',
      );
    }
    if (first.status !== null) return { status: first.status, body: first.response, replayed: true };
    if (first.ageSeconds > LOST_AFTER_SECONDS) {
      throw new ServiceError(
        'IDEMPOTENCY_OUTCOME_UNKNOWN',
        'The first request with this key did not answer. Read the current state, then use a new key if it must be repeated.',
      );
    }
    throw new ServiceError(
      'IDEMPOTENCY_IN_FLIGHT',
      'The first request with this key is still at work. Ask again in a second.',
      {
        headers: { 'retry-after': '1' },
      },
    );
  }
  let answer: T;
  try {
    answer = await work();
  } catch (error) {
    await store.release(scope);
    throw error;
  }
  await store.keep(scope, answer.status, answer.body ?? null);
  return { ...answer, replayed: false };
}
