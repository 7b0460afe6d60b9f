/** What the service tells of itself, over HTTP. */

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ERROR_STATUS } from '../../src/errors.ts';
import { createDocsRoutes } from '../../src/http/docs.ts';
import { type Route, route } from '../../src/http/route.ts';
import { createCredits } from '../../src/resources/credits/credits.ts';
import { createCreditRoutes } from '../../src/resources/credits/routes.ts';
import { createIdentityRoutes } from '../../src/resources/identity/routes.ts';
import { createSenderProfileRoutes } from '../../src/resources/sender-profiles/routes.ts';
import { createSenderProfiles } from '../../src/resources/sender-profiles/sender-profiles.ts';
import { type HttpHarness, startHttpHarness } from '../support/http-harness.ts';

interface Parameter {
  name: string;
  in: string;
  required: boolean;
  schema: Record<string, unknown>;
}

interface Operation {
  operationId: string;
  parameters?: Parameter[];
  requestBody?: { required: boolean; content: Record<string, { schema: Record<string, unknown> }> };
  responses: Record<string, { content?: Record<string, { schema: unknown }>; $ref?: string }>;
  security: Record<string, string[]>[];
}

interface OpenApi {
  openapi: string;
  info: { version: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: { Error: { properties: { detail: { enum: string[] } } } } };
}

const handle = async () => ({ status: 200 });
const base = { tag: 'odd', handle } as const;

/** Shapes that the resources of this test do not have. */
const odd: Route[] = [
  route({
    ...base,
    method: 'POST',
    path: '/odd/upload',
    operation: 'oddUpload',
    summary: 'Takes a <file> & "more"',
    access: 'write',
    upload: { file: 'The rows as CSV' },
    answers: { 202: 'empty' },
  }),
  route({
    ...base,
    method: 'POST',
    path: '/odd/raw',
    operation: 'oddRaw',
    summary: 'Takes bytes',
    access: 'write',
    raw: 'message/rfc822',
    answers: { 201: 'empty' },
  }),
  route({
    ...base,
    method: 'GET',
    path: '/odd/stream',
    operation: 'oddStream',
    summary: 'A stream',
    access: 'agent:chat',
    answers: { 200: 'event-stream' },
  }),
  route({
    ...base,
    method: 'GET',
    path: '/odd/file',
    operation: 'oddFile',
    summary: 'A file',
    access: 'person',
    answers: { 200: 'file' },
  }),
  route({
    ...base,
    method: 'POST',
    path: '/odd/optional',
    operation: 'oddOptional',
    summary: 'A body that may be left out',
    access: 'write',
    body: z.strictObject({
      at: z.iso.datetime().optional(),
      shout: z
        .string()
        .transform((text) => text.length)
        .optional(),
    }),
    optionalBody: true,
    answers: { 200: z.object({ at: z.iso.datetime() }) },
  }),
];

let harness: HttpHarness;
let document: OpenApi;

beforeAll(async () => {
  harness = await startHttpHarness({
    routes: (needs) => {
      const routes = [
        ...createSenderProfileRoutes(createSenderProfiles(needs)),
        ...createCreditRoutes(createCredits(needs)),
        ...createIdentityRoutes(),
        ...odd,
      ];
      return [...routes, ...createDocsRoutes(routes, { version: '1.2.3' })];
    },
  });
  document = (await harness.ask<OpenApi>('GET', '/openapi.json')).body;
});
afterAll(() => harness.close());

function operation(method: string, path: string): Operation {
  const found = document.paths[path]?.[method];
  if (found === undefined) throw new Error(`${method} ${path} is not told`);
  return found;
}

const operations = () => Object.values(document.paths).flatMap((path) => Object.values(path));

