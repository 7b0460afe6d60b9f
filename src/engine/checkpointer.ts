/** The checkpointer of turns: LangGraph's saver over a store that keeps the latest checkpoint of each namespace only. */

import { isDeepStrictEqual } from 'node:util';
import type { RunnableConfig } from '@langchain/core/runnables';
import {
  BaseCheckpointSaver,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointPendingWrite,
  type CheckpointTuple,
  compareWritesSortKeys,
  type PendingWrite,
  WRITES_IDX_MAP,
  writesSortKey,
} from '@langchain/langgraph-checkpoint';
import { plainSerializer, toJson } from './checkpoint-json.ts';
import { createLazyCheckpointStore } from './checkpoint-lazy.ts';
import type { CheckpointStore, StoredCheckpoint, StoredWrite } from './checkpoint-store.ts';

export interface CheckpointerNeeds {
  store: CheckpointStore;
  /** Whether to send only what a takeover would miss (`createLazyCheckpointStore`). */
  lazy: boolean;
}

/**
 * Makes a checkpointer for one run; it remembers what the run has read and holds back, so do not keep it for another.
 *
 * It reads from `configurable`, besides LangGraph's own keys: `thread_id` (`<workspace id>:<turn id>`), `lease_epoch`
 * (number; writing rejects with `ServiceError('LEASE_LOST')` where the turn does not run under it any more) and
 * `fresh` (`true` where the turn is brand-new: there is nothing to read, so no statement is sent for it).
 *
 * Only the latest checkpoint of each namespace exists: no time travel, and `list` tells of that one alone. With `lazy`
 * the end of a graph is not stored, so ask the turn's row, never the checkpoint, whether a turn has ended.
 */
export function createCheckpointer({ store, lazy }: CheckpointerNeeds): BaseCheckpointSaver {
  return new TurnCheckpointer(lazy ? createLazyCheckpointStore(store) : store, lazy);
}

/** Where a call to the saver points. */
interface Place {
  threadId: string;
  turnId: string;
  ns: string;
  checkpointId: string | undefined;
  fresh: boolean;
}

/** What this run knows of a turn's rows without asking. */
interface Known {
  rows: Map<string, StoredCheckpoint> | undefined;
  /** The namespaces this run has written to, of which `rows` is no longer true. */
  written: Set<string>;
}

class TurnCheckpointer extends BaseCheckpointSaver {
  readonly #store: CheckpointStore;
  readonly #turns = new Map<string, Known>();
  readonly #ordered: boolean;
  #last: Promise<void> = Promise.resolve();

  constructor(store: CheckpointStore, ordered: boolean) {
    super(plainSerializer);
    this.#store = store;
    this.#ordered = ordered;
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const place = placeOf(config);
    if (place === undefined) return undefined;
    const row = await this.#find(place);
    if (row === undefined || (place.checkpointId ?? row.checkpointId) !== row.checkpointId) return undefined;
    return tupleOf(place.threadId, row);
  }

  override async *list(
    config: RunnableConfig,
    { before, filter, limit = Number.POSITIVE_INFINITY }: CheckpointListOptions = {},
  ): AsyncGenerator<CheckpointTuple> {
    const place = placeOf(config);
    if (place === undefined) return;
    const wanted: Record<string, unknown> = config.configurable ?? {};
    const bound: unknown = before?.configurable?.checkpoint_id;
    let left = limit;
    for (const row of await this.#store.read(place.turnId)) {
      if (wanted.checkpoint_ns !== undefined && row.ns !== place.ns) continue;
      if (place.checkpointId !== undefined && row.checkpointId !== place.checkpointId) continue;
      if (typeof bound === 'string' && row.checkpointId >= bound) continue;
      const metadata = new Map<string, unknown>(Object.entries(row.metadata));
      if (!Object.entries(filter ?? {}).every(([key, value]) => metadata.get(key) === value)) continue;
      if (left-- <= 0) return;
      yield tupleOf(place.threadId, row);
    }
  }

