/** Deeds of the chat: say something, answer a card, cancel, and follow what comes of it. */

import type pg from 'pg';
import { retryDeadlocks, transact } from '../../db/pipeline.ts';
import { ServiceError } from '../../errors.ts';
import { hashBody } from '../../http/idempotency.ts';
import { type Caller, principalOf } from '../../runtime/caller.ts';
import type { EventData, JournalEvent } from '../../runtime/events.ts';
import type { Doubt, Journal, Reader } from '../../runtime/journal.ts';
import type { Begun, Turns } from '../../runtime/turn.ts';
import { type Approvals, begunOf, type Recorded } from '../approvals/approvals.ts';
import type { NamedDecision, Resume } from '../approvals/schema.ts';
import type { Conversations } from '../conversations/conversations.ts';
import { closeWaiting } from '../turns/close.ts';
import { type ChatKey, findBegun } from '../turns/keys.ts';
import type { LeaseNeeds } from '../turns/lease.ts';
import type { ChatBody } from './schema.ts';

export interface ChatNeeds extends LeaseNeeds {
  appPool: pg.Pool;
  turns: Turns;
  journal: Journal;
  approvals: Approvals;
  conversations: Conversations;
}

export type Chat = ReturnType<typeof createChat>;

export function createChat(needs: ChatNeeds) {
  const { appPool, turns, journal, approvals, conversations } = needs;

  /** Drives what a decision led to, or tells its owner; answers where a reader of it begins. */
  function goOn(recorded: Recorded): Begun {
    if (recorded.kind === 'leased') return turns.resume(recorded.turn, recorded.events);
    turns.inbox(recorded.turnId);
    return begunOf(recorded);
  }

  async function resume(
    caller: Caller,
    threadId: string,
    answer: Resume,
    key: ChatKey | null,
  ): Promise<Begun> {
    turns.refuseWhenDraining();
    const before = await begunBy(caller, key);
    if (before !== null) return before;
    try {
      return goOn(await approvals.resume(caller, threadId, answer, key));
    } catch (error) {
      // The same request at the same moment may have been first.
      const first = await begunBy(caller, key);
      if (first === null) throw error;
      return first;
    }
  }

  /** What the key's first request began; null where there was none. */
  async function begunBy(caller: Caller, key: ChatKey | null): Promise<Begun | null> {
    return key === null ? null : transact(appPool, caller.workspaceId, (client) => findBegun(client, key));
  }

  return {
    /** A message starts a turn, a resume goes on with one. The same Idempotency-Key and body join the same turn. */
    async send(caller: Caller, body: ChatBody, idempotencyKey: string | undefined): Promise<Begun> {
      const key =
        idempotencyKey === undefined
          ? null
          : { principal: principalOf(caller), key: idempotencyKey, bodyHash: hashBody(body) };
      if (body.resume != null && body.thread_id != null)
        return resume(caller, body.thread_id, body.resume, key);
      return turns.begin({
        caller,
        threadId: body.thread_id ?? null,
        input: {
          message: body.message,
          ...(body.page_context === undefined ? {} : { page_context: body.page_context }),
        },
        clientMessageId: body.client_message_id ?? null,
        supersede: body.on_pending === 'supersede',
        idempotency: key,
      });
    },

    /**
     * Begins a turn that carries out one call of a tool, without a model: with the same gate, cards and ledger as any.
     * Throws the refusals of a message.
     */
    callTool: (
      caller: Caller,
      threadId: string,
      call: { name: string; args: Record<string, unknown> },
      message: string,
    ): Promise<Begun> =>
      turns.begin({
        caller,
        threadId,
        input: { message, tool_call: call },
        clientMessageId: null,
        supersede: false,
        idempotency: null,
      }),

    /** One decision on one card, by anybody of the workspace who may decide. */
    async decide(caller: Caller, threadId: string, decision: NamedDecision) {
      turns.refuseWhenDraining();
      const recorded = await approvals.decide(caller, threadId, [decision], false);
      const begun = goOn(recorded);
      return {
        approval: recorded.approvals[0],
        thread_id: begun.threadId,
        turn_id: begun.turnId,
        run_id: begun.runId,
      };
    },

    /** Asks for the end of the conversation's live turn. Of an ended one nothing happens, unless another turn was named. */
    async cancel(
      caller: Caller,
      threadId: string,
      turnId: string | undefined,
    ): Promise<{ turn_id: string | null; status: string }> {
      const outcome = await retryDeadlocks(() =>
        transact(appPool, caller.workspaceId, async (client) => {
          const owned = await client.query(`select 1 from conversations where id = $1 and user_id = $2`, [
            threadId,
            caller.userId,
          ]);
          if (owned.rows.length === 0) throw new ServiceError('NOT_FOUND', 'There is no such conversation.');
          const { rows } = await client.query<{ id: string; status: string }>(
            `select id, status from turns where conversation_id = $1 and status in ('running', 'awaiting_approval') for update`,
            [threadId],
          );
          const live = rows[0];
          if (turnId !== undefined && live !== undefined && live.id !== turnId) {
            throw new ServiceError('TURN_NOT_LIVE', 'Another turn is live in this conversation now.', {
              facts: { turn_id: live.id },
            });
          }
          if (live === undefined) {
            if (turnId === undefined) return { turn_id: null, status: 'idle' };
            const known = await client.query<{ status: string }>(
              `select status from turns where id = $1 and conversation_id = $2`,
              [turnId, threadId],
            );
            const ended = known.rows[0];
            if (ended === undefined)
              throw new ServiceError('TURN_NOT_LIVE', 'There is no such turn in this conversation.');
            return { turn_id: turnId, status: ended.status };
          }
          if (live.status === 'awaiting_approval') {
            await closeWaiting(needs, client, live.id, 'cancelled');
            return { turn_id: live.id, status: 'cancelled' };
          }
          await client.query(
            `update turns set cancel_requested_at = coalesce(cancel_requested_at, now()) where id = $1`,
            [live.id],
          );
          await client.query(`select pg_notify('overture', 'cancel ' || $1)`, [live.id]);
          return { turn_id: live.id, status: 'cancelling' };
        }),
      );
      if (outcome.turn_id !== null && outcome.status === 'cancelling') turns.cancelHere(outcome.turn_id);
      return outcome;
    },

    /** A reader of the turn from its first event on, wherever it runs. */
    reader: (caller: Caller, begun: Begun, doubt?: Doubt): Reader =>
      journal.follow(
        { workspaceId: caller.workspaceId, threadId: begun.threadId },
        begun.firstSeq - 1,
        doubt,
      ),

    /**
     * A reader of the conversation behind `after`, else from now on; with the snapshot where the journal was pruned.
     * A number that was never told is as if there were none: its reader would wait for ever.
     */
    async follow(caller: Caller, threadId: string, after: number | null) {
      const { lastSeq, givenSeq, prunedSeq, live } = await conversations.reach(caller, threadId);
      const told = journal.reached(threadId);
      const cursor = after === null || after > (told ?? givenSeq) ? lastSeq : after;
      // Of a run that lives elsewhere it is not known here what was told.
      const floor = told === null ? Math.min(cursor, lastSeq) : cursor;
      if (cursor >= prunedSeq)
        return {
          reader: journal.follow({ workspaceId: caller.workspaceId, threadId }, cursor, { floor }),
          cursor,
          live,
          snapshot: null,
        };
      const conversation = await conversations.get(caller, threadId, { limit: 200 });
      const snapshot: JournalEvent<'snapshot'> = {
        seq: conversation.last_seq,
        type: 'snapshot',
        turn_id: null,
        run_id: null,
        at: new Date(needs.now()).toISOString(),
        data: { conversation },
      };
      return {
        reader: journal.follow({ workspaceId: caller.workspaceId, threadId }, conversation.last_seq),
        cursor: conversation.last_seq,
        live,
        snapshot,
      };
    },

    /** The last number that a run of this process has told; null where none is live here. */
    reached: (threadId: string): number | null => journal.reached(threadId),

    /** Whether a run that this process tells is not told to its end yet. */
    isTelling: (threadId: string): boolean => journal.isLive(threadId),

    /**
     * Reads the turn to the end of its run and answers it whole; null where it goes on without this process, or its client.
     * `heard` is given each event on the way.
     */
    async outcome(
      caller: Caller,
      begun: Begun,
      gone: AbortSignal,
      heard: (event: JournalEvent) => void = () => undefined,
    ) {
      const end = await readToEnd(this.reader(caller, begun), begun.turnId, {
        gone,
        heard,
        draining: turns.draining,
        isTold: () => journal.isLive(begun.threadId),
      });
      if (end === null) return null;
      const conversation = await conversations.get(caller, begun.threadId, { limit: 50 });
      return {
        thread_id: begun.threadId,
        turn_id: begun.turnId,
        run_id: end.run_id ?? begun.runId,
        status: end.data.status,
        messages: conversation.messages.filter((message) => message.turn_id === begun.turnId),
        approvals: (await conversations.interrupt(caller, begun.threadId)).interrupts,
        usage: { ...end.data.usage },
        error: end.data.error ?? null,
      };
    },
  };
}

