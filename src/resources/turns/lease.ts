/** Takes a turn under a lease: the next epoch, a block of journal numbers, a run, and the events that say so. */

import type { Queryable } from '../../db/pipeline.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { NewEvent, Part, RunKind, Usage } from '../../runtime/events.ts';
import type { LeasedTurn, StoredEvent, TurnInput } from '../../runtime/ports.ts';
import { applyEvent } from '../../runtime/reply.ts';
import { EVENT_COLUMNS, type EventRow, fromRow, toJson, toRecord } from './rows.ts';

/** Numbers that a run may give away. A run ends by its budgets long before. */
export const BLOCK = 1_000_000;

export interface LeaseNeeds {
  /** This process, as `lease_owner` names it. */
  owner: string;
  leaseSeconds: number;
  modelName: string;
  newId(): string;
  now(): number;
  /** Told of a turn that ended without a run. */
  onClosed?(turn: ClosedTurn): void;
}

export type ClosedTurn = Pick<LeasedTurn, 'turnId' | 'threadId' | 'workspaceId' | 'input' | 'createdAt'>;

interface TurnRow {
  id: string;
  conversation_id: string;
  workspace_id: string;
  caller: Caller;
  input: TurnInput;
  message_id: string;
  run_id: string;
  lease_epoch: number;
  takeovers: number;
  decisions: number;
  usage: Usage;
  tainted: boolean;
  kept_seq: string;
  cancel_requested_at: Date | null;
  created_at: Date;
}

/** Columns of `TurnRow`, for a `returning`. */
const TURN_COLUMNS = `id, conversation_id, workspace_id, caller, input, message_id, run_id, lease_epoch, takeovers, decisions,
  usage, tainted, kept_seq, cancel_requested_at, created_at`;

/**
 * Gives the turn, which the caller's transaction has locked and found fit, to this process. `before` are events told
 * ahead of the run-start. Answers the turn as it goes on, and what was told.
 */
export async function leaseTurn(
  needs: LeaseNeeds,
  client: Queryable,
  turnId: string,
  kind: RunKind,
  before: readonly NewEvent[],
): Promise<{ turn: LeasedTurn; events: StoredEvent[] }> {
  const runId = needs.newId();
  const { rows } = await client.query<TurnRow>(
    `update turns set status = 'running', lease_owner = $2, lease_epoch = lease_epoch + 1,
            lease_until = now() + make_interval(secs => $3), run_id = $4, run_kind = $5
      where id = $1 returning ${TURN_COLUMNS}`,
    [turnId, needs.owner, needs.leaseSeconds, runId, kind],
  );
  const row = rows[0];
  if (row === undefined) throw new Error('the turn is gone');
  const block = await client.query<{ base: string }>(
    `update conversations set last_seq = last_seq + $2, updated_at = now() where id = $1 returning last_seq - $2 as base`,
    [row.conversation_id, BLOCK],
  );
  const base = Number(block.rows[0]?.base);
  const start: NewEvent = {
    type: 'run-start',
    data: { thread_id: row.conversation_id, kind, message_id: row.message_id, model: needs.modelName },
  };
  const events = [...before, start].map((event, index) =>
    toStored(needs, event, base + 1 + index, turnId, runId),
  );
  await insertEvents(client, row.conversation_id, row.workspace_id, events);
  const parts = await partsUpTo(client, row, base);
  return {
    events,
    turn: {
      turnId,
      threadId: row.conversation_id,
      workspaceId: row.workspace_id,
      caller: row.caller,
      input: row.input,
      messageId: row.message_id,
      runId,
      runKind: kind,
      epoch: row.lease_epoch,
      nextSeq: base + 1 + events.length,
      parts: before.reduce<Part[]>(applyEvent, parts),
      usage: row.usage,
      tainted: row.tainted,
      decisions: row.decisions,
      cancelRequested: row.cancel_requested_at !== null,
      takeovers: row.takeovers,
      createdAt: row.created_at.toISOString(),
    },
  };
}

/** An event with its number, as the journal keeps it. */
export function toStored(
  { now }: Pick<LeaseNeeds, 'now'>,
  event: NewEvent,
  seq: number,
  turnId: string | null,
  runId: string | null,
): StoredEvent {
  return { seq, seqFrom: seq, marks: null, turnId, runId, at: new Date(now()).toISOString(), event };
}

/** Writes rows and wakes the followers of every process. */
export async function insertEvents(
  client: Queryable,
  threadId: string,
  workspaceId: string,
  events: readonly StoredEvent[],
): Promise<void> {
  await client.query(
    `with stored as (
       insert into events (conversation_id, seq, seq_from, marks, workspace_id, turn_id, run_id, type, data, at)
       select $1, e.seq, e.seq_from, e.marks, $2, e.turn_id, e.run_id, e.type, e.data, e.at
         from jsonb_to_recordset($3::jsonb) as e(${EVENT_COLUMNS}))
     select pg_notify('overture', 'journal ' || $4)`,
    [threadId, workspaceId, toJson(events.map(toRecord)), threadId],
  );
}

/** The message's parts: as the last settle kept them, and what a lost run told after that. */
async function partsUpTo(client: Queryable, row: TurnRow, base: number): Promise<Part[]> {
  const message = await client.query<{ parts: Part[] }>(
    `select parts from conversation_messages where id = $1`,
    [row.message_id],
  );
  const told = await client.query<EventRow>(
    `select seq, seq_from, marks, turn_id, run_id, type, data, at from events
      where conversation_id = $1 and turn_id = $2 and seq > $3 and seq <= $4 order by seq`,
    [row.conversation_id, row.id, row.kept_seq, base],
  );
  return told.rows.map((one) => fromRow(one).event).reduce<Part[]>(applyEvent, message.rows[0]?.parts ?? []);
}
