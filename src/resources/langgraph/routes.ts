/** The LangGraph door: threads, state and history as the SDK and its hooks ask for them; runs and subscriptions beside. */

import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { type Route, route } from '../../http/route.ts';
import type { Streams } from '../../http/streams.ts';
import type { Caller } from '../../runtime/caller.ts';
import { ASSISTANT_ID, GRAPH } from '../../wire/langgraph.ts';
import type { AnswerCards } from '../chat/answers.ts';
import type { Chat } from '../chat/chat.ts';
import type { Standing } from '../chat/standing.ts';
import type { Conversations } from '../conversations/conversations.ts';
import type { Door } from '../external-threads/door.ts';
import type { ExternalThreads } from '../external-threads/external-threads.ts';
import { createBeginRun } from './begin.ts';
import { createProtocolRoutes } from './protocol-routes.ts';
import { createRunRoutes } from './run-routes.ts';
import type { Runs } from './runs.ts';
import { ASSISTANTS, createThreadBody, searchThreadsBody, threadParams } from './schema.ts';
import { listedView, stateView, statusBehind, threadView } from './views.ts';

export interface LangGraphRouteNeeds {
  chat: Chat;
  answerCards: AnswerCards;
  door: Door;
  conversations: Conversations;
  threads: ExternalThreads;
  streams: Streams;
  runs: Runs;
  version: string;
}

const threadAnswer = z.looseObject({ thread_id: z.string(), status: z.string() });
const stateAnswer = z.looseObject({ values: z.record(z.string(), z.unknown()), next: z.array(z.string()) });
const assistantAnswer = z.looseObject({ assistant_id: z.string(), graph_id: z.string() });

