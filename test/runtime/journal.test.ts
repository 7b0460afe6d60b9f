/** The journal of a process on a store that fails: nothing is stored twice, and nothing is lost. */

import { describe, expect, it } from 'vitest';
import type { JournalEvent } from '../../src/runtime/events.ts';
import { createJournal } from '../../src/runtime/journal.ts';
import type { JournalStore, LeasedTurn, StoredEvent } from '../../src/runtime/ports.ts';
import { batchOf, beginTurn, journalOf, notice, numbered } from '../contracts/turn-ports.ts';
import { realClock } from '../support/service.ts';
import { createMemoryTurnPorts } from '../support/turn-ports.ts';

const connectionLost = () => Object.assign(new Error('the connection was lost'), { code: '08006' });

describe('a reader who reads rows in the moment in which the run ends', () => {
  it('is told its end, though nobody wakes it', async () => {
    const ports = createMemoryTurnPorts();
    const { turn, events } = await beginTurn(ports);
    const reading = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    let reads = 0;
    const store: JournalStore = {
      ...ports.journal,
      async read(...asked) {
        reads += 1;
        const rows = await ports.journal.read(...asked);
        if (reads === 2) {
          reading.resolve();
          await ended.promise;
        }
        return rows;
      },
    };
    const journal = createJournal({
      store,
      wake: { onJournal: () => () => {} },
      clock: realClock,
      onFlushError: () => {},
    });
    const reader = journal.follow(turn, 0);
    // The first look finds what began the turn; the run is opened here behind it, as after a takeover.
    expect(await reader.next(10)).toHaveLength(events.length);
    const run = journal.open({ ...turn, nextSeq: turn.nextSeq + 10 }, []);
    const second = reader.next(10);
    await reading.promise;
    run.tell({ type: 'notice', data: { code: 'LAST', message: 'The last word.' } });
    await run.flushed();
    run.close();
    ended.resolve();
    expect((await second).map(({ type }) => type)).toEqual(['notice']);
    reader.close();
  });
});

describe('a reader behind a number that another process told', () => {
  /** A run that lives elsewhere, of which all before `text` is stored, and a reader here. */
  async function elsewhere(claims: (turn: LeasedTurn) => number) {
    const ports = createMemoryTurnPorts();
    const { turn, events } = await beginTurn(ports);
    const waiting = new Set<() => void>();
    const journal = createJournal({
      store: ports.journal,
      wake: {
        onJournal: (_threadId, callback) => {
          waiting.add(callback);
          return () => void waiting.delete(callback);
        },
      },
      clock: realClock,
      onFlushError: () => {},
    });
    const heard: JournalEvent[] = [];
    const skipped: JournalEvent[] = [];
    const reader = journal.follow(turn, claims(turn), {
      floor: events.at(-1)?.seq ?? 0,
      onSkipped: (event) => skipped.push(event),
      onDisproved: () => skipped.splice(0),
    });
    return {
      turn,
      heard,
      skipped,
      /** The other process stores these, and wakes. */
      async store(...rows: StoredEvent[]) {
        await ports.journal.append([batchOf(turn, rows)]);
        for (const callback of waiting) callback();
        for (let events = await reader.next(2); events.length > 0; events = await reader.next(2))
          heard.push(...events);
      },
    };
  }

  const place = { message_id: 'message', call: 1, part: 0 };
  function delta(turn: LeasedTurn, ...pieces: string[]): StoredEvent {
    const rows = pieces.map((piece) =>
      numbered(turn, { type: 'text-delta', data: { ...place, delta: piece } }),
    );
    const first = rows[0] as StoredEvent;
    const marks = pieces.map((_, index) => pieces.slice(0, index + 1).join('').length);
    return {
      ...first,
      seq: rows.at(-1)?.seq ?? first.seq,
      marks,
      event: { type: 'text-delta', data: { ...place, delta: pieces.join('') } },
    };
  }

  it('hears the exact rest, where it is stored a moment later', async () => {
    const { turn, heard, skipped, store } = await elsewhere(({ nextSeq }) => nextSeq + 2);
    const start = numbered(turn, { type: 'text-start', data: place });
    await store(start);
    expect(heard).toEqual([]);
    await store(delta(turn, 'one ', 'two ', 'three '));
    await store(numbered(turn, { type: 'text-end', data: { ...place, text: 'one two three ' } }));
    expect(heard.map(({ type, data }) => [type, 'delta' in data ? data.delta : null])).toEqual([
      ['text-delta', 'three '],
      ['text-end', null],
    ]);
    // What it has had by its own account belongs to the story as well.
    expect(skipped.map(({ seq, data }) => [seq, 'delta' in data ? data.delta : null])).toEqual([
      [start.seq, null],
      [start.seq + 2, 'one two '],
    ]);
  });

  it('hears all from now on, where nobody ever told it', async () => {
    const { turn, heard, skipped, store } = await elsewhere(({ nextSeq }) => nextSeq + 500_000);
    const rows = [
      numbered(turn, { type: 'text-start', data: place }),
      delta(turn, 'one ', 'two '),
      numbered(turn, { type: 'text-end', data: { ...place, text: 'one two ' } }),
    ];
    for (const row of rows) await store(row);
    expect(heard).toEqual([]);
    // That is stored before it is told: who has had a later number has had it when it came.
    await store(numbered(turn, { type: 'tool-end', data: { tool_call_id: 'call', status: 'ok' } }));
    await store(numbered(turn, notice('The last word.')));
    expect(heard.map(({ type }) => type)).toEqual([
      'text-start',
      'text-delta',
      'text-end',
      'tool-end',
      'notice',
    ]);
    expect(heard[1]?.data).toMatchObject({ delta: 'one two ' });
    expect(skipped).toEqual([]);
  });
});

describe('a flush whose commit got through although its answer was lost', () => {
  it('is tried again without a row that has grown meanwhile', async () => {
    const ports = createMemoryTurnPorts();
    const { turn, events } = await beginTurn(ports);
    const failed = Promise.withResolvers<void>();
    let tries = 0;
    const store: JournalStore = {
      ...ports.journal,
      async append(batches) {
        tries += 1;
        const lost = await ports.journal.append(structuredClone(batches));
        if (tries === 1) throw connectionLost();
        return lost;
      },
    };
    const journal = createJournal({
      store,
      wake: { onJournal: () => () => {} },
      clock: realClock,
      onFlushError: () => failed.resolve(),
    });
    const run = journal.open(turn, events);
    const say = async (delta: string) => {
      run.delta({ type: 'text-delta', data: { message_id: turn.messageId, call: 1, part: 0, delta } });
      const { seq } = events.at(-1) ?? { seq: 0 };
      const reader = journal.follow(turn, seq);
      for (let told = ''; !told.includes(delta); ) {
        const next = await reader.next(10);
        told += next.map(({ data }) => ('delta' in data ? data.delta : '')).join('');
        if (next.length === 0) await new Promise<void>((resolve) => reader.onMore(resolve));
      }
      reader.close();
    };
    await say('one ');
    await failed.promise;
    await say('two ');
    await run.flushed();
    const rows = (await journalOf(ports, turn.threadId)).slice(events.length);
    const text = rows.map(({ event }) => ('delta' in event.data ? event.data.delta : '')).join('');
    expect(text).toBe('one two ');
    expect(rows.map(({ seqFrom }) => seqFrom)).toEqual(
      rows.map((_row, index) => (rows[index - 1]?.seq ?? events.at(-1)?.seq ?? 0) + 1),
    );
    expect(tries).toBeGreaterThan(1);
    run.close();
  });
});
