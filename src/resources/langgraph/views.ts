/** How a conversation stands, as LangGraph's requests for threads, states and values see it. */

import type { Message } from '../../runtime/events.ts';
import {
  langGraphInterrupts,
  langGraphMessages,
  type ThreadStatus,
  threadOf,
  threadState,
} from '../../wire/langgraph.ts';
import type { Standing } from '../chat/standing.ts';
import type { Conversation } from '../conversations/schema.ts';

const STATUS: Record<Conversation['status'], ThreadStatus> = {
  idle: 'idle',
  running: 'busy',
  awaiting_approval: 'interrupted',
};

/** The status of the conversations that a status of threads stands for: undefined for any, null where there are none. */
export function statusBehind(asked: string | null): Conversation['status'] | undefined | null {
  if (asked === null) return undefined;
  const found = Object.entries(STATUS).find(([, status]) => status === asked);
  return found === undefined ? null : (found[0] as Conversation['status']);
}

/**
 * A state holds what is finished: clients take a message that they find in it for whole, and drop what a stream then
 * adds to it.
 */
function finishedMessages({ messages, live }: Standing): Message[] {
  if (live === null || live.callOpen === null) return messages;
  return messages.map((message) =>
    message.id === live.messageId
      ? { ...message, parts: message.parts.filter(({ call }) => call !== live.callOpen) }
      : message,
  );
}

export function stateView(name: string, standing: Standing) {
  const { pending, seq, updatedAt, live } = standing;
  return threadState({
    threadId: name,
    messages: finishedMessages(standing),
    pending,
    running: live?.status === 'running',
    seq,
    createdAt: updatedAt,
  });
}

export function threadView(name: string, standing: Standing) {
  const { pending, live, createdAt, updatedAt } = standing;
  return threadOf({
    threadId: name,
    createdAt,
    updatedAt,
    status: STATUS[live?.status ?? 'idle'],
    values: { messages: langGraphMessages(finishedMessages(standing)) },
    interrupts: langGraphInterrupts(pending),
  });
}

/** The values at the end of a run, as `wait` and `join` answer them. */
export function valuesView(standing: Standing, fault: { code: string; message: string } | null) {
  const interrupts = langGraphInterrupts(standing.pending);
  return {
    messages: langGraphMessages(standing.messages),
    ...(interrupts.length === 0 ? {} : { __interrupt__: interrupts }),
    ...(fault === null ? {} : { __error__: { error: fault.code, message: fault.message } }),
  };
}

/** A thread in a list: its title stands where pages look for one, in the first message. */
export function listedView(item: Conversation, name: string) {
  const title = { type: 'human', id: item.thread_id, content: item.title ?? '' };
  return threadOf({
    threadId: name,
    createdAt: item.created_at,
    updatedAt: item.updated_at,
    status: STATUS[item.status],
    values: item.title === null ? {} : { messages: [title] },
    interrupts: [],
  });
}
