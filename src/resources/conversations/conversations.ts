/** Deeds of conversations: each is private to its user, and told to whoever follows it. */

import type pg from 'pg';
import { z } from 'zod';
import { type Queryable, SNAPSHOT, transact } from '../../db/pipeline.ts';
import { ServiceError } from '../../errors.ts';
import type { Cursors } from '../../http/cursors.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { Approval, Message, NewEvent } from '../../runtime/events.ts';
import { numberInbox } from '../turns/inbox.ts';
import { insertEvents, toStored } from '../turns/lease.ts';
import { toJson } from '../turns/rows.ts';
import type { Conversation } from './schema.ts';

export interface ConversationNeeds {
  appPool: pg.Pool;
  cursors: Cursors;
  newId(): string;
  now(): number;
  /** The cards that wait in a conversation. */
  pendingApprovals(client: Queryable, threadId: string): Promise<Approval[]>;
}

interface ConversationRow {
  id: string;
  title: string | null;
  archived_at: Date | null;
  last_seq: string;
  last_message_preview: string | null;
  created_at: Date;
  updated_at: Date;
  turn_id: string | null;
  turn_status: 'running' | 'awaiting_approval' | null;
  run_id: string | null;
  message_id: string | null;
  kept_seq: string | null;
  pending: number;
}

const FROM = `from conversations c left join turns t on t.conversation_id = c.id and t.status in ('running', 'awaiting_approval')`;

/**
 * While a run is live its whole block of numbers counts as given, so `last_seq` is then what the message rows hold: a
 * reader that begins there gets all that is told since.
 */
const SELECT = `
select c.id, c.title, c.archived_at, c.last_seq, c.last_message_preview, c.created_at, c.updated_at,
       t.id as turn_id, t.status as turn_status, t.run_id, t.message_id, t.kept_seq,
       (select count(*)::int from approvals a where a.conversation_id = c.id and a.status = 'pending') as pending
  ${FROM}`;

/** Positions in the two lists. */
const LAST_CHANGED = z.tuple([z.iso.datetime().refine((value) => Date.parse(value) >= 0), z.uuid()]);
const MESSAGE_POSITION = z.tuple([z.int().min(0)]);

export type Conversations = ReturnType<typeof createConversations>;

