/** Who works on batches: what is charged, what a crash leaves, and who may record. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ServiceError } from '../../src/errors.ts';
import type { LeadSource, RankedProfile } from '../../src/resources/lead-finder/ports.ts';
import type { BatchBody, BatchStatus } from '../../src/resources/lead-finder/schema.ts';
import { type HttpHarness, startHttpHarness } from '../support/http-harness.ts';
import {
  createLeadFinderParts,
  type LeadFinderParts,
  outsideSource,
  profileOf,
} from '../support/lead-finder.ts';

let harness: HttpHarness;
const opened: LeadFinderParts[] = [];

beforeAll(async () => {
  harness = await startHttpHarness({ routes: () => [] });
});
afterAll(() => harness.close());
beforeEach(async () => {
  for (const table of ['lead_finder_sessions', 'datasets', 'credit_reservations', 'credit_transactions']) {
    await harness.ownerQuery(`delete from ${table}`);
  }
  await harness.ownerQuery('update credit_accounts set balance = 100, reserved = 0, used = 0');
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((parts) => parts.close()));
});

function open(source: LeadSource, leaseSeconds?: number): LeadFinderParts {
  const parts = createLeadFinderParts(harness, { source, leaseSeconds });
  opened.push(parts);
  return parts;
}

/** Finds whoever is asked for, unless their name is on the list. */
function finder(missing: readonly string[] = []): LeadSource {
  return outsideSource(async (_scope, { name }) => (missing.includes(name) ? [] : [profileOf(name)]));
}

function namesOf(...names: string[]): BatchBody {
  return { names: names.map((name) => ({ name })) };
}

async function account() {
  const [row] = await harness.ownerQuery(
    `select balance, reserved, used, 100 + (select coalesce(sum(amount), 0)::int from credit_transactions where workspace_id = $1) as ledger
       from credit_accounts where workspace_id = $1`,
    [harness.caller.workspaceId],
  );
  return row;
}

async function ended({ leadFinder }: LeadFinderParts, sessionId: string): Promise<BatchStatus> {
  const look = () => leadFinder.status(harness.caller, sessionId, true);
  await expect
    .poll(async () => (await look()).status, { timeout: 15_000 })
    .toSatisfy((status) => status === 'completed' || status === 'failed');
  return look();
}

describe('a batch from a source that costs', () => {
  it('reserves the price of every name, is charged for those found, and gets the rest back', async () => {
    const parts = open(finder(['Nobody Known']));
    const made = await parts.leadFinder.submit(
      harness.caller,
      namesOf('Ada Lovelace', 'Nobody Known', 'Alan Turing'),
    );
    expect(made).toMatchObject({ credits_reserved: 9, source: 'outside' });
    expect(await account()).toEqual({ balance: 91, reserved: 9, used: 0, ledger: 91 });
    parts.startWorker();
    expect(await ended(parts, made.session_id)).toMatchObject({
      status: 'completed',
      found: 2,
      not_found: 1,
      credits_reserved: 9,
      credits_charged: 6,
    });
    expect(await account()).toEqual({ balance: 94, reserved: 0, used: 6, ledger: 94 });
  });

  it('of criteria reserves the most that may be found', async () => {
    const source = outsideSource(async () => [
      profileOf('Ada Lovelace', { title: 'CTO' }),
      profileOf('Alan Turing', { title: 'CTO' }),
    ]);
    const parts = open(source);
    const made = await parts.leadFinder.submit(harness.caller, { criteria: [{ title: 'CTO', limit: 10 }] });
    expect(made.credits_reserved).toBe(30);
    parts.startWorker();
    expect(await ended(parts, made.session_id)).toMatchObject({ found: 1, credits_charged: 6 });
    expect(await account()).toEqual({ balance: 94, reserved: 0, used: 6, ledger: 94 });
  });

  it('is refused with what is missing, and keeps nothing, where there are too few credits', async () => {
    const parts = open(finder());
    const names = Array.from({ length: 34 }, (_, index) => `Person Number${index}`);
    await expect(parts.leadFinder.submit(harness.caller, namesOf(...names))).rejects.toMatchObject({
      code: 'NOT_ENOUGH_CREDITS',
      facts: { required: 102, available: 100, missing: 2 },
    });
    expect(await harness.ownerQuery('select id from lead_finder_sessions')).toEqual([]);
    expect(await harness.ownerQuery('select id from datasets')).toEqual([]);
    expect(await account()).toEqual({ balance: 100, reserved: 0, used: 0, ledger: 100 });
  });

  it('fails the names of which the source says so, charges nothing for them, and goes on', async () => {
    const source = outsideSource(async (_scope, { name }) => {
      if (name === 'Bad Name') throw new ServiceError('RATE_LIMITED', 'The source is tired.');
      return [profileOf(name)];
    });
    const parts = open(source);
    const made = await parts.leadFinder.submit(harness.caller, namesOf('Bad Name', 'Ada Lovelace'));
    parts.startWorker();
    const status = await ended(parts, made.session_id);
    expect(status).toMatchObject({ status: 'completed', found: 1, failed: 1, credits_charged: 3 });
    expect(status.results?.[0]).toMatchObject({ status: 'failed', error: 'The source is tired.' });
    const bad = await parts.leadFinder.submit(harness.caller, namesOf('Bad Name'));
    expect(await ended(parts, bad.session_id)).toMatchObject({ status: 'failed', credits_charged: 0 });
    expect(await account()).toEqual({ balance: 97, reserved: 0, used: 3, ledger: 97 });
  });
});

