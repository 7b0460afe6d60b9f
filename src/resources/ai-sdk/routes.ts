/** The AI SDK's door: a chat is one of our conversations, a response message one of our turns. */

import { z } from 'zod';
import { type Answer, type Route, route } from '../../http/route.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { Message } from '../../runtime/events.ts';
import {
  AI_SDK_HEADERS,
  type AiSdkTeller,
  type AiSdkTellerNeeds,
  createAiSdkTeller,
  uiMessages,
} from '../../wire/ai-sdk.ts';
import { retell } from '../../wire/parts.ts';
import type { AnswerCards } from '../chat/answers.ts';
import { endsTurnStream } from '../chat/chat.ts';
import type { Standing } from '../chat/standing.ts';
import {
  type Door,
  doorParams,
  type Follow,
  saidBefore,
  told,
  type Visitor,
} from '../external-threads/door.ts';
import type { ExternalThreads } from '../external-threads/external-threads.ts';
import { faulty, HISTORY_BODY_LIMIT, type NewWords } from '../external-threads/words.ts';
import { type AiSdkBody, aiSdkBody, answersOf, wordsOf } from './schema.ts';

export interface AiSdkRouteNeeds {
  answerCards: AnswerCards;
  door: Door;
  threads: ExternalThreads;
}

/** A client that sends 7 here is told the chunks that version 7 of the SDK added; version 6 fails on them. */
const VERSION_HEADER = 'x-ai-sdk-version';

export function createAiSdkRoutes({ answerCards, door, threads }: AiSdkRouteNeeds): Route[] {
  interface Request extends Visitor {
    v7: boolean;
  }

  /** Follows a turn; `known` is what the client holds of its message, null where it is to be told from its beginning. */
  function followTurn(
    follow: Follow,
    { threadId, turnId, v7, known }: AiSdkTellerNeeds,
    prelude: (teller: AiSdkTeller) => string,
  ): Answer {
    const teller = createAiSdkTeller({ threadId, turnId, v7, known });
    return follow(
      { ...AI_SDK_HEADERS, 'x-thread-id': threadId, 'x-turn-id': turnId },
      {
        prelude: prelude(teller),
        frame: teller.frame,
        until: (event) => teller.isOver() || endsTurnStream(event, turnId),
        farewell: teller.farewell(),
      },
    );
  }

  /** The live turn from its first word on, then as it goes on. */
  function replay({ v7 }: Request, standing: Standing, follow: Follow): Answer | null {
    const { live, threadId } = standing;
    if (live?.status !== 'running') return null;
    const message = standing.messages.find(({ id }) => id === live.messageId);
    return followTurn(follow, { threadId, turnId: live.turnId, v7, known: null }, (teller) => {
      const begin = teller.begin(live.messageId);
      return message === undefined ? begin : begin + teller.retell(retell(message, live));
    });
  }

  /** A response in which nothing happens any more: what has become of the message is told, and it ends. */
  function toldMessage(
    { v7 }: Request,
    { threadId, live }: Standing,
    message: Message,
    whole: boolean,
  ): Answer {
    const known = whole ? null : message;
    const teller = createAiSdkTeller({ threadId, turnId: message.turn_id, v7, known });
    const waits = live?.messageId === message.id;
    const text =
      teller.begin(message.id) +
      (whole ? teller.retell(retell(message)) : teller.outcomes(message)) +
      teller.finish(waits ? 'awaiting_approval' : message.status === 'complete' ? 'completed' : 'cancelled');
    return told(text, { ...AI_SDK_HEADERS, 'x-thread-id': threadId });
  }

  async function say(request: Request, body: AiSdkBody, words: NewWords): Promise<Answer> {
    const { caller, v7 } = request;
    const threadId = await threads.open(caller, body.id);
    return door.visit(request, threadId, async (standing, follow) => {
      if (body.trigger === 'submit-message') {
        const repeated = repeatOf(request, standing, follow, words);
        if (repeated !== null) return repeated;
      }
      // The SDK does not keep its user from writing while a card waits, so the card gives way.
      const { turnId } = await door.say(caller, threadId, words, { supersede: true });
      return followTurn(follow, { threadId, turnId, v7, known: null }, () => '');
    });
  }

  /** The same message again, from a client that lost the answer: it is told the turn that it began. */
  function repeatOf(request: Request, standing: Standing, follow: Follow, words: NewWords): Answer | null {
    const said = saidBefore(standing, words);
    if (said === null) return null;
    if (standing.live?.turnId === said.turn_id) {
      const running = replay(request, standing, follow);
      if (running !== null) return running;
    }
    const answer = standing.messages.find(
      ({ role, turn_id, status, id }) =>
        role === 'assistant' &&
        turn_id === said.turn_id &&
        (status === 'complete' || id === standing.live?.messageId),
    );
    return answer === undefined ? null : toldMessage(request, standing, answer, true);
  }

  async function answer(request: Request, body: AiSdkBody): Promise<Answer> {
    const { caller, v7 } = request;
    const answers = answersOf(body);
    if (answers.length === 0) {
      throw faulty(['messages'], 'There is neither a new message nor an answer to an approval in it.');
    }
    const threadId = await threads.get(caller, body.id);
    return door.visit(request, threadId, async (standing, follow) => {
      const begun = await answerCards(caller, threadId, answers);
      const turnId = begun?.turnId ?? (standing.live?.status === 'running' ? standing.live.turnId : null);
      const card = answers[0]?.approvalId;
      const message = standing.messages.find(({ parts }) =>
        parts.some((part) => part.type === 'approval' && part.approval.approval_id === card),
      );
      if (message === undefined) throw faulty(['messages'], 'This approval is too old to be told here.');
      if (turnId !== message.turn_id) return toldMessage(request, standing, message, false);
      return followTurn(
        follow,
        { threadId, turnId, v7, known: message },
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
      bodyLimit: HISTORY_BODY_LIMIT,
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
      params: doorParams,
      answers: { 200: 'event-stream', 204: 'empty' },
      async handle({ caller, params, header, gone }) {
        const threadId = await threads.find(caller, params.thread_id);
        if (threadId === null) return { status: 204 };
        const request = requestOf(caller, gone, header(VERSION_HEADER));
        return door.visit(
          request,
          threadId,
          async (standing, follow) => replay(request, standing, follow) ?? { status: 204 },
        );
      },
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/ai-sdk/{thread_id}/messages',
      operation: 'listAiSdkMessages',
      tag: 'ai-sdk',
      summary: 'The newest messages as UI messages, for a page that is opened again',
      access: 'read',
      params: doorParams,
      answers: {
        200: z.object({
          messages: z.array(z.looseObject({ id: z.string(), role: z.string(), parts: z.array(z.unknown()) })),
        }),
      },
      async handle({ caller, params }) {
        const threadId = await threads.find(caller, params.thread_id);
        if (threadId === null) return { status: 200, body: { messages: [] } };
        const { messages, live } = await door.look(caller, threadId);
        // A response that is being made comes whole with the stream.
        const settled = messages.filter(({ id }) => live?.status !== 'running' || id !== live.messageId);
        return { status: 200, body: { messages: uiMessages(settled) } };
      },
    }),
    door.stopRoute('ai-sdk', 'stopAiSdk'),
  ];
}
