/** Koa around the routes: request id, limits, caller, validation, idempotency, the answer or the error, one log line. */

import { createServer, type Server } from 'node:http';
import Koa, { type Context } from 'koa';
import Router from 'koa-router';
import { ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type Caller, mayDecide, mayDo, principalOf } from '../runtime/caller.ts';
import { readJsonBody } from './body.ts';
import type { createAuthenticate } from './caller.ts';
import { errorAnswer } from './errors.ts';
import { type IdempotencyStore, once, readIdempotencyKey } from './idempotency.ts';
import type { RateLimit } from './rate-limit.ts';
import type { Answer, Route } from './route.ts';
import { parseInput } from './validation.ts';

export interface HttpNeeds {
  routes: readonly Route[];
  authenticate: ReturnType<typeof createAuthenticate>;
  rateLimit: RateLimit;
  idempotency: IdempotencyStore;
  corsOrigins: readonly string[];
  newId(): string;
  now(): number;
  log: Log;
  /** Told of every answer, for the metrics. */
  observe?(route: string, method: string, status: number, ms: number): void;
  /** Follows a request, where requests are traced; takes the header `traceparent`. */
  trace?(traceparent: string | undefined): RequestTrace;
}

/** One request as a trace follows it. */
export interface RequestTrace {
  /** Ties the trace to the request's line in the log. */
  traceId: string;
  /** Does the work of the request; what is traced meanwhile belongs to it. */
  within<T>(work: () => T): T;
  end(facts: {
    route: string;
    method: string;
    status: number;
    requestId: string;
    workspaceId: string | null;
  }): void;
}

/** How long a connection is kept between two requests; clients are told. */
const KEEP_ALIVE_MS = 65_000;
/**
 * Node counts from the opening of a connection, and answers what is asked in the moment of the end with an empty 408. Clients
 * open connections ahead (browsers; fetch when a stream is left) and drop them by the time that they were told above.
 */
const HEADERS_MS = KEEP_ALIVE_MS + 5_000;

/** Makes the HTTP server; it does not listen yet. */
export function createHttpServer(needs: HttpNeeds): Server {
  const koa = new Koa();
  koa.on('error', (error: NodeJS.ErrnoException) => {
    // A reader that leaves is no error: its stream is a reader of the journal and nothing more.
    if (error.code === 'ERR_STREAM_PREMATURE_CLOSE' || error.code === 'ECONNRESET' || error.code === 'EPIPE')
      return;
    needs.log.error({ err: error }, 'an answer could not be written');
  });
  koa.use((context, next) => answerRequest(needs, context, next));
  const router = new Router();
  for (const route of needs.routes) {
    // Without its last slash a path answers with and without one.
    router.register(
      route.path.replaceAll(/\{(\w+)\}/g, ':$1').replace(/(.)\/$/, '$1'),
      [route.method],
      (context: Context) => serve(needs, route, context),
    );
  }
  koa.use(router.routes());
  koa.use((context) => {
    const known = needs.routes.filter((route) => matches(route.path, context.path));
    if (known.length > 0) {
      const allow = [...new Set(known.map((route) => route.method))].join(', ');
      throw new ServiceError('METHOD_NOT_ALLOWED', `${context.method} is not possible here; use ${allow}.`, {
        headers: { allow },
      });
    }
    throw new ServiceError('NOT_FOUND', 'There is no such address. See /docs for those that exist.');
  });

  const server = createServer(koa.callback());
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  // These limit how long a request may take to arrive; they do not cut a stream that is being answered.
  server.headersTimeout = HEADERS_MS;
  server.requestTimeout = 120_000;
  server.on('connection', (socket) => socket.setNoDelay(true));
  return server;
}

/** Whether a path is one of the pattern's, with or without its last slash. */
function matches(pattern: string, path: string): boolean {
  const [expected = [], found = []] = [pattern, path].map((one) => one.replace(/(.)\/$/, '$1').split('/'));
  return (
    expected.length === found.length &&
    expected.every((part, index) => part === found[index] || (part.startsWith('{') && found[index] !== ''))
  );
}

/** The outermost step: it gives the request its id, answers what was thrown, and logs one line. */
async function answerRequest(
  needs: HttpNeeds,
  context: Context,
  next: () => Promise<unknown>,
): Promise<void> {
  const began = needs.now();
  const requestId = needs.newId();
  const trace = needs.trace?.(context.req.headers.traceparent?.toString());
  context.state.requestId = requestId;
  context.set('X-Request-Id', requestId);
  context.set('X-Content-Type-Options', 'nosniff');
  context.set('Referrer-Policy', 'no-referrer');
  try {
    if (!allowOrigin(needs, context)) await (trace === undefined ? next() : trace.within(next));
  } catch (error) {
    const { status, headers, body } = errorAnswer(error, requestId, context.path);
    // Work that was given up because its client has gone is nobody's fault.
    if (status >= 500 && !context.res.destroyed)
      needs.log.error({ err: error, request_id: requestId, path: loggable(context) }, 'a request failed');
    context.status = status;
    context.set(headers);
    context.body = body;
  }
  const caller: Caller | undefined = context.state.caller;
  const ms = needs.now() - began;
  const route: string = context.state.route ?? 'none';
  needs.observe?.(route, context.method, context.status, ms);
  trace?.end({
    route,
    method: context.method,
    status: context.status,
    requestId,
    workspaceId: caller?.workspaceId ?? null,
  });
  needs.log.info(
    {
      request_id: requestId,
      ...(trace === undefined ? {} : { trace_id: trace.traceId }),
      method: context.method,
      path: loggable(context),
      status: context.status,
      ms: Math.round(ms),
      ...(caller === undefined ? {} : { workspace_id: caller.workspaceId, principal: principalOf(caller) }),
    },
    'request',
  );
}

