/** LangGraph's second stream protocol: commands to a thread, and subscriptions to what is told in it. */

import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { type Route, route } from '../../http/route.ts';
import type { Streams } from '../../http/streams.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { Doubt } from '../../runtime/journal.ts';
import { GRAPH } from '../../wire/langgraph.ts';
import { createThreadTeller, journalSeq, protocolSeq } from '../../wire/langgraph-v2.ts';
import type { Chat } from '../chat/chat.ts';
import type { Door } from '../external-threads/door.ts';
import type { ExternalThreads } from '../external-threads/external-threads.ts';
import { faulty, HISTORY_BODY_LIMIT } from '../external-threads/words.ts';
import type { BeginRun } from './begin.ts';
import { readPast } from './past.ts';
import type { Runs } from './runs.ts';
import {
  commandBody,
  eventsBody,
  requireAssistant,
  respondParams,
  runStartParams,
  threadParams,
} from './schema.ts';
import { stateView } from './views.ts';

export interface ProtocolRouteNeeds {
  chat: Chat;
  door: Door;
  threads: ExternalThreads;
  streams: Streams;
  runs: Runs;
  beginRun: BeginRun;
}

/** The protocol's own words for why a command was refused. */
const ERROR_CODES: Record<string, string> = {
  VALIDATION_ERROR: 'invalid_argument',
  NOTHING_PENDING: 'no_such_interrupt',
  ALREADY_DECIDED: 'no_such_interrupt',
  APPROVAL_EXPIRED: 'no_such_interrupt',
  FORBIDDEN: 'permission_denied',
};

interface Command {
  caller: Caller;
  name: string;
  params: Record<string, unknown>;
  gone: AbortSignal;
}

interface Reply {
  result: Record<string, unknown>;
  /** The journal's number before the command. */
  seq: number;
}

