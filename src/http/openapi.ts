/** Tells the routes as OpenAPI 3.1, from the same schemas that validate them. */

import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import { ERROR_STATUS } from '../errors.ts';
import { SCOPES } from '../runtime/caller.ts';
import type { AnswerShape, Route } from './route.ts';

export type JsonSchema = Record<string, unknown>;

/** Builds the document. */
export function createOpenApi(routes: readonly Route[], { version }: { version: string }) {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = paths[route.path] ?? {};
    path[route.method.toLowerCase()] = operationOf(route);
    paths[route.path] = path;
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Overture',
      version,
      summary:
        'An agent runtime for sales outreach: it finds leads, writes to them, and asks before it sends or spends.',
    },
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map((route) => route.tag))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        bearerApiKey: { type: 'http', scheme: 'bearer', bearerFormat: 'bav_live_ or bav_test_ key' },
        bearerJwt: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
      },
      schemas: { Error: ERROR_SCHEMA, ValidationError: VALIDATION_SCHEMA },
      responses: Object.fromEntries(
        errorStatuses().map((status) => [`Error${status}`, errorResponse(status)]),
      ),
    },
  };
}

/** The JSON schema of what is sent (`input`) or answered (`output`), without what only our validator needs. */
export function schemaOf(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      // A default before a transformation is left out, as it may be of another type; ours may be sent as they are.
      const { def } = zodSchema._zod;
      if (def.type === 'default' && jsonSchema.default === undefined) jsonSchema.default = def.defaultValue;
      // The format says it already.
      if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      // An answer may gain fields: a client that refuses them would break.
      if (io === 'output' && jsonSchema.additionalProperties === false)
        delete jsonSchema.additionalProperties;
    },
  });
  return rest;
}

/** In words, who may call the route. */
export function accessOf(route: Route): string {
  if (route.access === 'public') return 'Needs no caller.';
  if (route.access === 'caller') return 'Needs any caller.';
  if (route.access === 'person') return 'Needs a signed-in person; an API key is refused.';
  return `Needs the scope ${route.access}.`;
}

/** In words, what its own rules refuse. */
function refusalsOf({ refusals = [] }: Route): string[] {
  return refusals.length === 0 ? [] : [`May refuse with ${refusals.join(', ')}.`];
}

/** Whether a repeat with the same Idempotency-Key is recognised. */
function takesIdempotencyKey(route: Route): boolean {
  return route.method !== 'GET' && route.access !== 'public';
}

function operationOf(route: Route): Record<string, unknown> {
  const parameters = [
    ...[...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
      name,
      in: 'path',
      required: true,
      schema: propertiesOf(route.params).properties[name] ?? { type: 'string' },
    })),
    ...queryParameters(route),
    ...(takesIdempotencyKey(route) ? [IDEMPOTENCY_PARAMETER] : []),
  ];
  const requestBody = requestBodyOf(route);
  return {
    operationId: route.operation,
    tags: [route.tag],
    summary: route.summary,
    description: [accessOf(route), ...refusalsOf(route)].join(' '),
    security: securityOf(route),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(requestBody === null ? {} : { requestBody }),
    responses: responsesOf(route),
  };
}

function securityOf(route: Route): Record<string, string[]>[] {
  if (route.access === 'public') return [];
  if (route.access === 'person') return [{ bearerJwt: [] }];
  // OpenAPI 3.1 lets any scheme name the roles a call needs.
  const scopes = SCOPES.filter((scope) => scope === route.access);
  return [{ bearerApiKey: scopes }, { bearerJwt: [] }];
}

function queryParameters(route: Route): Record<string, unknown>[] {
  const { properties, required } = propertiesOf(route.query);
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }));
}

const objectSchema = z.object({
  properties: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
  required: z.array(z.string()).default([]),
});

function propertiesOf(schema: z.ZodType | undefined): z.output<typeof objectSchema> {
  return objectSchema.parse(schema === undefined ? {} : schemaOf(schema, 'input'));
}

function requestBodyOf(route: Route): Record<string, unknown> | null {
  if (route.upload !== undefined) {
    const properties = Object.fromEntries(
      Object.entries(route.upload).map(([name, description]) => [
        name,
        { ...(name === 'file' ? { type: 'string', format: 'binary' } : {}), description },
      ]),
    );
    const required = Object.keys(properties).filter((name) => name === 'file');
    return {
      required: true,
      content: { 'multipart/form-data': { schema: { type: 'object', required, properties } } },
    };
  }
  if (route.raw !== undefined) {
    return { required: true, content: { [route.raw]: { schema: { type: 'string', format: 'binary' } } } };
  }
  if (route.body === undefined) return null;
  return {
    required: route.optionalBody !== true,
    content: { 'application/json': { schema: schemaOf(route.body, 'input') } },
  };
}

