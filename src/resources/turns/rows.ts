/** Journal rows as the database has them, there and back. */

import type { EventType, NewEvent } from '../../runtime/events.ts';
import type { StoredEvent } from '../../runtime/ports.ts';

/** A row for `jsonb_to_recordset`. */
export interface EventRecord {
  seq: number;
  seq_from: number;
  marks: number[] | null;
  turn_id: string | null;
  run_id: string | null;
  type: string;
  data: unknown;
  at: string;
}

export interface EventRow {
  seq: string;
  seq_from: string;
  marks: number[] | null;
  turn_id: string | null;
  run_id: string | null;
  type: EventType;
  data: never;
  at: Date;
}

export function toRecord(row: StoredEvent): EventRecord {
  return {
    seq: row.seq,
    seq_from: row.seqFrom,
    marks: row.marks,
    turn_id: row.turnId,
    run_id: row.runId,
    type: row.event.type,
    data: row.event.data,
    at: row.at,
  };
}

export function fromRow(row: EventRow): StoredEvent {
  const event: NewEvent = { type: row.type, data: row.data };
  return {
    seq: Number(row.seq),
    seqFrom: Number(row.seq_from),
    marks: row.marks,
    turnId: row.turn_id,
    runId: row.run_id,
    at: row.at.toISOString(),
    event,
  };
}

/** JSON that PostgreSQL's jsonb takes: without NUL and half surrogate pairs, which JSON can spell and jsonb cannot hold. */
export function toJson(value: unknown): string {
  const text = JSON.stringify(value);
  // Stringify writes \u only for control characters and lone surrogates, so most texts pay for one search. Keys are covered too.
  if (!text.includes('\\u')) return text;
  return text.replace(/\\(?:\\|u(?:0000|d[89a-f][0-9a-f]{2}))/g, (found) =>
    found === '\\\\' ? found : '\\ufffd',
  );
}

/** The columns of the journal in a `jsonb_to_recordset`. */
export const EVENT_COLUMNS =
  'seq bigint, seq_from bigint, marks int[], turn_id uuid, run_id uuid, type text, data jsonb, at timestamptz';
