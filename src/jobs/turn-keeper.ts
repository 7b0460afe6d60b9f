/** What a process does for turns in the background: renew its leases, take over lost turns, expire cards, prune the old. */

import type pg from 'pg';
import type { Listener } from '../db/listen.ts';
import type { Log } from '../log.ts';
import type { Clock } from '../runtime/ports.ts';
import type { Turns } from '../runtime/turn.ts';
import { createRounds } from './rounds.ts';

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
  const rounds = createRounds({ clock, log });

  return {
    /** Begins; what a dead process left is taken over at once. */
    start(): void {
      const renew = rounds.every((leaseSeconds * 1000) / 3, 'renewing leases', () => turns.renew());
      const sweep = rounds.every(SWEEP_MS, 'the sweep', async () => {
        await turns.takeOver(TAKE);
        await expire(50);
      });
      rounds.every(PRUNE_MS, 'pruning', () => prune(runtimePool));
      listener.onWakeup((wakeup) => {
        if (wakeup.kind === 'cancel') turns.cancelHere(wakeup.turnId);
        if (wakeup.kind === 'inbox') turns.inbox(wakeup.turnId);
        if (wakeup.kind === 'released') sweep();
        if (wakeup.kind === 'missed') {
          // Renewing hears of cancels as well.
          renew();
          turns.inbox();
          sweep();
        }
      });
    },

    /** Stops the sweeps. Leases are renewed until the drain is over, so that is stopped by `stop` alone. */
    stop: () => rounds.stop(),
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
