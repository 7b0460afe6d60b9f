/** Lists by (created_at, id), newest first: the cursor's two values and the condition they stand for. */

import { type RawBuilder, type SqlBool, sql } from 'kysely';
import { z } from 'zod';
import type { Cursors } from '../http/cursors.ts';

/** A row's instant in full precision; a JavaScript Date would lose the microseconds that tell two rows apart. */
export const madeAt = sql<string>`to_char(created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

const position = z.tuple([
  z.iso.datetime({ precision: 6 }).refine((value) => Date.parse(value) >= 0),
  z.uuid(),
]);

/** Cuts what was read with `limit + 1` to a page; `next_cursor` stands behind its last row. */
export function pageOf<Row extends { id: string; made_at: string }>(
  cursors: Cursors,
  found: readonly Row[],
  limit: number,
) {
  const rows = found.slice(0, limit);
  const last = rows.at(-1);
  const hasMore = found.length > limit && last !== undefined;
  return { rows, next_cursor: hasMore ? cursors.encode([last.made_at, last.id]) : null, has_more: hasMore };
}

/** The rows behind the cursor; throws `VALIDATION_ERROR` where it is not one of ours. */
export function behind(cursors: Cursors, cursor: string): RawBuilder<SqlBool> {
  const [instant, id] = cursors.decode(cursor, position);
  return sql<SqlBool>`(created_at, id) < (${instant}::timestamptz, ${id}::uuid)`;
}
