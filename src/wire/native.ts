/** Our own wire format: each journal event as one numbered SSE frame (design.md §4). */

import { isDelta, type JournalEvent } from '../runtime/events.ts';

/** One frame: `id` is digits, `event` one of our words, `data` one line of JSON, which cannot hold a raw line end. */
export function nativeFrame(event: JournalEvent): string {
  const ids = { turn_id: event.turn_id, run_id: event.run_id };
  const data = isDelta(event.type) ? { ...ids, ...event.data } : { ...ids, at: event.at, ...event.data };
  return `id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(data)}\n\n`;
}
