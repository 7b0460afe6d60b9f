/** The numbers of a journal, one by one: what stands there by the rows, and what a reader heard. */

import type { JournalEvent } from '../../src/client/events.ts';
import type { TestDatabase } from './database.ts';

/** One thing that was told: an event, or the text of one number of a delta. */
export interface Told {
  seq: number;
  what: unknown;
  /** Of a delta: where it belongs. */
  part: string | null;
  delta: string;
}

/** What each number of the conversation stands for, by the rows: merged deltas are taken apart again. */
export async function numbersOf(database: TestDatabase, threadId: string): Promise<Told[]> {
  const rows = await database.query<{
    seq: string;
    seq_from: string;
    marks: number[] | null;
    type: string;
    data: Record<string, unknown>;
  }>('select seq, seq_from, marks, type, data from events where conversation_id = $1 order by seq', [
    threadId,
  ]);
  return rows.flatMap((row): Told[] => {
    const delta = row.data.delta;
    if (typeof delta !== 'string') {
      return [{ seq: Number(row.seq), what: [row.type, row.data], part: null, delta: '' }];
    }
    const { call, part } = row.data;
    const ends = row.marks ?? [delta.length];
    return ends.map((end, index) => ({
      seq: Number(row.seq_from) + index,
      what: null,
      part: `${row.type} ${call} ${part}`,
      delta: delta.slice(ends[index - 1] ?? 0, end),
    }));
  });
}

/** The same as a reader heard it. */
export function heardOf(events: readonly JournalEvent[]): Told[] {
  return events.map(({ seq, type, data }) => {
    const { turn_id: _turn, run_id: _run, at: _at, ...fact } = data as Record<string, unknown>;
    if (typeof fact.delta !== 'string') return { seq, what: [type, fact], part: null, delta: '' };
    return { seq, what: null, part: `${type} ${fact.call} ${fact.part}`, delta: fact.delta };
  });
}

/** How text was cut into deltas is nobody's business; where it stands and its last number are. */
export function joined(told: readonly Told[]): Told[] {
  const all: Told[] = [];
  for (const one of told) {
    const last = all.at(-1);
    if (last?.part != null && last.part === one.part) {
      last.delta += one.delta;
      last.seq = one.seq;
    } else all.push({ ...one });
  }
  return all;
}
