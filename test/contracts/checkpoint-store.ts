/** What every checkpoint store promises; a store's test calls it with a way to make turns. */

import { emptyCheckpoint } from '@langchain/langgraph-checkpoint';
import { describe, expect, it } from 'vitest';
import type { CheckpointStore, StoredCheckpoint, StoredWrite } from '../../src/engine/checkpoint-store.ts';

export interface CheckpointStoreSubject {
  store: CheckpointStore;
  /** Makes a turn that runs under lease epoch 1. */
  startTurn(): Promise<string>;
  /** Gives a turn to another process: the epoch becomes 2. */
  takeOver(turnId: string): Promise<void>;
  /** Ends a turn. */
  end(turnId: string): Promise<void>;
}

/** A row as the checkpointer makes it. */
export function rowOf(changes: Partial<StoredCheckpoint> = {}): StoredCheckpoint {
  const checkpoint = emptyCheckpoint();
  return {
    ns: '',
    checkpointId: checkpoint.id,
    parentId: null,
    checkpoint,
    metadata: { source: 'loop', step: 1, parents: {} },
    writes: [],
    ...changes,
  };
}

export function writeOf(task: string, value: unknown): StoredWrite {
  return { task, path: '', index: 0, channel: 'messages', value };
}

export function describeCheckpointStore(name: string, subject: () => CheckpointStoreSubject): void {
  describe(`${name} as a checkpoint store`, () => {
    it('gives back what it was given, a namespace a row', async () => {
      const { store, startTurn } = subject();
      const turnId = await startTurn();
      const root = rowOf({ parentId: 'before', writes: [writeOf('task', { text: 'häkchen ✓ 𝄞' })] });
      const nested = rowOf({ ns: 'call:1' });
      await store.write(turnId, 1, root);
      await store.write(turnId, 1, nested);
      const rows = await store.read(turnId);
      expect(rows.toSorted((a, b) => a.ns.length - b.ns.length)).toEqual([root, nested]);
    });

    it('knows nothing of a turn that has no checkpoint', async () => {
      const { store, startTurn } = subject();
      expect(await store.read(await startTurn())).toEqual([]);
    });

    it('keeps the latest checkpoint of a namespace only, without the writes to the one before', async () => {
      const { store, startTurn } = subject();
      const turnId = await startTurn();
      const first = rowOf();
      const second = rowOf({ parentId: first.checkpointId });
      await store.write(turnId, 1, first);
      await store.addWrites(turnId, 1, '', first.checkpointId, [writeOf('a', 1)]);
      await store.write(turnId, 1, second);
      expect(await store.read(turnId)).toEqual([second]);
    });

    it('adds writes in the order they come, and none to a checkpoint that is not the latest', async () => {
      const { store, startTurn } = subject();
      const turnId = await startTurn();
      const row = rowOf();
      await store.write(turnId, 1, row);
      await store.addWrites(turnId, 1, '', row.checkpointId, [writeOf('b', 1), writeOf('c', [])]);
      await store.addWrites(turnId, 1, '', row.checkpointId, [writeOf('a', null)]);
      await store.addWrites(turnId, 1, '', 'older', [writeOf('d', 1)]);
      await store.addWrites(turnId, 1, 'elsewhere', row.checkpointId, [writeOf('e', 1)]);
      const writes = [writeOf('b', 1), writeOf('c', []), writeOf('a', null)];
      expect(await store.read(turnId)).toEqual([{ ...row, writes }]);
    });

    it('takes characters that a jsonb column refuses', async () => {
      const { store, startTurn } = subject();
      const turnId = await startTurn();
      const row = rowOf({ writes: [writeOf('a', 'nul \0, half \ud83d, whole 😀, text \\u0000')] });
      await store.write(turnId, 1, row);
      await store.addWrites(turnId, 1, '', row.checkpointId, [writeOf('b', '\0')]);
      const values = (await store.read(turnId)).flatMap(({ writes }) => writes.map(({ value }) => value));
      expect(values).toEqual(['nul \ufffd, half \ufffd, whole 😀, text \\u0000', '\ufffd']);
    });

    it('refuses a lease that another process has taken over', async () => {
      const { store, startTurn, takeOver } = subject();
      const turnId = await startTurn();
      const row = rowOf();
      await store.write(turnId, 1, row);
      await takeOver(turnId);
      await store.write(turnId, 2, row);
      const lost = { code: 'LEASE_LOST' };
      await expect(store.write(turnId, 1, rowOf())).rejects.toMatchObject(lost);
      await expect(store.write(turnId, 1, rowOf({ ns: 'call:1' }))).rejects.toMatchObject(lost);
      await expect(store.addWrites(turnId, 1, '', row.checkpointId, [writeOf('a', 1)])).rejects.toMatchObject(
        lost,
      );
      expect(await store.read(turnId)).toEqual([row]);
    });

    it('forgets a turn that has ended, and no other', async () => {
      const { store, startTurn, end } = subject();
      const [ended, other] = [await startTurn(), await startTurn()];
      await store.write(ended, 1, rowOf());
      await store.write(ended, 1, rowOf({ ns: 'call:1' }));
      await store.write(other, 1, rowOf());
      await end(ended);
      await store.remove(ended);
      expect(await store.read(ended)).toEqual([]);
      expect(await store.read(other)).toHaveLength(1);
    });
  });
}
