/** The AG-UI door: a run is one POST, whose stream begins, joins or tells a turn of our own journal. */

import { Readable } from 'node:stream';
import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { type Answer, type Route, route } from '../../http/route.ts';
import { EVENT_STREAM_HEADERS } from '../../http/sse.ts';
import type { Streams } from '../../http/streams.ts';
import type { Caller } from '../../runtime/caller.ts';
import { type AgUiTeller, createAgUiTeller } from '../../wire/ag-ui.ts';
import type { AnswerCards } from '../chat/answers.ts';
import { type Chat, endsTurnStream } from '../chat/chat.ts';
import type { ReadStanding, Standing } from '../chat/standing.ts';
import type { ExternalThreads } from '../external-threads/external-threads.ts';
import {
  AG_UI_BODY_LIMIT,
  type AgUiBody,
  agUiBody,
  agUiParams,
  answersOf,
  type NewWords,
  wordsOf,
} from './schema.ts';

export interface AgUiRouteNeeds {
  chat: Chat;
  answerCards: AnswerCards;
  readStanding: ReadStanding;
  threads: ExternalThreads;
  streams: Streams;
}

/** What this door can do, in the words of AG-UI's `AgentCapabilities`. */
const CAPABILITIES = {
  transport: { streaming: true, resumable: true },
  tools: { supported: true, clientProvided: false },
  state: { persistentState: true },
  humanInTheLoop: { supported: true, approvals: true, interrupts: true, approveWithEdits: true },
};

export function createAgUiRoutes({
  chat,
  answerCards,
  readStanding,
  threads,
  streams,
}: AgUiRouteNeeds): Route[] {
  /** Does what the request asks for; answers the turn to be told, or null where only the state is. */
  async function act(
    caller: Caller,
    body: AgUiBody,
    words: NewWords | null,
    standing: Standing,
  ): Promise<string | null> {
    const { threadId, live, pending } = standing;
    const resume = body.resume ?? [];
    const givenUp = resume.length > 0 && resume.every((entry) => entry.status === 'cancelled');
    const said = words === null ? undefined : standing.messages.find((message) => saysSo(message, words));
    if (words !== null && said === undefined) {
      if (resume.length > 0 && !givenUp) {
        throw new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
          details: [
            { loc: ['body', 'resume'], msg: 'Send a message or a resume, not both.', type: 'custom' },
          ],
        });
      }
      return begin(caller, threadId, words, body.runId, givenUp);
    }
    if (givenUp && pending.length > 0) {
      const { turn_id } = await chat.cancel(caller, threadId, undefined);
      return turn_id;
    }
    if (resume.length > 0 && !givenUp) {
      const begun = await answerCards(caller, threadId, answersOf(resume));
      if (begun !== null) return begun.turnId;
    }
    if (live?.status === 'running') return live.turnId;
    // A message whose turn came to nothing is sent again, under the name it had.
    if (words !== null && said !== undefined && live === null && cameToNothing(standing, said.turn_id)) {
      return begin(caller, threadId, words, body.runId, false);
    }
    return null;
  }

  async function begin(
    caller: Caller,
    threadId: string,
    words: NewWords,
    runId: string,
    supersede: boolean,
  ): Promise<string> {
    const message = {
      thread_id: threadId,
      message: words.text,
      client_message_id: words.id,
      on_pending: supersede ? ('supersede' as const) : ('refuse' as const),
    };
    const begun = await chat.send(caller, message, `ag-ui ${threadId} ${runId}`);
    return begun.turnId;
  }

  async function run(caller: Caller, body: AgUiBody, gone: AbortSignal): Promise<Answer> {
    const words = wordsOf(body);
    if (words?.text.trim() === '') {
      throw new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
        details: [{ loc: ['body', 'messages'], msg: 'The last message is empty.', type: 'missing' }],
      });
    }
    const known = await threads.find(caller, body.threadId);
    if (known === null && words === null) return told(tellerOf(body, null, []), {});
    const threadId = known ?? (await threads.open(caller, body.threadId));
    const standing = await readStanding(caller, threadId);
    try {
      const turnId = await act(caller, body, words, standing);
      const headers = { 'x-thread-id': threadId, ...(turnId === null ? {} : { 'x-turn-id': turnId }) };
      const teller = tellerOf(body, turnId, standing.messages);
      if (turnId === null) {
        standing.reader.close();
        return told(teller, headers);
      }
      const { live, reader } = standing;
      const joins = live?.status === 'running' && live.turnId === turnId;
      return streams(caller, gone, headers, {
        reader,
        prelude: joins ? teller.join(live) : teller.begin(),
        frame: teller.frame,
        until: (event) => endsTurnStream(event, turnId),
        farewell: teller.farewell(),
      });
    } catch (error) {
      standing.reader.close();
      throw error;
    }
  }

  return [
    route({
      method: 'POST',
      path: '/api/v1/agent/ag-ui',
      operation: 'runAgUi',
      tag: 'ag-ui',
      summary:
        'Run the agent over AG-UI: a new message, a resume, or nothing new to join and to see the state',
      access: 'agent:chat',
      body: agUiBody,
      bodyLimit: AG_UI_BODY_LIMIT,
      ownIdempotency: true,
      answers: { 200: 'event-stream' },
      handle: ({ caller, body, gone }) => run(caller, body, gone),
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/ag-ui/capabilities',
      operation: 'getAgUiCapabilities',
      tag: 'ag-ui',
      summary: 'What the agent can do, in AG-UI words',
      access: 'read',
      answers: { 200: z.record(z.string(), z.unknown()) },
      handle: async () => ({ status: 200, body: CAPABILITIES }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/agent/ag-ui/{thread_id}/stop',
      operation: 'stopAgUi',
      tag: 'ag-ui',
      summary: 'Cancel the live turn of a thread, which leaving its stream does not',
      access: 'agent:chat',
      params: agUiParams,
      answers: { 202: z.object({ turn_id: z.uuid().nullable(), status: z.string() }) },
      async handle({ caller, params }) {
        const threadId = await threads.get(caller, params.thread_id);
        return { status: 202, body: await chat.cancel(caller, threadId, undefined) };
      },
    }),
  ];
}

function tellerOf(body: AgUiBody, turnId: string | null, messages: Standing['messages']): AgUiTeller {
  const { threadId, runId } = body;
  return createAgUiTeller({ threadId, runId, legacy: body.protocolVersion === undefined, turnId, messages });
}

/** A run in which nothing happens but that the state is told. */
function told(teller: AgUiTeller, headers: Record<string, string>): Answer {
  return {
    status: 200,
    stream: Readable.from([teller.sync()]),
    headers: { ...EVENT_STREAM_HEADERS, ...headers },
  };
}

function saysSo(message: Standing['messages'][number], words: NewWords): boolean {
  return (
    message.role === 'user' && (message.id === words.id || message.metadata.client_message_id === words.id)
  );
}

/** Whether the turn ended without an answer: it failed or was cancelled. */
function cameToNothing(standing: Standing, turnId: string): boolean {
  return !standing.messages.some(
    ({ role, status, turn_id }) => turn_id === turnId && role === 'assistant' && status === 'complete',
  );
}
