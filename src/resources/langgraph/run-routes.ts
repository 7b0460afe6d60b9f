/** Runs over LangGraph's first protocol: made, streamed, joined again by number, waited for, listed and cancelled. */

import { Readable } from 'node:stream';
import { z } from 'zod';
import { type Answer, type Route, route } from '../../http/route.ts';
import { EVENT_STREAM_HEADERS } from '../../http/sse.ts';
import type { Streams } from '../../http/streams.ts';
import type { Caller } from '../../runtime/caller.ts';
import { langGraphInterrupts, langGraphMessages } from '../../wire/langgraph.ts';
import { createLangGraphTeller, type LangGraphTeller, type StreamMode } from '../../wire/langgraph-v1.ts';
import { type Chat, endsTurnStream } from '../chat/chat.ts';
import type { ReadStanding, Standing } from '../chat/standing.ts';
import type { ExternalThreads } from '../external-threads/external-threads.ts';
import type { BeginRun, Begun } from './begin.ts';
import { type Run, type Runs, runShape } from './runs.ts';
import {
  cancelQuery,
  LANG_GRAPH_BODY_LIMIT,
  modesOf,
  type RunBody,
  requireAssistant,
  runBody,
  runParams,
  runsQuery,
  streamQuery,
  threadParams,
} from './schema.ts';

export interface RunRouteNeeds {
  chat: Chat;
  readStanding: ReadStanding;
  threads: ExternalThreads;
  streams: Streams;
  runs: Runs;
  beginRun: BeginRun;
}

const runAnswer = z.looseObject({ run_id: z.uuid(), thread_id: z.string(), status: z.string() });
const valuesAnswer = z.record(z.string(), z.unknown());