describe('several workers', () => {
  it('share what waits, and look for every name once', async () => {
    const asked: string[] = [];
    const source = outsideSource(async (_scope, { name }) => {
      asked.push(name);
      return [profileOf(name)];
    });
    const parts = open(source, 30);
    const batches = await Promise.all(
      Array.from({ length: 3 }, (_, batch) =>
        parts.leadFinder.submit(
          harness.caller,
          namesOf(...Array.from({ length: 10 }, (_, index) => `Name${batch} Number${index}`)),
        ),
      ),
    );
    for (let worker = 0; worker < 3; worker += 1) parts.startWorker();
    for (const { session_id } of batches) {
      expect(await ended(parts, session_id)).toMatchObject({ found: 10, credits_charged: 30 });
    }
    expect(asked).toHaveLength(30);
    expect(new Set(asked).size).toBe(30);
    expect(await account()).toEqual({ balance: 10, reserved: 0, used: 90, ledger: 10 });
  });

  it('give a long batch and a short one their turns', async () => {
    const order: string[] = [];
    const source = outsideSource(async (_scope, { name }) => {
      order.push(name);
      return [];
    });
    const parts = open(source, 30);
    const long = namesOf(...Array.from({ length: 30 }, (_, index) => `Long Number${index}`));
    const first = await parts.leadFinder.submit(harness.caller, long);
    const second = await parts.leadFinder.submit(harness.caller, namesOf('Short One'));
    parts.startWorker();
    await ended(parts, first.session_id);
    await ended(parts, second.session_id);
    expect(order.indexOf('Short One')).toBeLessThan(order.indexOf('Long Number29'));
  });
});

describe('a claim', () => {
  it('of a process that died is taken over when its lease runs out; the dead one records nothing more', async () => {
    const parts = open(finder(), 1);
    const made = await parts.leadFinder.submit(harness.caller, namesOf('Ada Lovelace', 'Alan Turing'));
    const dead = await parts.batches.claim('dead');
    if (dead === null) throw new Error('there is a batch to claim');
    expect(await parts.batches.claim('too early')).toBeNull();
    parts.startWorker();
    expect(await ended(parts, made.session_id)).toMatchObject({ found: 2, credits_charged: 6 });
    const profiles: RankedProfile[] = [{ ...profileOf('Grace Hopper'), confidence: 1, matched: ['name'] }];
    expect(await parts.batches.record(dead, [{ row: 0, profiles }])).toBe('lost');
    expect(await account()).toEqual({ balance: 94, reserved: 0, used: 6, ledger: 94 });
    expect((await parts.leadFinder.status(harness.caller, made.session_id, true)).results?.[0]).toMatchObject(
      {
        name: 'Ada Lovelace',
      },
    );
  });

  it('of a process that leaves is given back at once', async () => {
    const entered = Promise.withResolvers<void>();
    let leaving = true;
    const source = outsideSource((scope, { name }) => {
      if (!leaving) return Promise.resolve([profileOf(name)]);
      entered.resolve();
      return new Promise((_, reject) =>
        scope.signal.addEventListener('abort', () => reject(scope.signal.reason)),
      );
    });
    const parts = open(source, 60);
    const made = await parts.leadFinder.submit(harness.caller, namesOf('Ada Lovelace'));
    const worker = parts.startWorker();
    await entered.promise;
    await worker.stop();
    leaving = false;
    const next = await parts.batches.claim('next');
    expect(next).toMatchObject({ sessionId: made.session_id, attempts: 1 });
    if (next !== null) await parts.batches.release(next);
    parts.startWorker();
    expect(await ended(parts, made.session_id)).toMatchObject({ found: 1 });
  });

  it('that ends without a word again and again costs one name, not the batch', async () => {
    const source = outsideSource(async (_scope, { name }) => {
      if (name === 'Poison Pill') throw new Error('the process would have died');
      return [profileOf(name)];
    });
    const parts = open(source, 1);
    const made = await parts.leadFinder.submit(
      harness.caller,
      namesOf('Ada Lovelace', 'Poison Pill', 'Alan Turing'),
    );
    parts.startWorker();
    const status = await ended(parts, made.session_id);
    expect(status).toMatchObject({ status: 'completed', found: 2, failed: 1, credits_charged: 6 });
    expect(status.results?.[1]).toMatchObject({
      status: 'failed',
      error: expect.stringContaining('several'),
    });
    expect(parts.logged.join('')).toContain('the process would have died');
    expect(await account()).toEqual({ balance: 94, reserved: 0, used: 6, ledger: 94 });
  });

  it('goes on where the dataset was deleted meanwhile: what was found is told and charged', async () => {
    const parts = open(finder());
    const made = await parts.leadFinder.submit(harness.caller, namesOf('Ada Lovelace', 'Alan Turing'));
    await harness.ownerQuery('delete from datasets');
    parts.startWorker();
    expect(await ended(parts, made.session_id)).toMatchObject({
      dataset_id: null,
      found: 2,
      credits_charged: 6,
    });
    expect(await account()).toEqual({ balance: 94, reserved: 0, used: 6, ledger: 94 });
  });

  it('is refused where a newer one was made or the batch is gone', async () => {
    const parts = open(finder(), 1);
    await parts.leadFinder.submit(harness.caller, namesOf('Ada Lovelace'));
    const claim = await parts.batches.claim('somebody');
    await harness.ownerQuery('delete from lead_finder_sessions');
    if (claim === null) throw new Error('there is a batch to claim');
    expect(await parts.batches.wishes(claim, 5)).toEqual([]);
    expect(await parts.batches.record(claim, [])).toBe('lost');
  });
});
