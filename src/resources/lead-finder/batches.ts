/**
 * Batches as those see them who work on them: claim one, read its next wishes, record what they came to. A claim holds
 * for one lease on database time; whoever claims next raises the epoch, and what comes under an older one is refused.
 */

import { sql } from 'kysely';
import type pg from 'pg';
import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import type { ErrorFact } from '../../errors.ts';
import type { Credits } from '../credits/credits.ts';
import type { RankedProfile, Wish } from './ports.ts';

export interface BatchNeeds {
  database: Database;
  runtimePool: pg.Pool;
  credits: Pick<Credits, 'captureWithin' | 'releaseWithin'>;
  leaseSeconds: number;
  newId(): string;
}

export interface Claim {
  sessionId: string;
  workspaceId: string;
  epoch: number;
  /** Claims since something was recorded, this one included. */
  attempts: number;
}

export interface OpenWish {
  row: number;
  wish: Wish;
  limit: number;
}

export type WishOutcome = { row: number; profiles: RankedProfile[] } | { row: number; error: ErrorFact };

/** The fields of a profile that a dataset of found leads has as columns, beside the profile's page. */
export const FIELDS = [
  'email',
  'first_name',
  'last_name',
  'company',
  'title',
  'city',
  'country',
  'website',
] as const;

/** What a batch's credits are reserved under. */
export function referenceOf(sessionId: string): string {
  return `lead_finder_session:${sessionId}`;
}

export type Batches = ReturnType<typeof createBatches>;

