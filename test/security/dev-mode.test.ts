/** Dev mode trusts whoever reaches the loopback port, so nobody reaches it from another page or through a proxy. */

import { request as openRequest } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ServiceHere } from '../support/service.ts';
import { openStage, type Stage } from '../support/stage.ts';

const ID = '019a0000-0000-7000-8000-0000000000fe';

let stage: Stage;
let service: ServiceHere;
let host: string;

beforeAll(async () => {
  stage = await openStage();
  service = await stage.start();
  host = new URL(service.url).host;
});
afterAll(() => stage.close());

/** One request with exactly these headers; fetch would not let a test choose its Host. */
function ask(
  method: string,
  path: string,
  headers: Record<string, string>,
): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(service.url);
    const sent = openRequest({ hostname, port, method, path, headers: { host, ...headers } }, (answer) => {
      let body = '';
      answer.on('data', (chunk) => {
        body += chunk;
        if (answer.headers['content-type']?.startsWith('text/event-stream')) answer.destroy();
      });
      answer.on('close', () => resolve({ status: answer.statusCode, body }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** What somebody else's page, or a proxy, makes of a request. */
const FOREIGN: [string, Record<string, string>][] = [
  ...[
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.nip.io',
    'evil.example:80',
    'localhost@evil.example',
    '0.0.0.0',
    '127.1',
    '2130706433',
    '[::]',
    '[::ffff:127.0.0.1]',
    '169.254.169.254',
    '10.0.0.1',
    'localhost.',
    'localhost:port',
    'localhost:123456',
    'localhost evil.example',
    '127.0.0.1.',
  ].map((name): [string, Record<string, string>] => [`the Host "${name}"`, { host: name }]),
  ...[
    'forwarded',
    'x-forwarded-for',
    'x-forwarded-host',
    'x-forwarded-proto',
    'x-forwarded-port',
    'x-real-ip',
    'via',
    'cf-connecting-ip',
    'true-client-ip',
    'x-original-host',
  ].map((name): [string, Record<string, string>] => [`the header ${name}`, { [name]: '203.0.113.7' }]),
  ...[
    'null',
    'http://evil.example',
    'https://evil.example',
    'http://localhost.evil.example',
    'http://127.0.0.1',
    'http://127.0.0.1:1',
    'http://localhost:1',
    'file://',
    'chrome-extension://abcdefghijklmnop',
    '',
  ].map((name): [string, Record<string, string>] => [`the Origin "${name}"`, { origin: name }]),
  ['its own address with https as Origin', {}],
  ['Sec-Fetch-Site cross-site', { 'sec-fetch-site': 'cross-site' }],
  ['Sec-Fetch-Site same-site', { 'sec-fetch-site': 'same-site' }],
];

describe('a service in dev mode', () => {
  it.each(FOREIGN)('refuses every route that needs a caller to a request with %s', async (_what, headers) => {
    const given = Object.keys(headers).length === 0 ? { origin: `https://${host}` } : headers;
    const answers = new Set<string>();
    for (const route of service.app.routes) {
      if (route.access === 'public') continue;
      const path = route.path.replaceAll(/\{\w+\}/g, ID);
      const { status, body } = await ask(route.method, path, {
        'content-type': 'application/json',
        ...given,
      });
      answers.add(`${status} ${JSON.parse(body).detail}`);
    }
    expect([...answers]).toEqual(['403 ORIGIN_REFUSED']);
  });

  it('refuses a request that names no Host at all', async () => {
    const { hostname, port } = new URL(service.url);
    const socket = connect(Number(port), hostname);
    socket.write('GET /api/v1/auth/me HTTP/1.0\r\n\r\n');
    expect(await text(socket)).toContain('ORIGIN_REFUSED');
  });

  it.each([
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['a form with a file', { 'content-type': 'multipart/form-data; boundary=x' }],
    ['text', { 'content-type': 'text/plain' }],
    ['text that looks like JSON', { 'content-type': 'text/plain; application/json' }],
    ['nothing', {}],
  ])(
    'refuses every write that a foreign page could send as %s without a preflight',
    async (_what, headers) => {
      const answers = new Set<string>();
      for (const route of service.app.routes) {
        if (route.access === 'public' || route.method === 'GET') continue;
        const path = route.path.replaceAll(/\{\w+\}/g, ID);
        const { status, body } = await ask(route.method, path, headers);
        answers.add(`${status} ${JSON.parse(body).detail}`);
      }
      expect([...answers]).toEqual(['403 ORIGIN_REFUSED']);
    },
  );

  it.each([
    ['127.0.0.1 as it is', {}],
    ['localhost', { host: 'localhost:8080' }],
    ['LOCALHOST without a port', { host: 'LOCALHOST' }],
    ['[::1]', { host: '[::1]:8080' }],
    ['another name of the loopback', { host: '127.0.0.2' }],
    [
      'its own page',
      { host: 'localhost:8080', origin: 'http://localhost:8080', 'sec-fetch-site': 'same-origin' },
    ],
    ['the address bar', { 'sec-fetch-site': 'none' }],
  ])('serves %s', async (_what, headers) => {
    const { status, body } = await ask('GET', '/api/v1/auth/me', headers);
    expect(status).toBe(200);
    expect(JSON.parse(body)).toMatchObject({ user_id: 'local', app_metadata: { kind: 'dev' } });
  });

  it('takes a write that is no JSON from who can set its header, and JSON without it', async () => {
    const archive = `/api/v1/agent/conversations/${ID}`;
    expect((await ask('DELETE', archive, { 'x-overture-client': '1' })).status).toBe(404);
    expect((await ask('DELETE', archive, { 'content-type': 'application/json' })).status).toBe(404);
  });

  it('takes no guess at a token for the local user', async () => {
    for (const authorization of [
      'Bearer x',
      'Bearer ',
      'Basic bG9jYWw6',
      'bearer',
      `Bearer bav_live_${'x'.repeat(43)}`,
      'Bearer a.b.c',
    ]) {
      expect((await ask('GET', '/api/v1/auth/me', { authorization })).status).toBe(401);
    }
  });
});
