/** Event streams as answers of a route: counted by principal, and ended when the process leaves or the caller may not go on. */

import type { Readable } from 'node:stream';
import { ServiceError } from '../errors.ts';
import { type Caller, principalOf } from '../runtime/caller.ts';
import type { Clock } from '../runtime/ports.ts';
import { createEventStream, EVENT_STREAM_HEADERS, type EventStreamNeeds } from './sse.ts';

export interface StreamsNeeds {
  clock: Clock;
  draining: AbortSignal;
  /** Whether the caller's key or session still holds. */
  stillHolds(caller: Caller): Promise<boolean>;
}

/** What a door says of one stream. */
export type StreamTelling = Pick<
  EventStreamNeeds,
  'reader' | 'frame' | 'until' | 'endWhenRead' | 'prelude' | 'farewell'
>;

/** Streams that one principal may hold open in this process. */
const STREAMS_EACH = 200;

export type Streams = ReturnType<typeof createStreams>;

export function createStreams({ clock, draining, stillHolds }: StreamsNeeds) {
  const open = new Map<string, number>();

  /** Counts one more stream of the caller until the client has left; throws `TOO_MANY_STREAMS`. */
  function admit(caller: Caller, gone: AbortSignal): void {
    const principal = `${caller.workspaceId} ${principalOf(caller)}`;
    const count = (open.get(principal) ?? 0) + 1;
    if (count > STREAMS_EACH) {
      throw new ServiceError(
        'TOO_MANY_STREAMS',
        `At most ${STREAMS_EACH} streams may be open at once. Close one, or share one.`,
        { headers: { 'retry-after': '5' }, facts: { limit: 'streams' } },
      );
    }
    // Who left while the stream was made ready is not told of any more.
    if (gone.aborted) return;
    open.set(principal, count);
    gone.addEventListener('abort', () => {
      const left = (open.get(principal) ?? 1) - 1;
      if (left === 0) open.delete(principal);
      else open.set(principal, left);
    });
  }

  /** Opens a stream for the caller; throws `TOO_MANY_STREAMS`. `gone` aborts when the client has left. */
  function tell(
    caller: Caller,
    gone: AbortSignal,
    headers: Record<string, string>,
    telling: StreamTelling,
  ): { status: 200; stream: Readable; headers: Record<string, string> } {
    try {
      admit(caller, gone);
    } catch (error) {
      telling.reader.close();
      throw error;
    }
    const body = createEventStream({ ...telling, clock, draining, mayGoOn: () => stillHolds(caller) });
    return { status: 200, stream: body, headers: { ...EVENT_STREAM_HEADERS, ...headers } };
  }

  /** How many streams are open here. */
  function count(): number {
    return [...open.values()].reduce((sum, one) => sum + one, 0);
  }

  return Object.assign(tell, { admit, count });
}
