/** Deeds of verifying addresses: what is known costs nothing, a new verdict its price, and what stays unknown nothing. */

import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { Credits } from '../credits/credits.ts';
import { readEvidenceWithin, verdictOf, weigh } from './evidence.ts';
import type { EmailVerifier } from './ports.ts';
import { reason, type Verdict, type VerifyAnswer, type VerifyOutcome, verdictName } from './schema.ts';

/** A verdict is told again for so long; mail servers move, and people leave. */
export const KEPT_DAYS = 30;
/** Verdicts past their time that one verification clears away. */
const CLEARED = 100;

export interface EmailVerificationNeeds {
  database: Database;
  credits: Pick<Credits, 'refuseUnaffordableWithin' | 'reserveWithin' | 'captureWithin' | 'releaseWithin'>;
  verifier: EmailVerifier;
  newId(): string;
  now(): number;
}

export type EmailVerification = ReturnType<typeof createEmailVerification>;

/** What a verification came to. */
export interface Verified {
  outcome: VerifyOutcome;
  /** Whether it was known here, so that nothing was looked up for it. */
  cached: boolean;
}

/** The verdict that stands, and whether it stood before. */
interface Kept {
  judged: Verdict;
  cached: boolean;
}

export function createEmailVerification({ database, credits, verifier, newId, now }: EmailVerificationNeeds) {
  const { price } = verifier;

  /** What can be told of the address without asking anybody; null where it has to be looked up. */
  async function knownWithin(tx: WorkspaceTransaction, address: string): Promise<Verified | null> {
    const evidence = await readEvidenceWithin(tx, address);
    const judged = verdictOf(evidence) ?? (await keptWithin(tx, address));
    return judged === null ? null : told(address, weigh(judged, evidence), { cached: true, charged: 0 });
  }

  async function keptWithin(tx: WorkspaceTransaction, address: string): Promise<Verdict | null> {
    const row = await tx
      .selectFrom('email_verdicts')
      .select(['verdict', 'reasons'])
      .where('address', '=', address)
      .where('checked_at', '>', cutoff())
      .executeTakeFirst();
    if (row === undefined) return null;
    return {
      verdict: verdictName.parse(row.verdict),
      mailbox: 'unconfirmed',
      reasons: reason.array().parse(row.reasons),
    };
  }

  /**
   * Keeps what was looked up, unless it is unknown or another call has kept a verdict meanwhile: then that one stands and
   * this one costs nothing. `cached` says so.
   */
  async function keepWithin(
    tx: WorkspaceTransaction,
    caller: Pick<Caller, 'workspaceId'>,
    address: string,
    looked: Verdict,
  ): Promise<Kept> {
    if (looked.verdict === 'unknown') return { judged: looked, cached: false };
    const row = {
      verdict: looked.verdict,
      reasons: JSON.stringify(looked.reasons),
      source: verifier.name,
      checked_at: new Date(now()),
    };
    const kept = await tx
      .insertInto('email_verdicts')
      .values({ workspace_id: caller.workspaceId, address, ...row })
      .onConflict((conflict) =>
        conflict
          .columns(['workspace_id', 'address'])
          .doUpdateSet(row)
          .where('email_verdicts.checked_at', '<=', cutoff()),
      )
      .returning('address')
      .executeTakeFirst();
    if (kept === undefined) return { judged: (await keptWithin(tx, address)) ?? looked, cached: true };
    await clearWithin(tx);
    return { judged: looked, cached: false };
  }

  /** Forgets verdicts past their time; those that another call clears at this moment are left to it. */
  async function clearWithin(tx: WorkspaceTransaction): Promise<void> {
    const past = tx
      .selectFrom('email_verdicts')
      .select('address')
      .where('checked_at', '<=', cutoff())
      .limit(CLEARED)
      .forUpdate()
      .skipLocked();
    await tx.deleteFrom('email_verdicts').where('address', 'in', past).execute();
  }

  function cutoff(): Date {
    return new Date(now() - KEPT_DAYS * 86_400_000);
  }

  function priceOf({ judged, cached }: Kept): number {
    return cached || judged.verdict === 'unknown' ? 0 : price;
  }

  /** Sets the price of a verdict aside. Throws `NOT_ENOUGH_CREDITS`. */
  function reserveWithin(tx: WorkspaceTransaction, caller: Caller, reference: string): Promise<void> {
    return credits.reserveWithin(tx, caller, {
      credits: price,
      operation: 'email_finder_verify',
      reference,
      description: 'Email verification: 1 address',
    });
  }

  async function chargeWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    { address, kept, reference }: { address: string; kept: Kept; reference: string },
  ): Promise<Verified> {
    const charged = priceOf(kept);
    await credits.captureWithin(tx, caller, { reference, credits: charged });
    await credits.releaseWithin(tx, caller, { reference });
    const judged = weigh(kept.judged, await readEvidenceWithin(tx, address));
    return told(address, judged, { cached: kept.cached, charged });
  }

  async function keepJobWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    jobId: string,
    { outcome, cached }: Verified,
  ): Promise<VerifyAnswer> {
    await tx
      .insertInto('email_finder_jobs')
      .values({
        id: jobId,
        workspace_id: caller.workspaceId,
        user_id: caller.userId,
        job_type: 'verify',
        outcome: JSON.stringify(outcome),
        credits: outcome.credits,
      })
      .execute();
    const job = { job_id: jobId, status: 'completed' as const };
    return {
      ...job,
      cached,
      credits_charged: outcome.credits,
      result: { ...job, job_type: 'verify', ...outcome },
    };
  }

  return {
    /** Name and price of the source that is asked. */
    source: { name: verifier.name, price },
    knownWithin,

    /** Looks one address up; nothing is kept and nothing charged. Never throws. */
    lookUp: (address: string, signal: AbortSignal): Promise<Verdict> => verifier.verify(address, signal),

    reserveWithin,

    /** Keeps what was looked up, captures its price from what was reserved under `reference`, and gives back the rest. */
    async settleWithin(
      tx: WorkspaceTransaction,
      caller: Caller,
      { address, looked, reference }: { address: string; looked: Verdict; reference: string },
    ): Promise<Verified> {
      const kept = await keepWithin(tx, caller, address, looked);
      return chargeWithin(tx, caller, { address, kept, reference });
    },

    /**
     * Verifies an address and keeps the answer as a job. Throws `NOT_ENOUGH_CREDITS`. Its credits are reserved and taken in
     * the transaction that keeps the verdict: a process that dies while it looks up leaves nothing reserved.
     */
    async verify(caller: Caller, email: string, gone: AbortSignal): Promise<VerifyAnswer> {
      const address = email.toLowerCase();
      const jobId = newId();
      const reference = `email_finder_job:${jobId}`;
      const known = await database.within(caller.workspaceId, async (tx) => {
        const here = await knownWithin(tx, address);
        if (here !== null) return keepJobWithin(tx, caller, jobId, here);
        await credits.refuseUnaffordableWithin(tx, { credits: price, reference });
        return null;
      });
      if (known !== null) return known;
      const looked = await verifier.verify(address, gone);
      return database.within(caller.workspaceId, async (tx) => {
        const kept = await keepWithin(tx, caller, address, looked);
        if (priceOf(kept) > 0) await reserveWithin(tx, caller, reference);
        return keepJobWithin(tx, caller, jobId, await chargeWithin(tx, caller, { address, kept, reference }));
      });
    },
  };
}

function told(
  address: string,
  { verdict, mailbox, reasons }: Verdict,
  { cached, charged }: { cached: boolean; charged: number },
): Verified {
  return {
    cached,
    outcome: {
      found: null,
      email: address,
      pattern: null,
      result: verdict,
      is_catch_all: null,
      confidence: null,
      error:
        verdict === 'unknown' ? `${reasons[0]?.message ?? ''} Nothing was charged; try again later.` : null,
      mailbox,
      reasons,
      credits: charged,
    },
  };
}
