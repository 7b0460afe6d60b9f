/** Credits over HTTP against PostgreSQL. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCredits } from '../../../src/resources/credits/credits.ts';
import { createCreditRoutes } from '../../../src/resources/credits/routes.ts';
import type { CreditTransaction } from '../../../src/resources/credits/schema.ts';
import { type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

interface List {
  transactions: CreditTransaction[];
  total: number;
  next_cursor: string | null;
  has_more: boolean;
}

let harness: HttpHarness;

beforeAll(async () => {
  harness = await startHttpHarness({ routes: (needs) => createCreditRoutes(createCredits(needs)) });
  await harness.ownerQuery(
    'update credit_accounts set balance = 70, reserved = 10, used = 20 where workspace_id = $1',
    [harness.caller.workspaceId],
  );
  for (const [index, operation] of ['email_finder_find', 'lead_finder', 'email_finder_find'].entries()) {
    await harness.ownerQuery(
      `insert into credit_transactions (id, workspace_id, transaction_type, operation_type, amount, balance_after)
       values ($1, $2, 'consumption', $3, -3, $4)`,
      [harness.newId(), harness.caller.workspaceId, operation, 97 - 3 * index],
    );
  }
});
afterAll(() => harness.close());

async function list(query = '', workspace: 'a' | 'b' = 'a') {
  return (await harness.ask<List>('GET', `/api/v1/credits/transactions${query}`, { workspace })).body;
}

describe('credits', () => {
  it('tell the balance: available, used, and both with what is reserved as the total', async () => {
    expect(await harness.ask('GET', '/api/v1/credits/balance')).toMatchObject({
      status: 200,
      body: {
        total_credits: 100,
        used_credits: 20,
        available_credits: 70,
        current_package: null,
        packages: [],
      },
    });
    expect(await harness.ask('GET', '/api/v1/credits/balance', { workspace: 'b' })).toMatchObject({
      body: { total_credits: 0, used_credits: 0, available_credits: 0 },
    });
  });

  it('list the ledger, newest first, by offset, by cursor, and by operation', async () => {
    const all = await list();
    expect(all).toMatchObject({ total: 3, has_more: false, next_cursor: null });
    expect(all.transactions.map((transaction) => transaction.balance_after)).toEqual([91, 94, 97]);
    expect((await list('?limit=1&offset=1')).transactions).toEqual([all.transactions[1]]);
    const first = await list('?limit=2');
    expect((await list(`?cursor=${first.next_cursor}`)).transactions).toEqual([all.transactions[2]]);
    const found = await list('?operation_type=lead_finder');
    expect(found).toMatchObject({ total: 1, transactions: [{ operation_type: 'lead_finder', amount: -3 }] });
    expect(await list('?operation_type=email-finder%20find&transaction_type=consumption')).toMatchObject({
      total: 2,
    });
    expect(await list('?transaction_type=refund')).toMatchObject({ total: 0 });
    expect((await harness.ask('GET', '/api/v1/credits/transactions?transaction_type=gift')).status).toBe(422);
    expect((await harness.ask('GET', '/api/v1/credits/transactions?cursor=x')).status).toBe(422);
    expect((await harness.ask('GET', '/api/v1/credits/transactions?operation_type=%00')).status).toBe(422);
  });

  it('of another workspace are not there', async () => {
    expect(await list('', 'b')).toMatchObject({ total: 0, transactions: [] });
  });

  it.each([
    ['email_finder_find', 3],
    ['email-finder find', 3],
    ['email-finder bulk per row', 3],
    ['email-finder verify', 1],
    ['email-finder verify cached', 0],
    ['email-finder search', 0],
    ['lead-finder per name', 3],
    ['lead_finder', 3],
    ['lead-finder own data', 0],
    ['personalization', 1],
  ])('estimate %s at %i credits a unit', async (operation_type, unit_cost) => {
    const body = { operation_type, operation_count: 7, user_tier: 'free', file_size_mb: null };
    expect(await harness.ask('POST', '/api/v1/credits/estimate', { body })).toMatchObject({
      status: 200,
      body: { credits_required: 7 * unit_cost, operation_count: 7, unit_cost, pricing_mode: 'per_operation' },
    });
  });

  it.each([
    [{ operation_type: 'teleport' }],
    [{ operation_type: 'constructor' }],
    [{ operation_type: 'lead_finder', operation_count: 0 }],
    [{ operation_type: 'lead_finder', operation_count: 1.5 }],
    [{ operation_type: 'lead_finder', price: 0 }],
    [{}],
  ])('refuse to estimate %j', async (body) => {
    expect(await harness.ask('POST', '/api/v1/credits/estimate', { body })).toMatchObject({
      status: 422,
      body: { detail: 'VALIDATION_ERROR' },
    });
  });
});
