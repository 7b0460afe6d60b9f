/** What the doors of other protocols do alike: see how a thread stands, say words in it, follow a turn, and stop one. */

import { Readable } from 'node:stream';
import { z } from 'zod';
import { type Answer, type Route, route } from '../../http/route.ts';
import { EVENT_STREAM_HEADERS } from '../../http/sse.ts';
import type { Streams, StreamTelling } from '../../http/streams.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { Message } from '../../runtime/events.ts';
import type { Begun } from '../../runtime/turn.ts';
import type { Chat } from '../chat/chat.ts';
import type { ReadStanding, Standing } from '../chat/standing.ts';
import { type ExternalThreads, externalId } from './external-threads.ts';
import type { NewWords } from './words.ts';

export interface DoorNeeds {
  chat: Chat;
  readStanding: ReadStanding;
  threads: ExternalThreads;
  streams: Streams;
}

export interface Visitor {
  caller: Caller;
  /** Aborts when the client has gone. */
  gone: AbortSignal;
}

/** Streams what comes behind the standing. */
export type Follow = (headers: Record<string, string>, telling: Omit<StreamTelling, 'reader'>) => Answer;

export type Door = ReturnType<typeof createDoor>;

export function createDoor({ chat, readStanding, threads, streams }: DoorNeeds) {
  return {
    /** How the thread stands now, for whoever follows nothing. Throws `NOT_FOUND`. */
    async look(caller: Caller, threadId: string): Promise<Standing> {
      const standing = await readStanding(caller, threadId);
      standing.reader.close();
      return standing;
    },

    /** Does the work with how the thread stands; its reader is left to `follow`, or to nobody. Throws what the work throws. */
    async visit(
      { caller, gone }: Visitor,
      threadId: string,
      work: (standing: Standing, follow: Follow) => Promise<Answer>,
    ): Promise<Answer> {
      const standing = await readStanding(caller, threadId);
      let followed = false;
      const follow: Follow = (headers, telling) => {
        followed = true;
        return streams(caller, gone, headers, { ...telling, reader: standing.reader });
      };
      try {
        return await work(standing, follow);
      } finally {
        if (!followed) standing.reader.close();
      }
    },

    /** Begins a turn with new words; with `supersede` the cards that wait give way. Throws the refusals of a message. */
    say(
      caller: Caller,
      threadId: string,
      words: NewWords,
      { supersede, key }: { supersede: boolean; key?: string },
    ): Promise<Begun> {
      const message = {
        thread_id: threadId,
        message: words.text,
        ...(words.id === null ? {} : { client_message_id: words.id }),
        on_pending: supersede ? ('supersede' as const) : ('refuse' as const),
      };
      return chat.send(caller, message, key);
    },

    /** The route that cancels the live turn of a thread, for protocols that have no word for it. */
    stopRoute: (tag: string, operation: string): Route =>
      route({
        method: 'POST',
        path: `/api/v1/agent/${tag}/{thread_id}/stop`,
        operation,
        tag,
        summary: 'Cancel the live turn of a thread, which leaving its stream does not',
        access: 'agent:chat',
        params: doorParams,
        answers: { 202: z.object({ turn_id: z.uuid().nullable(), status: z.string() }) },
        async handle({ caller, params }) {
          const threadId = await threads.get(caller, params.thread_id);
          return { status: 202, body: await chat.cancel(caller, threadId, undefined) };
        },
      }),
  };
}

/** A thread in a path, by its client's name. */
export const doorParams = z.object({ thread_id: externalId });

/** A stream of which everything is known already. */
export function told(text: string, headers: Record<string, string>): Answer {
  return { status: 200, stream: Readable.from([text]), headers: { ...EVENT_STREAM_HEADERS, ...headers } };
}

/** The message in which these very words were said, for clients that repeat a request whose answer they lost. */
export function saidBefore({ messages }: Standing, words: NewWords): Message | null {
  if (words.id === null) return null;
  const said = messages.findLast(
    ({ role, id, content, metadata }) =>
      role === 'user' &&
      (id === words.id || metadata.client_message_id === words.id) &&
      content === words.text,
  );
  return said ?? null;
}
