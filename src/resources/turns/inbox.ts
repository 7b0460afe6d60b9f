/** Facts that were left for a live run's owner and that the run ended without: they are numbered by whoever writes next. */

import type { Queryable } from '../../db/pipeline.ts';
import type { NewEvent } from '../../runtime/events.ts';
import { insertEvents, type LeaseNeeds, toStored } from './lease.ts';

/**
 * Numbers and tells what waits in the conversation's inbox, in the order it came; a run that is live again is woken to
 * do it. The caller's transaction keeps the conversation's row locked from here on.
 */
export async function numberInbox(
  needs: Pick<LeaseNeeds, 'now'>,
  client: Queryable,
  threadId: string,
  workspaceId: string,
): Promise<void> {
  const waiting = await client.query<{ inbox_waiting: number }>(
    `select inbox_waiting from conversations where id = $1 for update`,
    [threadId],
  );
  if ((waiting.rows[0]?.inbox_waiting ?? 0) === 0) return;
  const live = await client.query(
    `select pg_notify('overture', 'inbox ' || id) from turns where conversation_id = $1 and status = 'running'`,
    [threadId],
  );
  if (live.rows.length > 0) return;
  const { rows } = await client.query<{ turn_id: string | null; type: NewEvent['type']; data: never }>(
    `with gone as (delete from journal_inbox where conversation_id = $1 returning id, turn_id, type, data)
     select turn_id, type, data from gone order by id`,
    [threadId],
  );
  const block = await client.query<{ base: string }>(
    `update conversations set last_seq = last_seq + $2, inbox_waiting = 0 where id = $1 returning last_seq - $2 as base`,
    [threadId, rows.length],
  );
  const base = Number(block.rows[0]?.base);
  const events = rows.map((row, index) =>
    toStored(needs, { type: row.type, data: row.data }, base + 1 + index, row.turn_id, null),
  );
  await insertEvents(client, threadId, workspaceId, events);
}
