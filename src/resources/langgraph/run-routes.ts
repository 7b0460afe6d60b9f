/** Runs over LangGraph's first protocol: made, streamed, joined again by number, waited for, listed and cancelled. */

import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { type Answer, type Route, route } from '../../http/route.ts';
import type { Streams } from '../../http/streams.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { Doubt } from '../../runtime/journal.ts';
import { createLangGraphTeller, type StreamMode } from '../../wire/langgraph-v1.ts';
import { type Chat, endsTurnStream } from '../chat/chat.ts';
import type { Standing } from '../chat/standing.ts';
import { type Door, told } from '../external-threads/door.ts';
import type { ExternalThreads } from '../external-threads/external-threads.ts';
import { HISTORY_BODY_LIMIT } from '../external-threads/words.ts';
import type { BeginRun, Begun } from './begin.ts';
import { readPast } from './past.ts';
import { type Run, type Runs, runShape } from './runs.ts';
import {
  cancelQuery,
  modesOf,
  type RunBody,
  requireAssistant,
  runBody,
  runParams,
  runsQuery,
  streamQuery,
  threadParams,
} from './schema.ts';
import { valuesView } from './views.ts';

export interface RunRouteNeeds {
  chat: Chat;
  door: Door;
  threads: ExternalThreads;
  streams: Streams;
  runs: Runs;
  beginRun: BeginRun;
}

const runAnswer = z.looseObject({ run_id: z.uuid(), thread_id: z.string(), status: z.string() });
const valuesAnswer = z.record(z.string(), z.unknown());

export function createRunRoutes(needs: RunRouteNeeds): Route[] {
  const { chat, door, threads, streams, runs, beginRun } = needs;

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
    const standing = await door.look(caller, threadId);
    const headers = { ...placeHeaders(name, runId, modes), 'x-thread-id': threadId, 'x-turn-id': run.turnId };
    const needed = { threadId: name, runId, turnId: run.turnId, modes };
    if (run.from === null) {
      const teller = createLangGraphTeller({ ...needed, messages: upTo(standing, run.turnId, true) });
      return told(teller.begin() + teller.state(), headers);
    }
    const { turnId, turnFrom } = run;
    // What the turn told until then the client has had, but what comes builds on it.
    const past = chat.reader(caller, { threadId, turnId, runId, firstSeq: turnFrom });
    const stored = await readPast(past, after === null ? run.from - 1 : Number.MAX_SAFE_INTEGER);
    const last = stored.at(-1)?.seq ?? turnFrom - 1;
    const cursor = Math.max(run.from - 1, hasHad(after, last, run, chat.reached(threadId)) ? after : 0);
    const tellerUpTo = (seq: number) => {
      const made = createLangGraphTeller({ ...needed, messages: upTo(standing, turnId, false) });
      for (const event of stored) if (event.seq <= seq) made.take(event);
      return made;
    };
    let teller = tellerUpTo(cursor);
    const doubt: Doubt = {
      floor: after === null ? cursor : last,
      onSkipped: (event) => teller.take(event),
      onDisproved() {
        teller = tellerUpTo(last);
      },
    };
    return streams(caller, gone, headers, {
      reader: chat.reader(caller, { threadId, turnId, runId, firstSeq: cursor + 1 }, doubt),
      prelude: teller.begin(),
      frame: (event) => teller.frame(event),
      until: (event) => endsTurnStream(event, turnId),
      // Where the run has ended already, what is stored is all.
      endWhenRead: () => run.status !== 'running',
      // A client takes a proper end for the end of the run; a broken connection it takes up again.
      farewell: null,
    });
  }

  /** The state at the end of a run, as `wait` and `join` answer it. Throws `DRAINING` where it goes on elsewhere. */
  async function valuesAfter(
    caller: Caller,
    threadId: string,
    { turnId, runId, seq }: Begun,
    gone: AbortSignal,
  ): Promise<unknown> {
    const outcome = await chat.outcome(caller, { threadId, turnId, runId, firstSeq: seq + 1 }, gone);
    if (outcome === null && !gone.aborted) {
      throw new ServiceError('DRAINING', 'This process is leaving and the run goes on: join it again.');
    }
    return valuesView(await door.look(caller, threadId), outcome?.error ?? null);
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
      bodyLimit: HISTORY_BODY_LIMIT,
      ownIdempotency: true,
      answers: { 200: 'event-stream' },
      async handle({ caller, params, body, gone }) {
        const name = params.thread_id;
        const modes = modesOf(body.stream_mode);
        const { threadId, begun } = await begin(caller, name, body, gone);
        return follow(caller, gone, { name, threadId, runId: begun.runId }, modes, null);
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
      bodyLimit: HISTORY_BODY_LIMIT,
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
      bodyLimit: HISTORY_BODY_LIMIT,
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
        return { status: 200, body: found.map((run) => runShape(run, params.thread_id)) };
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
        return { status: 200, body: await valuesAfter(caller, threadId, begun, gone) };
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

/**
 * Whether a client can have had the number `after` of a run of which all up to `last` is stored, and all up to `reached` was
 * told where it lives here. A number that nobody was told is as if there were none.
 */
function hasHad(
  after: number | null,
  last: number,
  { status }: Run,
  reached: number | null,
): after is number {
  if (after === null || after <= last) return after !== null;
  return status === 'running' && (reached === null || after <= reached);
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
