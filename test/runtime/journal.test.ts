/** The journal of a process on a store that fails: nothing is stored twice, and nothing is lost. */

import { describe, expect, it } from 'vitest';
import { createJournal } from '../../src/runtime/journal.ts';
import type { JournalStore } from '../../src/runtime/ports.ts';
import { beginTurn, journalOf } from '../contracts/turn-ports.ts';
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
