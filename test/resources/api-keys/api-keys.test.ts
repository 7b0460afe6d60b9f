/** API keys over HTTP against PostgreSQL, with the authentication that serves. */

import { SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAuthenticate, hashKey } from '../../../src/http/caller.ts';
import { createVerifyToken } from '../../../src/http/jwt.ts';
import { createApiKeys } from '../../../src/resources/api-keys/api-keys.ts';
import { createApiKeyRoutes } from '../../../src/resources/api-keys/routes.ts';
import type { ApiKey, ApiKeyCreated } from '../../../src/resources/api-keys/schema.ts';
import { createIdempotencyStore } from '../../../src/resources/idempotency/store.ts';
import { createIdentities, type ServingIdentities } from '../../../src/resources/identity/identities.ts';
import { createIdentityRoutes } from '../../../src/resources/identity/routes.ts';
import { type HarnessNeeds, type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

const PATH = '/api/v1/api-keys';
const ME = '/api/v1/auth/me';
const SECRET = 'a secret of thirty-two characters at least';

interface List {
  keys: ApiKey[];
  count: number;
  tier_limit: number;
}

let harness: HttpHarness;
let identities: ServingIdentities;
let ada: Record<string, string>;
let grace: Record<string, string>;

beforeAll(async () => {
  const identitiesOf = (needs: HarnessNeeds) => {
    identities ??= createIdentities(needs);
    return identities;
  };
  harness = await startHttpHarness({
    routes: (needs) => {
      const apiKeys = createApiKeys({ ...needs, forgetKeys: identitiesOf(needs).forgetKeys });
      return [
        ...createApiKeyRoutes(apiKeys, { idempotency: createIdempotencyStore(needs) }),
        ...createIdentityRoutes(),
      ];
    },
    authenticate: (needs) =>
      createAuthenticate({
        mode: 'jwt',
        identities: identitiesOf(needs),
        verifyToken: createVerifyToken({ secret: SECRET, jwksUrl: null, issuer: null, audience: null }),
      }),
  });
  ada = await session('ada');
  grace = await session('grace');
});
afterAll(() => harness.close());
beforeEach(async () => {
  await harness.ownerQuery('delete from api_keys');
  identities.forgetKeys();
});

/** The headers of a signed-in person who has a workspace of their own. */
async function session(user: string): Promise<Record<string, string>> {
  const token = await new SignJWT({ email: `${user}@example.com` })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET));
  return { authorization: `Bearer ${token}` };
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

async function made(changes: Record<string, unknown> = {}): Promise<ApiKeyCreated> {
  const answer = await harness.ask<ApiKeyCreated>('POST', PATH, {
    body: { name: 'CI', ...changes },
    headers: ada,
  });
  expect(answer.status).toBe(201);
  return answer.body;
}

async function list(headers: Record<string, string>) {
  return (await harness.ask<List>('GET', PATH, { headers })).body;
}

