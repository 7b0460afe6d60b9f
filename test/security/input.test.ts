/** No input of any route makes the service fail: it is refused in one envelope, and the refusal names the field. */

import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JSON_BODY_LIMIT } from '../../src/http/body.ts';
import { schemaOf } from '../../src/http/openapi.ts';
import type { Route } from '../../src/http/route.ts';
import { violationsOf } from '../support/json-arbitrary.ts';
import {
  fieldsOf,
  type JsonSchema,
  type Path,
  sampleOf,
  withToken,
  wrongToken,
} from '../support/json-schema.ts';
import { createLocalPerson } from '../support/people.ts';
import { isPathParameter, type SeededWorkspace, seedWorkspace } from '../support/seeded-workspace.ts';
import type { ServiceHere } from '../support/service.ts';
import { openStage, type Stage } from '../support/stage.ts';

const ID = '019a0000-0000-7000-8000-0000000000fe';

/** JSON text that has broken servers. */
const NASTY = [
  '"\\u0000"',
  '"a\\u0000b"',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\\u2028\\r\\nid: 1"',
  '""',
  '" "',
  '"%00"',
  '"\'; drop table turns; --"',
  `"${'x'.repeat(120_000)}"`,
  `"${'😀'.repeat(5_000)}"`,
  'null',
  '-1',
  '0.5',
  '1e308',
  '1e999',
  '-1e999',
  '9007199254740993',
  '123456789012345678901234567890',
  'true',
  '[]',
  '{}',
  '[null]',
  '{"__proto__":{"admin":true}}',
  '{"constructor":{"prototype":{"x":1}},"toString":1,"hasOwnProperty":null}',
  '{"\\u0000":1}',
  '{"\\ud800":1}',
  `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
  `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`,
  `{"decisions":${'['.repeat(20_000)}${']'.repeat(20_000)}}`,
];

const NASTY_QUERY = [
  '',
  '%00',
  '%ff',
  '%ED%A0%80',
  '%E0%A4',
  '-1',
  '0',
  '1e999',
  '1e3',
  '0x10',
  'NaN',
  'Infinity',
  '9007199254740993',
  '99999999999999999999',
  'true',
  '%27%3B--',
  '%25',
  'x'.repeat(5_000),
  '%F0%9F%98%80',
  '%E2%80%A8%0D%0A',
];

/** Cursors that are none of ours, and some that look as if they were. */
const FORGED_CURSORS = [
  'x',
  '{}',
  '[]',
  '[1]',
  '[-1]',
  '[1e308]',
  '[9007199254740993]',
  '["x"]',
  '[null,null]',
  `["${ID}"]`,
  `["2026-01-01T00:00:00Z","${ID}"]`,
  `["2026-01-01T00:00:00.000000Z","${ID}"]`,
  `["0000-01-01T00:00:00Z","${ID}"]`,
  `["0000-01-01T00:00:00.000000Z","${ID}"]`,
  `["9999-12-31T23:59:59.999999Z","${ID}"]`,
  `["-271821-04-20T00:00:00Z","${ID}"]`,
  `["2026-01-01T00:00:00Z","\\u0000"]`,
  `[{"__proto__":1},"${ID}"]`,
  `["x' or 1=1 --","${ID}"]`,
  '[1e3,0.1]',
  `["${'9'.repeat(300)}"]`,
  ...[1, 2, 3, 4].map((length) => JSON.stringify(Array.from({ length }, () => 5))),
  ...[1, 2, 3, 4].map((length) => JSON.stringify(Array.from({ length }, () => ID))),
].map((text) => Buffer.from(text).toString('base64url'));

const NASTY_IDS = [
  '%00',
  '%ff',
  '%E0%A4',
  '%ED%A0%80',
  '%2e%2e%2f',
  'x',
  '-1',
  '%20',
  '%0d%0a',
  '__proto__',
  'constructor',
  '00000000-0000-0000-0000-000000000000',
  'ffffffff-ffff-ffff-ffff-ffffffffffff',
  'x'.repeat(3_000),
  '%F0%9F%98%80'.repeat(50),
  ID.toUpperCase(),
];

let stage: Stage;
let service: ServiceHere;
let seeded: SeededWorkspace;

beforeAll(async () => {
  stage = await openStage();
  service = await stage.start();
  seeded = await seedWorkspace(createLocalPerson(service.url), stage.model, 'alphaworks');
  stage.model.otherwise('Very well.');
});
afterAll(() => stage.close());

interface Hit {
  status: number;
  text: string;
  json: { detail?: unknown; details?: { loc: Path; msg: string; type: string }[]; [name: string]: unknown };
}

/** One request as it is; of a stream only that it began. */
async function hit(
  method: string,
  path: string,
  { body, headers = {} }: { body?: RequestInit['body']; headers?: Record<string, string> } = {},
): Promise<Hit> {
  const response = await fetch(`${service.url}${path}`, {
    method,
    body,
    headers: {
      'x-overture-client': '1',
      prefer: 'respond-async',
      accept: 'application/json, text/event-stream',
      ...(typeof body === 'string' ? { 'content-type': 'application/json' } : {}),
      ...headers,
    },
  });
  if (response.headers.get('content-type')?.startsWith('text/event-stream')) {
    await response.body?.cancel();
    return { status: response.status, text: '', json: {} };
  }
  const text = await response.text();
  const json = response.headers.get('content-type')?.startsWith('application/json') ? JSON.parse(text) : {};
  if (response.status >= 400) expectEnvelope(response, json, path);
  return { status: response.status, text, json };
}

/** The one error body, and that of the contract on a 422. */
function expectEnvelope(response: Response, json: Record<string, unknown>, path: string): void {
  // MCP has an envelope of its own.
  if (json.jsonrpc === '2.0')
    return void expect(json).toMatchObject({ error: { message: expect.any(String) } });
  expect(json).toMatchObject({
    detail: expect.stringMatching(/^[A-Z_]+$/),
    message: expect.stringMatching(/\S/),
    request_id: response.headers.get('x-request-id'),
  });
  if (json.detail !== 'VALIDATION_ERROR') return;
  expect(response.status).toBe(422);
  expect(json).toMatchObject({ error: expect.any(String), path: path.split('?')[0] });
  expect(json.details).toEqual(
    expect.arrayContaining([{ loc: expect.any(Array), msg: expect.any(String), type: expect.any(String) }]),
  );
}

/** The route's address with ids of rows that are there; nothing is deleted, and the conversation that waits goes on waiting. */
function pathOf(route: Route): string {
  const waiting = route.path.includes('{approval_id}');
  return route.path.replaceAll(/\{(\w+)\}/g, (_all, name: string) => {
    if (route.method === 'DELETE' || !isPathParameter(name)) return ID;
    return name === 'thread_id' && !waiting ? seeded.idleThreadId : seeded.ids[name];
  });
}

const withBody = () => service.app.routes.filter((route) => route.body !== undefined);
const withQuery = () => service.app.routes.filter((route) => route.query !== undefined);
const inputOf = (schema: Route['body']): JsonSchema =>
  schema === undefined ? {} : schemaOf(schema, 'input');

/** No input may bring this; that the scripted model writes no mail is not the input's fault. */
const failed = ({ status, json }: Hit) => status >= 500 && json.detail !== 'MODEL_REFUSED';

/** Pairs every value with some of the places, and every place with some of the values: all with all where there are few. */
function dealt<T, U>(values: readonly T[], places: readonly U[]): [T, U][] {
  const step = Math.ceil(places.length / 4);
  return places.flatMap((place, index) =>
    values.filter((_value, turn) => (turn + index) % step === 0).map((value): [T, U] => [value, place]),
  );
}

/** Does `work` for all items, a few at a time. */
async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: 6 }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}

/** Whether the refusal names the field, or something that holds it. */
function names({ json }: Hit, place: string, path: Path): boolean {
  const wanted = [place, ...path];
  return (json.details ?? []).some(({ loc }) =>
    loc.slice(0, wanted.length).every((step, index) => step === wanted[index]),
  );
}

describe('a body', () => {
  it('with a value of a wrong type is refused with 422, and the refusal names the field', async () => {
    const wrong: string[] = [];
    let tried = 0;
    for (const route of withBody()) {
      const schema = inputOf(route.body);
      const sample = sampleOf(schema);
      for (const { path, schema: field } of [{ path: [], schema }, ...fieldsOf(schema)]) {
        const token = wrongToken(field);
        if (token === null) continue;
        tried += 1;
        const answer = await hit(route.method, pathOf(route), { body: withToken(sample, path, token) });
        // MCP names no fields; a union is refused as a whole.
        if (answer.json.jsonrpc === '2.0') continue;
        if (answer.status !== 422 || !names(answer, 'body', path.slice(0, 1)))
          wrong.push(`${route.operation} ${path.join('.')} = ${token}: ${answer.status} ${answer.text}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(tried).toBeGreaterThan(60);
  });

  it('with a value beyond a limit, or without what is required, is refused with 422, and the refusal names the field', async () => {
    const wrong: string[] = [];
    const rules = new Set<string>();
    for (const route of withBody()) {
      const schema = inputOf(route.body);
      const sample = sampleOf(schema);
      await each(violationsOf(schema), async ({ path, token, rule }) => {
        const body = withToken(sample, path, token);
        const answer = await hit(route.method, pathOf(route), { body });
        if (answer.json.jsonrpc === '2.0') return;
        rules.add(rule);
        if (answer.status !== 422 || !names(answer, 'body', path.slice(0, 1)))
          wrong.push(`${route.operation} ${path.join('.')} breaks ${rule}: ${answer.status} ${answer.text}`);
      });
    }
    expect(wrong).toEqual([]);
    expect([...rules].sort()).toEqual([
      'enum',
      'integer',
      'maxItems',
      'maxLength',
      'maximum',
      'minItems',
      'minLength',
      'minimum',
      'pattern',
      'required',
    ]);
  });

  it('with a field that nobody knows is refused by name', async () => {
    for (const route of withBody()) {
      const schema = inputOf(route.body);
      const answer = await hit(route.method, pathOf(route), {
        body: withToken(sampleOf(schema), ['surprise_field'], '1'),
      });
      if (schema.additionalProperties !== false) continue;
      expect({ operation: route.operation, status: answer.status }).toEqual({
        operation: route.operation,
        status: 422,
      });
      expect(JSON.stringify(answer.json.details)).toContain('surprise_field');
    }
  });

  it('with nasty values in any field never makes the service fail', async () => {
    const failures: string[] = [];
    for (const route of withBody()) {
      const schema = inputOf(route.body);
      const sample = sampleOf(schema);
      const fields = [{ path: [], schema }, ...fieldsOf(schema)];
      await each(dealt(NASTY, fields), async ([token, { path }]) => {
        const body = withToken(sample, path, token);
        const answer = await hit(route.method, pathOf(route), { body });
        if (failed(answer))
          failures.push(`${route.operation} ${path.join('.')} = ${token.slice(0, 60)}: ${answer.text}`);
      });
    }
    expect(failures).toEqual([]);
  });

  it('of random JSON never makes the service fail, with an Idempotency-Key neither', async () => {
    const failures: string[] = [];
    for (const route of withBody()) {
      const schema = inputOf(route.body);
      const fields = [{ path: [] as Path }, ...fieldsOf(schema)];
      const attempts = fc.sample(
        fc.record({
          field: fc.constantFrom(...fields),
          value: fc.jsonValue({ maxDepth: 3, stringUnit: 'binary' }),
          key: fc.option(fc.uuid(), { nil: undefined }),
        }),
        { numRuns: 25, seed: 20261121 },
      );
      await each(attempts, async ({ field, value, key }) => {
        const body = withToken(sampleOf(schema), field.path, JSON.stringify(value));
        const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key };
        const answer = await hit(route.method, pathOf(route), { body, headers });
        if (failed(answer)) failures.push(`${route.operation} ${body}: ${answer.text}`);
      });
    }
    expect(failures).toEqual([]);
  });

  it('that is no JSON is 400, too large 413, of another type 415', async () => {
    for (const route of withBody()) {
      const { operation, method } = route;
      const answers = [
        ...(await Promise.all(
          ['{"a":', 'nope', '{"a":1}}', "{'a':1}", '\ufeff{}x', '[1,]', '{"a":NaN}'].map((body) =>
            hit(method, pathOf(route), { body }),
          ),
        )),
        await hit(method, pathOf(route), {
          body: Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]),
          headers: { 'content-type': 'application/json' },
        }),
      ];
      expect({
        operation,
        codes: new Set(answers.map((answer) => `${answer.status} ${answer.json.detail}`)),
      }).toEqual({
        operation,
        codes: new Set(['400 INVALID_JSON']),
      });
      const limit = route.bodyLimit ?? JSON_BODY_LIMIT;
      const large = await hit(method, pathOf(route), { body: JSON.stringify({ a: 'x'.repeat(limit) }) });
      expect({ operation, code: large.json.detail, status: large.status }).toEqual({
        operation,
        code: 'BODY_TOO_LARGE',
        status: 413,
      });
      for (const type of [
        'text/plain',
        'application/x-www-form-urlencoded',
        'multipart/form-data',
        'text/json',
        '',
      ]) {
        const other = await hit(method, pathOf(route), {
          body: Buffer.from('{}'),
          headers: { 'content-type': type },
        });
        expect({ operation, type, code: other.json.detail, status: other.status }).toEqual({
          operation,
          type,
          code: 'UNSUPPORTED_MEDIA_TYPE',
          status: 415,
        });
      }
    }
  });

  it('that grows past the limit without having said so is cut off with 413', async () => {
    const answer = await raw([
      'POST /api/v1/agent/conversations HTTP/1.1',
      `Host: ${new URL(service.url).host}`,
      'Content-Type: application/json',
      'Transfer-Encoding: chunked',
      '',
      ...Array.from({ length: 5 }, () => ['10000', 'x'.repeat(0x10000)]).flat(),
      '0',
      '',
      '',
    ]);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain('BODY_TOO_LARGE');
  });
});

