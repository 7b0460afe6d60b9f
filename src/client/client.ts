/** The client of the service, for Node and browsers: requests, turns, journals. */

import { type Clock, systemClock } from './clock.ts';
import { ClientError, readError } from './errors.ts';
import type {
  CallerEvent,
  ConversationDetail,
  ConversationPage,
  Decision,
  InterruptState,
  JournalEvent,
  ProposalPreview,
  Resume,
} from './events.ts';
import { type FollowOptions, followJournal } from './follow.ts';
import { followFrames, type OnConnection } from './frames.ts';

/** Openings tried for a message before `send` gives up; all carry one Idempotency-Key, so they make one turn. */
const SEND_ATTEMPTS = 5;

export interface ClientNeeds extends Partial<Clock> {
  /** Where the service is, with or without a path: `http://127.0.0.1:8080`. */
  baseUrl: string;
  /** API key or JWT; a function is asked before each request, so that a session may renew it. */
  token?: string | (() => string | undefined | Promise<string | undefined>) | undefined;
  fetch?: typeof globalThis.fetch;
  headers?: Record<string, string>;
}

type Query = Record<string, string | number | boolean | undefined>;

export interface RequestOptions {
  query?: Query;
  headers?: Record<string, string>;
  idempotencyKey?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface SendInput {
  thread_id?: string | undefined;
  message?: string;
  client_message_id?: string;
  page_context?: Record<string, unknown>;
  resume?: Resume;
  on_pending?: 'supersede';
}

export interface SendOptions {
  /** The same key and input join the same turn; made up where absent. */
  idempotencyKey?: string | undefined;
  signal?: AbortSignal | undefined;
  onConnection?: OnConnection | undefined;
}

export interface SentTurn {
  threadId: string;
  turnId: string;
  runId: string;
  /** Everything told until the turn ends or waits for a person; to be read once. */
  events: AsyncIterable<JournalEvent>;
}

export interface Client {
  /**
   * One JSON request; a `FormData` body is sent as it is. `path` begins with `/`. Answers the parsed body, null for an empty one. Throws `ClientError`
   * for any status but 2xx and what `fetch` throws where the service cannot be reached.
   */
  request<T = unknown>(method: string, path: string, body?: unknown, options?: RequestOptions): Promise<T>;
  /**
   * Sends a message or decisions and follows the turn to its `run-end` (one that is not `lost`), over dropped
   * connections too. Throws `ClientError` for a refusal; a service that cannot be reached is tried five times.
   */
  send(input: SendInput, options?: SendOptions): Promise<SentTurn>;
  /** Follows a conversation's journal over dropped connections. Iterating throws `ClientError` for a refusal. */
  follow(threadId: string, options?: FollowOptions): AsyncIterable<JournalEvent>;
  /** What changes in the caller's conversations and approvals. Read the lists again at each `open`: a gap is possible. */
  watch(signal?: AbortSignal, onConnection?: OnConnection): AsyncIterable<CallerEvent>;
  /** Cancels the live turn, or only the named one. */
  cancel(threadId: string, turnId?: string): Promise<unknown>;
  /** Records a decision; the first one wins (`ALREADY_DECIDED` names the winner). */
  decide(
    threadId: string,
    approvalId: string,
    decision: Decision,
    options?: RequestOptions,
  ): Promise<unknown>;
  /** The facts and the hash of a changed proposal, which an `edit` must echo. */
  preview(threadId: string, approvalId: string, args: Record<string, unknown>): Promise<ProposalPreview>;
  /** The approvals that wait in a conversation. */
  interrupt(threadId: string): Promise<InterruptState>;
  /** One conversation with its newest messages, or with the page before a cursor. */
  conversation(threadId: string, beforeCursor?: string): Promise<ConversationDetail>;
  conversations(query?: Query): Promise<ConversationPage>;
}

/** Makes a client. Throws where `baseUrl` is no URL. */
export function createClient(needs: ClientNeeds): Client {
  const base = new URL(needs.baseUrl).href.replace(/\/+$/, '');
  const doFetch = needs.fetch ?? ((input: string, init?: RequestInit) => globalThis.fetch(input, init));
  const clock: Clock = {
    random: needs.random ?? systemClock.random,
    schedule: needs.schedule ?? systemClock.schedule,
  };

  async function call(
    method: string,
    path: string,
    body: unknown,
    accept: string,
    options: RequestOptions,
  ): Promise<Response> {
    const token = typeof needs.token === 'function' ? await needs.token() : needs.token;
    const headers: Record<string, string> = { Accept: accept, 'X-Overture-Client': 'library' };
    if (token !== undefined) headers.Authorization = `Bearer ${token}`;
    const form = body instanceof FormData ? body : undefined;
    if (body !== undefined && form === undefined) headers['Content-Type'] = 'application/json';
    if (options.idempotencyKey !== undefined) headers['Idempotency-Key'] = options.idempotencyKey;
    const response = await doFetch(`${base}${path}${queryText(options.query)}`, {
      method,
      headers: { ...headers, ...needs.headers, ...options.headers },
      body: form ?? (body === undefined ? undefined : JSON.stringify(body)),
      signal: options.signal,
    });
    if (!response.ok) throw await readError(response);
    return response;
  }

  async function request<T>(
    method: string,
    path: string,
    body?: unknown,
    options: RequestOptions = {},
  ): Promise<T> {
    const response = await call(method, path, body, 'application/json', options);
    const text = await response.text();
    return JSON.parse(text === '' ? 'null' : text);
  }

  async function stream(
    method: string,
    path: string,
    body: unknown,
    options: RequestOptions,
  ): Promise<Response> {
    const response = await call(method, path, body, 'text/event-stream', options);
    const type = response.headers.get('content-type') ?? '';
    if (response.status === 204 || type.startsWith('text/event-stream')) return response;
    throw new ClientError(
      0,
      'NOT_A_STREAM',
      `${path} answered ${response.status} with ${type || 'no type'}.`,
      {
        body: await response.text().catch(() => ''),
      },
    );
  }

  function openJournal(threadId: string, query: Query) {
    return (lastEventId: string | undefined, signal: AbortSignal): Promise<Response> =>
      stream('GET', `${pathOf(threadId)}/stream`, undefined, {
        query,
        signal,
        headers: lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId },
      });
  }

