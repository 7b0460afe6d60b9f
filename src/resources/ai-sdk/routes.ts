/** The AI SDK's door: a chat is one of our conversations, a response message one of our turns. */

import { Readable } from 'node:stream';
import { z } from 'zod';
import { type Answer, type Route, route } from '../../http/route.ts';
import { EVENT_STREAM_HEADERS } from '../../http/sse.ts';
import type { Streams } from '../../http/streams.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { Message } from '../../runtime/events.ts';
import { AI_SDK_HEADERS, type AiSdkTeller, createAiSdkTeller, uiMessages } from '../../wire/ai-sdk.ts';
import { retell } from '../../wire/parts.ts';
import type { AnswerCards } from '../chat/answers.ts';
import { type Chat, endsTurnStream } from '../chat/chat.ts';
import type { ReadStanding, Standing } from '../chat/standing.ts';
import type { ExternalThreads } from '../external-threads/external-threads.ts';
import {
  AI_SDK_BODY_LIMIT,
  type AiSdkBody,
  aiSdkBody,
  aiSdkParams,
  answersOf,
  faulty,
  type NewWords,
  wordsOf,
} from './schema.ts';

export interface AiSdkRouteNeeds {
  chat: Chat;
  answerCards: AnswerCards;
  readStanding: ReadStanding;
  threads: ExternalThreads;
  streams: Streams;
}

/** A client that sends 7 here is told the chunks that version 7 of the SDK added; version 6 fails on them. */
const VERSION_HEADER = 'x-ai-sdk-version';