export function createConversations(needs: ConversationNeeds) {
  const { appPool, newId } = needs;

  async function own(client: Queryable, caller: Caller, threadId: string): Promise<ConversationRow> {
    const { rows } = await client.query<ConversationRow>(`${SELECT} where c.id = $1 and c.user_id = $2`, [
      threadId,
      caller.userId,
    ]);
    const row = rows[0];
    if (row === undefined) throw new ServiceError('NOT_FOUND', 'There is no such conversation.');
    return row;
  }

  /** Changes the row and tells it: numbered here when no run is live, else by the run's owner. */
  async function change(
    caller: Caller,
    threadId: string,
    set: string,
    values: unknown[],
    fact: NewEvent,
  ): Promise<Conversation> {
    return transact(appPool, caller.workspaceId, async (client) => {
      // Under the conversation's lock no run can begin; one that ends meanwhile finds the inbox counted up.
      await client.query(`select 1 from conversations where id = $1 for update`, [threadId]);
      await own(client, caller, threadId);
      const live = await client.query<{ id: string }>(
        `select t.id from turns t where t.conversation_id = $1 and t.status = 'running'`,
        [threadId],
      );
      await client.query(`update conversations set ${set} where id = $1`, [threadId, ...values]);
      const turnId = live.rows[0]?.id;
      if (turnId === undefined) {
        // What a run left untold came before this.
        await numberInbox(needs, client, threadId, caller.workspaceId);
        const block = await client.query<{ seq: string }>(
          `update conversations set last_seq = last_seq + 1 where id = $1 returning last_seq as seq`,
          [threadId],
        );
        await insertEvents(client, threadId, caller.workspaceId, [
          toStored(needs, fact, Number(block.rows[0]?.seq), null, null),
        ]);
      } else {
        await client.query(
          `insert into journal_inbox (conversation_id, workspace_id, turn_id, type, data) values ($1, $2, $3, $4, $5)`,
          [threadId, caller.workspaceId, turnId, fact.type, toJson(fact.data)],
        );
        await client.query(`update conversations set inbox_waiting = inbox_waiting + 1 where id = $1`, [
          threadId,
        ]);
        await client.query(`select pg_notify('overture', 'inbox ' || $1)`, [turnId]);
      }
      await client.query(`select pg_notify('overture', 'list ' || $1 || ' ' || $2)`, [
        caller.workspaceId,
        threadId,
      ]);
      return toConversation(await own(client, caller, threadId));
    });
  }

  return {
    async create(caller: Caller, input: { title?: string | null | undefined }): Promise<Conversation> {
      const id = newId();
      return transact(appPool, caller.workspaceId, async (client) => {
        await client.query(
          `insert into conversations (id, workspace_id, user_id, title) values ($1, $2, $3, $4)`,
          [id, caller.workspaceId, caller.userId, input.title ?? null],
        );
        await client.query(`select pg_notify('overture', 'list ' || $1 || ' ' || $2)`, [
          caller.workspaceId,
          id,
        ]);
        return toConversation(await own(client, caller, id));
      });
    },

    /** The caller's conversations, the last changed first. */
    async list(
      caller: Caller,
      query: {
        limit: number;
        offset: number;
        cursor?: string | undefined;
        search?: string | undefined;
        archived: boolean;
        status?: Conversation['status'] | undefined;
      },
    ) {
      const after = query.cursor === undefined ? null : needs.cursors.decode(query.cursor, LAST_CHANGED);
      const search =
        query.search === undefined || query.search === ''
          ? null
          : `%${query.search.replaceAll(/[\\%_]/g, '\\$&')}%`;
      const filter = `c.user_id = $1 and (c.archived_at is not null) = $2 and ($3::text is null or c.title ilike $3 or c.last_message_preview ilike $3)
        and ($4::text is null or coalesce(t.status, 'idle') = $4)`;
      const filtered = [caller.userId, query.archived, search, query.status ?? null];
      return transact(appPool, caller.workspaceId, async (client) => {
        const total = await client.query<{ n: number }>(
          `select count(*)::int as n ${FROM} where ${filter}`,
          filtered,
        );
        const { rows } = await client.query<ConversationRow>(
          `${SELECT} where ${filter} and ($5::timestamptz is null or (date_trunc('milliseconds', c.updated_at), c.id) < ($5::timestamptz, $6::uuid))
            order by date_trunc('milliseconds', c.updated_at) desc, c.id desc limit $7 offset $8`,
          [
            ...filtered,
            after?.[0] ?? null,
            after?.[1] ?? null,
            query.limit + 1,
            after === null ? query.offset : 0,
          ],
        );
        const items = rows.slice(0, query.limit).map(toConversation);
        const last = items.at(-1);
        const more = rows.length > query.limit && last !== undefined;
        return {
          conversations: items,
          items,
          total: total.rows[0]?.n ?? 0,
          next_cursor: more ? needs.cursors.encode([last.updated_at, last.thread_id]) : null,
          has_more: more,
        };
      });
    },

    /** One conversation with a page of its messages, ascending; all read in one snapshot. */
    async get(
      caller: Caller,
      threadId: string,
      query: { before_cursor?: string | undefined; limit: number },
    ) {
      const before =
        query.before_cursor === undefined
          ? null
          : needs.cursors.decode(query.before_cursor, MESSAGE_POSITION)[0];
      return transact(
        appPool,
        caller.workspaceId,
        async (client) => {
          const row = await own(client, caller, threadId);
          const { rows } = await client.query<MessageRow>(
            `select id, conversation_id, turn_id, seq, role, status, content, parts, metadata, created_at from conversation_messages
            where conversation_id = $1 and ($2::bigint is null or seq < $2) order by seq desc limit $3`,
            [threadId, before, query.limit + 1],
          );
          const page = rows.slice(0, query.limit).reverse();
          const more = rows.length > query.limit;
          return {
            ...toConversation(row),
            messages: page.map(toMessage),
            next_cursor: more ? needs.cursors.encode([Number(page[0]?.seq)]) : null,
            has_more: more,
            active_run:
              row.turn_id === null || row.run_id === null || row.message_id === null
                ? null
                : {
                    turn_id: row.turn_id,
                    run_id: row.run_id,
                    message_id: row.message_id,
                    status: row.turn_status ?? 'running',
                  },
          };
        },
        SNAPSHOT,
      );
    },

    rename: (caller: Caller, threadId: string, title: string) =>
      change(caller, threadId, 'title = $2, updated_at = now()', [title], {
        type: 'conversation-update',
        data: { title },
      }),

    /** Only a flag: what runs goes on, what waits stays in the inbox. */
    archive: (caller: Caller, threadId: string) =>
      change(caller, threadId, 'archived_at = coalesce(archived_at, now())', [], {
        type: 'conversation-update',
        data: { archived: true },
      }),

    restore: (caller: Caller, threadId: string) =>
      change(caller, threadId, 'archived_at = null', [], {
        type: 'conversation-update',
        data: { archived: false },
      }),

    /** What waits for a decision here, in the contract's words and ours. */
    async interrupt(caller: Caller, threadId: string) {
      return transact(appPool, caller.workspaceId, async (client) => {
        await own(client, caller, threadId);
        const interrupts = (await needs.pendingApprovals(client, threadId)).map((approval) => ({
          ...approval,
          interrupt_id: approval.approval_id,
          action: approval.tool,
          summary: approval.title,
          arguments: approval.args,
        }));
        return {
          thread_id: threadId,
          pending: interrupts.length > 0,
          interrupt: interrupts[0] ?? null,
          interrupts,
        };
      });
    },

    /** The list's row of one conversation, or null where it is not the caller's. */
    async summary(caller: Caller, threadId: string): Promise<Conversation | null> {
      return transact(appPool, caller.workspaceId, async (client) => {
        const { rows } = await client.query<ConversationRow>(`${SELECT} where c.id = $1 and c.user_id = $2`, [
          threadId,
          caller.userId,
        ]);
        return rows[0] === undefined ? null : toConversation(rows[0]);
      });
    },

    /**
     * How far the journal goes, read in one snapshot: the last number told, the last one given away (a live run's block
     * included), and the last one pruned. Throws `NOT_FOUND` for a foreign conversation.
     */
    async reach(
      caller: Caller,
      threadId: string,
    ): Promise<{ lastSeq: number; givenSeq: number; prunedSeq: number; live: boolean }> {
      return transact(
        appPool,
        caller.workspaceId,
        async (client) => {
          const row = await own(client, caller, threadId);
          const { rows } = await client.query<{ pruned_seq: string; told: string | null }>(
            `select pruned_seq, (select max(seq) from events e where e.conversation_id = c.id) as told from conversations c where id = $1`,
            [threadId],
          );
          const live = row.turn_status === 'running';
          const givenSeq = Number(row.last_seq);
          return {
            lastSeq: live ? Number(rows[0]?.told ?? 0) : givenSeq,
            givenSeq,
            prunedSeq: Number(rows[0]?.pruned_seq ?? 0),
            live,
          };
        },
        SNAPSHOT,
      );
    },
  };
}

export interface MessageRow {
  id: string;
  conversation_id: string;
  turn_id: string;
  seq: string;
  role: Message['role'];
  status: Message['status'];
  content: string;
  parts: Message['parts'];
  metadata: Record<string, unknown>;
  created_at: Date;
}

export function toMessage(row: MessageRow): Message {
  return {
    id: row.id,
    thread_id: row.conversation_id,
    turn_id: row.turn_id,
    role: row.role,
    status: row.status,
    content: row.content,
    parts: row.parts,
    metadata: row.metadata,
    created_at: row.created_at.toISOString(),
  };
}

function toConversation(row: ConversationRow): Conversation {
  return {
    thread_id: row.id,
    title: row.title,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
    archived_at: row.archived_at?.toISOString() ?? null,
    status: row.turn_status ?? 'idle',
    pending_approvals: row.pending,
    last_message_preview: row.last_message_preview,
    last_seq: Number(row.turn_status === 'running' ? row.kept_seq : row.last_seq),
  };
}
