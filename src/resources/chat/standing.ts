/** How a conversation stands at this moment, what a live run has told included, and a reader of all that comes after. */

import type { Caller } from '../../runtime/caller.ts';
import type { Approval, JournalEvent, Message, TurnStatus } from '../../runtime/events.ts';
import type { Journal, Reader } from '../../runtime/journal.ts';
import { applyEvent, contentOf } from '../../runtime/reply.ts';
import { emptyAnswer, factOf, pendingIn } from '../../wire/parts.ts';
import type { Conversations } from '../conversations/conversations.ts';

/** Messages that are looked at; older ones are left to the conversation's own pages. */
const MESSAGES = 200;

/** The turn that has not ended. */
export interface LiveTurn {
  turnId: string;
  runId: string;
  messageId: string;
  status: Extract<TurnStatus, 'running' | 'awaiting_approval'>;
  /** The call of the model that is being told: its end has not come. */
  callOpen: number | null;
  /** Index of the text or reasoning part that is being told. */
  open: number | null;
  /** Calls whose arguments are still being told. */
  argsOpen: Set<string>;
}

export interface Standing {
  threadId: string;
  title: string | null;
  createdAt: string;
  updatedAt: string;
  /** Ascending; a live turn's message is the last, with the parts it has so far. */
  messages: Message[];
  live: LiveTurn | null;
  /** The cards that wait, oldest first. */
  pending: Approval[];
  /** The number up to which `messages` holds what was told. */
  seq: number;
  /** Begins behind `seq`. Whoever does not need it closes it. */
  reader: Reader;
}

export type ReadStanding = ReturnType<typeof createStanding>;

export function createStanding({
  conversations,
  journal,
}: {
  conversations: Conversations;
  journal: Journal;
}) {
  /** Reads the rows, then what the journal told after them, until nothing more waits. Throws `NOT_FOUND`. */
  return async (caller: Caller, threadId: string): Promise<Standing> => {
    const row = await conversations.get(caller, threadId, { limit: MESSAGES });
    const reader = journal.follow({ workspaceId: caller.workspaceId, threadId }, row.last_seq);
    const standing: Standing = {
      threadId,
      title: row.title,
      createdAt: row.created_at,
      updatedAt: row.updated_at,
      messages: row.messages,
      live:
        row.active_run === null
          ? null
          : {
              turnId: row.active_run.turn_id,
              runId: row.active_run.run_id,
              messageId: row.active_run.message_id,
              status: row.active_run.status === 'running' ? 'running' : 'awaiting_approval',
              callOpen: null,
              open: null,
              argsOpen: new Set(),
            },
      pending: [],
      seq: row.last_seq,
      reader,
    };
    try {
      for (;;) {
        const events = await reader.next(500);
        if (events.length === 0) break;
        for (const event of events) follow(standing, event);
      }
    } catch (error) {
      reader.close();
      throw error;
    }
    standing.pending = pendingIn(standing.messages);
    return standing;
  };
}

/** A call that somebody made by name has no end of its own: its result shows that it was told. */
const ENDS_CALL = new Set(['call-end', 'tool-end', 'message-reset', 'run-end']);

/** Brings the standing up to an event. */
function follow(standing: Standing, event: JournalEvent): void {
  standing.seq = event.seq;
  const fact = factOf(event);
  if (fact.type === 'conversation-update' && fact.data.title !== undefined) standing.title = fact.data.title;
  if (fact.type === 'user-message' && !standing.messages.some(({ id }) => id === fact.data.message.id)) {
    standing.messages.push(fact.data.message);
  }
  if (event.turn_id === null) return;
  if (fact.type === 'run-start' && event.run_id !== null) {
    standing.live = {
      turnId: event.turn_id,
      runId: event.run_id,
      messageId: fact.data.message_id,
      status: 'running',
      callOpen: null,
      open: null,
      argsOpen: new Set(),
    };
  }
  const { live } = standing;
  if (live?.turnId !== event.turn_id) return;
  const message = messageOf(standing, live, event);
  message.parts = applyEvent(message.parts, fact);
  if (fact.type === 'text-start' || fact.type === 'reasoning-start') live.open = fact.data.part;
  if (fact.type === 'text-start' || fact.type === 'reasoning-start' || fact.type === 'tool-start') {
    live.callOpen = fact.data.call;
  }
  if (ENDS_CALL.has(fact.type)) live.callOpen = null;
  if (fact.type === 'tool-start') live.argsOpen.add(fact.data.tool_call_id);
  if (fact.type === 'tool-args') live.argsOpen.delete(fact.data.tool_call_id);
  if (fact.type === 'text-end' || fact.type === 'reasoning-end' || fact.type === 'message-reset') {
    message.content = contentOf(message.parts);
    live.open = null;
  }
  if (fact.type !== 'run-end') return;
  message.content = contentOf(message.parts);
  if (fact.data.status === 'awaiting_approval') live.status = 'awaiting_approval';
  else if (fact.data.status !== 'lost') {
    message.status = fact.data.status === 'completed' ? 'complete' : 'partial';
    standing.live = null;
  }
}

/** The live turn's message; it has no row before its first settle. */
function messageOf(standing: Standing, live: LiveTurn, event: JournalEvent): Message {
  const found = standing.messages.find(({ id }) => id === live.messageId);
  if (found !== undefined) return found;
  const message = emptyAnswer({
    id: live.messageId,
    thread_id: standing.threadId,
    turn_id: live.turnId,
    created_at: event.at,
  });
  standing.messages.push(message);
  return message;
}
