/** Ends a turn that waits for a person, without a run: its cards are closed and every open call is answered truthfully. */

import type { Queryable } from '../../db/pipeline.ts';
import type { NewEvent, Part, Usage } from '../../runtime/events.ts';
import type { TurnInput } from '../../runtime/ports.ts';
import { applyEvent, closingEvents, contentOf } from '../../runtime/reply.ts';
import { insertEvents, type LeaseNeeds, toStored } from './lease.ts';
import { toJson } from './rows.ts';

export type Closing = 'cancelled' | 'superseded' | 'expired';

const NOTICES: Record<Closing, { code: string; message: string }> = {
  cancelled: { code: 'TURN_CANCELLED', message: 'The turn was cancelled while it waited for a decision.' },
  superseded: {
    code: 'APPROVAL_SUPERSEDED',
    message: 'A new message came instead of a decision.',
  },
  expired: {
    code: 'APPROVAL_EXPIRED',
    message: 'Nobody decided in time. Write a message to go on.',
  },
};

/** Closes the turn inside the caller's transaction, which has locked its row in status awaiting_approval. */
export async function closeWaiting(
  needs: LeaseNeeds,
  client: Queryable,
  turnId: string,
  how: Closing,
): Promise<void> {
  const runId = needs.newId();
  const turns = await client.query<{
    conversation_id: string;
    workspace_id: string;
    message_id: string;
    usage: Usage;
    input: TurnInput;
    created_at: Date;
  }>(
    `update turns set status = 'cancelled', ended_at = now(), lease_owner = null, lease_until = null,
            lease_epoch = lease_epoch + 1, run_id = $2, run_kind = 'resume'
      where id = $1 and status = 'awaiting_approval' returning conversation_id, workspace_id, message_id, usage, input, created_at`,
    [turnId, runId],
  );
  const turn = turns.rows[0];
  if (turn === undefined) throw new Error('only a waiting turn can be closed');
  const message = await client.query<{ parts: Part[] }>(
    `select parts from conversation_messages where id = $1`,
    [turn.message_id],
  );
  const before = message.rows[0]?.parts ?? [];
  const closing = closingEvents(before, how);
  const told: NewEvent[] = [
    {
      type: 'run-start',
      data: {
        thread_id: turn.conversation_id,
        kind: 'resume',
        message_id: turn.message_id,
        model: needs.modelName,
      },
    },
    ...closing,
    { type: 'notice', data: NOTICES[how] },
    { type: 'run-end', data: { status: 'cancelled', message_id: turn.message_id, usage: turn.usage } },
  ];
  const parts = told.reduce<Part[]>(applyEvent, before);
  await client.query(
    `update approvals set status = $2, decided_at = now() where turn_id = $1 and status = 'pending'`,
    [turnId, how === 'expired' ? 'expired' : 'superseded'],
  );
  await client.query(
    `update conversation_messages set parts = $2, content = $3, status = 'partial' where id = $1`,
    [turn.message_id, toJson(parts), contentOf(parts)],
  );
  const block = await client.query<{ base: string }>(
    `update conversations set last_seq = last_seq + $2, updated_at = now() where id = $1 returning last_seq - $2 as base`,
    [turn.conversation_id, told.length],
  );
  const base = Number(block.rows[0]?.base);
  const events = told.map((event, index) => toStored(needs, event, base + 1 + index, turnId, runId));
  await insertEvents(client, turn.conversation_id, turn.workspace_id, events);
  await client.query(`update turns set kept_seq = $2 where id = $1`, [turnId, base + told.length]);
  await client.query(`delete from turn_checkpoints where turn_id = $1`, [turnId]);
  await client.query(`select pg_notify('overture', 'list ' || $1 || ' ' || $2)`, [
    turn.workspace_id,
    turn.conversation_id,
  ]);
  needs.onClosed?.({
    turnId,
    threadId: turn.conversation_id,
    workspaceId: turn.workspace_id,
    input: turn.input,
    createdAt: turn.created_at.toISOString(),
  });
}
