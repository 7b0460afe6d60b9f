/** Turns input into what a schema promises, or into the contract's validation error. */

import { z } from 'zod';
import { type ErrorDetail, ServiceError } from '../errors.ts';

/** A boolean in a query. It arrives as text, and is told as what it stands for. */
export const queryBoolean = z.stringbool().meta({ type: 'boolean' });

/** Parses `value`; throws `VALIDATION_ERROR` whose details name each faulty field below `place`; in a path, `NOT_FOUND`. */
export function parseInput<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  place: 'body' | 'query' | 'path',
): z.output<Schema> {
  const outcome = schema.safeParse(value);
  if (outcome.success) return outcome.data;
  // A path that cannot name anything names nothing.
  if (place === 'path') throw new ServiceError('NOT_FOUND', 'There is no such thing here.');
  const details: ErrorDetail[] = outcome.error.issues.slice(0, 20).map((issue) => ({
    loc: [place, ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))],
    msg: issue.message,
    type: issue.code,
  }));
  throw new ServiceError('VALIDATION_ERROR', 'The request failed validation', { details });
}
