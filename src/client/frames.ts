/** Server-sent events over connections that come and go: opens, reads, notices drops and silence, waits, opens again. */

import { createParser, type EventSourceMessage, type ParseError } from 'eventsource-parser';
import { type Clock, pause, within } from './clock.ts';
import { ClientError } from './errors.ts';

/** Three heartbeats (design.md §4: a comment every 10 s of silence): a connection that says nothing for so long is dead. */
const SILENCE_MS = 30_000;
/** Until the service's first `retry:`. */
const DEFAULT_RETRY_MS = 1_000;
/** Where the doubling stops, unless the service asks for more. */
const MAX_BACKOFF_MS = 30_000;
/** No wish of the service makes the client wait longer. */
const MAX_WAIT_MS = 300_000;
/** Characters one frame may have. */
const MAX_FRAME_SIZE = 4 * 1024 * 1024;

/** Says when a stream comes up and when it is lost (or cannot be had); after `lost` the client tries again by itself. */
export type OnConnection = (state: 'open' | 'lost') => void;

export interface FrameOptions {
  /** Asks for the stream from behind `lastEventId` on. Throws `ClientError` for a refusal. */
  open(lastEventId: string | undefined, signal: AbortSignal): Promise<Response>;
  lastEventId?: string | undefined;
  /** Asked where the body came to a proper end. `toldToReturn`: the service sent `retry:` again before it, as a draining one does. */
  isOver(toldToReturn: boolean): boolean;
  /** How often to try before the first opening; later openings are tried without end. */
  firstAttempts?: number;
  onConnection?: OnConnection | undefined;
  signal: AbortSignal;
}

/**
 * Tells `'open'` at each opening and then the frames as they arrive, some at a time. After a drop (socket error, end of
 * body that `isOver` denies, 30 s without a byte) or a 5xx it opens again with the last event id, after the service's
 * `retry:` doubled with each failure and lengthened by chance; a 429 after the first opening is waited out as well.
 * Ends on abort, on a 204 and where `isOver` says so. Throws `ClientError` for any other refusal.
 */
export async function* followFrames(
  clock: Clock,
  options: FrameOptions,
): AsyncGenerator<'open' | EventSourceMessage[], void, void> {
  const { signal } = options;
  let lastEventId = options.lastEventId;
  let retry = DEFAULT_RETRY_MS;
  let opened = false;
  let told: 'open' | 'lost' | undefined;
  const tell = (state: 'open' | 'lost'): void => {
    if (state !== told) options.onConnection?.(state);
    told = state;
  };
  let failures = 0;
  while (!signal.aborted) {
    const attempt = new AbortController();
    const stop = (): void => attempt.abort();
    signal.addEventListener('abort', stop);
    let retryAfter = 0;
    try {
      const response = await within(clock, SILENCE_MS, options.open(lastEventId, attempt.signal));
      if (response.status === 204 || response.body === null) return;
      opened = true;
      tell('open');
      yield 'open';
      let retriesHeard = 0;
      const reader = createFrameReader(clock, response.body, {
        onId: (id) => {
          lastEventId = id === '' ? undefined : id;
        },
        onRetry: (milliseconds) => {
          retry = Math.max(1, milliseconds);
          retriesHeard += 1;
        },
        onComment: () => {
          failures = 0;
        },
      });
      for (;;) {
        const frames = await reader.read();
        if (frames === null) break;
        if (frames.length === 0) continue;
        failures = 0;
        yield frames;
      }
      if (options.isOver(retriesHeard > 1)) return;
    } catch (error) {
      if (signal.aborted) return;
      const final = error instanceof ClientError && !isPassing(error, opened);
      if (final || (!opened && failures + 1 >= (options.firstAttempts ?? Number.POSITIVE_INFINITY)))
        throw error;
      retryAfter = error instanceof ClientError ? (error.retryAfter ?? 0) * 1_000 : 0;
    } finally {
      signal.removeEventListener('abort', stop);
      attempt.abort();
    }
    tell('lost');
    const backoff = Math.min(Math.max(MAX_BACKOFF_MS, retry), retry * 2 ** failures);
    const wait = Math.max(retryAfter, backoff * (1 + clock.random() / 2));
    failures += 1;
    await pause(clock, Math.min(MAX_WAIT_MS, wait), signal);
  }
}

function isPassing(error: ClientError, opened: boolean): boolean {
  // 408: somebody on the way took the request for one that never came (RFC 9110 §15.5.9).
  return error.status === 408 || error.status >= 500 || (error.status === 429 && opened);
}

interface ReaderHooks {
  onId(id: string): void;
  onRetry(milliseconds: number): void;
  onComment(): void;
}

/** Reads one body. `read` gives what the next bytes completed (perhaps nothing), null at the end; it throws on a broken socket, on silence and on a frame that is too large. */
function createFrameReader(
  clock: Clock,
  body: ReadableStream<Uint8Array>,
  hooks: ReaderHooks,
): { read(): Promise<EventSourceMessage[] | null> } {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let frames: EventSourceMessage[] = [];
  let fault: ParseError | undefined;
  const parser = createParser({
    ...hooks,
    maxBufferSize: MAX_FRAME_SIZE,
    onEvent: (message) => frames.push(message),
    onError: (error) => {
      // Unknown fields and odd retries are passed over, as the standard asks.
      if (error.type === 'max-buffer-size-exceeded') fault = error;
    },
  });
  return {
    async read() {
      if (fault !== undefined) {
        throw new ClientError(0, 'FRAME_TOO_LARGE', `An event is larger than ${MAX_FRAME_SIZE} characters.`, {
          cause: fault,
        });
      }
      const { done, value } = await within(clock, SILENCE_MS, reader.read());
      if (done) return null;
      parser.feed(decoder.decode(value, { stream: true }));
      const complete = frames;
      frames = [];
      return complete;
    },
  };
}