export function createRunRoutes(needs: RunRouteNeeds): Route[] {
  const { chat, readStanding, threads, streams, runs, beginRun } = needs;

  async function begin(
    caller: Caller,
    name: string,
    body: RunBody,
    gone: AbortSignal,
  ): Promise<{ threadId: string; begun: Begun }> {
    requireAssistant(body.assistant_id);
    const threadId =
      body.if_not_exists === 'create' ? await threads.open(caller, name) : await threads.get(caller, name);
    const { resume, goto } = body.command ?? {};
    const asked = { input: body.input, resume, goto, strategy: body.multitask_strategy };
    return { threadId, begun: await beginRun(caller, threadId, asked, gone) };
  }

  /** Streams a run: from its beginning, or behind the number that the client had last. */
  async function follow(
    caller: Caller,
    gone: AbortSignal,
    place: { name: string; threadId: string; runId: string },
    modes: Set<StreamMode>,
    after: number | null,
  ): Promise<Answer> {
    const { name, threadId, runId } = place;
    const run = await runs.get(caller, threadId, runId);
    const standing = await readStanding(caller, threadId);
    standing.reader.close();
    const headers = { ...placeHeaders(name, runId, modes), 'x-thread-id': threadId, 'x-turn-id': run.turnId };
    const told = { threadId: name, runId, turnId: run.turnId, modes };
    if (run.from === null) {
      const teller = createLangGraphTeller({ ...told, messages: upTo(standing, run.turnId, true) });
      const stream = Readable.from([teller.begin() + teller.state()]);
      return { status: 200, stream, headers: { ...EVENT_STREAM_HEADERS, ...headers } };
    }
    const teller = createLangGraphTeller({ ...told, messages: upTo(standing, run.turnId, false) });
    const cursor = Math.max(run.from - 1, after ?? 0);
    await catchUp(caller, threadId, run, teller, cursor);
    return streams(caller, gone, headers, {
      reader: chat.reader(caller, { threadId, turnId: run.turnId, runId, firstSeq: cursor + 1 }),
      prelude: teller.begin(),
      frame: teller.frame,
      until: (event) => endsTurnStream(event, run.turnId),
      // Where the run has ended already, what is stored is all.
      endWhenRead: () => run.status !== 'running',
      // A client takes a proper end for the end of the run; a broken connection it takes up again.
      farewell: null,
    });
  }

  /** What the turn told until then: the client has had it, but what comes builds on it. */
  async function catchUp(
    caller: Caller,
    threadId: string,
    run: Run,
    teller: LangGraphTeller,
    cursor: number,
  ): Promise<void> {
    const { turnId, runId, turnFrom } = run;
    const reader = chat.reader(caller, { threadId, turnId, runId, firstSeq: turnFrom });
    try {
      for (;;) {
        const events = await reader.next(500);
        for (const event of events) {
          if (event.seq > cursor) return;
          teller.take(event);
        }
        if (events.length === 0) return;
      }
    } finally {
      reader.close();
    }
  }

  /** The state at the end of a run, as `wait` and `join` answer it. */
  async function valuesAfter(
    caller: Caller,
    threadId: string,
    begun: Begun,
    gone: AbortSignal,
  ): Promise<unknown> {
    const { turnId, runId, seq } = begun;
    const outcome = await chat.outcome(caller, { threadId, turnId, runId, firstSeq: seq + 1 }, gone);
    const standing = await readStanding(caller, threadId);
    standing.reader.close();
    const interrupts = langGraphInterrupts(standing.pending);
    const fault = outcome?.error ?? null;
    return {
      messages: langGraphMessages(standing.messages),
      ...(interrupts.length === 0 ? {} : { __interrupt__: interrupts }),
      ...(fault === null ? {} : { __error__: { error: fault.code, message: fault.message } }),
    };
  }

  return [
    route({
      method: 'POST',
      path: '/api/v1/agent/langgraph/threads/{thread_id}/runs/stream',
      operation: 'streamLangGraphRun',
      tag: 'langgraph',
      summary: 'Start a run, or resume one, and stream it',
      access: 'agent:chat',
      params: threadParams,
      body: runBody,
      bodyLimit: LANG_GRAPH_BODY_LIMIT,
      ownIdempotency: true,
      answers: { 200: 'event-stream' },
      async handle({ caller, params, body, gone }) {
        const name = params.thread_id;
        const { threadId, begun } = await begin(caller, name, body, gone);
        return follow(caller, gone, { name, threadId, runId: begun.runId }, modesOf(body.stream_mode), null);
      },
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/langgraph/threads/{thread_id}/runs/{run_id}/stream',
      operation: 'joinLangGraphRunStream',
      tag: 'langgraph',
      summary: 'Stream a run again: behind Last-Event-ID, or from its beginning',
      access: 'read',
      params: runParams,
      query: streamQuery,
      answers: { 200: 'event-stream' },
      async handle({ caller, params, query, header, gone }) {
        const threadId = await threads.get(caller, params.thread_id);
        const place = { name: params.thread_id, threadId, runId: params.run_id };
        const last = header('last-event-id') ?? '';
        const after = /^\d{1,15}$/.test(last) ? Number(last) : null;
        return follow(
          caller,
          gone,
          place,
          modesOf(query.stream_mode ?? ['values', 'messages-tuple', 'updates', 'custom']),
          after,
        );
      },
    }),
    route({
      method: 'POST',
      path: '/api/v1/agent/langgraph/threads/{thread_id}/runs/wait',
      operation: 'waitLangGraphRun',
      tag: 'langgraph',
      summary: 'Start a run, or resume one, and answer the state at its end',
      access: 'agent:chat',
      params: threadParams,
      body: runBody,
      bodyLimit: LANG_GRAPH_BODY_LIMIT,
      ownIdempotency: true,
      answers: { 200: valuesAnswer },
      async handle({ caller, params, body, gone }) {
        const { threadId, begun } = await begin(caller, params.thread_id, body, gone);
        const headers = placeHeaders(params.thread_id, begun.runId, new Set());
        return { status: 200, body: await valuesAfter(caller, threadId, begun, gone), headers };
      },
    }),
    route({
      method: 'POST',
      path: '/api/v1/agent/langgraph/threads/{thread_id}/runs',
      operation: 'createLangGraphRun',
      tag: 'langgraph',
      summary: 'Start a run, or resume one, without waiting for it',
      access: 'agent:chat',
      params: threadParams,
      body: runBody,
      bodyLimit: LANG_GRAPH_BODY_LIMIT,
      ownIdempotency: true,
      answers: { 200: runAnswer },
      async handle({ caller, params, body, gone }) {
        const { threadId, begun } = await begin(caller, params.thread_id, body, gone);
        const run = await runs.get(caller, threadId, begun.runId);
        const headers = placeHeaders(params.thread_id, begun.runId, new Set());
        return { status: 200, body: runShape(run, params.thread_id), headers };
      },
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/langgraph/threads/{thread_id}/runs',
      operation: 'listLangGraphRuns',
      tag: 'langgraph',
      summary: 'The last run of each turn, newest first',
      access: 'read',
      params: threadParams,
      query: runsQuery,
      answers: { 200: z.array(runAnswer) },
      async handle({ caller, params, query }) {
        const threadId = await threads.get(caller, params.thread_id);
        const found = await runs.list(caller, threadId, query);
        const wanted = found.filter(({ status }) => query.status === undefined || query.status === status);
        return { status: 200, body: wanted.map((run) => runShape(run, params.thread_id)) };
      },
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/langgraph/threads/{thread_id}/runs/{run_id}',
      operation: 'getLangGraphRun',
      tag: 'langgraph',
      summary: 'A run and its status',
      access: 'read',
      params: runParams,
      answers: { 200: runAnswer },
      async handle({ caller, params }) {
        const threadId = await threads.get(caller, params.thread_id);
        return {
          status: 200,
          body: runShape(await runs.get(caller, threadId, params.run_id), params.thread_id),
        };
      },
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/langgraph/threads/{thread_id}/runs/{run_id}/join',
      operation: 'joinLangGraphRun',
      tag: 'langgraph',
      summary: 'Wait for a run and answer the state at its end',
      access: 'read',
      params: runParams,
      answers: { 200: valuesAnswer },
      async handle({ caller, params, gone }) {
        const threadId = await threads.get(caller, params.thread_id);
        const run = await runs.get(caller, threadId, params.run_id);
        const begun = { turnId: run.turnId, runId: run.runId, seq: (run.from ?? run.turnFrom) - 1 };
        const state = run.from === null ? { ...begun, seq: run.turnFrom - 1 } : begun;
        return { status: 200, body: await valuesAfter(caller, threadId, state, gone) };
      },
    }),
    route({
      method: 'POST',
      path: '/api/v1/agent/langgraph/threads/{thread_id}/runs/{run_id}/cancel',
      operation: 'cancelLangGraphRun',
      tag: 'langgraph',
      summary: 'Cancel a run; leaving its stream does not',
      access: 'agent:chat',
      params: runParams,
      query: cancelQuery,
      ownIdempotency: true,
      answers: { 202: 'empty', 204: 'empty' },
      async handle({ caller, params, query, gone }) {
        const threadId = await threads.get(caller, params.thread_id);
        const run = await runs.get(caller, threadId, params.run_id);
        const { status } = await chat.cancel(caller, threadId, run.turnId);
        if (query.wait !== '1') return { status: 202 };
        if (status === 'cancelling' && run.from !== null) {
          const { turnId, runId, from } = run;
          await chat.outcome(caller, { threadId, turnId, runId, firstSeq: from }, gone);
        }
        return { status: 204 };
      },
    }),
  ];
}

/** The headers by which the SDK learns the run's id, and where to take up a broken stream, both below its own base URL. */
function placeHeaders(name: string, runId: string, modes: ReadonlySet<StreamMode>): Record<string, string> {
  const run = `/threads/${encodeURIComponent(name)}/runs/${runId}`;
  const query = [...modes].map((mode) => `stream_mode=${mode}`).join('&');
  return { 'content-location': run, location: `${run}/stream${query === '' ? '' : `?${query}`}` };
}

/** The messages before a turn, or up to its end. */
function upTo({ messages }: Standing, turnId: string, inclusive: boolean): Standing['messages'] {
  const first = messages.findIndex(({ turn_id }) => turn_id === turnId);
  if (first < 0) return messages;
  if (!inclusive) return messages.slice(0, first);
  return messages.slice(0, messages.findLastIndex(({ turn_id }) => turn_id === turnId) + 1);
}