function responsesOf(route: Route): Record<string, unknown> {
  const errors = errorsOf(route).map((status) => [status, { $ref: `#/components/responses/Error${status}` }]);
  const answers = Object.entries(route.answers).map(([status, shape]) => [
    status,
    answerOf(Number(status), shape, route),
  ]);
  return Object.fromEntries([...errors, ...answers]);
}

function answerOf(status: number, shape: AnswerShape, route: Route): Record<string, unknown> {
  const description = STATUS_CODES[status] ?? String(status);
  const head = { description, ...(route.access === 'public' ? {} : { headers: LIMIT_HEADERS }) };
  return shape === 'empty' ? head : { ...head, content: contentOf(shape) };
}

function contentOf(shape: Exclude<AnswerShape, 'empty'>): Record<string, unknown> {
  if (shape === 'event-stream') return { 'text/event-stream': { schema: { type: 'string' } } };
  if (shape === 'file')
    return { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } };
  if (typeof shape === 'object' && 'streamed' in shape)
    return { ...contentOf('event-stream'), ...contentOf(shape.json) };
  if (shape === 'text') return { 'text/plain': { schema: { type: 'string' } } };
  return { 'application/json': { schema: schemaOf(shape, 'output') } };
}

/** The errors a route can answer, from what it takes and who may call it. */
function errorsOf(route: Route): number[] {
  const statuses = [500, 503];
  if (route.access !== 'public') statuses.push(401, 403, 429);
  if (route.params !== undefined) statuses.push(404);
  if (route.params !== undefined || route.query !== undefined || route.body !== undefined) statuses.push(422);
  if (route.body !== undefined || route.upload !== undefined || route.raw !== undefined)
    statuses.push(400, 413, 415);
  if (takesIdempotencyKey(route)) statuses.push(409, 422);
  statuses.push(...(route.refusals ?? []).map((code) => ERROR_STATUS[code]));
  return [...new Set(statuses)].sort();
}

/** Every status an error can have; 404 and the like stand on all codes of errors.ts. */
function errorStatuses(): number[] {
  return [...new Set<number>(Object.values(ERROR_STATUS))].sort();
}

function errorResponse(status: number): Record<string, unknown> {
  const codes = Object.entries(ERROR_STATUS)
    .filter(([, of]) => of === status)
    .map(([code]) => code);
  const schema =
    status === 422
      ? { anyOf: [{ $ref: '#/components/schemas/ValidationError' }, { $ref: '#/components/schemas/Error' }] }
      : { $ref: '#/components/schemas/Error' };
  const headers = {
    ...(status === 429 || status === 503 ? RETRY_AFTER : {}),
    ...(status === 429 ? LIMIT_HEADERS : {}),
  };
  return {
    description: `${STATUS_CODES[status] ?? status}: ${codes.join(', ')}`,
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    content: { 'application/json': { schema } },
  };
}

const RETRY_AFTER = { 'Retry-After': { description: 'Seconds to wait.', schema: { type: 'integer' } } };

const LIMIT_HEADERS = {
  'X-RateLimit-Limit': {
    description: 'Requests that the key may make in a minute; a session gets no such headers.',
    schema: { type: 'integer' },
  },
  'X-RateLimit-Reset': {
    description: 'Epoch second at which the minute ends.',
    schema: { type: 'integer' },
  },
};

const IDEMPOTENCY_PARAMETER = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description: 'A repeat with the same key and body within 24 hours is not carried out again.',
  schema: { type: 'string', minLength: 1, maxLength: 255 },
};

const ERROR_SCHEMA = {
  type: 'object',
  description: 'Every error has this body, some with more facts beside these.',
  required: ['detail', 'message', 'request_id'],
  properties: {
    detail: { type: 'string', description: 'The code.', enum: Object.keys(ERROR_STATUS) },
    message: { type: 'string', description: 'A sentence that says what to do.' },
    request_id: { type: 'string' },
  },
};

const VALIDATION_SCHEMA = {
  type: 'object',
  required: [...ERROR_SCHEMA.required, 'error', 'details', 'path'],
  properties: {
    ...ERROR_SCHEMA.properties,
    detail: { type: 'string', const: 'VALIDATION_ERROR' },
    error: { type: 'string', const: 'Request Validation Error' },
    details: {
      type: 'array',
      items: {
        type: 'object',
        required: ['loc', 'msg', 'type'],
        properties: {
          loc: { type: 'array', items: { type: ['string', 'integer'] } },
          msg: { type: 'string' },
          type: { type: 'string' },
        },
      },
    },
    path: { type: 'string' },
  },
};
