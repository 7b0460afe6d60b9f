/** What a process does for turns in the background: renew its leases, take over lost turns, expire cards, prune the old. */

import type pg from 'pg';
import type { Listener } from '../db/listen.ts';
import type { Log } from '../log.ts';
import type { Clock } from '../runtime/ports.ts';
import type { Turns } from '../runtime/turn.ts';

export interface TurnKeeperNeeds {
  turns: Turns;
  expire(limit: number): Promise<number>;
  listener: Listener;
  runtimePool: pg.Pool;
  leaseSeconds: number;
  clock: Clock;
  log: Log;
}

const SWEEP_MS = 1000;
const PRUNE_MS = 600_000;
/** Turns that one sweep takes: the rest is left for other processes, and for the next sweep. */
const TAKE = 8;

export type TurnKeeper = ReturnType<typeof createTurnKeeper>;

export function createTurnKeeper({
  turns,
  expire,
  listener,
  runtimePool,
  leaseSeconds,
  clock,
  log,
}: TurnKeeperNeeds) {
  let stopped = false;
  const cancels = new Set<() => void>();
  const atWork = new Set<Promise<void>>();

  /** Does `work` every `ms`, never twice at once; a failure is logged and the next round tries again. */
  function every(ms: number, what: string, work: () => Promise<unknown>): () => void {
    let busy = false;
    let again = false;
    let cancel = () => {};
    const round = (): void => {
      cancel();
      cancels.delete(cancel);
      if (stopped) return;
      if (busy) {
        again = true;
        return;
      }
      busy = true;
      const done = work()
        .then(
          () => {},
          (error) => log.warn({ err: error }, `${what} failed; it is tried again`),
        )
        .finally(() => {
          atWork.delete(done);
          busy = false;
          if (stopped) return;
          if (again) {
            again = false;
            round();
            return;
          }
          cancel = clock.after(ms, round);
          cancels.add(cancel);
        });
      atWork.add(done);
    };
    round();
    return round;
  }

  return {
    /** Begins; what a dead process left is taken over at once. */
    start(): void {
      every((leaseSeconds * 1000) / 3, 'renewing leases', () => turns.renew());
      const sweep = every(SWEEP_MS, 'the sweep', async () => {
        await turns.takeOver(TAKE);
        await expire(50);
      });
      every(PRUNE_MS, 'pruning', () => prune(runtimePool));
      listener.onWakeup((wakeup) => {
        if (wakeup.kind === 'cancel') turns.cancelHere(wakeup.turnId);
        if (wakeup.kind === 'inbox') turns.inbox(wakeup.turnId);
        if (wakeup.kind === 'released') sweep();
      });
    },

    /** Stops the sweeps. Leases are renewed until the drain is over, so that is stopped by `stop` alone. */
    async stop(): Promise<void> {
      stopped = true;
      for (const cancel of cancels) cancel();
      await Promise.allSettled(atWork);
    },
  };
}

/** Events go a day after their turn ended, Idempotency-Keys a day after their use; messages remain. */
async function prune(pool: pg.Pool): Promise<void> {
  await pool.query(`
    with gone as (
      delete from events e using turns t
       where e.turn_id = t.id and t.ended_at < now() - interval '24 hours' returning e.conversation_id, e.seq
    )
    update conversations c set pruned_seq = greatest(c.pruned_seq, g.seq)
      from (select conversation_id, max(seq) as seq from gone group by conversation_id) g where c.id = g.conversation_id`);
  await pool.query(`select prune_idempotency_keys(interval '24 hours')`);
}
