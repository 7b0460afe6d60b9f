/** Checkpoints in PostgreSQL: one row a turn and namespace, every write one statement that locks the turn's row. */

import type { Checkpoint, CheckpointMetadata } from '@langchain/langgraph-checkpoint';
import type pg from 'pg';
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

/** The store on PostgreSQL. `pool` serves a role that may read and write `turn_checkpoints` and lock rows of `turns`. */
export function createPostgresCheckpointStore(pool: pg.Pool): CheckpointStore {
  return {
    async read(turnId) {
      const { rows } = await pool.query<Row>({ ...READ, values: [turnId] });
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
      const { rowCount } = await pool.query({
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
      const { rowCount } = await pool.query({ ...ADD_WRITES, values });
      if (rowCount === 0) throw leaseLost(turnId);
    },
    async remove(turnId) {
      await pool.query({ ...REMOVE, values: [turnId] });
    },
  };
}
