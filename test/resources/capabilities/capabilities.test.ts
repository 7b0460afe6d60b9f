/** Feature flags over HTTP. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCapabilityRoutes } from '../../../src/resources/capabilities/routes.ts';
import { type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

describe('capabilities', () => {
  let harness: HttpHarness;
  const flags = { offline_model: true, sandbox: false, campaigns: false };
  beforeAll(async () => {
    harness = await startHttpHarness({
      routes: () => createCapabilityRoutes(flags),
      authenticate: () => async (incoming) => ({
        workspaceId: '019a0000-0000-7000-8000-000000000000',
        userId: 'ada',
        kind: 'api_key',
        scopes: ['read'],
        sandbox: incoming.headers['x-test-workspace'] === 'b',
        email: null,
        keyId: 'key',
        plan: 'dev',
      }),
    });
  });
  afterAll(() => harness.close());

  it('are the flags that were configured', async () => {
    expect(await harness.ask('GET', '/api/v1/capabilities')).toMatchObject({ status: 200, body: flags });
  });

  it('say sandbox to a sandbox key whatever was configured', async () => {
    const answer = await harness.ask('GET', '/api/v1/capabilities', { workspace: 'b' });
    expect(answer.body).toEqual({ ...flags, sandbox: true });
  });
});
