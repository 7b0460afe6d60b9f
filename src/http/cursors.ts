/** Lists by cursor: opaque, signed, stable under concurrent writes, and checked when they come back. */

import { createHmac, createSecretKey, hkdfSync, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { ServiceError } from '../errors.ts';

export interface Cursors {
  /** A cursor that stands behind the row with these sort values. */
  encode(values: readonly (string | number)[]): string;
  /**
   * The values of a cursor, which `schema` describes; throws `VALIDATION_ERROR` on what was not signed here or is another
   * list's. Row level security, not the cursor, guards the rows.
   */
  decode<Schema extends z.ZodType>(cursor: string, schema: Schema): z.output<Schema>;
}

const MAC_BYTES = 16;

/** Signs and reads cursors by a key that is made of SIGNING_SECRET, so those of one process are read by all (design.md §9). */
export function createCursors({ signingSecret }: { signingSecret: string }): Cursors {
  // A key of its own: what is signed here means nothing anywhere else (RFC 5869).
  const key = createSecretKey(Buffer.from(hkdfSync('sha256', signingSecret, '', 'overture/cursor/1', 32)));
  const macOf = (values: Buffer) => createHmac('sha256', key).update(values).digest().subarray(0, MAC_BYTES);
  return {
    encode(values) {
      const bytes = Buffer.from(JSON.stringify(values));
      return Buffer.concat([macOf(bytes), bytes]).toString('base64url');
    },

    decode(cursor, schema) {
      const bytes = Buffer.from(cursor, 'base64url');
      const [mac, values] = [bytes.subarray(0, MAC_BYTES), bytes.subarray(MAC_BYTES)];
      if (mac.length < MAC_BYTES || !timingSafeEqual(mac, macOf(values))) throw foreignCursor();
      const parsed = schema.safeParse(JSON.parse(values.toString('utf8')));
      if (!parsed.success) throw foreignCursor();
      return parsed.data;
    },
  };
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

/** The position of lists that are ordered by id alone. */
export const idPosition = z.tuple([z.uuid()]);
