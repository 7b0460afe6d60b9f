/** A route as data: what it takes, who may call it, what it answers. Served by server.ts, told by openapi.ts, walked by the tests. */

import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { z } from 'zod';
import type { ErrorCode } from '../errors.ts';
import type { Caller, Scope } from '../runtime/caller.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** What a handler is given; everything in it was validated. */
export interface RouteRequest<Params, Query, Body> {
  caller: Caller;
  params: Params;
  query: Query;
  body: Body;
  requestId: string;
  /** A request header by its lower-case name. */
  header(name: string): string | undefined;
  /** The request itself, for handlers that read an upload or bytes; its body is unread unless the route has a `body` schema. */
  incoming: IncomingMessage;
  /** Aborts when the client has gone. */
  gone: AbortSignal;
  /**
   * Runs `work` once for the request's Idempotency-Key, if it has one: for handlers of uploads and bytes, which know what they
   * were sent (`sent`, by which two requests are the same) only after they have read it. The server does it for the others.
   */
  once(sent: unknown, work: () => Promise<Answer>): Promise<Answer>;
}

export type Answer =
  | { status: number; body?: unknown; headers?: Record<string, string> }
  | { status: number; stream: Readable; headers: Record<string, string> };

/** What an answer of a status holds: a schema, nothing, an event stream, a file, or a stream and JSON by what is accepted. */
export type AnswerShape =
  | z.ZodType
  | 'empty'
  | 'event-stream'
  | 'file'
  | 'text'
  | { streamed: true; json: z.ZodType };

export interface RouteDefinition<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> {
  method: Method;
  /** With `{names}` for parameters. */
  path: string;
  operation: string;
  tag: string;
  summary: string;
  /** `public` needs no caller; `caller` needs one; a scope needs a caller who holds it; `person` refuses API keys. */
  access: 'public' | 'caller' | 'person' | Scope;
  params?: P;
  query?: Q;
  body?: B;
  /** True where the body may be left out. */
  optionalBody?: boolean;
  /** Bytes the body may have; without it the limit of all JSON bodies. */
  bodyLimit?: number;
  /** A multipart/form-data body that the handler reads from `incoming`; the names are for the documentation. */
  upload?: Record<string, string>;
  /** The media type of a body of bytes that the handler reads from `incoming`. */
  raw?: string;
  /** The handler keeps its own record of Idempotency-Key (chat does, inside its transaction). */
  ownIdempotency?: boolean;
  answers: Record<number, AnswerShape>;
  /** Codes that the handler refuses with by rules of its own: what the form of the request and the access bring is known. */
  refusals?: readonly ErrorCode[];
  handle(request: RouteRequest<z.output<P>, z.output<Q>, z.output<B>>): Promise<Answer>;
}

export type Route = RouteDefinition<z.ZodType, z.ZodType, z.ZodType>;

/** Declares a route; the handler's types follow from the schemas. */
export function route<
  P extends z.ZodType = z.ZodUndefined,
  Q extends z.ZodType = z.ZodUndefined,
  B extends z.ZodType = z.ZodUndefined,
>(definition: RouteDefinition<P, Q, B>): Route {
  // The server validates with these same schemas before it calls, which is what makes the wider type true.
  return {
    ...definition,
    handle: (request) => definition.handle(request as Parameters<typeof definition.handle>[0]),
  };
}