describe('an upload', () => {
  it('with nasty fields, names or bytes never makes the service fail', async () => {
    const failures: string[] = [];
    const uploads = service.app.routes.filter((route) => route.upload !== undefined);
    expect(uploads.length).toBeGreaterThan(2);
    const csv = 'email,company\na@x.example,X\n';
    const files = [
      csv,
      '',
      '\0',
      'email',
      '\ud800,email\n',
      `email,${'c,'.repeat(5_000)}\na@x.example\n`,
      'email,email\na@x.example,b@x.example\n',
      'email,__proto__,constructor,toString\na@x.example,1,2,3\n',
      'email,company\na@x.example,"open',
      `email,company\na@x.example,${'x'.repeat(100_000)}\n`,
      'email,company\n=cmd|calc@x.example,"a\0b"\n\u2028@x.example,\r\n',
      Buffer.from([0xff, 0xfe, 0x00, 0xd8, 0x0a, 0x00]),
      Buffer.from([0x50, 0x4b, 0x03, 0x04, 0x00, 0xff]),
    ];
    for (const route of uploads) {
      const send = async (
        what: string,
        file: string | Uint8Array,
        name: string,
        fields: [string, string][],
      ) => {
        const form = new FormData();
        for (const [field, value] of fields) form.append(field, value);
        form.append('file', new Blob([typeof file === 'string' ? file : new Uint8Array(file)]), name);
        const answer = await hit(route.method, pathOf(route), { body: form });
        if (failed(answer)) failures.push(`${route.operation} ${what}: ${answer.text}`);
      };
      await each(files, (file) => send(`file ${String(file).slice(0, 40)}`, file, 'a.csv', []));
      await each(
        ['', '\0', '../../etc/passwd', 'a"\r\nb', '\ud800', 'x'.repeat(5_000), '__proto__'],
        (name) => send(`name ${name.slice(0, 40)}`, csv, name, []),
      );
      const fields = [...Object.keys(route.upload ?? {}), '__proto__'].filter((field) => field !== 'file');
      await each(dealt(NASTY, fields), ([value, field]) =>
        send(`${field} = ${value.slice(0, 40)}`, csv, 'a.csv', [[field, value]]),
      );
    }
    expect(failures).toEqual([]);
  });
});

