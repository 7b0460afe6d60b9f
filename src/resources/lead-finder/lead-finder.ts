/** Deeds of the lead finder: accept a batch, tell how far it is, and find some leads at once for a call that pays for them. */

import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import { ServiceError } from '../../errors.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { Credits } from '../credits/credits.ts';
import { PRICES } from '../credits/prices.ts';
import { FIELDS, referenceOf } from './batches.ts';
import type { FindProfiles, FindRequest, LeadSource, RankedProfile, Wish } from './ports.ts';
import {
  type Batch,
  type BatchBody,
  type BatchResult,
  type BatchStatus,
  batch,
  batchStatus,
  FOUND,
  storedProfile,
} from './schema.ts';

export interface LeadFinderNeeds {
  database: Database;
  credits: Pick<Credits, 'reserveWithin' | 'captureWithin' | 'releaseWithin'>;
  source: LeadSource;
  find: FindProfiles;
  newId(): string;
  /** A batch was accepted: whoever works on them here may begin. */
  wake(): void;
}

export type LeadFinder = ReturnType<typeof createLeadFinder>;

export interface FindNow extends FindRequest {
  /** What is paid for (credits/reservations.ts). */
  reference: string;
  signal: AbortSignal;
}

export function createLeadFinder({ database, credits, source, find, newId, wake }: LeadFinderNeeds) {
  const price = PRICES[source.operation];

  return {
    /** Where leads come from, and what each of them costs. */
    source: { name: source.name, title: source.title, price },

    /**
     * Accepts names or criteria: opens a dataset for what will be found and reserves the most it can cost, in one
     * transaction. Throws `NOT_ENOUGH_CREDITS`; then nothing is kept.
     */
    async submit(caller: Caller, body: BatchBody): Promise<Batch> {
      const wishes: { wish: Wish; most: number }[] = [
        ...(body.names ?? []).map((wish) => ({ wish, most: 1 })),
        ...(body.criteria ?? []).map(({ limit, ...wish }) => ({ wish, most: limit })),
      ];
      const sessionId = newId();
      const datasetId = newId();
      const reserved = price * wishes.reduce((sum, { most }) => sum + most, 0);
      const made = await database.within(caller.workspaceId, async (tx) => {
        const workspace = { workspace_id: caller.workspaceId };
        const mine = { ...workspace, user_id: caller.userId };
        await credits.reserveWithin(tx, caller, {
          credits: reserved,
          operation: source.operation,
          reference: referenceOf(sessionId),
          description: `Lead finder: ${wishes.length === 1 ? '1 search' : `${wishes.length} searches`}`,
        });
        await tx
          .insertInto('datasets')
          .values({
            ...mine,
            id: datasetId,
            name: body.dataset_name ?? 'Found leads',
            source_type: FOUND,
            columns: [...FIELDS, 'linkedin_url'],
            mapping: JSON.stringify(Object.fromEntries(FIELDS.map((field) => [field, field]))),
          })
          .execute();
        await tx
          .insertInto('lead_finder_sessions')
          .values({
            ...mine,
            id: sessionId,
            dataset_id: datasetId,
            source: source.name,
            price,
            status: 'queued',
            total: wishes.length,
          })
          .execute();
        const rows = wishes.map(({ wish, most }, index) => ({
          ...workspace,
          session_id: sessionId,
          row_index: index,
          wish: JSON.stringify(wish),
          most,
        }));
        await tx.insertInto('lead_finder_rows').values(rows).execute();
        return {
          session_id: sessionId,
          dataset_id: datasetId,
          status: batch.shape.status.parse('queued'),
          total: wishes.length,
          credits_reserved: reserved,
          source: source.name,
        };
      });
      wake();
      return made;
    },

    /** How far a batch is, and what it found so far. Throws `NOT_FOUND`, also for somebody else's. */
    status(caller: Caller, sessionId: string, includeResults: boolean): Promise<BatchStatus> {
      return database.within(caller.workspaceId, async (tx) => {
        const session = await tx
          .selectFrom('lead_finder_sessions')
          .select(['dataset_id', 'status', 'total', 'price'])
          .where('id', '=', sessionId)
          .where('user_id', '=', caller.userId)
          .executeTakeFirst();
        if (session === undefined) throw new ServiceError('NOT_FOUND', 'There is no such batch.');
        const rows = await tx
          .selectFrom('lead_finder_rows')
          .select(['row_index', 'status', 'wish', 'profiles', 'error', 'found', 'most'])
          .where('session_id', '=', sessionId)
          .orderBy('row_index')
          .execute();
        const countOf = (status: string) => rows.filter((row) => row.status === status).length;
        const processed = rows.length - countOf('queued');
        const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);
        return {
          session_id: sessionId,
          dataset_id: session.dataset_id,
          status: batchStatus.shape.status.parse(session.status),
          total: session.total,
          processed,
          found: countOf('found'),
          not_found: countOf('not_found'),
          failed: countOf('failed'),
          progress_percentage: Math.floor((100 * processed) / session.total),
          credits_reserved: session.price * sum(rows.map((row) => row.most)),
          credits_charged: session.price * sum(rows.map((row) => row.found)),
          results: includeResults ? rows.flatMap(toResults) : null,
        };
      });
    },

    /**
     * Finds leads inside the caller's own transaction: reserves the most it can cost, captures what was found, gives
     * back the rest. Throws `NOT_ENOUGH_CREDITS`, `TURN_NOT_LIVE` once the signal aborts, and what the source
     * throws.
     */
    async findWithin(
      tx: WorkspaceTransaction,
      caller: Caller,
      { reference, signal, ...request }: FindNow,
    ): Promise<{ profiles: RankedProfile[]; credits: number }> {
      await credits.reserveWithin(tx, caller, {
        credits: price * request.limit,
        operation: source.operation,
        reference,
        description: 'Lead finder: 1 search',
      });
      // Not through a connection of its own: whoever holds one and waits for another can wait for ever.
      const scope = {
        workspaceId: caller.workspaceId,
        within: <T>(work: (same: WorkspaceTransaction) => Promise<T>) => work(tx),
        signal,
      };
      const profiles = await find(source, scope, request).catch((error: unknown) => {
        if (!signal.aborted) throw error;
        throw new ServiceError('TURN_NOT_LIVE', 'Cancelled before anything was found. Nothing was charged.', {
          cause: error,
        });
      });
      const spent = price * profiles.length;
      await credits.captureWithin(tx, caller, { reference, credits: spent });
      await credits.releaseWithin(tx, caller, { reference });
      return { profiles, credits: spent };
    },
  };
}

function toResults(row: {
  row_index: number;
  status: string;
  wish: Record<string, unknown>;
  profiles: unknown[];
  error: Record<string, unknown> | null;
}): BatchResult[] {
  const { name } = row.wish;
  const none: BatchResult = {
    row_index: row.row_index,
    name: typeof name === 'string' ? name : null,
    linkedin_url: null,
    status: batchStatus.shape.results.unwrap().element.shape.status.parse(row.status),
    confidence: null,
    lead_id: null,
    email: null,
    company: null,
    title: null,
    city: null,
    country: null,
    error: typeof row.error?.message === 'string' ? row.error.message : null,
  };
  if (row.profiles.length === 0) return [none];
  return row.profiles.map((stored) => {
    const profile = storedProfile.parse(stored);
    const { linkedin_url, confidence, lead_id, email, company, title, city, country } = profile;
    const found = [profile.first_name, profile.last_name].filter((part) => part !== null).join(' ');
    return {
      ...none,
      name: found || none.name,
      linkedin_url,
      confidence,
      lead_id,
      email,
      company,
      title,
      city,
      country,
    };
  });
}