  return {
    request,

    async send(input, options = {}) {
      const idempotencyKey = options.idempotencyKey ?? makeKey();
      let ids: Omit<SentTurn, 'events'> | undefined;
      const journal = followJournal(clock, {
        async open(lastEventId, signal) {
          // Before the first event there is no cursor; the same key joins the same turn from its first event.
          if (ids !== undefined && lastEventId !== undefined) {
            return openJournal(ids.threadId, { until: 'idle' })(lastEventId, signal);
          }
          const response = await stream('POST', '/api/v1/agent/chat', input, { idempotencyKey, signal });
          ids ??= readIds(response);
          return response;
        },
        until: (event) => ids !== undefined && endsTurn(event, ids.turnId),
        firstAttempts: SEND_ATTEMPTS,
        endsByItself: true,
        signal: options.signal,
        onConnection: options.onConnection,
      });
      const up = await journal.opened();
      if (!up || ids === undefined) {
        options.signal?.throwIfAborted();
        throw new ClientError(0, 'NOT_A_STREAM', 'The chat answered without a stream.');
      }
      return { ...ids, events: journal.events };
    },

    follow(threadId, options = {}) {
      const query = options.until === 'idle' ? { until: 'idle' } : {};
      return followJournal(clock, { ...options, open: openJournal(threadId, query) }).events;
    },

    async *watch(signal = new AbortController().signal, onConnection) {
      const arrivals = followFrames(clock, {
        open: (lastEventId, attempt) =>
          stream('GET', '/api/v1/agent/stream', undefined, {
            signal: attempt,
            headers: lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId },
          }),
        isOver: () => false,
        onConnection,
        signal,
      });
      for await (const arrival of arrivals) {
        if (arrival === 'open') continue;
        for (const frame of arrival) {
          if (signal.aborted) return;
          yield { type: frame.event, data: JSON.parse(frame.data) } as CallerEvent;
        }
      }
    },

    cancel(threadId, turnId) {
      return request('POST', `${pathOf(threadId)}/cancel`, turnId === undefined ? {} : { turn_id: turnId });
    },

    decide(threadId, approvalId, decision, options) {
      return request('POST', `${pathOf(threadId, approvalId)}/decision`, decision, options);
    },

    preview(threadId, approvalId, args) {
      return request('POST', `${pathOf(threadId, approvalId)}/preview`, { args });
    },

    interrupt(threadId) {
      return request('GET', `${pathOf(threadId)}/interrupt`);
    },

    conversation(threadId, beforeCursor) {
      return request('GET', pathOf(threadId), undefined, { query: { before_cursor: beforeCursor } });
    },

    conversations(query = {}) {
      return request('GET', '/api/v1/agent/conversations', undefined, { query });
    },
  };
}

/** Whether nothing of the turn follows: its run ended and was not lost, or a snapshot shows that it is no longer live. */
function endsTurn(event: JournalEvent, turnId: string): boolean {
  if (event.type === 'snapshot') return event.data.conversation.active_run?.turn_id !== turnId;
  return event.type === 'run-end' && event.data.status !== 'lost' && event.data.turn_id === turnId;
}

function readIds(response: Response): Omit<SentTurn, 'events'> {
  const threadId = response.headers.get('x-thread-id');
  const turnId = response.headers.get('x-turn-id');
  const runId = response.headers.get('x-run-id');
  if (threadId !== null && turnId !== null && runId !== null) return { threadId, turnId, runId };
  throw new ClientError(0, 'NOT_A_STREAM', 'The chat stream lacks X-Thread-Id, X-Turn-Id or X-Run-Id.');
}

function pathOf(threadId: string, approvalId?: string): string {
  const path = `/api/v1/agent/conversations/${encodeURIComponent(threadId)}`;
  return approvalId === undefined ? path : `${path}/approvals/${encodeURIComponent(approvalId)}`;
}

function queryText(query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) search.set(name, String(value));
  }
  return search.size === 0 ? '' : `?${search}`;
}

/** 128 random bits; `crypto.randomUUID` is absent in pages served without TLS. */
function makeKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
}
