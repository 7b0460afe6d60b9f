/** Checkpoints in memory beside the turns they belong to, so that a lost lease is known at once. */

import {
  type CheckpointStore,
  leaseLost,
  type StoredCheckpoint,
} from '../../../src/engine/checkpoint-store.ts';
import { jsonb, type MemoryDatabase } from './database.ts';

export function createMemoryTurnCheckpoints({ database }: { database: MemoryDatabase }): CheckpointStore {
  function rowsOf(turnId: string, epoch: number): StoredCheckpoint[] {
    const turn = database.turns.get(turnId);
    if (turn?.leaseEpoch !== epoch || turn.status !== 'running') throw leaseLost(turnId);
    return database.checkpoints.get(turnId) ?? [];
  }

  return {
    read: (turnId) => database.transact(() => jsonb(database.checkpoints.get(turnId) ?? [])),

    write: (turnId, epoch, row) =>
      database.transact(() => {
        const others = rowsOf(turnId, epoch).filter((one) => one.ns !== row.ns);
        database.checkpoints.set(turnId, [...others, jsonb(row)]);
      }),

    addWrites: (turnId, epoch, ns, checkpointId, writes) =>
      database.transact(() => {
        const row = rowsOf(turnId, epoch).find((one) => one.ns === ns && one.checkpointId === checkpointId);
        row?.writes.push(...jsonb(writes));
      }),

    remove: (turnId) => database.transact(() => void database.checkpoints.delete(turnId)),
  };
}