/** A public address that ends in a token is a key to what it does, so the log has its pattern only. */
function loggable(context: Context): string {
  return context.state.speaking === true ? context.state.route : context.path;
}

/** Answers CORS for the configured origins; true where the request was a preflight and is done. */
function allowOrigin(needs: HttpNeeds, context: Context): boolean {
  const origin = context.get('Origin');
  context.vary('Origin');
  if (origin === '' || !needs.corsOrigins.includes(origin)) return false;
  context.set('Access-Control-Allow-Origin', origin);
  context.set(
    'Access-Control-Expose-Headers',
    'X-Request-Id, X-Thread-Id, X-Turn-Id, X-Run-Id, Retry-After, X-RateLimit-Limit, X-RateLimit-Reset, Idempotency-Replayed, Location, Content-Location, Content-Disposition, X-Pagination-Total',
  );
  if (context.method !== 'OPTIONS' || context.get('Access-Control-Request-Method') === '') return false;
  context.set('Access-Control-Allow-Methods', 'GET, POST, PUT, PATCH, DELETE');
  context.set(
    'Access-Control-Allow-Headers',
    'Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, X-Overture-Client, X-Api-Key, X-Auth-Scheme, X-AI-SDK-Version, Mcp-Protocol-Version',
  );
  context.set('Access-Control-Max-Age', '600');
  context.status = 204;
  return true;
}

/** One route's way from request to answer. */
async function serve(needs: HttpNeeds, route: Route, context: Context): Promise<void> {
  const incoming = context.req;
  context.state.route = route.path;
  context.state.speaking = route.access === 'public' && route.params !== undefined;
  // A public route has no caller; its handler never looks at one.
  const caller = route.access === 'public' ? NOBODY : await needs.authenticate(incoming);
  if (route.access !== 'public') {
    context.state.caller = caller;
    checkAccess(route, caller);
    context.set(await needs.rateLimit.take(caller));
  }
  const params = route.params === undefined ? undefined : parseInput(route.params, context.params, 'path');
  const query =
    route.query === undefined ? undefined : parseInput(route.query, { ...context.query }, 'query');
  let body: unknown;
  if (route.body !== undefined) {
    const raw = await readJsonBody(incoming, route.bodyLimit);
    body = raw === undefined && route.optionalBody === true ? {} : raw;
    body = parseInput(route.body, body, 'body');
  }
  const gone = new AbortController();
  context.res.once('close', () => gone.abort(GONE));
  const answerOnce = (sent: unknown, work: () => Promise<Answer>) =>
    maybeOnce(needs, route, context, caller, sent, work);
  const handle = () =>
    route.handle({
      caller,
      params,
      query,
      body,
      requestId: context.state.requestId,
      header: (name) => incoming.headers[name]?.toString(),
      incoming,
      gone: gone.signal,
      once: answerOnce,
    });
  // What an upload holds is known to its handler only.
  const reads = route.upload !== undefined || route.raw !== undefined;
  write(context, await (reads ? handle() : answerOnce(body, handle)));
}

/** Honours Idempotency-Key on writes that do not keep their own record of it. */
async function maybeOnce(
  needs: HttpNeeds,
  route: Route,
  context: Context,
  caller: Caller,
  body: unknown,
  handle: () => Promise<Answer>,
): Promise<Answer> {
  const applies = route.method !== 'GET' && route.access !== 'public' && route.ownIdempotency !== true;
  const key = applies ? readIdempotencyKey(context.req.headers['idempotency-key']?.toString()) : undefined;
  if (key === undefined) return handle();
  const scope = {
    workspaceId: caller.workspaceId,
    principal: principalOf(caller),
    route: `${route.method} ${context.path}`,
    key,
  };
  const answer = await once(needs.idempotency, scope, body, async () => handle());
  return answer.replayed ? { ...answer, headers: { 'idempotency-replayed': 'true' } } : answer;
}

function write(context: Context, answer: Answer): void {
  context.status = answer.status;
  if (answer.headers !== undefined) context.set(answer.headers);
  if ('stream' in answer) {
    context.body = answer.stream;
  } else if (answer.body === undefined) {
    context.body = null;
    context.status = answer.status;
  } else {
    // Koa takes a null body for "no content".
    context.body = answer.body === null ? 'null' : answer.body;
    if (typeof answer.body !== 'string') context.type = 'application/json; charset=utf-8';
  }
}

/** Made once: an abort without a reason makes an error with its stack, for every request. */
const GONE = new Error('the client has left');

const NOBODY: Caller = {
  workspaceId: '',
  userId: '',
  kind: 'agent',
  scopes: [],
  sandbox: true,
  email: null,
  keyId: null,
  plan: 'none',
};

function checkAccess(route: Route, caller: Caller): void {
  if (route.access === 'public' || route.access === 'caller') return;
  if (route.access === 'person') {
    if (caller.kind === 'person' || caller.kind === 'dev') return;
    throw new ServiceError('FORBIDDEN', 'An API key cannot do this. Sign in as a person.');
  }
  if (route.access === 'approvals:write' && !mayDecide(caller)) {
    throw new ServiceError(
      'FORBIDDEN',
      'This caller may not decide approvals. Use a session, or a key with the scope approvals:write.',
    );
  }
  if (!mayDo(caller, route.access)) {
    throw new ServiceError('FORBIDDEN', `This key lacks the scope ${route.access}. Make a key that has it.`);
  }
}
