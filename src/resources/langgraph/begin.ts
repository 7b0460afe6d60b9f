/** What a LangGraph client asks of a thread: a message begins a turn, a resume goes on with one, a goto to the end gives it up. */

import { ServiceError } from '../../errors.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { AnswerCards } from '../chat/answers.ts';
import type { Chat } from '../chat/chat.ts';
import type { ReadStanding, Standing } from '../chat/standing.ts';
import type { Runs } from './runs.ts';
import { answersOf, faulty, type NewWords, wordsOf } from './schema.ts';

export interface BeginNeeds {
  chat: Chat;
  answerCards: AnswerCards;
  readStanding: ReadStanding;
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

export function createBeginRun({ chat, answerCards, readStanding, runs }: BeginNeeds) {
  /** Does what is asked, in the caller's own conversation. Throws the refusals of a message and of a decision. */
  return async (caller: Caller, threadId: string, asked: Asked, gone: AbortSignal): Promise<Begun> => {
    let standing = await standingOf(caller, threadId);
    const { seq } = standing;
    if (asked.resume !== undefined && asked.resume !== null) {
      const begun = await answerCards(caller, threadId, answersOf(asked.resume, standing.pending));
      return { ...(begun ?? liveOf(standing)), seq };
    }
    if (asked.goto !== undefined && asked.goto !== null) {
      if (asked.goto !== '__end__') throw faulty(['command', 'goto'], 'Only "__end__" can be gone to.');
      const live = liveOf(standing);
      await chat.cancel(caller, threadId, live.turnId);
      return { turnId: live.turnId, runId: await lastRunOf(caller, threadId, live.turnId), seq };
    }
    const words = wordsOf(asked.input) ?? lastWords(standing);
    if (words === null) throw faulty(['input'], 'There is neither a message nor a resume in it.');
    const repeated = saidBefore(standing, words);
    if (repeated !== null) {
      return { turnId: repeated, runId: await lastRunOf(caller, threadId, repeated), seq };
    }
    const takesOver = asked.strategy === 'interrupt' || asked.strategy === 'rollback';
    if (takesOver && standing.live?.status === 'running') {
      await chat.cancel(caller, threadId, standing.live.turnId);
      await chat.outcome(caller, { threadId, ...standing.live, firstSeq: standing.seq + 1 }, gone);
      standing = await standingOf(caller, threadId);
    }
    const begun = await chat.send(
      caller,
      {
        thread_id: threadId,
        message: words.text,
        ...(words.id === null ? {} : { client_message_id: words.id }),
        on_pending: takesOver ? 'supersede' : 'refuse',
      },
      undefined,
    );
    return { turnId: begun.turnId, runId: begun.runId, seq: standing.seq };
  };

  async function standingOf(caller: Caller, threadId: string): Promise<Standing> {
    const standing = await readStanding(caller, threadId);
    standing.reader.close();
    return standing;
  }

  async function lastRunOf(caller: Caller, threadId: string, turnId: string): Promise<string> {
    const found = (await runs.list(caller, threadId, { limit: 100, offset: 0 })).find(
      (run) => run.turnId === turnId,
    );
    if (found === undefined) throw new ServiceError('NOT_FOUND', 'There is no such run.');
    return found.runId;
  }
}

function liveOf({ live }: Standing): { turnId: string; runId: string } {
  if (live === null) throw new ServiceError('NOTHING_PENDING', 'Nothing waits or runs in this thread.');
  return live;
}

/** A run without any input asks for another answer to the last words. */
function lastWords({ messages }: Standing): NewWords | null {
  const last = messages.findLast(({ role }) => role === 'user');
  return last === undefined ? null : { id: null, text: last.content };
}

/** The turn that this very message began, for clients that repeat a request whose answer they lost. */
function saidBefore({ messages }: Standing, words: NewWords): string | null {
  if (words.id === null) return null;
  const said = messages.findLast(
    ({ role, metadata, content }) =>
      role === 'user' && metadata.client_message_id === words.id && content === words.text,
  );
  return said?.turn_id ?? null;
}
