/** People with session tokens, and plain requests in their name, for tests of a service in jwt mode. */

import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { JWT_SECRET } from './service.ts';

export const JWT_ENVIRONMENT = { AUTH_MODE: 'jwt', JWT_SECRET };

export interface PersonOptions {
  user: string;
  /** Default: one of their own. */
  workspaceId?: string;
  plan?: string;
}

export interface AskOptions {
  /** Sent as JSON, unless it is text, bytes or a form. */
  body?: unknown;
  headers?: Record<string, string>;
}

export interface Reply {
  status: number;
  headers: Headers;
  /** The whole body, as it came. */
  text: string;
  /** Parsed where the answer is JSON, else null. */
  json: Record<string, unknown> | null;
}

export interface Person {
  token: string;
  ask(method: string, path: string, options?: AskOptions): Promise<Reply>;
  /** Asks and answers the JSON; throws where the answer is no success. */
  get(path: string): Promise<Record<string, unknown>>;
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Record<string, unknown>>;
}

/** A signed-in person who calls the service at `url`. */
export async function createPerson(url: string, options: PersonOptions): Promise<Person> {
  return personOf(url, await signToken(options));
}

/** The one user of dev mode. */
export function createLocalPerson(url: string): Person {
  return personOf(url, '', { 'x-overture-client': 'test' });
}

/** Whoever holds this token or key. */
export function personOf(
  url: string,
  token: string,
  proof: Record<string, string> = { authorization: `Bearer ${token}` },
): Person {
  const ask: Person['ask'] = (method, path, { body, headers = {} } = {}) =>
    send(url, method, path, { body, headers: { ...proof, ...headers } });
  const success = async (method: string, path: string, options: AskOptions) => {
    const answer = await ask(method, path, options);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.json ?? {};
  };
  return {
    token,
    ask,
    get: (path) => success('GET', path, {}),
    post: (path, body, headers) =>
      success('POST', path, { body, headers: { accept: 'application/json', ...headers } }),
  };
}

/** One request without any caller, but for what `headers` say. */
export async function send(url: string, method: string, path: string, options: AskOptions): Promise<Reply> {
  const { body, headers = {} } = options;
  const plain = typeof body === 'string' || body instanceof FormData || body instanceof Uint8Array;
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(body === undefined || body instanceof FormData ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    body: body === undefined ? undefined : plain ? (body as RequestInit['body']) : JSON.stringify(body),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: isJson ? JSON.parse(text) : null,
  };
}

/** A token that the service accepts for an hour. */
export function signToken({ user, workspaceId = randomUUID(), plan = 'standard' }: PersonOptions) {
  return new SignJWT({
    email: `${user}@example.com`,
    app_metadata: { workspace_id: workspaceId, plan },
  })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(JWT_SECRET));
}
