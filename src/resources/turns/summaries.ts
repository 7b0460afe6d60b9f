/** What is kept of a conversation's past for the model: its messages, and the summary that stands for the older ones. */

import type pg from 'pg';
import { runScoped } from '../../db/pipeline.ts';
import type { Message } from '../../runtime/events.ts';
import { storable } from '../../runtime/journal.ts';
import type { LeasedTurn } from '../../runtime/ports.ts';

/** A message with its place in the conversation. */
export type StoredMessage = Message & { seq: number };

export interface Summary {
  text: string;
  /** The number of the last message that it covers. */
  throughSeq: number;
  /** How many it covers. */
  messages: number;
  /** Whether it covers anything that a stranger may have written. */
  tainted: boolean;
  /** The turn in which it was made. */
  turnId: string;
}

/** A conversation before a turn, as far as it is read for the model. */
export interface Past {
  summary: Summary | null;
  /** The newest message when a summary was last tried for in vain; 0 since the last that was made. */
  triedSeq: number;
  /** So many messages lie between the summary and `messages`, unread. */
  gap: { messages: number; tainted: boolean };
  /** The newest, ascending. */
  messages: readonly StoredMessage[];
}

/** A message `m` as JSON, without what nobody needs of it. */
export const MESSAGE_JSON = `jsonb_build_object('seq', m.seq, 'role', m.role, 'content', m.content,
  'parts', case when m.role = 'assistant' then m.parts else '[]' end, 'metadata', m.metadata, 'turn_id', m.turn_id, 'id', m.id, 'status', m.status)`;

export interface SummaryRow {
  text: string;
  through_seq: number;
  messages: number;
  tainted: boolean;
  turn_id: string | null;
  tried_seq: number;
}

/** The summary of a row; null where there was only a try. */
export function toSummary(row: SummaryRow | null): Summary | null {
  if (row === null || row.turn_id === null) return null;
  return {
    text: row.text,
    throughSeq: row.through_seq,
    messages: row.messages,
    tainted: row.tainted,
    turnId: row.turn_id,
  };
}

export type SummaryStore = ReturnType<typeof createSummaryStore>;

export function createSummaryStore({ appPool }: { appPool: pg.Pool }) {
  return {
    /** The messages after and before these numbers, ascending: the oldest `limit` of them. */
    async between(turn: LeasedTurn, after: number, before: number, limit: number): Promise<StoredMessage[]> {
      const { rows } = await runScoped<{ message: StoredMessage }>(appPool, turn.workspaceId, {
        text: `select ${MESSAGE_JSON} as message from conversation_messages m
                where m.conversation_id = $1 and m.turn_id <> $2 and m.seq > $3 and m.seq < $4 order by m.seq limit $5`,
        values: [turn.threadId, turn.turnId, after, before, limit],
      });
      return rows.map((row) => row.message);
    },

    /** Keeps it in place of one that covers less, as long as the turn's lease holds. */
    async keep(turn: LeasedTurn, summary: Summary): Promise<void> {
      await runScoped(appPool, turn.workspaceId, {
        text: `insert into conversation_summaries as s (conversation_id, workspace_id, through_seq, messages, text, tainted, turn_id)
               select conversation_id, workspace_id, $3, $4, $5, $6, id from turns where id = $1 and lease_epoch = $2 for share
               on conflict (conversation_id) do update
                  set through_seq = excluded.through_seq, messages = excluded.messages, text = excluded.text,
                      tainted = excluded.tainted, turn_id = excluded.turn_id, tried_seq = 0, updated_at = now()
                where s.through_seq < excluded.through_seq`,
        values: [
          turn.turnId,
          turn.epoch,
          summary.throughSeq,
          summary.messages,
          storable(summary.text),
          summary.tainted,
        ],
      });
    },

    /** Keeps that one was tried for in vain when `seq` was the newest message. */
    async tried(turn: LeasedTurn, seq: number): Promise<void> {
      await runScoped(appPool, turn.workspaceId, {
        text: `insert into conversation_summaries as s (conversation_id, workspace_id, tried_seq)
               select conversation_id, workspace_id, $3 from turns where id = $1 and lease_epoch = $2
               on conflict (conversation_id) do update set tried_seq = excluded.tried_seq, updated_at = now()`,
        values: [turn.turnId, turn.epoch, seq],
      });
    },
  };
}
