/** The checkpoint store on a real PostgreSQL, under the role it has in the service. */

import { uuid5 } from '@langchain/langgraph-checkpoint';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPostgresCheckpointStore } from '../../src/engine/checkpoint-postgres.ts';
import type { CheckpointStore } from '../../src/engine/checkpoint-store.ts';
import { createCheckpointer } from '../../src/engine/checkpointer.ts';
import { describeCheckpointStore, rowOf, writeOf } from '../contracts/checkpoint-store.ts';
import { describeCheckpointer } from '../contracts/checkpointer.ts';
import { openTurnDatabase, type TurnDatabase } from '../support/turn-database.ts';

const NAMES = '6f6ba6c5-9f9c-4b53-8c0a-2f0f4c3a9d11';

let database: TurnDatabase;
let store: CheckpointStore;

beforeAll(async () => {
  database = await openTurnDatabase();
  store = createPostgresCheckpointStore({ pool: database.runtime, now: Date.now, leaseSeconds: 5 });
}, 30_000);

afterAll(async () => {
  await database.close();
});

async function change(turnId: string, what: string): Promise<void> {
  await database.runtime.query(`update turns set ${what} where id = $1`, [turnId]);
}

describeCheckpointStore('PostgreSQL', () => ({
  store,
  startTurn: () => database.startTurn(),
  takeOver: (turnId) => change(turnId, 'lease_epoch = lease_epoch + 1'),
  end: (turnId) => change(turnId, "status = 'completed'"),
}));

const threads = new Map<string, Promise<string>>();
describeCheckpointer('the checkpointer on PostgreSQL', () => ({
  saver: createCheckpointer({ store, lazy: false }),
  threadOf(name) {
    const thread =
      threads.get(name) ??
      database.startTurn(uuid5(name, NAMES)).then((turnId) => `${database.workspaceId}:${turnId}`);
    threads.set(name, thread);
    return thread;
  },
  end: (threadId) => change(threadId.slice(threadId.indexOf(':') + 1), "status = 'completed'"),
}));

describe('the fence of the store on PostgreSQL', () => {
  it('writes the workspace of the turn into the row', async () => {
    const turnId = await database.startTurn();
    await store.write(turnId, 1, rowOf());
    const { rows } = await database.runtime.query(
      'select workspace_id from turn_checkpoints where turn_id = $1',
      [turnId],
    );
    expect(rows).toEqual([{ workspace_id: database.workspaceId }]);
  });

  it.each(['awaiting_approval', 'completed', 'cancelled'])(
    'refuses to write for a turn that is %s',
    async (status) => {
      const turnId = await database.startTurn();
      const row = rowOf();
      await store.write(turnId, 1, row);
      await change(turnId, `status = '${status}'`);
      await expect(store.write(turnId, 1, rowOf())).rejects.toMatchObject({ code: 'LEASE_LOST' });
      await expect(store.addWrites(turnId, 1, '', row.checkpointId, [writeOf('a', 1)])).rejects.toMatchObject(
        { code: 'LEASE_LOST' },
      );
      expect(await store.read(turnId)).toEqual([row]);
    },
  );

  it('refuses to write for a turn that does not exist', async () => {
    const turnId = '00000000-0000-4000-8000-000000000000';
    await expect(store.write(turnId, 1, rowOf())).rejects.toMatchObject({ code: 'LEASE_LOST' });
  });

  it.each(['write', 'addWrites'] as const)(
    'makes %s wait for a takeover under way, and then refuses it',
    async (call) => {
      const turnId = await database.startTurn();
      const row = rowOf();
      await store.write(turnId, 1, row);

      const taker = await database.runtime.connect();
      try {
        await taker.query('begin');
        await taker.query('update turns set lease_epoch = lease_epoch + 1 where id = $1', [turnId]);
        const late =
          call === 'write'
            ? store.write(turnId, 1, rowOf())
            : store.addWrites(turnId, 1, '', row.checkpointId, [writeOf('zombie', 1)]);
        const outcome = late.then(
          () => 'written',
          (error: { code: string }) => error.code,
        );
        await waitForLock();
        await taker.query('commit');
        expect(await outcome).toBe('LEASE_LOST');
      } finally {
        taker.release();
      }
      expect(await store.read(turnId)).toEqual([row]);
    },
  );

  it('lets a takeover wait for a write under way, so that it reads what was written', async () => {
    const turnId = await database.startTurn();
    const row = rowOf();
    const writer = await database.runtime.connect();
    try {
      await writer.query('begin');
      await writer.query(
        "select 1 from turns where id = $1 and lease_epoch = 1 and status = 'running' for share",
        [turnId],
      );
      const takeover = change(turnId, 'lease_epoch = lease_epoch + 1');
      await waitForLock();
      await writer.query('rollback');
      await takeover;
    } finally {
      writer.release();
    }
    await expect(store.write(turnId, 1, row)).rejects.toMatchObject({ code: 'LEASE_LOST' });
    await store.write(turnId, 2, row);
    expect(await store.read(turnId)).toEqual([row]);
  });

  it.each(['running', 'awaiting_approval'])('keeps the rows of a turn that is %s', async (status) => {
    const turnId = await database.startTurn();
    await store.write(turnId, 1, rowOf());
    await change(turnId, `status = '${status}'`);
    await store.remove(turnId);
    expect(await store.read(turnId)).toHaveLength(1);
  });

  /** Waits until a statement of this database, which is this file's own, waits for a row. */
  async function waitForLock(): Promise<void> {
    for (;;) {
      const { rowCount } = await database.owner.query(
        "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      if (rowCount !== 0) return;
    }
  }
});
