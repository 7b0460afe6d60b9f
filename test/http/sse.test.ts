/** An event stream by itself: what it holds for a client, and when it beats and ends. */

import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createEventStream, type EventStreamNeeds } from '../../src/http/sse.ts';
import type { JournalEvent } from '../../src/runtime/events.ts';
import type { Reader } from '../../src/runtime/journal.ts';

/** A reader with these events, given out as they are asked for. */
function readerOf(events: JournalEvent[]): Reader & { left(): number; closed(): boolean; more(): void } {
  let rest = events;
  let closed = false;
  let more = () => {};
  return {
    next(max) {
      const next = rest.slice(0, max);
      rest = rest.slice(max);
      return next;
    },
    onMore(callback) {
      more = callback;
    },
    close() {
      closed = true;
    },
    left: () => rest.length,
    closed: () => closed,
    more: () => more(),
  };
}

function delta(seq: number, text: string): JournalEvent {
  return {
    seq,
    type: 'text-delta',
    turn_id: 'turn',
    run_id: 'run',
    at: '2026-01-01T00:00:00.000Z',
    data: { message_id: 'message', call: 1, part: 0, delta: text },
  };
}

function open(reader: Reader, needs: Partial<EventStreamNeeds> = {}) {
  const timers: { ms: number; callback: () => void }[] = [];
  const leaving = new AbortController();
  const stream = createEventStream({
    reader,
    clock: {
      now: () => 0,
      after(ms, callback) {
        const timer = { ms, callback };
        timers.push(timer);
        return () => void timers.splice(timers.indexOf(timer) >>> 0, 1);
      },
    },
    frame: (event) => `id: ${event.seq}\n\n${'delta' in event.data ? event.data.delta : ''}\n\n`,
    until: () => false,
    draining: leaving.signal,
    ...needs,
  });
  const fire = (ms: number) => timers.find((timer) => timer.ms === ms)?.callback();
  return { stream, fire, leave: () => leaving.abort() };
}

async function textOf(stream: Readable): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text;
}

const KIB = 1024;

describe('a client that does not read', () => {
  it('is held 64 KiB and one event for, however much there is to tell', async () => {
    const events = Array.from({ length: 500 }, (_, index) => delta(index + 1, 'x'.repeat(16 * KIB)));
    const reader = readerOf(events);
    const { stream } = open(reader);
    // One look at the stream makes it read ahead.
    stream.read(0);
    await new Promise((resolve) => setImmediate(resolve));
    expect(stream.readableLength).toBeLessThanOrEqual((64 + 17) * KIB);
    expect(stream.readableLength).toBeGreaterThan(32 * KIB);
    expect(reader.left()).toBeGreaterThan(400);
    stream.destroy();
    await once(stream, 'close');
    expect(reader.closed()).toBe(true);
  });

  it('gets no beats either, and everything in order when it reads at last', async () => {
    const events = Array.from({ length: 300 }, (_, index) => delta(index + 1, 'x'.repeat(2 * KIB)));
    const { stream, fire } = open(readerOf(events), { until: (event) => event.seq === 300 });
    stream.read(0);
    await new Promise((resolve) => setImmediate(resolve));
    const held = stream.readableLength;
    for (let beat = 0; beat < 1000; beat += 1) fire(10_000);
    expect(stream.readableLength).toBe(held);
    const text = await textOf(stream);
    expect([...text.matchAll(/id: (\d+)/g)].map(([, seq]) => Number(seq))).toEqual(
      events.map(({ seq }) => seq),
    );
  });
});

describe('a client that reads', () => {
  it('hears a beat after ten seconds of silence, and again', async () => {
    const { stream, fire, leave } = open(readerOf([delta(1, 'One.')]));
    const text = textOf(stream);
    await new Promise((resolve) => setImmediate(resolve));
    fire(10_000);
    fire(10_000);
    leave();
    expect(await text).toBe('retry: 1000\n\nid: 1\n\nOne.\n\n: ping\n\n: ping\n\nretry: 500\n\n');
  });

  it('is told to come back when the process leaves, even if it came only then', async () => {
    const leaving = new AbortController();
    leaving.abort();
    const { stream } = open(readerOf([]), { draining: leaving.signal });
    expect(await textOf(stream)).toBe('retry: 1000\n\nretry: 500\n\n');
  });

  it('is let go when it may not go on', async () => {
    let may = true;
    const { stream, fire } = open(readerOf([]), { mayGoOn: async () => may });
    const text = textOf(stream);
    fire(60_000);
    await new Promise((resolve) => setImmediate(resolve));
    may = false;
    fire(60_000);
    expect(await text).toBe('retry: 1000\n\n');
  });
});