export function createAiSdkRoutes({
  chat,
  answerCards,
  readStanding,
  threads,
  streams,
}: AiSdkRouteNeeds): Route[] {
  interface Request {
    caller: Caller;
    gone: AbortSignal;
    v7: boolean;
  }

  /** Follows a turn; `known` is what the client holds of its message, null where it is to be told from its beginning. */
  function follow(
    { caller, gone, v7 }: Request,
    standing: Standing,
    turnId: string,
    known: Message | null,
    prelude: (teller: AiSdkTeller) => string,
  ): Answer {
    const { threadId, reader } = standing;
    const teller = createAiSdkTeller({ threadId, turnId, v7, known });
    const headers = { ...AI_SDK_HEADERS, 'x-thread-id': threadId, 'x-turn-id': turnId };
    return streams(caller, gone, headers, {
      reader,
      prelude: prelude(teller),
      frame: teller.frame,
      until: (event) => teller.isOver() || endsTurnStream(event, turnId),
      farewell: teller.farewell(),
    });
  }

  /** The live turn from its first word on, then as it goes on. */
  function replay(request: Request, standing: Standing): Answer | null {
    const { live } = standing;
    if (live?.status !== 'running') return null;
    const message = standing.messages.find(({ id }) => id === live.messageId);
    return follow(request, standing, live.turnId, null, (teller) => {
      const begin = teller.begin(live.messageId);
      return message === undefined ? begin : begin + teller.retell(retell(message, live));
    });
  }

  /** A response in which nothing happens any more: what has become of the message is told, and it ends. */
  function told(standing: Standing, message: Message, v7: boolean, whole: boolean): Answer {
    standing.reader.close();
    const { threadId } = standing;
    const waits = standing.live?.messageId === message.id;
    const teller = createAiSdkTeller({
      threadId,
      turnId: message.turn_id,
      v7,
      known: whole ? null : message,
    });
    const text =
      teller.begin(message.id) +
      (whole ? teller.retell(retell(message)) : teller.outcomes(message)) +
      teller.finish(waits ? 'awaiting_approval' : message.status === 'complete' ? 'completed' : 'cancelled');
    return {
      status: 200,
      stream: Readable.from([text]),
      headers: { ...EVENT_STREAM_HEADERS, ...AI_SDK_HEADERS, 'x-thread-id': threadId },
    };
  }

  async function say(request: Request, body: AiSdkBody, words: NewWords): Promise<Answer> {
    const { caller } = request;
    const threadId = await threads.open(caller, body.id);
    const standing = await readStanding(caller, threadId);
    return closing(standing, async () => {
      if (body.trigger === 'submit-message') {
        const repeated = repeatOf(request, standing, words);
        if (repeated !== null) return repeated;
      }
      // The SDK does not keep its user from writing while a card waits, so the card gives way.
      const message = { message: words.text, client_message_id: words.id, on_pending: 'supersede' as const };
      const begun = await chat.send(caller, { thread_id: threadId, ...message }, undefined);
      return follow(request, standing, begun.turnId, null, () => '');
    });
  }

  /** The same message again, from a client that lost the answer: it is told the turn that it began. */
  function repeatOf(request: Request, standing: Standing, words: NewWords): Answer | null {
    const said = standing.messages.findLast(
      ({ role, content, metadata }) =>
        role === 'user' && metadata.client_message_id === words.id && content === words.text,
    );
    if (said === undefined) return null;
    if (standing.live?.turnId === said.turn_id) {
      const running = replay(request, standing);
      if (running !== null) return running;
    }
    const answer = standing.messages.find(
      ({ role, turn_id, status, id }) =>
        role === 'assistant' &&
        turn_id === said.turn_id &&
        (status === 'complete' || id === standing.live?.messageId),
    );
    return answer === undefined ? null : told(standing, answer, request.v7, true);
  }

  async function answer(request: Request, body: AiSdkBody): Promise<Answer> {
    const { caller } = request;
    const answers = answersOf(body);
    if (answers.length === 0) {
      throw faulty(['messages'], 'There is neither a new message nor an answer to an approval in it.');
    }
    const threadId = await threads.get(caller, body.id);
    const standing = await readStanding(caller, threadId);
    return closing(standing, async () => {
      const begun = await answerCards(caller, threadId, answers);
      const turnId = begun?.turnId ?? (standing.live?.status === 'running' ? standing.live.turnId : null);
      const card = answers[0]?.approvalId;
      const message = standing.messages.find(({ parts }) =>
        parts.some((part) => part.type === 'approval' && part.approval.approval_id === card),
      );
      if (message === undefined) throw faulty(['messages'], 'This approval is too old to be told here.');
      if (turnId !== message.turn_id) return told(standing, message, request.v7, false);
      return follow(
        request,
        standing,
        turnId,
        message,
        (teller) => teller.begin(message.id) + teller.outcomes(message),
      );
    });
  }

  const requestOf = (caller: Caller, gone: AbortSignal, version: string | undefined): Request => ({
    caller,
    gone,
    v7: version === '7',
  });

  return [
    route({
      method: 'POST',
      path: '/api/v1/agent/ai-sdk',
      operation: 'chatAiSdk',
      tag: 'ai-sdk',
      summary: "Chat over the AI SDK's UI message stream: a new message, or the answers to approvals",
      access: 'agent:chat',
      body: aiSdkBody,
      bodyLimit: AI_SDK_BODY_LIMIT,
      ownIdempotency: true,
      answers: { 200: 'event-stream' },
      handle({ caller, body, header, gone }) {
        const words = wordsOf(body);
        const request = requestOf(caller, gone, header(VERSION_HEADER));
        return words === null ? answer(request, body) : say(request, body, words);
      },
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/ai-sdk/{thread_id}/stream',
      operation: 'resumeAiSdk',
      tag: 'ai-sdk',
      summary: 'The response that is being made, from its beginning; 204 where nothing runs',
      access: 'read',
      params: aiSdkParams,
      answers: { 200: 'event-stream', 204: 'empty' },
      async handle({ caller, params, header, gone }) {
        const threadId = await threads.find(caller, params.thread_id);
        if (threadId === null) return { status: 204 };
        const standing = await readStanding(caller, threadId);
        const running = replay(requestOf(caller, gone, header(VERSION_HEADER)), standing);
        if (running !== null) return running;
        standing.reader.close();
        return { status: 204 };
      },
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/ai-sdk/{thread_id}/messages',
      operation: 'listAiSdkMessages',
      tag: 'ai-sdk',
      summary: 'The newest messages as UI messages, for a page that is opened again',
      access: 'read',
      params: aiSdkParams,
      answers: {
        200: z.object({
          messages: z.array(z.looseObject({ id: z.string(), role: z.string(), parts: z.array(z.unknown()) })),
        }),
      },
      async handle({ caller, params }) {
        const threadId = await threads.find(caller, params.thread_id);
        if (threadId === null) return { status: 200, body: { messages: [] } };
        const { reader, messages, live } = await readStanding(caller, threadId);
        reader.close();
        // A response that is being made comes whole with the stream.
        const settled = messages.filter(({ id }) => live?.status !== 'running' || id !== live.messageId);
        return { status: 200, body: { messages: uiMessages(settled) } };
      },
    }),
    route({
      method: 'POST',
      path: '/api/v1/agent/ai-sdk/{thread_id}/stop',
      operation: 'stopAiSdk',
      tag: 'ai-sdk',
      summary: 'Cancel the live turn of a chat, which leaving its stream does not',
      access: 'agent:chat',
      params: aiSdkParams,
      answers: { 202: z.object({ turn_id: z.uuid().nullable(), status: z.string() }) },
      async handle({ caller, params }) {
        const threadId = await threads.get(caller, params.thread_id);
        return { status: 202, body: await chat.cancel(caller, threadId, undefined) };
      },
    }),
  ];
}

/** Does the work; where it fails, the standing's reader is not left behind. */
async function closing(standing: Standing, work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    standing.reader.close();
    throw error;
  }
}
