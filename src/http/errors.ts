/** The one error body: a superset of the contract's envelopes (design.md §5). */

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

/** SQLSTATE classes that mean "the database is not there now": connection, resources, operator intervention. */
const DATABASE_AWAY = /^(08|53|57P0|58)/;

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
  const lost =
    code === 'ECONNREFUSED' || code === 'ECONNRESET' || error.message.startsWith('Connection terminated');
  if (
    lost ||
    DATABASE_AWAY.test(code) ||
    error.message.startsWith('timeout exceeded when trying to connect')
  ) {
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