describe('/openapi.json', () => {
  it('is OpenAPI 3.1 that tells every route once, itself included', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(document.info.version).toBe('1.2.3');
    const names = operations().map((told) => told.operationId);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(
      expect.arrayContaining(['createSenderProfile', 'estimateCredits', 'oddUpload', 'getOpenApi']),
    );
  });

  it('declares every parameter of every path, and resolves every reference', () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      for (const told of Object.values(methods)) {
        const declared = (told.parameters ?? []).filter((parameter) => parameter.in === 'path');
        expect(declared.map((parameter) => parameter.name)).toEqual(inPath);
      }
    }
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)];
    expect(references.length).toBeGreaterThan(0);
    for (const [, reference = ''] of references) {
      const target = reference.split('/').reduce<unknown>((node, step) => {
        return typeof node === 'object' && node !== null ? Reflect.get(node, step) : undefined;
      }, document);
      expect(target, reference).toBeDefined();
    }
  });

  it('tells requests as they are sent: defaults are optional, unknown fields are refused', () => {
    const query = operation('get', '/api/v1/sender-profiles/').parameters ?? [];
    expect(query).toEqual([
      {
        name: 'limit',
        in: 'query',
        required: false,
        schema: { type: 'integer', minimum: 1, maximum: 100, default: 100 },
      },
      {
        name: 'offset',
        in: 'query',
        required: false,
        schema: { type: 'integer', minimum: 0, maximum: 1_000_000, default: 0 },
      },
    ]);
    const search = operation('get', '/api/v1/sender-profiles/search/').parameters ?? [];
    expect(search[0]).toMatchObject({
      name: 'query',
      required: true,
      schema: { type: 'string', minLength: 1 },
    });
    const body = operation('post', '/api/v1/sender-profiles/').requestBody;
    expect(body).toMatchObject({ required: true });
    expect(body?.content['application/json']?.schema).toMatchObject({
      required: ['profile_name', 'sender_data'],
      additionalProperties: false,
    });
    expect(operation('post', '/odd/optional').requestBody).toMatchObject({ required: false });
  });

  it('tells answers as they come: what has a default is there, and fields may be added', () => {
    const { schema } =
      operation('post', '/api/v1/sender-profiles/').responses[201]?.content?.['application/json'] ?? {};
    expect(schema).toMatchObject({ properties: { is_default: { type: 'boolean' } } });
    expect(JSON.stringify(operations().map((told) => told.responses))).not.toContain(
      '"additionalProperties":false',
    );
  });

  it('tells uploads, bytes, streams, files and empty answers', () => {
    expect(operation('post', '/odd/raw').requestBody?.content).toEqual({
      'message/rfc822': { schema: { type: 'string', format: 'binary' } },
    });
    expect(Object.keys(operation('post', '/odd/raw').responses)).toEqual(
      expect.arrayContaining(['400', '413', '415']),
    );
    expect(operation('post', '/odd/upload').requestBody?.content).toHaveProperty([
      'multipart/form-data',
      'schema',
      'properties',
      'file',
    ]);
    expect(operation('post', '/odd/upload').responses[202]).not.toHaveProperty('content');
    expect(operation('get', '/odd/stream').responses[200]?.content).toHaveProperty(['text/event-stream']);
    expect(operation('get', '/odd/file').responses[200]?.content).toHaveProperty([
      'application/octet-stream',
    ]);
  });

  it('tells who may call, and which errors may come', () => {
    expect(operation('get', '/openapi.json')).toMatchObject({ security: [] });
    expect(operation('get', '/openapi.json').responses).not.toHaveProperty('401');
    expect(operation('get', '/odd/file').security).toEqual([{ bearerJwt: [] }]);
    expect(operation('get', '/odd/stream').security).toEqual([
      { bearerApiKey: ['agent:chat'] },
      { bearerJwt: [] },
    ]);
    const { responses } = operation('put', '/api/v1/sender-profiles/{profile_id}');
    expect(Object.keys(responses)).toEqual([
      '200',
      '400',
      '401',
      '403',
      '404',
      '409',
      '413',
      '415',
      '422',
      '429',
      '500',
      '503',
    ]);
    expect(document.components.schemas.Error.properties.detail.enum).toEqual(Object.keys(ERROR_STATUS));
  });

  it('offers Idempotency-Key on writes and nowhere else', () => {
    const offers = (told: Operation) =>
      (told.parameters ?? []).some((parameter) => parameter.name === 'Idempotency-Key');
    expect(offers(operation('delete', '/api/v1/sender-profiles/{profile_id}'))).toBe(true);
    expect(offers(operation('get', '/api/v1/sender-profiles/{profile_id}'))).toBe(false);
    expect(offers(operation('post', '/odd/upload'))).toBe(true);
  });
});

describe('/docs', () => {
  it('is a page that runs nothing and fetches nothing, and its policy lets it do neither', async () => {
    const { status, headers, body } = await harness.ask<string>('GET', '/docs');
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
    const style = /<style>(.*?)<\/style>/s.exec(body)?.[1] ?? '';
    const hash = createHash('sha256').update(style).digest('base64');
    expect(headers.get('content-security-policy')).toBe(
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    );
    expect(body).not.toMatch(/<script|<link|<img|<iframe|\sstyle=|\son\w+=|https?:\/\//i);
  });

  it('lists every route and shows texts as texts', async () => {
    const { body } = await harness.ask<string>('GET', '/docs');
    for (const path of Object.keys(document.paths)) expect(body).toContain(`<code>${path}</code>`);
    expect(body).toContain('Takes a &lt;file&gt; &amp; &quot;more&quot;');
    expect(body).not.toContain('<file>');
  });
});

describe('/llms.txt', () => {
  it('says in plain text what the service is and lists every route', async () => {
    const { status, headers, body } = await harness.ask<string>('GET', '/llms.txt');
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(body).toMatch(/^# Overture\n\n> /);
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const method of Object.keys(methods))
        expect(body).toContain(`- ${method.toUpperCase()} ${path}: `);
    }
  });
});
