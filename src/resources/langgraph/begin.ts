/** What a LangGraph client asks of a thread: a message begins a turn, a resume goes on with one, a goto to the end gives it up. */

import { ServiceError } from '../../errors.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { AnswerCards } from '../chat/answers.ts';
import type { Chat } from '../chat/chat.ts';
import type { Standing } from '../chat/standing.ts';
import { type Door, saidBefore } from '../external-threads/door.ts';
import { faulty, type NewWords } from '../external-threads/words.ts';
import type { Runs } from './runs.ts';
import { answersOf, wordsOf } from './schema.ts';

export interface BeginNeeds {
  chat: Chat;
  answerCards: AnswerCards;
  door: Door;
  runs: Runs;
}

export interface Asked {
  input?: unknown;
  resume?: unknown;
  goto?: unknown;
  strategy?: string | null | undefined;
}

export interface Begun {
  turnId: string;
  runId: string;
  /** The journal's number before anything was done. */
  seq: number;
}

export type BeginRun = ReturnType<typeof createBeginRun>;

export function createBeginRun({ chat, answerCards, door, runs }: BeginNeeds) {
  /** Does what is asked, in the caller's own conversation. Throws the refusals of a message and of a decision. */
  return async (caller: Caller, threadId: string, asked: Asked, gone: AbortSignal): Promise<Begun> => {
    let standing = await door.look(caller, threadId);
    const { seq } = standing;
    if (asked.resume !== undefined && asked.resume !== null) {
      const begun = await answerCards(caller, threadId, answersOf(asked.resume, standing.pending));
      return { ...(begun ?? liveOf(standing)), seq };
    }
    if (asked.goto !== undefined && asked.goto !== null) {
      if (asked.goto !== '__end__') throw faulty(['command', 'goto'], 'Only "__end__" can be gone to.');
      const live = liveOf(standing);
      await chat.cancel(caller, threadId, live.turnId);
      const { runId } = await runs.lastOf(caller, threadId, live.turnId);
      return { turnId: live.turnId, runId, seq };
    }
    const words = asked.input == null ? lastWords(standing) : wordsOf(asked.input);
    const said = saidBefore(standing, words);
    if (said !== null) {
      const { turnId, runId } = await runs.lastOf(caller, threadId, said.turn_id);
      return { turnId, runId, seq };
    }
    const takesOver = asked.strategy === 'interrupt' || asked.strategy === 'rollback';
    if (standing.live?.status === 'running') {
      if (asked.strategy === 'enqueue') {
        throw new ServiceError(
          'TURN_RUNNING',
          'Runs are not queued: send it when the one at work has ended.',
        );
      }
      if (takesOver) {
        await chat.cancel(caller, threadId, standing.live.turnId);
        await chat.outcome(caller, { threadId, ...standing.live, firstSeq: standing.seq + 1 }, gone);
        standing = await door.look(caller, threadId);
      }
    }
    const begun = await door.say(caller, threadId, words, { supersede: takesOver });
    return { turnId: begun.turnId, runId: begun.runId, seq: standing.seq };
  };
}

function liveOf({ live }: Standing): { turnId: string; runId: string } {
  if (live === null) throw new ServiceError('NOTHING_PENDING', 'Nothing waits or runs in this thread.');
  return live;
}

/** A run without any input asks for another answer to the last words. */
function lastWords({ messages }: Standing): NewWords {
  const last = messages.findLast(({ role }) => role === 'user');
  if (last === undefined) throw faulty(['input'], 'There is neither a message nor a resume in it.');
  return { id: null, text: last.content };
}
