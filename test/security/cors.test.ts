/** Other origins: those that are configured may read answers, all others get no word of permission. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPerson, JWT_ENVIRONMENT, type Person, send } from '../support/people.ts';
import type { ServiceHere } from '../support/service.ts';
import { openStage, type Stage } from '../support/stage.ts';

const FRIEND = 'https://app.example.com';

let stage: Stage;
let service: ServiceHere;
let ada: Person;

beforeAll(async () => {
  stage = await openStage({ ...JWT_ENVIRONMENT, CORS_ORIGINS: `${FRIEND}, http://localhost:5173` });
  service = await stage.start();
  ada = await createPerson(service.url, { user: 'ada' });
});
afterAll(() => stage.close());

const permissions = (headers: Headers) =>
  Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-')));

function preflight(origin: string, method = 'POST') {
  return send(service.url, 'OPTIONS', '/api/v1/agent/chat', {
    headers: {
      origin,
      'access-control-request-method': method,
      'access-control-request-headers': 'authorization, content-type, x-made-up',
    },
  });
}

describe('a configured origin', () => {
  it.each([FRIEND, 'http://localhost:5173'])(
    'may ask what the preflight allows, and no more: %s',
    async (origin) => {
      const { status, headers } = await preflight(origin);
      expect(status).toBe(204);
      expect(permissions(headers)).toEqual({
        'access-control-allow-origin': origin,
        'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
        'access-control-allow-headers':
          'Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, X-Overture-Client, X-Api-Key, X-Auth-Scheme, X-AI-SDK-Version, Mcp-Protocol-Version',
        'access-control-expose-headers': expect.stringContaining('X-Request-Id'),
        'access-control-max-age': '600',
      });
      expect(headers.get('vary')).toContain('Origin');
    },
  );

  it('may read answers, refusals and streams, without cookies', async () => {
    for (const [path, status] of [
      ['/api/v1/auth/me', 200],
      ['/api/v1/leads?limit=x', 422],
      ['/nowhere', 404],
    ] as const) {
      const answer = await ada.ask('GET', path, { headers: { origin: FRIEND } });
      expect(answer.status).toBe(status);
      expect(answer.headers.get('access-control-allow-origin')).toBe(FRIEND);
      expect(answer.headers.has('access-control-allow-credentials')).toBe(false);
      expect(answer.headers.get('vary')).toContain('Origin');
    }
    const refused = await send(service.url, 'GET', '/api/v1/auth/me', { headers: { origin: FRIEND } });
    expect(refused).toMatchObject({ status: 401 });
    expect(refused.headers.get('access-control-allow-origin')).toBe(FRIEND);
    const stream = await fetch(`${service.url}/api/v1/agent/stream`, {
      headers: { origin: FRIEND, authorization: `Bearer ${ada.token}` },
    });
    await stream.body?.cancel();
    expect(stream.headers.get('access-control-allow-origin')).toBe(FRIEND);
  });

  it('may read what it needs to follow a turn and to wait for its limit', async () => {
    const { headers } = await ada.ask('GET', '/api/v1/auth/me', { headers: { origin: FRIEND } });
    const exposed = headers.get('access-control-expose-headers')?.split(', ');
    expect(exposed).toEqual(
      expect.arrayContaining([
        'X-Request-Id',
        'X-Thread-Id',
        'X-Turn-Id',
        'X-Run-Id',
        'Retry-After',
        'X-RateLimit-Limit',
        'X-RateLimit-Reset',
      ]),
    );
  });
});

describe('any other origin', () => {
  it.each([
    'https://evil.example',
    'null',
    'http://app.example.com',
    'https://app.example.com.evil.example',
    'https://app.example.com:8443',
    'https://APP.EXAMPLE.COM',
    'https://evil.example, https://app.example.com',
    '*',
  ])('gets no permission: %s', async (origin) => {
    for (const answer of [
      await preflight(origin),
      await ada.ask('GET', '/api/v1/auth/me', { headers: { origin } }),
      await ada.ask('POST', '/api/v1/agent/conversations', { headers: { origin }, body: {} }),
    ]) {
      expect(permissions(answer.headers)).toEqual({});
      expect(answer.headers.get('vary')).toContain('Origin');
    }
  });
});

describe('every answer', () => {
  it('is protected against being guessed at by a browser', async () => {
    for (const path of ['/api/v1/auth/me', '/nowhere', '/docs', '/api/v1/health']) {
      const { headers } = await ada.ask('GET', path);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
      expect(headers.has('x-powered-by')).toBe(false);
      expect(headers.has('set-cookie')).toBe(false);
    }
  });
});