export function createProtocolRoutes(needs: ProtocolRouteNeeds): Route[] {
  const { chat, door, threads, streams, runs, beginRun } = needs;

  const commands: Record<string, (command: Command) => Promise<Reply>> = {
    async 'run.start'({ caller, name, params, gone }) {
      const { assistant_id, input, ...asked } = runStartParams.parse(params);
      requireAssistant(assistant_id);
      const threadId = await threads.open(caller, name);
      const strategy = asked.multitaskStrategy ?? asked.multitask_strategy;
      const begun = await beginRun(caller, threadId, { input, strategy }, gone);
      return { result: { run_id: begun.runId }, seq: begun.seq };
    },

    async 'input.respond'({ caller, name, params, gone }) {
      const { interrupt_id, response, responses } = respondParams.parse(params);
      const one = interrupt_id === undefined ? [] : [{ interrupt_id, response }];
      const given = responses ?? one;
      if (given.length === 0) throw faulty(['params'], 'Name the interrupt and its response.');
      const threadId = await threads.get(caller, name);
      const resume = Object.fromEntries(given.map((entry) => [entry.interrupt_id, entry.response]));
      const begun = await beginRun(caller, threadId, { resume }, gone);
      return { result: { run_id: begun.runId }, seq: begun.seq };
    },

    async 'state.get'({ caller, name }) {
      const standing = await door.look(caller, await threads.get(caller, name));
      const { values, checkpoint } = stateView(name, standing);
      return { result: { values, checkpoint: { id: checkpoint.checkpoint_id } }, seq: standing.seq };
    },

    async 'agent.getTree'({ caller, name }) {
      const { live, seq } = await door.look(caller, await threads.get(caller, name));
      const status = live === null ? 'completed' : live.status === 'running' ? 'running' : 'interrupted';
      return { result: { tree: { namespace: [], status, graph_name: GRAPH } }, seq };
    },
  };

  return [
    route({
      method: 'POST',
      path: '/api/v1/agent/langgraph/threads/{thread_id}/commands',
      operation: 'commandLangGraphThread',
      tag: 'langgraph',
      summary: 'A command of the stream protocol: run.start, input.respond, state.get, agent.getTree',
      access: 'agent:chat',
      params: threadParams,
      body: commandBody,
      bodyLimit: HISTORY_BODY_LIMIT,
      ownIdempotency: true,
      answers: { 200: z.looseObject({ type: z.enum(['success', 'error']) }) },
      async handle({ caller, params, body, gone, requestId }) {
        const id = body.id ?? null;
        const name = params.thread_id;
        const refused = { meta: { thread_id: name, request_id: requestId } };
        const command = Object.hasOwn(commands, body.method) ? commands[body.method] : undefined;
        if (command === undefined) {
          const message = `${body.method.slice(0, 100)} is not understood here.`;
          return { status: 200, body: { type: 'error', id, error: 'unknown_command', message, ...refused } };
        }
        try {
          const { result, seq } = await command({ caller, name, params: body.params, gone });
          const meta = { thread_id: name, applied_through_seq: protocolSeq(seq) };
          return { status: 200, body: { type: 'success', id, result, meta } };
        } catch (error) {
          return { status: 200, body: { type: 'error', id, ...refusalOf(error), ...refused } };
        }
      },
    }),
    route({
      method: 'POST',
      path: '/api/v1/agent/langgraph/threads/{thread_id}/stream/events',
      operation: 'followLangGraphThread',
      tag: 'langgraph',
      summary: 'Subscribe to channels of a thread: the last turn from its beginning, then all that comes',
      access: 'read',
      params: threadParams,
      body: eventsBody,
      ownIdempotency: true,
      answers: { 200: 'event-stream' },
      async handle({ caller, params, body, gone }) {
        const threadId = await threads.get(caller, params.thread_id);
        const [last] = await runs.list(caller, threadId, { limit: 1, offset: 0 });
        const standing = await door.look(caller, threadId);
        const place = { threadId, turnId: last?.turnId ?? '', runId: last?.runId ?? '' };
        const firstSeq = last?.turnFrom ?? standing.seq + 1;
        const past = await readPast(chat.reader(caller, { ...place, firstSeq }), Number.MAX_SAFE_INTEGER);
        // What was pruned is not told again; the messages hold it.
        const held = past.some((event) => event.type === 'run-start');
        const messages = standing.messages.filter(({ turn_id }) => !held || turn_id !== last?.turnId);
        const root = body.namespaces === undefined || body.namespaces.some((one) => one.length === 0);
        const channels = new Set(root ? body.channels : []);
        const reached = chat.reached(threadId);
        const lastSeq = past.at(-1)?.seq ?? firstSeq - 1;
        // A number that nobody was told is as if there were none; of a run that lives elsewhere it is not known here.
        const elsewhere = last?.status === 'running' && reached === null;
        const since = body.since ?? -1;
        const known = elsewhere || since <= protocolSeq(Math.max(lastSeq, reached ?? 0)) ? since : -1;
        const tellerSince = (seq: number) => createThreadTeller({ channels, since: seq, messages });
        let teller = tellerSince(known);
        const doubt: Doubt = {
          floor: lastSeq,
          onSkipped: (event) => void teller.frame(event),
          onDisproved() {
            teller = tellerSince(-1);
            teller.replay(past);
          },
        };
        const from = Math.max(lastSeq, journalSeq(known));
        return streams(
          caller,
          gone,
          { 'x-thread-id': threadId },
          {
            reader: chat.reader(caller, { ...place, firstSeq: from + 1 }, doubt),
            prelude: teller.replay(past),
            frame: (event) => teller.frame(event),
            until: () => false,
          },
        );
      },
    }),
  ];
}

function refusalOf(error: unknown): { error: string; message: string } {
  if (error instanceof z.ZodError) return { error: 'invalid_argument', message: z.prettifyError(error) };
  // What is not there, and a fault of ours, are answered as everywhere.
  if (!(error instanceof ServiceError) || error.status === 404 || error.status >= 500) throw error;
  return { error: ERROR_CODES[error.code] ?? 'unknown_error', message: `${error.code}: ${error.message}` };
}
