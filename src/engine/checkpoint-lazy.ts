/** A checkpoint store that sends only what a takeover would miss, because the rows of the turn hold the rest. */

import { ERROR, RESUME, TASKS } from '@langchain/langgraph-checkpoint';
import type { CheckpointStore, StoredCheckpoint, StoredWrite } from './checkpoint-store.ts';

/** What waits to be sent for one namespace; it is superseded by a checkpoint that comes in the meantime. */
interface Waiting {
  checkpointId: string;
  writes: StoredWrite[];
  done: PromiseWithResolvers<void>;
}

/** One namespace of a turn under one lease: its statements go one after the other. */
interface Lane {
  /** The newest checkpoint where it is not stored. */
  held: StoredCheckpoint | undefined;
  waiting: Waiting | undefined;
  /** Settles when the statement in flight has; never rejects. */
  sent: Promise<void>;
}

/**
 * Wraps a store so that a turn sends few statements:
 * - A checkpoint of step 0 or less (nothing has run, the turn's row has the input) is held in memory, and so is one
 *   that leads nowhere (it is the end: settling follows and removes the rows).
 * - Writes wait one turn of the event loop. A checkpoint that comes in that time holds them already. Else they are
 *   sent, together with the checkpoint they belong to where that one was held, together with all others that wait.
 * - Writes that tell only of an error or of an answer are not sent: a takeover runs the task again and has the
 *   answer from the approval's row.
 *
 * Losing what is held or waits is losing nothing but time: the last stored checkpoint is run from again.
 */
export function createLazyCheckpointStore(store: CheckpointStore): CheckpointStore {
  const lanes = new Map<string, Map<string, Lane>>();

  function laneOf(turnId: string, epoch: number, ns: string): Lane {
    const ofTurn = lanes.get(turnId) ?? new Map<string, Lane>();
    lanes.set(turnId, ofTurn);
    const key = `${epoch} ${ns}`;
    const lane = ofTurn.get(key) ?? { held: undefined, waiting: undefined, sent: Promise.resolve() };
    ofTurn.set(key, lane);
    return lane;
  }

  function send(lane: Lane, statement: () => Promise<void>): Promise<void> {
    const sending = lane.sent.then(statement);
    lane.sent = sending.catch(() => undefined);
    return sending;
  }

  return {
    read: (turnId) => store.read(turnId),

    async write(turnId, epoch, row) {
      const lane = laneOf(turnId, epoch, row.ns);
      const superseded = lane.waiting;
      lane.waiting = undefined;
      if (row.metadata.step <= 0 || leadsNowhere(row)) {
        lane.held = row;
        superseded?.done.resolve();
        return;
      }
      lane.held = undefined;
      const sending = send(lane, () => store.write(turnId, epoch, row));
      superseded?.done.resolve(sending);
      await sending;
    },

    async addWrites(turnId, epoch, ns, checkpointId, writes) {
      if (writes.every(({ channel }) => channel === ERROR || channel === RESUME)) return;
      const lane = laneOf(turnId, epoch, ns);
      if (lane.waiting !== undefined) {
        lane.waiting.writes.push(...writes);
        return lane.waiting.done.promise;
      }
      const waiting: Waiting = { checkpointId, writes: [...writes], done: Promise.withResolvers<void>() };
      lane.waiting = waiting;
      setImmediate(() => {
        const sending = send(lane, async () => {
          // What came while the statement before this one was under way goes along, or has made it needless.
          if (lane.waiting !== waiting) return;
          lane.waiting = undefined;
          const held = lane.held;
          if (held === undefined || held.checkpointId !== checkpointId) {
            return store.addWrites(turnId, epoch, ns, checkpointId, waiting.writes);
          }
          lane.held = undefined;
          await store.write(turnId, epoch, { ...held, writes: waiting.writes });
        });
        waiting.done.resolve(sending);
      });
      return waiting.done.promise;
    },

    async remove(turnId) {
      lanes.delete(turnId);
      await store.remove(turnId);
    },
  };
}

/** Whether no task comes after a checkpoint: no branch is taken, no call is sent, no join is waited for. */
function leadsNowhere({ checkpoint }: StoredCheckpoint): boolean {
  return Object.entries(checkpoint.channel_values).every(([channel, value]) => {
    if (channel === TASKS) return Array.isArray(value) && value.length === 0;
    return !channel.startsWith('branch:') && !channel.startsWith('join:');
  });
}
