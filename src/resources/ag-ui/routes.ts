/** The AG-UI door: a run is one POST, whose stream begins, joins or tells a turn of our own journal. */

import { z } from 'zod';
import { type Answer, type Route, route } from '../../http/route.ts';
import type { Caller } from '../../runtime/caller.ts';
import { type AgUiTeller, createAgUiTeller } from '../../wire/ag-ui.ts';
import type { AnswerCards } from '../chat/answers.ts';
import { type Chat, endsTurnStream } from '../chat/chat.ts';
import type { Standing } from '../chat/standing.ts';
import { type Door, saidBefore, told, type Visitor } from '../external-threads/door.ts';
import type { ExternalThreads } from '../external-threads/external-threads.ts';
import { faulty, HISTORY_BODY_LIMIT, type NewWords } from '../external-threads/words.ts';
import { type AgUiBody, agUiBody, answersOf, wordsOf } from './schema.ts';

export interface AgUiRouteNeeds {
  chat: Chat;
  answerCards: AnswerCards;
  door: Door;
  threads: ExternalThreads;
}

/** What this door can do, in the words of AG-UI's `AgentCapabilities`. */
const CAPABILITIES = {
  transport: { streaming: true, resumable: true },
  tools: { supported: true, clientProvided: false },
  state: { persistentState: true },
  humanInTheLoop: { supported: true, approvals: true, interrupts: true, approveWithEdits: true },
};

export function createAgUiRoutes({ chat, answerCards, door, threads }: AgUiRouteNeeds): Route[] {
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
    const said = words === null ? null : saidBefore(standing, words);
    const key = `ag-ui ${threadId} ${body.runId}`;
    if (words !== null && said === null) {
      if (resume.length > 0 && !givenUp) throw faulty(['resume'], 'Send a message or a resume, not both.');
      return (await door.say(caller, threadId, words, { supersede: givenUp, key })).turnId;
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
    if (words !== null && said !== null && live === null && cameToNothing(standing, said.turn_id)) {
      return (await door.say(caller, threadId, words, { supersede: false, key })).turnId;
    }
    return null;
  }

  async function run(visitor: Visitor, body: AgUiBody): Promise<Answer> {
    const { caller } = visitor;
    const words = wordsOf(body);
    const known = await threads.find(caller, body.threadId);
    if (known === null && words === null) return told(tellerOf(body, null, []).sync(), {});
    const threadId = known ?? (await threads.open(caller, body.threadId));
    return door.visit(visitor, threadId, async (standing, follow) => {
      const turnId = await act(caller, body, words, standing);
      const teller = tellerOf(body, turnId, standing.messages);
      if (turnId === null) return told(teller.sync(), { 'x-thread-id': threadId });
      const { live } = standing;
      const joins = live?.status === 'running' && live.turnId === turnId;
      return follow(
        { 'x-thread-id': threadId, 'x-turn-id': turnId },
        {
          prelude: joins ? teller.join(live) : teller.begin(),
          frame: teller.frame,
          until: (event) => endsTurnStream(event, turnId),
          farewell: teller.farewell(),
        },
      );
    });
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
      bodyLimit: HISTORY_BODY_LIMIT,
      ownIdempotency: true,
      answers: { 200: 'event-stream' },
      handle: ({ caller, body, gone }) => run({ caller, gone }, body),
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
    door.stopRoute('ag-ui', 'stopAgUi'),
  ];
}

function tellerOf(body: AgUiBody, turnId: string | null, messages: Standing['messages']): AgUiTeller {
  const { threadId, runId } = body;
  return createAgUiTeller({ threadId, runId, legacy: body.protocolVersion === undefined, turnId, messages });
}

/** Whether the turn ended without an answer: it failed or was cancelled. */
function cameToNothing(standing: Standing, turnId: string): boolean {
  return !standing.messages.some(
    ({ role, status, turn_id }) => turn_id === turnId && role === 'assistant' && status === 'complete',
  );
}
