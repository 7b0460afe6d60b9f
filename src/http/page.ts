/** Lists by cursor: opaque, stable under concurrent writes, and checked when they come back. */

import { z } from 'zod';
import { ServiceError } from '../errors.ts';

/** Writes a cursor that stands behind the row with these sort values. */
export function encodeCursor(values: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(values)).toString('base64url');
}

/** The refusal that any cursor deserves which is not one of ours. */
export function foreignCursor(): ServiceError {
  return new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
    details: [
      {
        loc: ['query', 'cursor'],
        msg: 'This cursor is not one of ours; start again without it.',
        type: 'invalid_cursor',
      },
    ],
  });
}

/** Reads a cursor whose values `schema` describes; throws `VALIDATION_ERROR` on anything else. Row level security, not the cursor, guards the rows. */
export function decodeCursor<Schema extends z.ZodType>(cursor: string, schema: Schema): z.output<Schema> {
  try {
    return schema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
  } catch {
    throw foreignCursor();
  }
}

/** The position of lists that are ordered by id alone. */
export const idPosition = z.tuple([z.uuid()]);
