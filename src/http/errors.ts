/** The one error body: a superset of the contract's envelopes (design.md §5). */

import { isDatabaseAway } from '../db/away.ts';
import { errorFact, ServiceError } from '../errors.ts';

/** Builds status, headers and body for a thrown value; unknown errors say no more than `INTERNAL_ERROR`. */
export function errorAnswer(
  error: unknown,
  requestId: string,
  path: string,
): { status: number; headers: Record<string, string>; body: Record<string, unknown> } {
  const known = error instanceof ServiceError ? error : fromDatabase(error);
  const fact = errorFact(known ?? error);
  const body: Record<string, unknown> = {
    ...known?.facts,
    detail: fact.code,
    message: fact.message,
    request_id: requestId,
  };
  if (known?.code === 'VALIDATION_ERROR') {
    body.error = 'Request Validation Error';
    body.details = known.details ?? [];
    body.path = path;
  }
  return { status: known?.status ?? 500, headers: known?.headers ?? {}, body };
}

/** A database fault as the refusal it stands for: a row of another workspace looks like absence, a lost server like a 503. */
function fromDatabase(error: unknown): ServiceError | null {
  if (!(error instanceof Error)) return null;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (code === '42501')
    return new ServiceError('NOT_FOUND', 'There is no such thing here.', { cause: error });
  // Text that PostgreSQL cannot hold (NUL, half a surrogate pair) slipped past a schema.
  if (code === '22021' || code === '22P05') {
    return new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
      cause: error,
      details: [
        {
          loc: ['body'],
          msg: 'A text holds a character that cannot be stored (U+0000 or half a surrogate pair).',
          type: 'unstorable_text',
        },
      ],
    });
  }
  if (isDatabaseAway(error)) {
    return new ServiceError(
      'DATABASE_UNAVAILABLE',
      'The database cannot be reached at the moment. Try again in a few seconds.',
      {
        cause: error,
        headers: { 'retry-after': '2' },
      },
    );
  }
  return null;
}