  override async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
  ): Promise<RunnableConfig> {
    const { threadId, turnId, ns, checkpointId } = demandPlace(config);
    const epoch = epochOf(config);
    this.#know(turnId).written.add(ns);
    const row = {
      ns,
      checkpointId: checkpoint.id,
      parentId: checkpointId ?? null,
      checkpoint,
      metadata,
      writes: [],
    };
    await this.#inOrder(() => this.#store.write(turnId, epoch, row));
    return { configurable: { thread_id: threadId, checkpoint_ns: ns, checkpoint_id: checkpoint.id } };
  }

  override async putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    task: string,
    path = '',
  ): Promise<void> {
    const { turnId, ns, checkpointId } = demandPlace(config);
    if (checkpointId === undefined) throw new Error('Writes need the checkpoint_id they belong to.');
    const epoch = epochOf(config);
    const known = this.#know(turnId);
    const row = known.rows?.get(ns);
    const kept = row?.checkpointId === checkpointId ? row.writes : [];
    const stored = writes
      .map(([channel, value], position): StoredWrite => {
        return { task, path, index: WRITES_IDX_MAP[channel] ?? position, channel, value };
      })
      // Each leg asks again what was asked before it: that must neither cost a statement nor look like progress.
      .filter((write) => !isKept(write, kept));
    if (stored.length === 0) return;
    kept.push(...stored);
    known.written.add(ns);
    await this.#inOrder(() => this.#store.addWrites(turnId, epoch, ns, checkpointId, stored));
  }

  override async deleteThread(threadId: string): Promise<void> {
    const turnId = turnOf(threadId);
    this.#turns.delete(turnId);
    await this.#store.remove(turnId);
  }

  async #find({ turnId, ns, fresh }: Place): Promise<StoredCheckpoint | undefined> {
    const known = this.#know(turnId);
    if (!known.written.has(ns)) {
      if (fresh && known.rows === undefined) return undefined;
      // A run begins with the graph's own namespace; what that read has told of the others still holds.
      if (ns !== '' && known.rows !== undefined) return known.rows.get(ns);
    }
    const rows = new Map((await this.#store.read(turnId)).map((row) => [row.ns, row]));
    if (ns === '') this.#turns.set(turnId, { rows, written: new Set() });
    return rows.get(ns);
  }

  #know(turnId: string): Known {
    const known = this.#turns.get(turnId) ?? { rows: undefined, written: new Set<string>() };
    this.#turns.set(turnId, known);
    return known;
  }

  /** LangGraph does not wait for a checkpoint before it sends the writes to it; the lazy store keeps the order itself. */
  #inOrder(statement: () => Promise<void>): Promise<void> {
    if (this.#ordered) return statement();
    const sending = this.#last.then(statement);
    this.#last = sending.catch(() => undefined);
    return sending;
  }
}

function turnOf(threadId: string): string {
  return threadId.slice(threadId.lastIndexOf(':') + 1);
}

function placeOf({ configurable = {} }: RunnableConfig): Place | undefined {
  const {
    thread_id: threadId,
    checkpoint_ns: ns,
    checkpoint_id: checkpointId,
    fresh,
  }: Record<string, unknown> = configurable;
  if (typeof threadId !== 'string') return undefined;
  return {
    threadId,
    turnId: turnOf(threadId),
    ns: typeof ns === 'string' ? ns : '',
    checkpointId: typeof checkpointId === 'string' ? checkpointId : undefined,
    fresh: fresh === true,
  };
}

function demandPlace(config: RunnableConfig): Place {
  const place = placeOf(config);
  if (place === undefined) throw new Error('A checkpoint needs configurable.thread_id.');
  return place;
}

function epochOf({ configurable }: RunnableConfig): number {
  const epoch: unknown = configurable?.lease_epoch;
  if (typeof epoch !== 'number')
    throw new Error('A checkpoint needs configurable.lease_epoch, the lease it is written under.');
  return epoch;
}

function tupleOf(threadId: string, row: StoredCheckpoint): CheckpointTuple {
  const configOf = (checkpointId: string): RunnableConfig => ({
    configurable: { thread_id: threadId, checkpoint_ns: row.ns, checkpoint_id: checkpointId },
  });
  return {
    config: configOf(row.checkpointId),
    checkpoint: row.checkpoint,
    metadata: row.metadata,
    parentConfig: row.parentId === null ? undefined : configOf(row.parentId),
    pendingWrites: pendingOf(row.writes),
  };
}

function isKept({ task, index, value }: StoredWrite, kept: StoredWrite[]): boolean {
  const last = kept.findLast((write) => write.task === task && write.index === index);
  // By value, not by text: jsonb gives an object's keys back in an order of its own.
  return last !== undefined && isDeepStrictEqual(last.value, JSON.parse(toJson(value)));
}

/** Of writes to the same place the first counts, except errors, interrupts and answers, of which the last does. */
function pendingOf(writes: StoredWrite[]): CheckpointPendingWrite[] {
  const places = new Map<string, StoredWrite>();
  for (const write of writes) {
    const place = `${write.task} ${write.index}`;
    if (write.index < 0 || !places.has(place)) places.set(place, write);
  }
  return Array.from(places.values())
    .sort((a, b) =>
      compareWritesSortKeys(writesSortKey(a.path, a.task, a.index), writesSortKey(b.path, b.task, b.index)),
    )
    .map(({ task, channel, value }) => [task, channel, value]);
}