describe('a query', () => {
  it('with a value that its schema refuses is 422 and names the parameter', async () => {
    const wrong: string[] = [];
    for (const route of withQuery()) {
      for (const { path, schema } of fieldsOf(inputOf(route.query))) {
        const strict = ['integer', 'number', 'boolean'].includes(String(schema.type));
        if (!strict && schema.enum === undefined && schema.format !== 'uuid') continue;
        for (const value of ['zz', '-1', `1&${path.join('.')}=2`, '{}']) {
          const answer = await hit(route.method, `${pathOf(route)}?${path.join('.')}=${value}`);
          if (answer.status !== 422 || !names(answer, 'query', path))
            wrong.push(`${route.operation} ${path}=${value}: ${answer.status} ${answer.text}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('with nasty values never makes the service fail', async () => {
    const failures: string[] = [];
    for (const route of withQuery()) {
      const fields = fieldsOf(inputOf(route.query)).map(({ path }) => path.join('.'));
      await each(dealt(NASTY_QUERY, [...fields, '__proto__', 'toString']), async ([value, name]) => {
        const answer = await hit(route.method, `${pathOf(route)}?${name}=${value}`);
        if (failed(answer)) failures.push(`${route.operation} ${name}=${value.slice(0, 60)}: ${answer.text}`);
      });
    }
    expect(failures).toEqual([]);
  });

  it('with a forged cursor is refused with 422, or begins somewhere else in the same list', async () => {
    const wrong: string[] = [];
    let tried = 0;
    const { thread_id } = (await hit('POST', '/api/v1/agent/conversations', { body: '{}' })).json;
    for (const route of withQuery()) {
      const cursors = fieldsOf(inputOf(route.query)).filter(({ path }) => String(path[0]).includes('cursor'));
      for (const { path } of cursors) {
        for (const cursor of FORGED_CURSORS) {
          tried += 1;
          const address = route.path.replace('{thread_id}', String(thread_id)).replaceAll(/\{\w+\}/g, ID);
          const answer = await hit(route.method, `${address}?${path[0]}=${cursor}`);
          const refused = answer.status === 422 && JSON.stringify(answer.json.details).includes('cursor');
          if (!refused && answer.status !== 200 && answer.status !== 404)
            wrong.push(
              `${route.operation} ${Buffer.from(cursor, 'base64url')}: ${answer.status} ${answer.text}`,
            );
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(tried).toBeGreaterThan(150);
  });
});

describe('a path', () => {
  it('with ids that are none is 404, whatever they are made of', async () => {
    const wrong: string[] = [];
    for (const route of service.app.routes.filter((one) => one.tag !== 'page')) {
      const names = fieldsOf(inputOf(route.params)).map(({ path }) => String(path[0]));
      const body = route.body === undefined ? undefined : JSON.stringify(sampleOf(inputOf(route.body)));
      for (const [value, name] of dealt(NASTY_IDS, names)) {
        const path = route.path.replace(`{${name}}`, value).replaceAll(/\{\w+\}/g, ID);
        const answer = await hit(route.method, path, { body });
        const isId = JSON.stringify(inputOf(route.params)).includes('"format":"uuid"');
        const refused = [404, 422, ...(route.upload === undefined ? [] : [415])].includes(answer.status);
        if (isId ? !refused : failed(answer))
          wrong.push(`${route.operation} ${name}=${value.slice(0, 60)}: ${answer.status} ${answer.text}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it.each([
    '/nowhere',
    '/api',
    '/api/v1',
    '/api/v1/agent/conversationsX',
    '/api/v1/agent/chat/x',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/nowhere//',
    '/api/v1/leads//',
    '/.env',
    '/src/main.ts',
  ])('that leads nowhere is 404: %s', async (path) => {
    expect(await hit('GET', path)).toMatchObject({ status: 404, json: { detail: 'NOT_FOUND' } });
  });

  it('with another method is 405, and says which there are', async () => {
    const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
    for (const path of new Set(service.app.routes.map((route) => route.path))) {
      const possible = service.app.routes
        .filter((route) => takes(route.path, path))
        .map((route) => route.method);
      for (const method of methods.filter((one) => !possible.some((other) => other === one))) {
        const address = path.replaceAll(/\{\w+\}/g, ID);
        for (const form of [address, address.endsWith('/') ? address.slice(0, -1) : `${address}/`]) {
          const response = await fetch(`${service.url}${form}`, {
            method,
            headers: { 'x-overture-client': '1' },
          });
          const json: Record<string, unknown> = JSON.parse(await response.text());
          expect({ form, method, status: response.status, code: json.detail }).toEqual({
            form,
            method,
            status: 405,
            code: 'METHOD_NOT_ALLOWED',
          });
          expectEnvelope(response, json, form);
          expect(response.headers.get('allow')?.split(', ').sort()).toEqual([...new Set(possible)].sort());
        }
      }
    }
  });

  it.each([
    ['a broken percent in the query', 'GET /api/v1/leads?%zz HTTP/1.1'],
    ['a broken percent', 'GET /api/v1/%zz HTTP/1.1'],
    ['a whole address', 'GET http://evil.example/api/v1/health HTTP/1.1'],
    ['a star', 'OPTIONS * HTTP/1.1'],
    ['TRACE', 'TRACE /api/v1/health HTTP/1.1'],
    ['PROPFIND', 'PROPFIND /api/v1/leads HTTP/1.1'],
    ['brackets', 'GET /api/v1/leads?limit[]=1&limit[__proto__]=2 HTTP/1.1'],
    ['2,000 parameters', `GET /api/v1/leads?${'a=b&'.repeat(2000)} HTTP/1.1`],
  ])('that no client sends is answered and does no harm: %s', async (_name, line) => {
    const answer = await raw([line, `Host: ${new URL(service.url).host}`, 'Connection: close', '', '']);
    expect(answer).toMatch(/^HTTP\/1\.1 [234]\d\d /);
    expect((await hit('GET', '/api/v1/health')).status).toBe(200);
  });
});

describe('headers', () => {
  it('with an Idempotency-Key that is none are refused with 422', async () => {
    for (const key of ['', ' ', 'a b', 'x'.repeat(256), 'ä']) {
      for (const path of [
        '/api/v1/agent/chat',
        '/api/v1/templates/',
        '/api/v1/api-keys',
        '/api/v1/credits/estimate',
      ]) {
        const route = service.app.routes.find((one) => one.path === path && one.method === 'POST');
        const sample = {
          '/api/v1/agent/chat': { message: 'hi' },
          '/api/v1/templates/': { name: 'a', subject: 'b', body: 'c' },
        };
        const body = JSON.stringify(Reflect.get(sample, path) ?? sampleOf(inputOf(route?.body)));
        const answer = await hit('POST', path, { body, headers: { 'idempotency-key': key } });
        // fetch leaves blanks out, so those keys are not sent at all.
        if (key.trim() === '') expect(answer.status).toBeLessThan(500);
        else
          expect(answer).toMatchObject({
            status: 422,
            json: { details: [{ loc: ['header', 'Idempotency-Key'] }] },
          });
      }
    }
  });

  it('with cursors that are none are as if there were none', async () => {
    const { thread_id } = (await hit('POST', '/api/v1/agent/conversations', { body: '{}' })).json;
    for (const cursor of ['x', '-1', '1e9', '9'.repeat(16), '1;2', '\u00e9', '999999999999999']) {
      const answer = await hit('GET', `/api/v1/agent/conversations/${thread_id}/stream`, {
        headers: { 'last-event-id': cursor },
      });
      expect(answer.status).toBe(200);
    }
  });
});

/** Whether a pattern takes the address; a fixed name may stand where another route has a parameter. */
function takes(pattern: string, path: string): boolean {
  const [parts = [], given = []] = [pattern, path].map((text) => text.replace(/(.)\/$/, '$1').split('/'));
  return (
    parts.length === given.length &&
    parts.every((part, index) => part.startsWith('{') || part === given[index])
  );
}

/** Writes lines to the socket as they are and reads until the server ends. */
function raw(lines: string[]): Promise<string> {
  return new Promise((resolve) => {
    const { hostname, port } = new URL(service.url);
    const socket = connect(Number(port), hostname);
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
    socket.write(lines.join('\r\n'));
  });
}