export function createLangGraphRoutes(needs: LangGraphRouteNeeds): Route[] {
  const { door, conversations, threads, version } = needs;
  const beginRun = createBeginRun(needs);

  const look = async (caller: Caller, name: string): Promise<Standing> =>
    door.look(caller, await threads.get(caller, name));

  return [
    ...createRunRoutes({ ...needs, beginRun }),
    ...createProtocolRoutes({ ...needs, beginRun }),
    route({
      method: 'GET',
      path: '/api/v1/agent/langgraph/info',
      operation: 'getLangGraphInfo',
      tag: 'langgraph',
      summary: 'What this server is, for clients that ask',
      access: 'caller',
      answers: { 200: z.looseObject({ version: z.string() }) },
      handle: async () => ({
        status: 200,
        body: { version, context: 'overture', flags: { assistants: true, crons: false, langsmith: false } },
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/langgraph/ok',
      operation: 'getLangGraphOk',
      tag: 'langgraph',
      summary: 'That it answers',
      access: 'caller',
      answers: { 200: z.object({ ok: z.boolean() }) },
      handle: async () => ({ status: 200, body: { ok: true } }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/agent/langgraph/assistants/search',
      operation: 'searchLangGraphAssistants',
      tag: 'langgraph',
      summary: 'The one assistant there is',
      access: 'read',
      body: z.looseObject({}),
      optionalBody: true,
      ownIdempotency: true,
      answers: { 200: z.array(assistantAnswer) },
      handle: async () => ({ status: 200, body: [assistant] }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/agent/langgraph/threads',
      operation: 'createLangGraphThread',
      tag: 'langgraph',
      summary: 'Start a thread, under a name of the client where it gives one',
      access: 'agent:chat',
      body: createThreadBody,
      optionalBody: true,
      ownIdempotency: true,
      answers: { 200: threadAnswer },
      async handle({ caller, body }) {
        const name = body.thread_id ?? (await conversations.create(caller, {})).thread_id;
        if (body.thread_id != null) {
          const known = await threads.find(caller, name);
          if (known !== null && body.if_exists !== 'do_nothing') {
            throw new ServiceError(
              'ALREADY_EXISTS',
              'There is a thread of this id. Send if_exists: "do_nothing".',
            );
          }
          await threads.open(caller, name);
        }
        return { status: 200, body: threadView(name, await look(caller, name)) };
      },
    }),
    route({
      method: 'POST',
      path: '/api/v1/agent/langgraph/threads/search',
      operation: 'searchLangGraphThreads',
      tag: 'langgraph',
      summary: 'Own threads, the last changed first; each with its title as its first message',
      access: 'read',
      body: searchThreadsBody,
      optionalBody: true,
      ownIdempotency: true,
      answers: { 200: z.array(threadAnswer) },
      async handle({ caller, body }) {
        if (!isOurs(body.metadata ?? {})) return { status: 200, body: [] };
        const { limit, offset } = body;
        const status = statusBehind(body.status ?? null);
        // No thread is in error: a turn that failed has left it idle.
        if (status === null) return { status: 200, body: [] };
        const { items, total } = await conversations.list(caller, { limit, offset, archived: false, status });
        const names = await threads.namesOf(
          caller,
          items.map(({ thread_id }) => thread_id),
        );
        const found = items.map((item) => listedView(item, names.get(item.thread_id) ?? item.thread_id));
        return { status: 200, body: found, headers: { 'x-pagination-total': String(total) } };
      },
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/langgraph/threads/{thread_id}',
      operation: 'getLangGraphThread',
      tag: 'langgraph',
      summary: 'A thread with its values and what waits in it',
      access: 'read',
      params: threadParams,
      answers: { 200: threadAnswer },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: threadView(params.thread_id, await look(caller, params.thread_id)),
      }),
    }),
    route({
      method: 'DELETE',
      path: '/api/v1/agent/langgraph/threads/{thread_id}',
      operation: 'deleteLangGraphThread',
      tag: 'langgraph',
      summary: 'Archive a thread',
      access: 'agent:chat',
      params: threadParams,
      ownIdempotency: true,
      answers: { 204: 'empty' },
      async handle({ caller, params }) {
        await conversations.archive(caller, await threads.get(caller, params.thread_id));
        return { status: 204 };
      },
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/langgraph/threads/{thread_id}/state',
      operation: 'getLangGraphState',
      tag: 'langgraph',
      summary: 'The state of a thread, with the interrupt that waits',
      access: 'read',
      params: threadParams,
      answers: { 200: stateAnswer },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: stateView(params.thread_id, await look(caller, params.thread_id)),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/agent/langgraph/threads/{thread_id}/history',
      operation: 'getLangGraphHistory',
      tag: 'langgraph',
      summary: 'The state as the only entry of its history: what was said is never taken back',
      access: 'read',
      params: threadParams,
      body: z.looseObject({ before: z.unknown().optional(), checkpoint: z.looseObject({}).nullish() }),
      optionalBody: true,
      ownIdempotency: true,
      answers: { 200: z.array(stateAnswer) },
      async handle({ caller, params, body }) {
        const state = stateView(params.thread_id, await look(caller, params.thread_id));
        const namespace = body.checkpoint?.checkpoint_ns ?? '';
        return { status: 200, body: body.before == null && namespace === '' ? [state] : [] };
      },
    }),
  ];
}

const assistant = {
  assistant_id: ASSISTANT_ID,
  graph_id: GRAPH,
  name: GRAPH,
  description: 'Finds leads, writes personalised emails, runs campaigns, and asks before it sends or spends.',
  version: 1,
  config: {},
  context: {},
  metadata: { created_by: 'system' },
  created_at: '2026-01-01T00:00:00.000Z',
  updated_at: '2026-01-01T00:00:00.000Z',
};

/** All threads have the same metadata, so a filter matches all of them or none. */
function isOurs(metadata: Record<string, unknown>): boolean {
  return Object.entries(metadata).every(
    ([name, value]) => (name === 'graph_id' || name === 'assistant_id') && ASSISTANTS.includes(String(value)),
  );
}
