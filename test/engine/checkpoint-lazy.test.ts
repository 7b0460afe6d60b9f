/** What the lazy store sends, and when. */

import { describe, expect, it } from 'vitest';
import { createLazyCheckpointStore } from '../../src/engine/checkpoint-lazy.ts';
import { type CheckpointStore, leaseLost, type StoredCheckpoint } from '../../src/engine/checkpoint-store.ts';
import { rowOf, writeOf } from '../contracts/checkpoint-store.ts';

/** A store that only says what it was sent, and answers when it is told to. */
function createSlowStore() {
  const sent: string[] = [];
  const rows: StoredCheckpoint[] = [];
  const underWay: PromiseWithResolvers<void>[] = [];
  const statement = (said: string): Promise<void> => {
    sent.push(said);
    const answer = Promise.withResolvers<void>();
    underWay.push(answer);
    return answer.promise;
  };
  const store: CheckpointStore = {
    read: async () => rows,
    write: (_turnId, _epoch, row) => {
      rows.push(row);
      return statement(`${row.checkpointId} + ${row.writes.map(({ task }) => task).join()}`);
    },
    addWrites: (_turnId, _epoch, _ns, checkpointId, writes) =>
      statement(`${checkpointId} ++ ${writes.map(({ task }) => task).join()}`),
    remove: () => statement('remove'),
  };
  return {
    store: createLazyCheckpointStore(store),
    /** The statements so far; `2 ++ a` adds a write of task a to checkpoint 2, `2 + a` writes both. */
    sent,
    answer: () => underWay.shift()?.resolve(),
    refuse: () => underWay.shift()?.reject(leaseLost('turn')),
  };
}

/** Lets everything run that the event loop holds at this moment. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const running = (checkpointId: string, step = 1): StoredCheckpoint => {
  const row = rowOf({ checkpointId, metadata: { source: 'loop', step, parents: {} } });
  row.checkpoint.channel_values = { messages: [], 'branch:to:model': null };
  return row;
};
const ended = (checkpointId: string): StoredCheckpoint => {
  const row = running(checkpointId);
  row.checkpoint.channel_values = { messages: [], __pregel_tasks: [] };
  return row;
};

describe('the lazy checkpoint store', () => {
  it('sends nothing of a checkpoint before which nothing has run, nor of the end', async () => {
    const { store, sent } = createSlowStore();
    await store.write('turn', 1, running('-1', -1));
    await store.write('turn', 1, running('0', 0));
    await store.write('turn', 1, ended('1'));
    expect(sent).toEqual([]);
  });

  it.each([
    ['a branch is taken', { 'branch:to:model': null }],
    ['a call is sent', { __pregel_tasks: [{ node: 'call', args: {} }] }],
    ['a join waits', { 'join:a+b:c': ['a'] }],
  ])('sends a checkpoint after which %s', async (_, values) => {
    const { store, sent, answer } = createSlowStore();
    const row = ended('1');
    row.checkpoint.channel_values = values;
    const written = store.write('turn', 1, row);
    await settle();
    answer();
    await written;
    expect(sent).toEqual(['1 + ']);
  });

  it('drops writes that the next checkpoint holds already', async () => {
    const { store, sent, answer } = createSlowStore();
    const added = store.addWrites('turn', 1, '', '1', [writeOf('a', 1)]);
    const written = store.write('turn', 1, running('2', 2));
    await settle();
    answer();
    await Promise.all([added, written]);
    expect(sent).toEqual(['2 + ']);
  });

  it('sends the writes of parallel tasks as one statement', async () => {
    const { store, sent, answer } = createSlowStore();
    const added = ['a', 'b'].map((task) => store.addWrites('turn', 1, '', '1', [writeOf(task, 1)]));
    await settle();
    answer();
    await Promise.all(added);
    expect(sent).toEqual(['1 ++ a,b']);
  });

  it('gathers the writes that come while a statement is under way', async () => {
    const { store, sent, answer } = createSlowStore();
    const first = store.addWrites('turn', 1, '', '1', [writeOf('a', 1)]);
    await settle();
    const more = ['b', 'c'].map((task) => store.addWrites('turn', 1, '', '1', [writeOf(task, 1)]));
    await settle();
    more.push(store.addWrites('turn', 1, '', '1', [writeOf('d', 1)]));
    await settle();
    expect(sent).toEqual(['1 ++ a']);
    answer();
    await first;
    await settle();
    answer();
    await Promise.all(more);
    expect(sent).toEqual(['1 ++ a', '1 ++ b,c,d']);
  });

  it('sends a held checkpoint with the first writes to it, so that an interrupt at the start is kept', async () => {
    const { store, sent, answer } = createSlowStore();
    await store.write('turn', 1, running('0', 0));
    const first = store.addWrites('turn', 1, '', '0', [
      { ...writeOf('a', []), channel: '__interrupt__', index: -3 },
    ]);
    await settle();
    answer();
    await first;
    const second = store.addWrites('turn', 1, '', '0', [writeOf('b', 1)]);
    await settle();
    answer();
    await second;
    expect(sent).toEqual(['0 + a', '0 ++ b']);
  });

  it('sends the statements of one namespace one after the other, those of others at once', async () => {
    const { store, sent, answer } = createSlowStore();
    const writes = [
      store.write('turn', 1, running('1')),
      store.write('turn', 1, running('2', 2)),
      store.write('turn', 1, { ...running('nested'), ns: 'call:1' }),
    ];
    await settle();
    expect(sent).toEqual(['1 + ', 'nested + ']);
    answer();
    await settle();
    expect(sent).toEqual(['1 + ', 'nested + ', '2 + ']);
    answer();
    answer();
    await Promise.all(writes);
  });

  it('sends nothing where a task tells only of its error or of an answer', async () => {
    const { store, sent } = createSlowStore();
    await store.addWrites('turn', 1, '', '1', [{ ...writeOf('a', 'boom'), channel: '__error__', index: -1 }]);
    await store.addWrites('turn', 1, '', '1', [
      { ...writeOf('a', [true]), channel: '__resume__', index: -4 },
    ]);
    await settle();
    expect(sent).toEqual([]);
  });

  it('tells of a lost lease to all whose writes went with the refused statement', async () => {
    const { store, answer, refuse } = createSlowStore();
    const lost = { code: 'LEASE_LOST' };
    const together = ['a', 'b'].map((task) => store.addWrites('turn', 1, '', '1', [writeOf(task, 1)]));
    const refused = Promise.all(together.map((added) => expect(added).rejects.toMatchObject(lost)));
    await settle();
    refuse();
    await refused;

    const superseded = expect(store.addWrites('turn', 1, '', '1', [writeOf('a', 1)])).rejects.toMatchObject(
      lost,
    );
    const written = expect(store.write('turn', 1, running('2', 2))).rejects.toMatchObject(lost);
    await settle();
    refuse();
    await Promise.all([superseded, written]);

    const next = store.write('turn', 2, running('3', 3));
    await settle();
    answer();
    await next;
  });
});
