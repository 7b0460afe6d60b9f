/** Lists by cursor: opaque, stable under concurrent writes, and checked when they come back. */

import { ServiceError } from '../errors.ts';

/** Writes a cursor that stands behind the row with these sort values. */
export function encodeCursor(values: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(values)).toString('base64url');
}

/** Reads a cursor of `length` values; throws `VALIDATION_ERROR` on anything else. Row level security, not the cursor, guards the rows. */
export function decodeCursor(cursor: string, length: number): (string | number)[] {
  try {
    const values: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (
      Array.isArray(values) &&
      values.length === length &&
      values.every((value) => typeof value === 'string' || Number.isSafeInteger(value))
    ) {
      return values;
    }
  } catch {
    // Falls through to the one refusal below.
  }
  throw new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
    details: [{ loc: ['query', 'cursor'], msg: 'This cursor is not one of ours; start again without it.', type: 'invalid_cursor' }],
  });
}
