/** What a run reads once at its start: the conversation before this turn, and the workspace's limits. */

import type pg from 'pg';
import { type Patience, runScoped, whileDatabaseReturns } from '../../db/pipeline.ts';
import type { LeasedTurn } from '../../runtime/ports.ts';
import { MESSAGE_JSON, type Past, type StoredMessage, type SummaryRow, toSummary } from './summaries.ts';

export interface StoredContext {
  workspaceName: string;
  autoSpendCredits: number;
  approvalTtlHours: number;
  /** Credits that this turn's calls have captured so far, in lost runs too. */
  creditsSpent: number;
  /** The conversation before this turn, as far as it is read. */
  past: Past;
}

/** So many messages behind the summary are read; with more, a summary is due. */
const MESSAGES = 60;

const READ = `
with summary as (
  select text, through_seq, messages, tainted, turn_id, tried_seq from conversation_summaries where conversation_id = $2
), recent as (
  select * from conversation_messages
   where conversation_id = $2 and turn_id <> $3 and seq > coalesce((select through_seq from summary), 0)
   order by seq desc limit ${MESSAGES}
)
select w.name, w.auto_spend_credits, w.approval_ttl_hours,
       (select coalesce(sum(credits), 0)::int from effects where turn_id = $3) as credits_spent,
       (select to_jsonb(s) from summary s) as summary,
       (select jsonb_build_object('messages', count(*), 'tainted', coalesce(bool_or(metadata->'tainted' = 'true'), false))
          from conversation_messages
         where conversation_id = $2 and seq > coalesce((select through_seq from summary), 0)
           and seq < (select min(seq) from recent)) as gap,
       coalesce((select jsonb_agg(${MESSAGE_JSON} order by seq) from recent m), '[]') as messages
  from workspaces w where w.id = $1`;

export interface ContextRow {
  name: string;
  auto_spend_credits: number;
  approval_ttl_hours: number;
  credits_spent: number;
  summary: SummaryRow | null;
  gap: Past['gap'];
  messages: StoredMessage[];
}

export type ContextReader = ReturnType<typeof createContextReader>;

/** Makes the reader: one statement, which for a new turn travels with its accept. */
export function createContextReader({ appPool, ...patience }: { appPool: pg.Pool } & Patience) {
  const kept = new WeakMap<LeasedTurn, ContextRow>();

  function statement({ workspaceId, threadId, turnId }: TurnIds): pg.QueryConfig {
    return { name: 'turn_context', text: READ, values: [workspaceId, threadId, turnId] };
  }

  return {
    statement,

    /** Keeps what was read with the accept for the run's first look. */
    keep(turn: LeasedTurn, row: ContextRow | undefined): void {
      if (row !== undefined) kept.set(turn, row);
    },

    async read(turn: LeasedTurn): Promise<StoredContext> {
      let row = kept.get(turn);
      // A later run of the turn looks anew.
      kept.delete(turn);
      row ??= (
        await whileDatabaseReturns(patience, () =>
          runScoped<ContextRow>(appPool, turn.workspaceId, statement(turn)),
        )
      ).rows[0];
      if (row === undefined) throw new Error('the workspace is gone');
      return {
        workspaceName: row.name,
        autoSpendCredits: row.auto_spend_credits,
        approvalTtlHours: row.approval_ttl_hours,
        creditsSpent: row.credits_spent,
        past: {
          summary: toSummary(row.summary),
          triedSeq: row.summary?.tried_seq ?? 0,
          gap: row.gap,
          messages: row.messages,
        },
      };
    },
  };
}

type TurnIds = Pick<LeasedTurn, 'workspaceId' | 'threadId' | 'turnId'>;
