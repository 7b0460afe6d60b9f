/** What a run reads once at its start: the conversation before this turn, and the workspace's limits. */

import type pg from 'pg';
import { runScoped } from '../../db/pipeline.ts';
import type { Message } from '../../runtime/events.ts';
import type { LeasedTurn } from '../../runtime/ports.ts';

export interface StoredContext {
  workspaceName: string;
  autoSpendCredits: number;
  approvalTtlHours: number;
  /** Credits that this turn's calls have captured so far, in lost runs too. */
  creditsSpent: number;
  /** The last messages before this turn, ascending. */
  messages: Message[];
}

/** More messages than the model's window can hold are never read. */
const MESSAGES = 60;

const READ = `
select w.name, w.auto_spend_credits, w.approval_ttl_hours,
       (select coalesce(sum(credits), 0)::int from effects where turn_id = $3) as credits_spent,
       coalesce((select jsonb_agg(m order by (m->>'seq')::bigint) from (
         select jsonb_build_object('seq', seq, 'role', role, 'content', content, 'parts', case when role = 'assistant' then parts else '[]' end,
                                   'metadata', metadata, 'turn_id', turn_id, 'id', id, 'status', status) as m
           from conversation_messages where conversation_id = $2 and turn_id <> $3 order by seq desc limit ${MESSAGES}) recent), '[]') as messages
  from workspaces w where w.id = $1`;

export interface ContextRow {
  name: string;
  auto_spend_credits: number;
  approval_ttl_hours: number;
  credits_spent: number;
  messages: Message[];
}

export type ContextReader = ReturnType<typeof createContextReader>;

/** Makes the reader: one statement, which for a new turn travels with its accept. */
export function createContextReader({ appPool }: { appPool: pg.Pool }) {
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
      row ??= (await runScoped<ContextRow>(appPool, turn.workspaceId, statement(turn))).rows[0];
      if (row === undefined) throw new Error('the workspace is gone');
      return {
        workspaceName: row.name,
        autoSpendCredits: row.auto_spend_credits,
        approvalTtlHours: row.approval_ttl_hours,
        creditsSpent: row.credits_spent,
        messages: row.messages,
      };
    },
  };
}

type TurnIds = Pick<LeasedTurn, 'workspaceId' | 'threadId' | 'turnId'>;
