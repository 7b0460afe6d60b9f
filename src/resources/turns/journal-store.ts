/** The journal's rows: group commits under the runs' epochs, and what a reader asks for. */

import type pg from 'pg';
import { retryDeadlocks, runScoped } from '../../db/pipeline.ts';
import type { JournalStore } from '../../runtime/ports.ts';
import { EVENT_COLUMNS, type EventRow, fromRow, toJson, toRecord } from './rows.ts';

export interface JournalStoreNeeds {
  /** Of the runtime role: one flush serves turns of several workspaces. */
  runtimePool: pg.Pool;
  appPool: pg.Pool;
  /** This process's name in wake-ups, so that it can tell its own. */
  origin: string;
}

/**
 * The join alone would not fence a zombie whose statement is already running; the share lock waits for a takeover and
 * then sees its epoch (research: prototype §4).
 */
const APPEND = `
with batch as (
  select * from jsonb_to_recordset($1::jsonb) as b(owner uuid, epoch int, ${EVENT_COLUMNS})
), owner as (
  select t.id, t.lease_epoch, t.conversation_id, t.workspace_id, t.first_seq from turns t
   where (t.id, t.lease_epoch) in (select b.owner, b.epoch from batch b) and t.status = 'running'
     for share
), stored as (
  insert into events (conversation_id, seq, seq_from, marks, workspace_id, turn_id, run_id, type, data, at)
  select o.conversation_id, b.seq, b.seq_from, b.marks, o.workspace_id, b.turn_id, b.run_id, b.type, b.data, b.at
    from batch b join owner o on o.id = b.owner and o.lease_epoch = b.epoch
  on conflict (conversation_id, seq) do nothing
), gone as (
  delete from journal_inbox i using owner o
   where i.conversation_id = o.conversation_id and i.id = any($2::bigint[]) returning i.conversation_id
), counted as (
  update conversations c set inbox_waiting = c.inbox_waiting - g.n
    from (select conversation_id, count(*)::int as n from gone group by conversation_id) g where c.id = g.conversation_id
)
select o.id, o.lease_epoch, pg_notify('overture', 'journal ' || o.conversation_id || ' ' || $3),
       -- Behind the two events of the accept, which has told no list that a turn runs.
       case when exists (select 1 from batch b where b.owner = o.id and b.seq_from = o.first_seq + 2)
            then pg_notify('overture', 'list ' || o.workspace_id || ' ' || o.conversation_id) end
  from owner o`;

const READ = `
select seq, seq_from, marks, turn_id, run_id, type, data, at from events
 where conversation_id = $1 and seq > $2 and ($3::bigint is null or seq < $3) order by seq limit $4`;

export function createJournalStore({ runtimePool, appPool, origin }: JournalStoreNeeds): JournalStore {
  return {
    async append(batches) {
      const records = batches.flatMap((batch) =>
        batch.rows.map((row) => ({ owner: batch.turnId, epoch: batch.epoch, ...toRecord(row) })),
      );
      const inboxIds = batches.flatMap((batch) => batch.inboxIds);
      const { rows } = await retryDeadlocks(() =>
        runtimePool.query<{ id: string; lease_epoch: number }>({
          name: 'append',
          text: APPEND,
          values: [toJson(records), inboxIds, origin],
        }),
      );
      const owned = new Set(rows.map((row) => `${row.id} ${row.lease_epoch}`));
      return new Set(batches.filter((batch) => !owned.has(`${batch.turnId} ${batch.epoch}`)));
    },

    async read({ workspaceId, threadId }, after, before, limit) {
      const { rows } = await runScoped<EventRow>(appPool, workspaceId, {
        name: 'read_events',
        text: READ,
        values: [threadId, after, before, limit],
      });
      return rows.map(fromRow);
    },
  };
}
