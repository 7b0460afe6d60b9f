/** What was told before a stream begins. */

import type { JournalEvent } from '../../runtime/events.ts';
import type { Reader } from '../../runtime/journal.ts';

/** The events that the reader holds now, up to number `last`; the reader is closed where that is reached or anything fails. */
export async function readPast(reader: Reader, last: number): Promise<JournalEvent[]> {
  const past: JournalEvent[] = [];
  try {
    for (;;) {
      const events = await reader.next(500);
      for (const event of events) {
        if (event.seq > last) return past;
        past.push(event);
      }
      if (events.length === 0) return past;
    }
  } finally {
    reader.close();
  }
}
