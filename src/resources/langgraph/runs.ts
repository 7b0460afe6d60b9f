/** Our turns as LangGraph's runs: what is known of one by its id, and which the last turn is. */

import type pg from 'pg';
import { transact } from '../../db/pipeline.ts';
import { ServiceError } from '../../errors.ts';
import type { Caller } from '../../runtime/caller.ts';
import { ASSISTANT_ID } from '../../wire/langgraph.ts';

export type RunStatus = 'running' | 'success' | 'interrupted' | 'error';

/** A leg of a turn, from its run-start to the run-end that is not `lost`. */
export interface Run {
  runId: string;
  turnId: string;
  status: RunStatus;
  createdAt: string;
  /** The number of the turn's first event. */
  turnFrom: number;
  /** The number of the run's own first event; null where the journal does not hold it any more. */
  from: number | null;
}

interface Page {
  limit: number;
  offset: number;
  /** As clients name it. */
  status?: string | undefined;
}

interface RunRow {
  turn_id: string;
  run_id: string;
  turn_status: string;
  ended: string | null;
  first_seq: string;
  run_from: string | null;
  created_at: Date;
}

export type Runs = ReturnType<typeof createRuns>;

const FIND = `
select t.id as turn_id, $2::uuid as run_id, t.status as turn_status, t.first_seq, t.created_at, r.seq as run_from,
       (select e.data->>'status' from events e
         where e.turn_id = t.id and e.type = 'run-end' and e.seq >= r.seq and e.data->>'status' <> 'lost'
         order by e.seq limit 1) as ended
  from (select 1) one
  left join lateral (select min(seq_from) as seq, min(turn_id::text)::uuid as turn_id from events
                      where conversation_id = $1 and run_id = $2) r on true
  join turns t on t.conversation_id = $1 and (t.id = r.turn_id or t.run_id = $2)
 limit 1`;

const LIST = `
select t.id as turn_id, t.run_id, t.status as turn_status, null as ended, t.first_seq, null as run_from, t.created_at
  from turns t where t.conversation_id = $1 and ($4::uuid is null or t.id = $4)
   and ($5::text[] is null or t.status = any($5))
 order by t.first_seq desc limit $2 offset $3`;

export function createRuns({ appPool }: { appPool: pg.Pool }) {
  async function list(caller: Caller, threadId: string, page: Page, turnId: string | null): Promise<Run[]> {
    const { rows } = await transact(appPool, caller.workspaceId, (client) =>
      client.query<RunRow>(LIST, [threadId, page.limit, page.offset, turnId, turnStatusesOf(page.status)]),
    );
    return rows.map(toRun);
  }

  return {
    /** One run of the caller's conversation; throws `NOT_FOUND`. */
    async get(caller: Caller, threadId: string, runId: string): Promise<Run> {
      const { rows } = await transact(appPool, caller.workspaceId, (client) =>
        client.query<RunRow>(FIND, [threadId, runId]),
      );
      if (rows[0] === undefined) throw noRun();
      return toRun(rows[0]);
    },

    /** The last run of each turn, newest first. */
    list: (caller: Caller, threadId: string, page: Page): Promise<Run[]> =>
      list(caller, threadId, page, null),

    /** The last run of a turn of this conversation; throws `NOT_FOUND`. */
    async lastOf(caller: Caller, threadId: string, turnId: string): Promise<Run> {
      const [run] = await list(caller, threadId, { limit: 1, offset: 0 }, turnId);
      if (run === undefined) throw noRun();
      return run;
    },
  };
}

function noRun(): ServiceError {
  return new ServiceError('NOT_FOUND', 'There is no such run.');
}

function toRun(row: RunRow): Run {
  return {
    runId: row.run_id,
    turnId: row.turn_id,
    status: statusOf(row.ended ?? row.turn_status),
    createdAt: row.created_at.toISOString(),
    turnFrom: Number(row.first_seq),
    from: row.run_from === null ? null : Number(row.run_from),
  };
}

/** Turns whose last run has this status; null for any. */
function turnStatusesOf(status: string | undefined): string[] | null {
  if (status === undefined) return null;
  return ['running', 'awaiting_approval', 'completed', 'failed', 'cancelled'].filter(
    (one) => statusOf(one) === status,
  );
}

function statusOf(status: string): RunStatus {
  switch (status) {
    case 'completed':
      return 'success';
    case 'failed':
      return 'error';
    case 'running':
      return 'running';
    default:
      return 'interrupted';
  }
}

/** A run as LangGraph's clients read it. */
export function runShape(run: Run, threadName: string) {
  return {
    run_id: run.runId,
    thread_id: threadName,
    assistant_id: ASSISTANT_ID,
    status: run.status,
    metadata: {},
    kwargs: {},
    multitask_strategy: 'reject',
    created_at: run.createdAt,
    updated_at: run.createdAt,
  };
}
