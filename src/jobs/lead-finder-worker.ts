/** Works on the lead finder's batches, a part of one at a time; any process may, and what a dead one left is taken over. */

import type { Database } from '../db/database.ts';
import { type ErrorFact, errorFact, ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Batches, Claim, OpenWish, WishOutcome } from '../resources/lead-finder/batches.ts';
import type { FindProfiles, LeadSource } from '../resources/lead-finder/ports.ts';
import type { Clock } from '../runtime/ports.ts';
import { createRounds } from './rounds.ts';

export interface LeadFinderWorkerNeeds {
  batches: Batches;
  source: LeadSource;
  find: FindProfiles;
  database: Database;
  /** This process, as `lease_owner` names it. */
  owner: string;
  leaseSeconds: number;
  clock: Clock;
  log: Log;
}

const POLL_MS = 1000;
/** Wishes of one batch before the next batch has its turn. */
const PART = 20;
/** A wish on which so many claims ended without a word is given up. */
const ATTEMPTS = 3;

const GIVEN_UP: ErrorFact = {
  code: 'TOOL_FAILED',
  message: 'This could not be looked up after several tries. Nothing was charged for it.',
  retryable: true,
};

export type LeadFinderWorker = ReturnType<typeof createLeadFinderWorker>;

export function createLeadFinderWorker(needs: LeadFinderWorkerNeeds) {
  const { batches, source, find, database, owner, leaseSeconds, clock, log } = needs;
  const rounds = createRounds({ clock, log });
  const leaving = new AbortController();
  let round = (): void => {};
  /** Milliseconds for the wishes of one part, and again for the last of them: together less than the lease. */
  const share = Math.floor((leaseSeconds * 1000) / 3);

  async function workOff(): Promise<void> {
    while (!leaving.signal.aborted) {
      const claim = await batches.claim(owner);
      if (claim === null) return;
      await workOn(claim);
    }
  }

  /** Looks for the next wishes of a batch and records what they came to, well within the lease. */
  async function workOn(claim: Claim): Promise<void> {
    const open = await batches.wishes(claim, PART);
    const [next] = open;
    if (next !== undefined && claim.attempts > ATTEMPTS) {
      await batches.record(claim, [{ row: next.row, error: GIVEN_UP }]);
      return;
    }
    const until = clock.now() + share;
    const outcomes: WishOutcome[] = [];
    let fault: unknown = null;
    for (const one of open) {
      if (outcomes.length > 0 && clock.now() > until) break;
      try {
        outcomes.push(await lookFor(claim, one));
      } catch (error) {
        fault = error;
        break;
      }
    }
    if (outcomes.length > 0 || open.length === 0) await batches.record(claim, outcomes);
    else if (leaving.signal.aborted) await batches.release(claim);
    // A batch without progress stays claimed until its lease runs out: that is the pause before the next try.
    if (fault !== null && !leaving.signal.aborted) throw fault;
  }

  async function lookFor(claim: Claim, { row, wish, limit }: OpenWish): Promise<WishOutcome> {
    const scope = {
      workspaceId: claim.workspaceId,
      within: <T>(work: Parameters<typeof database.within<T>>[1]) => database.within(claim.workspaceId, work),
      signal: AbortSignal.any([leaving.signal, AbortSignal.timeout(share)]),
    };
    try {
      return { row, profiles: await find(source, scope, { wish, limit }) };
    } catch (error) {
      // What the source says for itself is about this wish; anything else may pass.
      if (error instanceof ServiceError) return { row, error: errorFact(error) };
      throw error;
    }
  }

  return {
    start(): void {
      round = rounds.every(POLL_MS, 'working on lead finder batches', workOff);
    },

    /** A batch was accepted here. */
    wake: (): void => round(),

    /** Begins nothing more; resolves when the claimed part is recorded or given back. */
    async stop(): Promise<void> {
      leaving.abort();
      await rounds.stop();
    },
  };
}
