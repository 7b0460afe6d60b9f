/** Follows a conversation's journal: an exact sequence of events, whatever happens to the connections below. */

import type { EventSourceMessage } from 'eventsource-parser';
import { type Clock, within } from './clock.ts';
import { ClientError } from './errors.ts';
import type { JournalEvent } from './events.ts';
import { followFrames, type OnConnection } from './frames.ts';

/** How long the service may take to end a body after the last event, so that the connection can be used again. */
const LINGER_MS = 1_000;

export interface FollowOptions {
  /** Events after this `seq`; without it, from now on. */
  after?: number | undefined;
  /** Where to stop: when no run is live (the service ends the stream), or after the first event that fits. */
  until?: 'idle' | ((event: JournalEvent) => boolean) | undefined;
  signal?: AbortSignal | undefined;
  onConnection?: OnConnection | undefined;
}

export interface JournalSource extends FollowOptions {
  open(lastEventId: string | undefined, signal: AbortSignal): Promise<Response>;
  firstAttempts?: number;
  /** The service ends the body itself after the last event. */
  endsByItself?: boolean;
}

export interface Journal {
  /** Resolves when the stream is up; false where it ended before that. Throws as `events` does. */
  opened(): Promise<boolean>;
  /** To be read once. */
  events: AsyncGenerator<JournalEvent, void, void>;
}

/**
 * The journal as one sequence: no event twice, none left out behind the first cursor. An abort ends the sequence without
 * an error. Throws `ClientError` for a refusal and for frames that cannot be read.
 */
export function followJournal(clock: Clock, source: JournalSource): Journal {
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  source.signal?.addEventListener('abort', abort);
  if (source.signal?.aborted) stop.abort();
  let last = source.after ?? -1;
  let live = false;
  let over = false;
  const arrivals = followFrames(clock, {
    open: source.open,
    lastEventId: source.after?.toString(),
    isOver: (toldToReturn) => over || (source.until === 'idle' && !live && !toldToReturn),
    firstAttempts: source.firstAttempts,
    onConnection: source.onConnection,
    signal: stop.signal,
  });

  async function* read(): AsyncGenerator<JournalEvent, void, void> {
    try {
      for (;;) {
        const arrival = await arrivals.next();
        if (arrival.done) return;
        if (arrival.value === 'open') continue;
        for (const frame of arrival.value) {
          if (stop.signal.aborted) return;
          const event = readEvent(frame);
          if (event === null || event.seq <= last) continue;
          last = event.seq;
          live = isLive(event, live);
          yield event;
          if (typeof source.until !== 'function' || !source.until(event)) continue;
          over = true;
          if (source.endsByItself) await within(clock, LINGER_MS, arrivals.next()).catch(() => undefined);
          return;
        }
      }
    } finally {
      source.signal?.removeEventListener('abort', abort);
      stop.abort();
      await arrivals.return();
    }
  }

  return {
    async opened() {
      return (await arrivals.next()).done !== true;
    },
    events: read(),
  };
}

/** A frame without a number is no fact of the journal. */
function readEvent(frame: EventSourceMessage): JournalEvent | null {
  if (frame.id === undefined || !/^\d+$/.test(frame.id)) return null;
  const seq = Number(frame.id);
  const type = frame.event ?? 'message';
  try {
    return { seq, type, data: JSON.parse(frame.data) } as JournalEvent;
  } catch (error) {
    throw new ClientError(0, 'BAD_FRAME', `The data of event ${seq} (${type}) is not JSON.`, {
      cause: error,
    });
  }
}

/** Whether a run is known to be live: only then is a proper end of the body a drop when following until idle. */
function isLive(event: JournalEvent, before: boolean): boolean {
  switch (event.type) {
    case 'run-end':
      return event.data.status === 'lost';
    case 'snapshot':
      return event.data.conversation.status === 'running';
    // These are also told while no run is live: by a decision, an expiry, a rename.
    case 'user-message':
    case 'approval-end':
    case 'tool-end':
    case 'notice':
    case 'conversation-update':
      return before;
    default:
      return true;
  }
}
