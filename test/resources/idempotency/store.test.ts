/** The store of Idempotency-Keys against PostgreSQL, and what clients see of it. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashBody, type IdempotencyStore } from '../../../src/http/idempotency.ts';
import { createIdempotencyStore } from '../../../src/resources/idempotency/store.ts';
import { createSuppressionRoutes } from '../../../src/resources/suppression/routes.ts';
import { createSuppression } from '../../../src/resources/suppression/suppression.ts';
import { type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

const PATH = '/api/v1/suppression/';

let harness: HttpHarness;
let store: IdempotencyStore;
beforeAll(async () => {
  harness = await startHttpHarness({
    routes: (needs) => {
      store = createIdempotencyStore(needs);
      return createSuppressionRoutes(createSuppression(needs));
    },
  });
});
afterAll(() => harness.close());

function scopeOf(
  key: string,
  changes: Partial<{ workspaceId: string; principal: string; route: string }> = {},
) {
  return {
    workspaceId: harness.caller.workspaceId,
    principal: 'user:ada',
    route: 'POST /x',
    key,
    ...changes,
  };
}

describe('the store', () => {
  it('gives a key to one of many claims at once, and tells the others what is known', async () => {
    const hash = hashBody({ a: 1 });
    const claims = await Promise.all(Array.from({ length: 12 }, () => store.claim(scopeOf('one'), hash)));
    expect(claims.filter((claim) => claim === null)).toHaveLength(1);
    const known = claims.find((claim) => claim !== null);
    expect(known).toMatchObject({ bodyHash: hash, status: null, response: null });
    expect(known?.ageSeconds).toBeGreaterThanOrEqual(0);
  });

  it.each([[{ a: [1, null, 'ü'] }], [[]], ['text'], [7], [false], [null]])(
    'keeps the answer %j',
    async (response) => {
      const scope = scopeOf(`answer ${JSON.stringify(response)}`);
      await store.claim(scope, 'hash');
      await store.keep(scope, 201, response);
      expect(await store.claim(scope, 'other hash')).toMatchObject({
        bodyHash: 'hash',
        status: 201,
        response,
      });
    },
  );

  it('gives a released key again', async () => {
    const scope = scopeOf('released');
    expect(await store.claim(scope, 'hash')).toBeNull();
    await store.release(scope);
    expect(await store.claim(scope, 'hash')).toBeNull();
  });

  it('keeps keys apart by workspace, principal and route', async () => {
    const scopes = [
      scopeOf('apart'),
      scopeOf('apart', { workspaceId: harness.other.workspaceId }),
      scopeOf('apart', { principal: 'key:1' }),
      scopeOf('apart', { route: 'PUT /x' }),
    ];
    for (const scope of scopes) expect(await store.claim(scope, 'hash')).toBeNull();
    await store.release(scopeOf('apart'));
    expect(await store.claim(scopeOf('apart', { principal: 'key:1' }), 'hash')).not.toBeNull();
  });

  it('says how old a claim is', async () => {
    const scope = scopeOf('old');
    await store.claim(scope, 'hash');
    await harness.ownerQuery(
      "update idempotency_keys set created_at = now() - interval '90 seconds' where key = 'old'",
    );
    const known = await store.claim(scope, 'hash');
    expect(known?.ageSeconds).toBeGreaterThanOrEqual(90);
    expect(known?.ageSeconds).toBeLessThan(150);
  });
});

describe('a write with an Idempotency-Key', () => {
  const add = (email: string, key: string, workspace: 'a' | 'b' = 'a') =>
    harness.ask('POST', PATH, { body: { email }, headers: { 'idempotency-key': key }, workspace });

  it('is done once and gets the first answer again', async () => {
    const first = await add('ada@example.com', 'k1');
    const again = await add('ada@example.com', 'k1');
    expect(first.status).toBe(201);
    expect(again).toMatchObject({ status: 201, body: first.body });
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(await add('grace@example.com', 'k1')).toMatchObject({
      status: 422,
      body: { detail: 'IDEMPOTENCY_MISMATCH' },
    });
    expect((await add('ada@example.com', 'k1', 'b')).status).toBe(201);
  });

  it('that was refused may be repeated', async () => {
    expect((await add('ada@example.com', 'k2')).status).toBe(409);
    await harness.ask(
      'DELETE',
      `${PATH}${(await harness.ask<{ items: { entry_id: string }[] }>('GET', PATH)).body.items[0]?.entry_id}`,
    );
    expect((await add('ada@example.com', 'k2')).status).toBe(201);
  });

  it('answers an empty answer again', async () => {
    const { body } = await harness.ask<{ items: { entry_id: string }[] }>('GET', PATH);
    const headers = { 'idempotency-key': 'k3' };
    const path = `${PATH}${body.items[0]?.entry_id}`;
    expect(await harness.ask('DELETE', path, { headers })).toMatchObject({ status: 204, body: '' });
    expect(await harness.ask('DELETE', path, { headers })).toMatchObject({ status: 204, body: '' });
  });
});
