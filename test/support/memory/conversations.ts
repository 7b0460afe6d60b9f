/** What others do to a conversation, in memory: the twins of rename, archive, restore and cancel. */

import { ServiceError } from '../../../src/errors.ts';
import { toStored } from '../../../src/resources/turns/lease.ts';
import type { Caller } from '../../../src/runtime/caller.ts';
import type { NewEvent } from '../../../src/runtime/events.ts';
import { type ConversationRow, insertEvents, liveTurn } from './database.ts';
import { closeWaiting, leaveInInbox, type MemoryNeeds, numberInbox, takeNumbers } from './lease.ts';

export function createMemoryConversations(needs: MemoryNeeds) {
  const { database } = needs;

  function own(caller: Caller, threadId: string): ConversationRow {
    const conversation = database.conversations.get(threadId);
    if (conversation?.workspaceId !== caller.workspaceId || conversation.userId !== caller.userId)
      throw new ServiceError('NOT_FOUND', 'There is no such conversation.');
    return conversation;
  }

  function change(
    caller: Caller,
    threadId: string,
    set: (row: ConversationRow) => void,
    fact: NewEvent,
  ): Promise<void> {
    return database.transact(() => {
      set(own(caller, threadId));
      const live = liveTurn(database, threadId);
      if (live?.status === 'running') return leaveInInbox(database, live, [fact]);
      numberInbox(needs, threadId);
      const base = takeNumbers(database, threadId, 1);
      insertEvents(database, threadId, [toStored(needs, fact, base + 1, null, null)], null);
    });
  }

  return {
    rename: (caller: Caller, threadId: string, title: string) =>
      change(
        caller,
        threadId,
        (row) => {
          row.title = title;
        },
        { type: 'conversation-update', data: { title } },
      ),

    archive: (caller: Caller, threadId: string) =>
      change(
        caller,
        threadId,
        (row) => {
          row.archived = true;
        },
        { type: 'conversation-update', data: { archived: true } },
      ),

    restore: (caller: Caller, threadId: string) =>
      change(
        caller,
        threadId,
        (row) => {
          row.archived = false;
        },
        { type: 'conversation-update', data: { archived: false } },
      ),

    /** Asks for the end of the live turn. */
    cancel: (caller: Caller, threadId: string, turnId?: string) =>
      database.transact((): { turn_id: string | null; status: string } => {
        own(caller, threadId);
        const live = liveTurn(database, threadId);
        if (live === undefined) {
          if (turnId === undefined) return { turn_id: null, status: 'idle' };
          const ended = database.turns.get(turnId);
          if (ended?.threadId !== threadId) throw new ServiceError('TURN_NOT_LIVE', 'There is no such turn.');
          return { turn_id: turnId, status: ended.status };
        }
        if (turnId !== undefined && live.id !== turnId)
          throw new ServiceError('TURN_NOT_LIVE', 'Another turn is live.', { facts: { turn_id: live.id } });
        if (live.status === 'awaiting_approval') {
          closeWaiting(needs, live, 'cancelled');
          return { turn_id: live.id, status: 'cancelled' };
        }
        live.cancelRequested = true;
        database.notify({ kind: 'cancel', turnId: live.id });
        return { turn_id: live.id, status: 'cancelling' };
      }),
  };
}