describe('API keys', () => {
  it('are shown once, and kept as a hash with their first 17 characters', async () => {
    const created = await made();
    expect(created.key).toMatch(/^bav_live_[A-Za-z0-9_-]{43}$/);
    expect(created.key_prefix).toBe(created.key.slice(0, 17));
    expect(created).toMatchObject({ name: 'CI', sandbox: false, scopes: null, last_used_at: null });
    const { key, ...shown } = created;
    expect(await list(ada)).toMatchObject({ keys: [shown], count: 1, tier_limit: 20 });
    const stored = await harness.ownerQuery('select * from api_keys');
    expect(stored[0]?.key_hash).toEqual(hashKey(key));
    expect(JSON.stringify(await list(ada))).not.toContain(key.slice(17));
    expect(JSON.stringify(stored)).not.toContain(key.slice(17));
    expect(JSON.stringify(harness.lines)).not.toContain(key.slice(17));
  });

  it('act for the person who made them, in the sandbox where they are made for it, within their scopes', async () => {
    const { key } = await made({ sandbox: true, scopes: ['read', 'agent:chat'] });
    expect(key).toMatch(/^bav_test_/);
    expect(await harness.ask('GET', ME, { headers: bearer(key) })).toMatchObject({
      status: 200,
      body: {
        user_id: 'ada',
        app_metadata: { kind: 'api_key', sandbox: true, scopes: ['read', 'agent:chat'] },
      },
    });
    const narrow = await made({ scopes: ['send'] });
    expect((await harness.ask('GET', PATH, { headers: bearer(narrow.key) })).status).toBe(403);
  });

  it('cannot make or revoke keys', async () => {
    const { key, id } = await made();
    const headers = bearer(key);
    expect(await harness.ask('POST', PATH, { body: { name: 'x' }, headers })).toMatchObject({
      status: 403,
      body: { detail: 'FORBIDDEN' },
    });
    expect((await harness.ask('DELETE', `${PATH}/${id}`, { headers })).status).toBe(403);
    expect((await list(headers)).count).toBe(1);
  });

  it('count no more from the moment they are revoked', async () => {
    const { key, id } = await made();
    expect((await harness.ask('GET', ME, { headers: bearer(key) })).status).toBe(200);
    expect((await harness.ask('DELETE', `${PATH}/${id}`, { headers: ada })).status).toBe(204);
    expect((await harness.ask('GET', ME, { headers: bearer(key) })).status).toBe(401);
    expect((await harness.ask('DELETE', `${PATH}/${id}`, { headers: ada })).status).toBe(404);
    expect((await list(ada)).count).toBe(0);
  });

  it('are twenty at most in a workspace, also when many are made at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 24 }, () => harness.ask('POST', PATH, { body: { name: 'x' }, headers: ada })),
    );
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(20);
    expect(answers.find((answer) => answer.status !== 201)).toMatchObject({
      status: 409,
      body: { detail: 'LIMIT_REACHED' },
    });
    const { keys } = await list(ada);
    await harness.ask('DELETE', `${PATH}/${keys[0]?.id}`, { headers: ada });
    await made();
  });

  it('made with an Idempotency-Key are made once, and their secret is not in its record', async () => {
    const headers = { ...ada, 'idempotency-key': 'once' };
    const body = { name: 'CI' };
    const first = await harness.ask<ApiKeyCreated>('POST', PATH, { body, headers });
    expect(first).toMatchObject({ status: 201, body: { key: expect.stringMatching(/^bav_live_/) } });
    expect(await harness.ask('POST', PATH, { body, headers })).toMatchObject({
      status: 409,
      body: { detail: 'ALREADY_EXISTS', id: first.body.id, key_prefix: first.body.key_prefix },
    });
    expect((await harness.ask('POST', PATH, { body: { name: 'other' }, headers })).status).toBe(422);
    expect((await list(ada)).count).toBe(1);
    const records = await harness.ownerQuery('select * from idempotency_keys');
    expect(records).toHaveLength(1);
    expect(JSON.stringify(records)).not.toContain(first.body.key.slice(17));
  });

  it.each([
    [{}],
    [{ name: '' }],
    [{ name: 'x'.repeat(101) }],
    [{ name: 'a\nb' }],
    [{ name: 'x', scopes: [] }],
    [{ name: 'x', scopes: ['everything'] }],
    [{ name: 'x', scopes: ['read', 'read'] }],
    [{ name: 'x', key: 'bav_live_mine' }],
  ])('refuse %j', async (body) => {
    expect((await harness.ask('POST', PATH, { body, headers: ada })).status).toBe(422);
  });

  it('of another workspace are not there', async () => {
    const { id, key } = await made();
    expect(await list(grace)).toMatchObject({ keys: [], count: 0 });
    expect((await harness.ask('DELETE', `${PATH}/${id}`, { headers: grace })).status).toBe(404);
    expect((await harness.ask('GET', ME, { headers: bearer(key) })).status).toBe(200);
  });

  it.each(['bav_live_short', `bav_live_${'x'.repeat(43)}`, `bav_root_${'x'.repeat(43)}`, 'not.a.token'])(
    'that do not exist are refused: %s',
    async (key) => {
      const answer = await harness.ask('GET', ME, { headers: bearer(key) });
      expect(answer).toMatchObject({ status: 401, body: { detail: 'UNAUTHORIZED' } });
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    },
  );
});

describe('who am I', () => {
  it.each([ME, '/api/v1/auth/verify'])('is answered to a person at %s', async (path) => {
    expect(await harness.ask('GET', path, { headers: ada })).toMatchObject({
      status: 200,
      body: {
        user_id: 'ada',
        email: 'ada@example.com',
        role: 'user',
        authenticated: true,
        app_metadata: { kind: 'person', plan: 'free', scopes: null, sandbox: false },
        user_metadata: {},
      },
    });
  });

  it('is not answered to nobody', async () => {
    expect((await harness.ask('GET', ME)).status).toBe(401);
  });
});