export function createBatches({ database, runtimePool, credits, leaseSeconds, newId }: BatchNeeds) {
  /** Locks the session; null where the claim is not the newest any more. */
  async function fence(tx: WorkspaceTransaction, claim: Claim) {
    const session = await tx
      .selectFrom('lead_finder_sessions')
      .select(['dataset_id', 'price'])
      .where('id', '=', claim.sessionId)
      .where('lease_epoch', '=', claim.epoch)
      .where('status', '=', 'processing')
      .forUpdate()
      .executeTakeFirst();
    return session ?? null;
  }

  /** Puts people with an address into the batch's dataset, each once. */
  async function keepWithin(
    tx: WorkspaceTransaction,
    claim: Claim,
    datasetId: string,
    profiles: readonly RankedProfile[],
  ): Promise<void> {
    const byAddress = new Map(
      profiles.flatMap((profile) =>
        profile.email === null ? [] : [[profile.email.toLowerCase(), profile] as const],
      ),
    );
    if (byAddress.size === 0) return;
    const there = await tx
      .selectFrom('leads')
      .select('address')
      .where('dataset_id', '=', datasetId)
      .where('address', 'in', [...byAddress.keys()])
      .execute();
    for (const { address } of there) byAddress.delete(address);
    if (byAddress.size === 0) return;
    const { row_count: count } = await tx
      .updateTable('datasets')
      .set((row) => ({ row_count: row('row_count', '+', byAddress.size), updated_at: sql<Date>`now()` }))
      .where('id', '=', datasetId)
      .returning('row_count')
      .executeTakeFirstOrThrow();
    const first = count - byAddress.size + 1;
    const leads = [...byAddress.values()].map((profile, index) => ({
      id: newId(),
      workspace_id: claim.workspaceId,
      dataset_id: datasetId,
      row_index: first + index,
      email: profile.email ?? '',
      first_name: profile.first_name,
      last_name: profile.last_name,
      company: profile.company,
      title: profile.title,
      city: profile.city,
      country: profile.country,
      website: profile.website,
      data: JSON.stringify({
        ...Object.fromEntries(FIELDS.map((field) => [field, profile[field] ?? ''])),
        linkedin_url: profile.linkedin_url ?? '',
      }),
    }));
    await tx.insertInto('leads').values(leads).execute();
  }

  return {
    /** Claims the batch that has waited longest, of whichever workspace; null where none waits. */
    async claim(owner: string): Promise<Claim | null> {
      const { rows } = await runtimePool.query<{
        id: string;
        workspace_id: string;
        lease_epoch: number;
        attempts: number;
      }>(
        `update lead_finder_sessions
            set status = 'processing', lease_owner = $1, lease_epoch = lease_epoch + 1, attempts = attempts + 1,
                lease_until = now() + make_interval(secs => $2)
          where id = (select id from lead_finder_sessions
                       where status in ('queued', 'processing') and (lease_until is null or lease_until < now())
                       order by updated_at, id limit 1 for update skip locked)
        returning id, workspace_id, lease_epoch, attempts`,
        [owner, leaseSeconds],
      );
      const [row] = rows;
      if (row === undefined) return null;
      return {
        sessionId: row.id,
        workspaceId: row.workspace_id,
        epoch: row.lease_epoch,
        attempts: row.attempts,
      };
    },

    /** The next wishes that nobody has looked for, in their order. */
    wishes(claim: Claim, limit: number): Promise<OpenWish[]> {
      return database.within(claim.workspaceId, async (tx) => {
        const rows = await tx
          .selectFrom('lead_finder_rows')
          .select(['row_index', 'wish', 'most'])
          .where('session_id', '=', claim.sessionId)
          .where('status', '=', 'queued')
          .orderBy('row_index')
          .limit(limit)
          .execute();
        return rows.map((row) => ({ row: row.row_index, wish: row.wish, limit: row.most }));
      });
    },

    /**
     * Records outcomes, takes the credits for what was found so far, and gives the claim back, in one transaction; the
     * last one ends the batch and releases the credits that were not needed. `lost`: another process goes on with it,
     * and nothing was recorded.
     */
    record(claim: Claim, outcomes: readonly WishOutcome[]): Promise<'recorded' | 'ended' | 'lost'> {
      return database.within(claim.workspaceId, async (tx) => {
        const session = await fence(tx, claim);
        if (session === null) return 'lost';
        for (const outcome of outcomes) {
          const profiles = 'profiles' in outcome ? outcome.profiles : [];
          const status = 'error' in outcome ? 'failed' : profiles.length > 0 ? 'found' : 'not_found';
          await tx
            .updateTable('lead_finder_rows')
            .set({
              status,
              found: profiles.length,
              profiles: JSON.stringify(profiles),
              error: 'error' in outcome ? JSON.stringify(outcome.error) : null,
            })
            .where('session_id', '=', claim.sessionId)
            .where('row_index', '=', outcome.row)
            .execute();
        }
        const found = outcomes.flatMap((outcome) => ('profiles' in outcome ? outcome.profiles : []));
        // Its dataset may be deleted meanwhile; what was found is told all the same, and has to be paid.
        if (session.dataset_id !== null) await keepWithin(tx, claim, session.dataset_id, found);
        const { rows } = await sql<{ found: number; open: number; failed: number; total: number }>`
          select coalesce(sum(found), 0)::int as found, count(*) filter (where status = 'queued')::int as open,
                 count(*) filter (where status = 'failed')::int as failed, count(*)::int as total
            from lead_finder_rows where session_id = ${claim.sessionId}`.execute(tx);
        const [sums] = rows;
        if (sums === undefined) throw new Error('an aggregate has one row');
        const reference = referenceOf(claim.sessionId);
        await credits.captureWithin(tx, claim, { reference, credits: session.price * sums.found });
        const ended = sums.open === 0;
        if (ended) await credits.releaseWithin(tx, claim, { reference });
        const end = {
          status: sums.failed === sums.total ? 'failed' : 'completed',
          ended_at: sql<Date>`now()`,
        };
        await tx
          .updateTable('lead_finder_sessions')
          .set({
            ...(ended ? end : {}),
            lease_owner: null,
            lease_until: null,
            attempts: 0,
            updated_at: sql<Date>`clock_timestamp()`,
          })
          .where('id', '=', claim.sessionId)
          .execute();
        return ended ? 'ended' : 'recorded';
      });
    },

    /** Gives a claim back with nothing done, for whoever looks next. */
    async release(claim: Claim): Promise<void> {
      await runtimePool.query(
        `update lead_finder_sessions set lease_owner = null, lease_until = null, attempts = attempts - 1
          where id = $1 and lease_epoch = $2 and status = 'processing'`,
        [claim.sessionId, claim.epoch],
      );
    },
  };
}
