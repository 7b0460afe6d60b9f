/** LangGraph's second stream protocol: commands to a thread, and subscriptions to what is told in it. */

import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { type Route, route } from '../../http/route.ts';
import type { Streams } from '../../http/streams.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { JournalEvent } from '../../runtime/events.ts';
import type { Reader } from '../../runtime/journal.ts';
import { GRAPH, threadState } from '../../wire/langgraph.ts';
import { createThreadTeller, protocolSeq } from '../../wire/langgraph-v2.ts';
import type { Chat } from '../chat/chat.ts';
import type { ReadStanding } from '../chat/standing.ts';
import type { ExternalThreads } from '../external-threads/external-threads.ts';
import type { BeginRun } from './begin.ts';
import type { Runs } from './runs.ts';
import {
  commandBody,
  eventsBody,
  faulty,
  LANG_GRAPH_BODY_LIMIT,
  requireAssistant,
  respondParams,
  runStartParams,
  threadParams,
} from './schema.ts';

export interface ProtocolRouteNeeds {
  chat: Chat;
  readStanding: ReadStanding;
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
  const { chat, readStanding, threads, streams, runs, beginRun } = needs;

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
      const threadId = await threads.get(caller, name);
      const standing = await readStanding(caller, threadId);
      standing.reader.close();
      const { messages, pending, seq, updatedAt: createdAt, live } = standing;
      const running = live?.status === 'running';
      const state = threadState({ threadId: name, messages, pending, running, seq, createdAt });
      return { result: { values: state.values, checkpoint: { id: state.checkpoint.checkpoint_id } }, seq };
    },

    async 'agent.getTree'({ caller, name }) {
      const standing = await readStanding(caller, await threads.get(caller, name));
      standing.reader.close();
      const { live, seq } = standing;
      const status = live === null ? 'completed' : live.status === 'running' ? 'running' : 'interrupted';
      return { result: { tree: { namespace: [], status, graph_name: GRAPH } }, seq };
    },
  };

  /** All that a reader holds now. */
  async function drain(reader: Reader): Promise<JournalEvent[]> {
    const all: JournalEvent[] = [];
    for (;;) {
      const events = await reader.next(500);
      if (events.length === 0) return all;
      all.push(...events);
    }
  }

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
      bodyLimit: LANG_GRAPH_BODY_LIMIT,
      ownIdempotency: true,
      answers: { 200: z.looseObject({ type: z.enum(['success', 'error']) }) },
      async handle({ caller, params, body, gone }) {
        const id = body.id ?? null;
        const name = params.thread_id;
        const command = Object.hasOwn(commands, body.method) ? commands[body.method] : undefined;
        if (command === undefined) {
          const message = `${body.method.slice(0, 100)} is not understood here.`;
          return { status: 200, body: { type: 'error', id, error: 'unknown_command', message } };
        }
        try {
          const { result, seq } = await command({ caller, name, params: body.params, gone });
          const meta = { thread_id: name, applied_through_seq: protocolSeq(seq) };
          return { status: 200, body: { type: 'success', id, result, meta } };
        } catch (error) {
          return { status: 200, body: { type: 'error', id, ...refusalOf(error) } };
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
        const standing = await readStanding(caller, threadId);
        standing.reader.close();
        const firstSeq = last?.turnFrom ?? standing.seq + 1;
        const place = { threadId, turnId: last?.turnId ?? '', runId: last?.runId ?? '', firstSeq };
        const reader = chat.reader(caller, place);
        try {
          const past = await drain(reader);
          // What was pruned is not told again; the messages hold it.
          const held = past.some((event) => event.type === 'run-start');
          const messages = standing.messages.filter(({ turn_id }) => !held || turn_id !== last?.turnId);
          const root = body.namespaces === undefined || body.namespaces.some((one) => one.length === 0);
          const channels = new Set(root ? body.channels : []);
          const teller = createThreadTeller({ channels, since: body.since ?? -1, messages });
          return streams(
            caller,
            gone,
            { 'x-thread-id': threadId },
            {
              reader,
              prelude: teller.replay(past),
              frame: teller.frame,
              until: () => false,
            },
          );
        } catch (error) {
          reader.close();
          throw error;
        }
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
