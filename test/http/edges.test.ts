/** What odd clients send: the service answers in its own terms, keeps nothing open, and goes on. */

import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { endOf, eventually, lastAnswer, say } from '../support/mailing.ts';
import { type ServiceHere, startService } from '../support/service.ts';
import { openStage, type Stage } from '../support/stage.ts';

const CHAT = '/api/v1/agent/chat';

let stage: Stage;
let service: ServiceHere;
beforeAll(async () => {
  stage = await openStage();
  service = await stage.start();
});
afterAll(() => stage.close());

/** Sends these bytes and gives what comes back until the server closes. */
async function raw(bytes: string): Promise<string> {
  const { hostname, port } = new URL(service.url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  socket.write(bytes);
  return text(socket);
}

function post(path: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${service.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
}

const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;

describe('a body that nests', () => {
  it.each([101, 5_000, 40_000])('%i levels deep is refused, with an Idempotency-Key too', async (depth) => {
    const attempts: [string, string][] = [
      [CHAT, `{"message":"Hi","page_context":${nested(depth)}}`],
      ['/api/v1/templates', `{"name":"A","subject":"B","body":"C","more":${nested(depth)}}`],
      [CHAT, `{"message":"Hi","page_context":{"a":${'['.repeat(depth)}${']'.repeat(depth)}}}`],
    ];
    for (const [path, body] of attempts) {
      const answer = await post(path, body, { 'idempotency-key': `deep-${depth}` });
      expect(answer.status).toBe(400);
      expect(await answer.json()).toMatchObject({ detail: 'INVALID_JSON', request_id: expect.any(String) });
    }
  });

  it('no deeper than it may, or in its strings only, is taken', async () => {
    stage.model.otherwise('Hello.');
    for (const context of [nested(10), JSON.stringify({ a: '[{'.repeat(1_000), b: '\\"[[[' })]) {
      const answer = await post(CHAT, `{"message":"Hi","page_context":${context}}`, {
        accept: 'application/json',
      });
      expect(await answer.json()).toMatchObject({ status: 'completed' });
    }
  });

  it('comes from a model as arguments: the call is refused, and the turn goes on', async () => {
    stage.model.script(
      { toolCalls: [{ name: 'search_leads', argsText: nested(50_000) }] },
      'Then without it.',
    );
    const { threadId, events } = await say(service.client, 'Find somebody.');
    expect(endOf(events)).toBe('completed');
    expect(events.find((event) => event.type === 'tool-end')?.data).toMatchObject({
      error: { code: 'INVALID_ARGUMENTS' },
    });
    expect((await lastAnswer(service.client, threadId)).content).toBe('Then without it.');
  });
});

describe('names that JavaScript gives a meaning', () => {
  it('are data, wherever they stand', async () => {
    stage.model.otherwise('Hello.');
    for (const name of ['__proto__', 'constructor', 'prototype']) {
      const evil = `{"${name}":{"polluted":"yes","prototype":{"polluted":"yes"}}}`;
      const answers = [
        await post(CHAT, `{"message":"Hi","page_context":${evil}}`, { accept: 'application/json' }),
        await post('/api/v1/templates', `{"name":"A","subject":"B","body":"C","${name}":{"polluted":"yes"}}`),
        await fetch(`${service.url}/api/v1/leads?${name}[polluted]=yes&${name}=yes`),
      ];
      for (const answer of answers) expect(answer.status).toBeLessThan(500);
    }
    expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain('polluted');
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });
});

describe('methods and addresses', () => {
  it('HEAD is GET without a body, and leaves no stream open', async () => {
    stage.model.otherwise('Hello.');
    const { threadId } = await say(service.client, 'Hi.');
    for (const path of [
      '/api/v1/ready',
      '/api/v1/agent/conversations',
      `/api/v1/agent/conversations/${threadId}/stream`,
      '/api/v1/agent/stream',
    ]) {
      // More than one principal may hold open: a stream that stayed would be refused at last.
      for (let time = 0; time < (path.endsWith('/stream') ? 210 : 1); time += 1) {
        const answer = await fetch(`${service.url}${path}`, { method: 'HEAD' });
        expect(answer.status, path).toBe(200);
        expect(await answer.text()).toBe('');
      }
    }
    expect((await fetch(`${service.url}/nowhere`, { method: 'HEAD' })).status).toBe(404);
  });

  it('say in JSON what is not there and what is not possible, with the request’s id', async () => {
    for (const [method, path, status, detail] of [
      ['GET', '/nowhere', 404, 'NOT_FOUND'],
      ['PUT', '/nowhere/at/all', 404, 'NOT_FOUND'],
      ['PATCH', CHAT, 405, 'METHOD_NOT_ALLOWED'],
      ['OPTIONS', CHAT, 405, 'METHOD_NOT_ALLOWED'],
      ['GET', '/api/v1/../../etc/passwd', 404, 'NOT_FOUND'],
      ['GET', '/%2e%2e/%00', 404, 'NOT_FOUND'],
    ] as const) {
      const answer = await fetch(`${service.url}${path}`, { method });
      expect(answer.status, path).toBe(status);
      expect(answer.headers.get('content-type')).toContain('application/json');
      const body = (await answer.json()) as Record<string, unknown>;
      expect(body).toMatchObject({ detail, message: expect.any(String) });
      expect(body.request_id).toBe(answer.headers.get('x-request-id'));
    }
  });

  it('give a request an id of our own, whatever it brings, and put it into the log', async () => {
    const answer = await fetch(`${service.url}/api/v1/health`, {
      headers: { 'x-request-id': 'forged-id-4711' },
    });
    const id = answer.headers.get('x-request-id') ?? '';
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    await eventually(
      () => service.logged().includes(`"request_id":"${id}"`),
      (logged) => logged,
    );
    expect(service.logged()).not.toContain('forged-id-4711');
  });

  it('that hold a token are logged by their pattern', async () => {
    const answer = await fetch(`${service.url}/unsubscribe/canary-of-a-link`);
    expect(answer.status).toBe(404);
    await eventually(
      () => service.logged().includes('"path":"/unsubscribe/{token}"'),
      (logged) => logged,
    );
    expect(service.logged()).not.toContain('canary-of-a-link');
  });
});

describe('bytes that are no request', () => {
  it.each([
    ['no HTTP', 'hello there\r\n\r\n'],
    [
      'two lengths',
      `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}`,
    ],
    [
      'a length and chunks',
      `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    ['headers beyond all measure', `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`],
    ['a header with a NUL', 'GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n'],
  ])('are refused and the connection is closed: %s', async (_what, bytes) => {
    expect(await raw(bytes)).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect((await fetch(`${service.url}/api/v1/health`)).status).toBe(200);
  });

  it('of two Authorization headers the first counts, and no pair of them is one', async () => {
    const answer = await raw(
      'GET /api/v1/auth/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer nonsense\r\nAuthorization: Bearer other\r\nConnection: close\r\n\r\n',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
    expect(answer).toContain('"detail":"UNAUTHORIZED"');
  });

  it('of two Idempotency-Keys none counts', async () => {
    const body = '{"name":"A","subject":"B","body":"C"}';
    const answer = await raw(
      `POST /api/v1/templates HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 422 /);
    expect(answer).toContain('Idempotency-Key');
  });
});

describe('readiness', () => {
  it('is 503 with the reason, at once, while the database does not answer, and 200 when it does again', async () => {
    const proxy = await startFaultProxy(stage.database.url);
    const blind = await startService({ databaseUrl: proxy.before(stage.database.url) });
    expect((await fetch(`${blind.url}/api/v1/ready`)).status).toBe(200);
    proxy.silence();
    const answer = await fetch(`${blind.url}/api/v1/ready`);
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({
      detail: 'DATABASE_UNAVAILABLE',
      status: 'unavailable',
      reason: 'The database does not answer.',
    });
    const status = await fetch(`${blind.url}/api/v1/status`);
    expect(await status.json()).toMatchObject({ detail: 'DATABASE_UNAVAILABLE', status: 'unhealthy' });
    expect((await fetch(`${blind.url}/api/v1/health`)).status).toBe(200);
    proxy.heal();
    await eventually(
      async () => (await fetch(`${blind.url}/api/v1/ready`)).status,
      (found) => found === 200,
    );
    await blind.close();
    await proxy.close();
  });
});
