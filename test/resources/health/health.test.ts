/** The probes over HTTP. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ServiceError } from '../../../src/errors.ts';
import { createHealthRoutes, type Readiness } from '../../../src/resources/health/routes.ts';
import { type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

describe('the probes', () => {
  let harness: HttpHarness;
  let state: Readiness = { ready: true };
  beforeAll(async () => {
    harness = await startHttpHarness({
      routes: ({ now }) => createHealthRoutes({ now, readiness: async () => state }),
      authenticate: () => async () => {
        throw new ServiceError('UNAUTHORIZED', 'Nobody gets in here.');
      },
    });
  });
  afterAll(() => harness.close());

  it.each(['/health', '/api/v1/health'])('answer %s without a caller, ready or not', async (path) => {
    state = { ready: false, code: 'DATABASE_UNAVAILABLE', reason: 'The database does not answer.' };
    const answer = await harness.ask('GET', path);
    expect(answer).toMatchObject({ status: 200, body: { status: 'ok', timestamp: expect.any(String) } });
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  it('answer readiness by 200, or by 503 with the reason', async () => {
    state = { ready: true };
    expect(await harness.ask('GET', '/api/v1/ready')).toMatchObject({
      status: 200,
      body: { status: 'ready' },
    });
    state = { ready: false, code: 'DRAINING', reason: 'The process is draining.' };
    expect(await harness.ask('GET', '/api/v1/ready')).toMatchObject({
      status: 503,
      body: {
        detail: 'DRAINING',
        message: 'The process is draining.',
        request_id: expect.any(String),
        status: 'unavailable',
        reason: 'The process is draining.',
        services: { service: 'The process is draining.' },
      },
    });
  });

  it.each(['/api/v1/status', '/api/v1/api/v1/status'])('tell the state at %s', async (path) => {
    state = { ready: true };
    expect(await harness.ask('GET', path)).toMatchObject({ status: 200, body: { status: 'healthy' } });
    state = { ready: false, code: 'DRAINING', reason: 'The process is draining.' };
    expect(await harness.ask('GET', path)).toMatchObject({
      status: 503,
      body: {
        detail: 'DRAINING',
        status: 'unhealthy',
        components: { service: 'The process is draining.' },
      },
    });
  });
});
