/** An event stream as a readable body: it follows a reader, beats in silence, and never holds more than it may. */

import { Readable } from 'node:stream';
import type { JournalEvent } from '../runtime/events.ts';
import type { Reader } from '../runtime/journal.ts';
import type { Clock } from '../runtime/ports.ts';

export interface EventStreamNeeds {
  reader: Reader;
  clock: Clock;
  frame(event: JournalEvent): string;
  /** True for the event after which the stream ends. */
  until(event: JournalEvent): boolean;
  /** Asked when all was read: true ends the stream instead of waiting for more. */
  endWhenRead?(): boolean;
  /** Frames sent before the reader's first. */
  prelude?: string;
  /** Aborts when the process drains: the client is told to come back, and the stream ends. */
  draining: AbortSignal;
  /** Checked from time to time; false ends the stream (a revoked key, an expired token). */
  mayGoOn?(): Promise<boolean>;
  /**
   * The last frames where the stream ends before its story does; without it the time after which to come back. Null breaks
   * the connection off, for clients that take a proper end for the end of the story.
   */
  farewell?: string | null;
}

/** A comment after so much silence (design.md §4). */
const PING_MS = 10_000;
const RECHECK_MS = 60_000;
/** What a stream may hold for a slow client; the rest waits in the journal. */
const BUFFER_BYTES = 64 * 1024;
const BATCH = 64;

export const EVENT_STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
} as const;

/** Makes the body. When the client goes, only the reader is closed. */
export function createEventStream(needs: EventStreamNeeds): Readable {
  const { reader, clock, frame, until, draining } = needs;
  let ended = false;
  let wanted = false;
  let reading = false;
  /** What was read, and how much of it is sent: texts are the journal's own until they are made into frames. */
  let read: readonly JournalEvent[] = [];
  let sent = 0;
  let stopPing = () => {};
  let stopRecheck = () => {};

  const stream = new Readable({
    highWaterMark: BUFFER_BYTES,
    read() {
      wanted = true;
      pump();
    },
    destroy(error, callback) {
      end();
      // A client that leaves is no error.
      callback(error);
    },
  });

  function end(): void {
    if (ended) return;
    ended = true;
    read = [];
    stopPing();
    stopRecheck();
    draining.removeEventListener('abort', drain);
    reader.close();
  }

  function finish(last?: string): void {
    if (ended) return;
    end();
    if (last !== undefined) stream.push(last);
    stream.push(null);
  }

  /** Sends what there is while the client takes it; then waits for the one that is missing. */
  function pump(): void {
    while (wanted && !ended && !reading) {
      if (sent < read.length) {
        send();
        continue;
      }
      const next = reader.next(BATCH);
      if (next instanceof Promise) {
        reading = true;
        next.then(
          (events) => {
            reading = false;
            if (take(events)) pump();
          },
          (error: Error) => stream.destroy(error),
        );
        return;
      }
      if (!take(next)) return;
    }
  }

  /** Whether there is something to send. */
  function take(events: readonly JournalEvent[]): boolean {
    if (ended) return false;
    read = events;
    sent = 0;
    if (events.length > 0) return true;
    if (needs.endWhenRead?.() === true) finish();
    else reader.onMore(pump);
    return false;
  }

  /** Makes frames of what was read, as many as the stream may hold. */
  function send(): void {
    let text = '';
    for (; sent < read.length && text.length < BUFFER_BYTES; sent += 1) {
      const event = read[sent];
      if (event === undefined) continue;
      text += frame(event);
      if (until(event)) {
        finish(text);
        return;
      }
    }
    if (sent === read.length) read = [];
    // Not every event is a frame in every protocol.
    if (text === '') return;
    ping();
    wanted = stream.push(text);
  }

  function ping(): void {
    stopPing();
    stopPing = clock.after(PING_MS, () => {
      if (ended) return;
      // A client that does not read gets no more beats either.
      if (wanted) wanted = stream.push(': ping\n\n');
      ping();
    });
  }

  function recheck(): void {
    if (ended) return;
    stopRecheck = clock.after(RECHECK_MS, () => {
      needs.mayGoOn?.().then(
        (may) => (may ? recheck() : leave('')),
        () => recheck(),
      );
    });
  }

  function leave(last: string): void {
    if (needs.farewell !== null) {
      finish(needs.farewell ?? last);
      return;
    }
    end();
    // As if the network had gone: nobody logs that.
    stream.destroy(Object.assign(new Error('the stream was broken off'), { code: 'ECONNRESET' }));
  }

  const drain = (): void => leave('retry: 500\n\n');

  stream.push(`retry: 1000\n\n${needs.prelude ?? ''}`);
  ping();
  if (needs.mayGoOn !== undefined) recheck();
  if (draining.aborted) queueMicrotask(drain);
  else draining.addEventListener('abort', drain);
  return stream;
}