/** Whether this event ends the stream of the turn's POST. */
export function endsTurnStream(event: JournalEvent, turnId: string): boolean {
  return (
    event.type === 'run-end' &&
    event.turn_id === turnId &&
    (event.data as EventData['run-end']).status !== 'lost'
  );
}

interface ReadingNeeds {
  gone: AbortSignal;
  draining: AbortSignal;
  heard(event: JournalEvent): void;
  /** Whether the run is told by this process. */
  isTold(): boolean;
}

async function readToEnd(
  reader: Reader,
  turnId: string,
  { gone, draining, heard, isTold }: ReadingNeeds,
): Promise<JournalEvent<'run-end'> | null> {
  let wake = () => {};
  const look = () => wake();
  gone.addEventListener('abort', look);
  draining.addEventListener('abort', look);
  try {
    for (;;) {
      const events = await reader.next(256);
      for (const event of events) heard(event);
      const end = events.find((event) => endsTurnStream(event, turnId));
      if (end !== undefined) return end as JournalEvent<'run-end'>;
      if (gone.aborted) return null;
      if (events.length > 0) continue;
      if (draining.aborted && !isTold()) return null;
      await new Promise<void>((resolve) => {
        wake = resolve;
        reader.onMore(resolve);
      });
    }
  } finally {
    gone.removeEventListener('abort', look);
    draining.removeEventListener('abort', look);
    reader.close();
  }
}
