/** Checkpoints in PostgreSQL: one row a turn and namespace, every write one statement that locks the turn's row. */

import type { Checkpoint, CheckpointMetadata } from '@langchain/langgraph-checkpoint';
import type pg from 'pg';
import { type Patience, whileDatabaseReturns } from '../db/pipeline.ts';
import { toJson } from './checkpoint-json.ts';
import { type CheckpointStore, leaseLost, type StoredWrite } from './checkpoint-store.ts';

interface Row {
  ns: string;
  checkpoint_id: string;
  parent_id: string | null;
  checkpoint: Checkpoint;
  metadata: CheckpointMetadata;
  writes: StoredWrite[];
}

// A join alone does not fence a statement that waits while a takeover commits; a row lock does: it looks again
// after the wait. The role needs UPDATE on turns for it.
const OWNER = `with owner as (
  select id, workspace_id from turns where id = $1 and lease_epoch = $2 and status = 'running' for share
)`;

const READ = {
  name: 'checkpoint-read',
  text: 'select ns, checkpoint_id, parent_id, checkpoint, metadata, writes from turn_checkpoints where turn_id = $1',
};

const WRITE = {
  name: 'checkpoint-write',
  text: `${OWNER}
insert into turn_checkpoints (turn_id, workspace_id, ns, checkpoint_id, parent_id, checkpoint, metadata, writes)
select id, workspace_id, $3, $4, $5, $6::jsonb, $7::jsonb, $8::jsonb from owner
on conflict (turn_id, ns) do update set checkpoint_id = excluded.checkpoint_id, parent_id = excluded.parent_id,
  checkpoint = excluded.checkpoint, metadata = excluded.metadata, writes = excluded.writes`,
};

const ADD_WRITES = {
  name: 'checkpoint-add-writes',
  text: `${OWNER}, added as (
  update turn_checkpoints kept set writes = kept.writes || $5::jsonb from owner
  where kept.turn_id = owner.id and kept.ns = $3 and kept.checkpoint_id = $4
)
select 1 from owner`,
};

// There is no lease to name here, so a turn that another process may be running keeps its rows.
const REMOVE = {
  name: 'checkpoint-remove',
  text: `delete from turn_checkpoints kept using turns where kept.turn_id = $1 and turns.id = kept.turn_id
  and turns.status not in ('running', 'awaiting_approval')`,
};

export interface PostgresCheckpointNeeds extends Patience {
  /** Serves a role that may read and write `turn_checkpoints` and lock rows of `turns`. */
  pool: pg.Pool;
}

/**
 * The store on PostgreSQL. While the database is away each statement is repeated: one that was done although its answer
 * was lost changes nothing by being done again (writes are told apart by task and place when they are read).
 */
export function createPostgresCheckpointStore({
  pool,
  ...patience
}: PostgresCheckpointNeeds): CheckpointStore {
  const query = <Found extends pg.QueryResultRow>(statement: pg.QueryConfig) =>
    whileDatabaseReturns(patience, () => pool.query<Found>(statement));
  return {
    async read(turnId) {
      const { rows } = await query<Row>({ ...READ, values: [turnId] });
      return rows.map((row) => ({
        ns: row.ns,
        checkpointId: row.checkpoint_id,
        parentId: row.parent_id,
        checkpoint: row.checkpoint,
        metadata: row.metadata,
        writes: row.writes,
      }));
    },
    async write(turnId, epoch, row) {
      const { rowCount } = await query({
        ...WRITE,
        values: [
          turnId,
          epoch,
          row.ns,
          row.checkpointId,
          row.parentId,
          toJson(row.checkpoint),
          toJson(row.metadata),
          toJson(row.writes),
        ],
      });
      if (rowCount === 0) throw leaseLost(turnId);
    },
    async addWrites(turnId, epoch, ns, checkpointId, writes) {
      const values = [turnId, epoch, ns, checkpointId, toJson(writes)];
      const { rowCount } = await query({ ...ADD_WRITES, values });
      if (rowCount === 0) throw leaseLost(turnId);
    },
    async remove(turnId) {
      await query({ ...REMOVE, values: [turnId] });
    },
  };
}
