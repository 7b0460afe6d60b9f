/** Where the checkpoints of turns are kept: the port, and the store that lives in memory. */

import type { Checkpoint, CheckpointMetadata } from '@langchain/langgraph-checkpoint';
import { ServiceError } from '../errors.ts';
import { toJson } from './checkpoint-json.ts';

/** One value that a task has written to a channel, not yet part of a checkpoint. */
export interface StoredWrite {
  task: string;
  /** Where the task stands in its superstep; writes are applied in the order of path, task, index. */
  path: string;
  /** The place among the task's writes; negative for error, interrupt and resume (LangGraph's `WRITES_IDX_MAP`). */
  index: number;
  channel: string;
  /** Absent where the task wrote `undefined`. */
  value?: unknown;
}

/** The latest checkpoint of one namespace of a turn, with what its tasks have written since. */
export interface StoredCheckpoint {
  /** Empty for the graph itself, `node:task` for a graph that one of its tasks runs. */
  ns: string;
  checkpointId: string;
  parentId: string | null;
  checkpoint: Checkpoint;
  metadata: CheckpointMetadata;
  writes: StoredWrite[];
}

/**
 * The port. Writing is fenced: it throws `ServiceError('LEASE_LOST')` where the turn does not run under this lease epoch
 * any more. The two writing calls for one namespace must not overlap; the checkpointer sees to that.
 */
export interface CheckpointStore {
  /** Every namespace of a turn at once: a leg asks for the graph's own, then for each open call's. */
  read(turnId: string): Promise<StoredCheckpoint[]>;
  /** Puts a checkpoint in the place of the one before it, and its writes in the place of theirs. */
  write(turnId: string, epoch: number, row: StoredCheckpoint): Promise<void>;
  /** Adds writes to a checkpoint; does nothing where that is no longer the stored one. */
  addWrites(
    turnId: string,
    epoch: number,
    ns: string,
    checkpointId: string,
    writes: StoredWrite[],
  ): Promise<void>;
  /** Forgets a turn that has ended. */
  remove(turnId: string): Promise<void>;
}

export function leaseLost(turnId: string): ServiceError {
  return new ServiceError('LEASE_LOST', `Turn ${turnId} is not run under this lease any more.`);
}

/** A store in memory. It keeps JSON, as the database does, and knows a lost lease by an epoch that came after. */
export function createMemoryCheckpointStore(): CheckpointStore {
  const turns = new Map<string, { epoch: number; rows: Map<string, string> }>();

  function rowsOf(turnId: string, epoch: number): Map<string, string> {
    const turn = turns.get(turnId) ?? { epoch, rows: new Map<string, string>() };
    if (epoch < turn.epoch) throw leaseLost(turnId);
    turn.epoch = epoch;
    turns.set(turnId, turn);
    return turn.rows;
  }

  return {
    async read(turnId) {
      const rows = turns.get(turnId)?.rows.values() ?? [];
      return Array.from(rows, (row): StoredCheckpoint => JSON.parse(row));
    },
    async write(turnId, epoch, row) {
      rowsOf(turnId, epoch).set(row.ns, toJson(row));
    },
    async addWrites(turnId, epoch, ns, checkpointId, writes) {
      const rows = rowsOf(turnId, epoch);
      const stored = rows.get(ns);
      if (stored === undefined) return;
      const row: StoredCheckpoint = JSON.parse(stored);
      if (row.checkpointId !== checkpointId) return;
      rows.set(ns, toJson({ ...row, writes: [...row.writes, ...writes] }));
    },
    async remove(turnId) {
      turns.delete(turnId);
    },
  };
}
