/** Credits that are reserved, captured and released, against PostgreSQL. */

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Credits, createCredits } from '../../../src/resources/credits/credits.ts';
import type { Payer } from '../../../src/resources/credits/reservations.ts';
import { type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

let harness: HttpHarness;
let credits: Credits;

beforeAll(async () => {
  harness = await startHttpHarness({ routes: () => [] });
  credits = createCredits(harness);
});
afterAll(() => harness.close());

/** A workspace of its own with so many credits. */
async function payerWith(balance: number): Promise<Payer> {
  const workspaceId = harness.newId();
  await harness.ownerQuery(`insert into workspaces (id, name) values ($1, 'Test')`, [workspaceId]);
  await harness.ownerQuery('insert into credit_accounts (workspace_id, balance) values ($1, $2)', [
    workspaceId,
    balance,
  ]);
  await harness.ownerQuery(
    `insert into credit_transactions (id, workspace_id, transaction_type, amount, balance_after) values ($1, $2, 'purchase', $3, $3)`,
    [harness.newId(), workspaceId, balance],
  );
  return { workspaceId };
}

async function accountOf({ workspaceId }: Payer) {
  const [account] = await harness.ownerQuery(
    `select balance, reserved, used,
            (select sum(amount)::int from credit_transactions t where t.workspace_id = a.workspace_id) as ledger
       from credit_accounts a where workspace_id = $1`,
    [workspaceId],
  );
  return account;
}

const reserve = (payer: Payer, reference: string, amount: number) =>
  harness.database.within(payer.workspaceId, (tx) =>
    credits.reserveWithin(tx, payer, {
      credits: amount,
      operation: 'lead_finder',
      reference,
      description: 'Test',
    }),
  );
const capture = (payer: Payer, reference: string, amount: number) =>
  harness.database.within(payer.workspaceId, (tx) =>
    credits.captureWithin(tx, payer, { reference, credits: amount }),
  );
const release = (payer: Payer, reference: string) =>
  harness.database.within(payer.workspaceId, (tx) => credits.releaseWithin(tx, payer, { reference }));

describe('reserved credits', () => {
  it('leave the balance at once, are taken for what was found, and come back for the rest', async () => {
    const payer = await payerWith(100);
    await reserve(payer, 'a batch', 30);
    expect(await accountOf(payer)).toEqual({ balance: 70, reserved: 30, used: 0, ledger: 70 });
    await capture(payer, 'a batch', 12);
    expect(await accountOf(payer)).toEqual({ balance: 70, reserved: 18, used: 12, ledger: 70 });
    expect(await release(payer, 'a batch')).toBe(18);
    expect(await accountOf(payer)).toEqual({ balance: 88, reserved: 0, used: 12, ledger: 88 });
    expect(
      await harness.ownerQuery(
        `select transaction_type, operation_type, amount, balance_after from credit_transactions
          where workspace_id = $1 order by created_at`,
        [payer.workspaceId],
      ),
    ).toEqual([
      { transaction_type: 'purchase', operation_type: null, amount: 100, balance_after: 100 },
      { transaction_type: 'consumption', operation_type: 'lead_finder', amount: -30, balance_after: 70 },
      { transaction_type: 'refund', operation_type: 'lead_finder', amount: 18, balance_after: 88 },
    ]);
  });

  it('are reserved, taken and given back once for a reference', async () => {
    const payer = await payerWith(10);
    await Promise.all(Array.from({ length: 8 }, () => reserve(payer, 'a call', 4)));
    await Promise.all(Array.from({ length: 8 }, () => capture(payer, 'a call', 3)));
    await Promise.all(Array.from({ length: 8 }, () => release(payer, 'a call')));
    expect(await accountOf(payer)).toEqual({ balance: 7, reserved: 0, used: 3, ledger: 7 });
    expect(await release(payer, 'a call')).toBe(0);
    expect(await release(payer, 'never reserved')).toBe(0);
  });

  it('cannot be taken beyond what is set aside', async () => {
    const payer = await payerWith(10);
    await reserve(payer, 'a call', 4);
    await expect(capture(payer, 'a call', 5)).rejects.toThrow('more credits are captured than were reserved');
    await release(payer, 'a call');
    await expect(capture(payer, 'a call', 1)).rejects.toThrow();
    await expect(capture(payer, 'never reserved', 1)).rejects.toThrow();
    expect(await accountOf(payer)).toEqual({ balance: 10, reserved: 0, used: 0, ledger: 10 });
  });

  it('are whole and not negative', async () => {
    const payer = await payerWith(10);
    for (const amount of [-1, 0.5, Number.NaN]) await expect(reserve(payer, 'x', amount)).rejects.toThrow();
  });

  it('say what is missing where there are too few, and reserve nothing then', async () => {
    const payer = await payerWith(10);
    await expect(reserve(payer, 'too dear', 12)).rejects.toMatchObject({
      code: 'NOT_ENOUGH_CREDITS',
      status: 402,
      message: 'This needs 12 credits and 10 are available: 2 are missing. Nothing was reserved.',
      facts: { required: 12, available: 10, missing: 2 },
    });
    expect(await accountOf(payer)).toEqual({ balance: 10, reserved: 0, used: 0, ledger: 10 });
    await expect(reserve({ workspaceId: harness.newId() }, 'no account', 1)).rejects.toMatchObject({
      facts: { required: 1, available: 0 },
    });
  });

  it('of nothing ask for nothing, not even an account', async () => {
    const payer = { workspaceId: harness.newId() };
    await reserve(payer, 'free', 0);
    await capture(payer, 'free', 0);
    expect(await release(payer, 'free')).toBe(0);
  });

  it('belong to one workspace: the same reference elsewhere is another one', async () => {
    const [one, other] = [await payerWith(5), await payerWith(5)];
    await reserve(one, 'same', 5);
    await reserve(other, 'same', 2);
    expect(await release(other, 'same')).toBe(2);
    expect(await accountOf(one)).toMatchObject({ balance: 0, reserved: 5 });
  });

  it('vanish with the transaction that reserved them', async () => {
    const payer = await payerWith(10);
    const broken = harness.database.within(payer.workspaceId, async (tx) => {
      await credits.reserveWithin(tx, payer, {
        credits: 10,
        operation: 'lead_finder',
        reference: 'undone',
        description: 'Test',
      });
      throw new Error('the work failed');
    });
    await expect(broken).rejects.toThrow('the work failed');
    expect(await accountOf(payer)).toEqual({ balance: 10, reserved: 0, used: 0, ledger: 10 });
  });

  it('are never overspent by 50 at once: who comes too late is refused', async () => {
    const payer = await payerWith(61);
    const tries = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) =>
        harness.database.within(payer.workspaceId, async (tx) => {
          const reference = `try ${index}`;
          await credits.reserveWithin(tx, payer, {
            credits: 3,
            operation: 'email_finder_find',
            reference,
            description: 'Test',
          });
          await credits.captureWithin(tx, payer, { reference, credits: 3 });
        }),
      ),
    );
    const refused = tries.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(refused).toHaveLength(30);
    for (const reason of refused) {
      expect(reason).toMatchObject({ code: 'NOT_ENOUGH_CREDITS', facts: { required: 3, available: 1 } });
    }
    expect(await accountOf(payer)).toEqual({ balance: 1, reserved: 0, used: 60, ledger: 1 });
    const [row] = await harness.ownerQuery(
      `select bool_and(balance_after = running) as exact from (
         select balance_after, sum(amount) over (order by created_at, id) as running
           from credit_transactions where workspace_id = $1) ledger`,
      [payer.workspaceId],
    );
    expect(row).toEqual({ exact: true });
  });

  it('do in any order what a plain model of them does', async () => {
    const reference = fc.constantFrom('a', 'b', 'c');
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('reserve' as const),
        reference,
        amount: fc.integer({ min: 0, max: 15 }),
      }),
      fc.record({
        kind: fc.constant('capture' as const),
        reference,
        amount: fc.integer({ min: 0, max: 15 }),
      }),
      fc.record({ kind: fc.constant('release' as const), reference, amount: fc.constant(0) }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 30 }),
        fc.array(step, { minLength: 1, maxLength: 15 }),
        async (balance, steps) => {
          const payer = await payerWith(balance);
          const model = { balance, reserved: 0, used: 0 };
          const held = new Map<string, { credits: number; captured: number; released: number }>();
          for (const { kind, reference: name, amount } of steps) {
            const one = held.get(name);
            if (kind === 'reserve') {
              const done = reserve(payer, name, amount);
              if (one === undefined && amount > model.balance) {
                await expect(done).rejects.toMatchObject({ code: 'NOT_ENOUGH_CREDITS' });
              } else {
                await done;
                if (one === undefined && amount > 0) {
                  held.set(name, { credits: amount, captured: 0, released: 0 });
                  model.balance -= amount;
                  model.reserved += amount;
                }
              }
            } else if (kind === 'capture') {
              const done = capture(payer, name, amount);
              if (amount > 0 && (one === undefined || amount > one.credits - one.released)) {
                await expect(done).rejects.toThrow();
              } else {
                await done;
                const more = one === undefined ? 0 : Math.max(0, amount - one.captured);
                if (one !== undefined) one.captured += more;
                model.reserved -= more;
                model.used += more;
              }
            } else {
              const rest = one === undefined ? 0 : one.credits - one.captured - one.released;
              expect(await release(payer, name)).toBe(rest);
              if (one !== undefined) one.released += rest;
              model.balance += rest;
              model.reserved -= rest;
            }
            expect(await accountOf(payer)).toEqual({ ...model, ledger: model.balance });
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});
