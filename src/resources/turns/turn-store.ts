/** The turn's two transactions, accept and settle, and what keeps, takes over and releases its lease. */

import type pg from 'pg';
import {
  type Queryable,
  retryDeadlocks,
  runScopedWith,
  transact,
  whileDatabaseReturns,
} from '../../db/pipeline.ts';
import { ServiceError } from '../../errors.ts';
import { type Message, type NewEvent, NO_USAGE, type Usage } from '../../runtime/events.ts';
import type {
  Accepted,
  AcceptRequest,
  LeasedTurn,
  Settlement,
  StoredEvent,
  TurnStore,
} from '../../runtime/ports.ts';
import { closeWaiting } from './close.ts';
import type { ContextReader, ContextRow } from './context.ts';
import { numberInbox } from './inbox.ts';
import { findBegun } from './keys.ts';
import { BLOCK, type LeaseNeeds, leaseTurn, toStored } from './lease.ts';
import { EVENT_COLUMNS, toJson, toRecord } from './rows.ts';

export interface TurnStoreNeeds extends LeaseNeeds {
  appPool: pg.Pool;
  runtimePool: pg.Pool;
  /** The cards of a conversation that wait for a decision, for the refusal that names them. */
  pendingApprovals(client: Queryable, threadId: string): Promise<unknown[]>;
  /** What a new turn's run reads first is read with its accept. */
  context: Pick<ContextReader, 'statement' | 'keep'>;
}

const TITLE_LENGTH = 80;
const PREVIEW_LENGTH = 160;

/**
 * It wakes nobody: transactions that notify commit one after the other, each with its own fsync, so 64 messages at once
 * would wait for 64. The journal's next flush, or the settle where that is earlier, wakes the readers elsewhere.
 */
const ACCEPT = `
with fresh as (
  insert into conversations (id, workspace_id, user_id, title, last_seq, last_message_preview)
  select $1, $2, $3, $4, ${BLOCK}, $5 where $6 returning id, 0::bigint as base
), known as (
  update conversations set last_seq = last_seq + ${BLOCK}, title = coalesce(title, $4), last_message_preview = $5, updated_at = now()
   where id = $1 and user_id = $3 and archived_at is null and not $6 returning id, last_seq - ${BLOCK} as base
), conversation as (
  select * from fresh union all select * from known
), turn as (
  insert into turns (id, conversation_id, workspace_id, user_id, status, input, caller, message_id, run_id, run_kind,
                     first_seq, kept_seq, lease_owner, lease_until, usage)
  select $7, c.id, $2, $3, 'running', $8, $9, $10, $11, 'message', c.base + 1, c.base, $12,
         now() + make_interval(secs => $13), $14
    from conversation c
), message as (
  insert into conversation_messages (id, conversation_id, workspace_id, turn_id, seq, role, status, content, parts, metadata, created_at)
  select $15, c.id, $2, $7, c.base + 1, 'user', 'complete', $16, $17, $18, $19 from conversation c
), told as (
  insert into events (conversation_id, seq, seq_from, workspace_id, turn_id, run_id, type, data, at)
  select c.id, c.base + e.n, c.base + e.n, $2, $7, $11, e.type, e.data, $19
    from conversation c, (values (1, 'user-message', $20::jsonb), (2, 'run-start', $21::jsonb)) as e(n, type, data)
), key as (
  insert into idempotency_keys (workspace_id, principal, route, key, body_hash, turn_id)
  select $2, $22, 'chat', $23, $24, $7 from conversation where $23::text is not null
)
select c.base from conversation c`;

const SETTLE = `
with turn as (
  update turns set status = $3, usage = $5, tainted = $6, error = $7, kept_seq = $8, lease_owner = null, lease_until = null,
         ended_at = case when $3 = 'awaiting_approval' then null else now() end
   where id = $1 and lease_epoch = $2 and status = 'running' and decisions = $4
     and ($3 <> 'awaiting_approval' or cancel_requested_at is null)
  returning id, conversation_id, workspace_id, user_id
), gone as (
  delete from journal_inbox i using turn t where i.conversation_id = t.conversation_id and i.id = any($9::bigint[]) returning i.id
), conversation as (
  update conversations c set last_seq = $8, updated_at = now(),
         last_message_preview = coalesce(nullif($10, ''), c.last_message_preview),
         inbox_waiting = c.inbox_waiting - (select count(*)::int from gone)
    from turn t where c.id = t.conversation_id returning c.inbox_waiting
), message as (
  insert into conversation_messages (id, conversation_id, workspace_id, turn_id, seq, role, status, content, parts, metadata, created_at)
  select $11, t.conversation_id, t.workspace_id, t.id, $12, 'assistant', $13, $14, $15, $16, $17 from turn t
  on conflict (id) do update set status = excluded.status, content = excluded.content, parts = excluded.parts, metadata = excluded.metadata
), told as (
  insert into events (conversation_id, seq, seq_from, marks, workspace_id, turn_id, run_id, type, data, at)
  select t.conversation_id, e.seq, e.seq_from, e.marks, t.workspace_id, e.turn_id, e.run_id, e.type, e.data, e.at
    from turn t, jsonb_to_recordset($18::jsonb) as e(${EVENT_COLUMNS})
  on conflict (conversation_id, seq) do nothing
), asked as (
  insert into approvals (id, conversation_id, workspace_id, user_id, turn_id, tool_call_id, tool, kind, card,
                         args_hash, status, created_at, expires_at)
  select (a.card->>'approval_id')::uuid, t.conversation_id, t.workspace_id, t.user_id, t.id, a.card->>'tool_call_id',
         a.card->>'tool', a.card->>'kind', a.card, a.card->>'args_hash', 'pending', now(),
         now() + ((a.card->>'expires_at')::timestamptz - (a.card->>'created_at')::timestamptz)
    from turn t, jsonb_array_elements($19::jsonb) as a(card)
  on conflict (id) do nothing
), closed as (
  update approvals a set status = 'superseded', decided_at = now() from turn t
   where a.turn_id = t.id and a.status = 'pending' and $3 in ('cancelled', 'failed')
), dropped as (
  delete from turn_checkpoints k using turn t where k.turn_id = t.id and $3 <> 'awaiting_approval'
)
select (select inbox_waiting from conversation) as inbox_waiting,
       pg_notify('overture', 'journal ' || t.conversation_id || ' ' || $20),
       pg_notify('overture', 'list ' || t.workspace_id || ' ' || t.conversation_id)
  from turn t`;

export function createTurnStore(needs: TurnStoreNeeds): TurnStore {
  const { appPool, runtimePool, owner, leaseSeconds, modelName, newId, now } = needs;

  function prepare(request: AcceptRequest) {
    const threadId = request.threadId ?? newId();
    const turnId = newId();
    const messageId = newId();
    const assistantId = newId();
    const runId = newId();
    const at = new Date(now()).toISOString();
    const words = request.input.message;
    const message: Message = {
      id: messageId,
      thread_id: threadId,
      turn_id: turnId,
      role: 'user',
      status: 'complete',
      content: words,
      parts: [{ type: 'text', call: 0, text: words }],
      metadata: {
        ...(request.clientMessageId === null ? {} : { client_message_id: request.clientMessageId }),
        ...(request.input.page_context === undefined ? {} : { page_context: request.input.page_context }),
      },
      created_at: at,
    };
    const events: [NewEvent, NewEvent] = [
      {
        type: 'user-message',
        data: {
          message,
          ...(request.clientMessageId === null ? {} : { client_message_id: request.clientMessageId }),
        },
      },
      {
        type: 'run-start',
        data: { thread_id: threadId, kind: 'message', message_id: assistantId, model: modelName },
      },
    ];
    const title = words.replaceAll(/\s+/g, ' ').trim().slice(0, TITLE_LENGTH);
    const statement = {
      name: 'accept',
      text: ACCEPT,
      values: [
        threadId,
        request.caller.workspaceId,
        request.caller.userId,
        title,
        words.slice(0, PREVIEW_LENGTH),
        request.threadId === null,
        turnId,
        toJson(request.input),
        toJson(request.caller),
        assistantId,
        runId,
        owner,
        leaseSeconds,
        toJson(NO_USAGE),
        messageId,
        words,
        toJson(message.parts),
        toJson(message.metadata),
        at,
        toJson(events[0].data),
        toJson(events[1].data),
        request.idempotency?.principal ?? null,
        request.idempotency?.key ?? null,
        request.idempotency?.bodyHash ?? null,
      ],
    };
    const accepted = (base: number, closed: boolean): Extract<Accepted, { kind: 'new' }> => ({
      kind: 'new',
      closed,
      // The same moment as in the row: whoever reads it later is told the same.
      events: events.map((event, index) => ({
        ...toStored(needs, event, base + 1 + index, turnId, runId),
        at,
      })),
      turn: {
        turnId,
        threadId,
        workspaceId: request.caller.workspaceId,
        caller: request.caller,
        input: request.input,
        messageId: assistantId,
        runId,
        runKind: 'message',
        epoch: 1,
        nextSeq: base + 3,
        parts: [],
        usage: { ...NO_USAGE },
        tainted: false,
        decisions: 0,
        cancelRequested: false,
        takeovers: 0,
        createdAt: at,
      },
    });
    return { statement, ids: { workspaceId: request.caller.workspaceId, threadId, turnId }, accepted };
  }

  /** Why a message was not accepted; throws the refusal. */
  async function refuse(client: Queryable, request: AcceptRequest): Promise<never> {
    const { rows } = await client.query<{ archived: boolean; live: string | null; turn_id: string | null }>(
      `select c.archived_at is not null as archived, t.status as live, t.id as turn_id
         from conversations c left join turns t on t.conversation_id = c.id and t.status in ('running','awaiting_approval')
        where c.id = $1 and c.user_id = $2`,
      [request.threadId, request.caller.userId],
    );
    const row = rows[0];
    if (row === undefined) throw new ServiceError('NOT_FOUND', 'There is no such conversation.');
    if (row.archived) {
      throw new ServiceError(
        'CONVERSATION_ARCHIVED',
        'This conversation is archived. Restore it to write in it.',
      );
    }
    if (row.live === 'awaiting_approval') {
      const approvals = await needs.pendingApprovals(client, request.threadId ?? '');
      throw new ServiceError(
        'APPROVAL_PENDING',
        'This conversation waits for a decision. Decide it, or send on_pending: "supersede" to give it up.',
        { facts: { turn_id: row.turn_id, approvals } },
      );
    }
    if (row.live === 'running') {
      throw new ServiceError(
        'TURN_RUNNING',
        'The agent is still at work here. Wait for its end, or cancel the turn.',
        {
          facts: { turn_id: row.turn_id },
        },
      );
    }
    // Between the statement and this look the other turn ended.
    throw new ServiceError('TURN_RUNNING', 'Another message came at the same moment. Send yours again.', {
      retryable: true,
    });
  }

  /** The turn that the same Idempotency-Key brought before; throws when the body was another. */
  async function sameTurn(client: Queryable, request: AcceptRequest): Promise<Accepted | null> {
    if (request.idempotency === null) return null;
    const begun = await findBegun(client, request.idempotency);
    return begun === null ? null : { kind: 'same', ...begun };
  }

  /** Gives up the cards that wait and accepts the message, in one transaction. */
  function acceptSuperseding(request: AcceptRequest): Promise<Accepted> {
    const { statement, accepted } = prepare(request);
    return transact(appPool, request.caller.workspaceId, async (client) => {
      const same = await sameTurn(client, request);
      if (same !== null) return same;
      const live = await client.query<{ id: string }>(
        `select t.id from turns t join conversations c on c.id = t.conversation_id
          where c.id = $1 and c.user_id = $2 and t.status = 'awaiting_approval' for update of t`,
        [request.threadId, request.caller.userId],
      );
      const waiting = live.rows[0];
      if (waiting !== undefined) await closeWaiting(needs, client, waiting.id, 'superseded');
      const { rows } = await client.query<{ base: string }>(statement.text, statement.values);
      const base = rows[0]?.base;
      return base === undefined ? refuse(client, request) : accepted(Number(base), waiting !== undefined);
    });
  }

  async function tellInbox(threadId: string): Promise<void> {
    const waiting = await runtimePool.query<{ workspace_id: string }>({
      name: 'inbox_waiting',
      text: `select workspace_id from conversations where id = $1 and inbox_waiting > 0`,
      values: [threadId],
    });
    const workspaceId = waiting.rows[0]?.workspace_id;
    if (workspaceId === undefined) return;
    await retryDeadlocks(() =>
      transact(runtimePool, null, (client) => numberInbox(needs, client, threadId, workspaceId)),
    );
  }

  /** Tells what was left in conversations whose owner died between the end of its run and telling it. */
  async function tellLeft(limit: number): Promise<void> {
    const { rows } = await runtimePool.query<{ conversation_id: string }>({
      name: 'inbox_left',
      text: `select distinct i.conversation_id from journal_inbox i
              where not exists (select 1 from turns t where t.conversation_id = i.conversation_id and t.status = 'running') limit $1`,
      values: [limit],
    });
    for (const { conversation_id } of rows) await tellInbox(conversation_id);
  }

  return {
    async accept(request) {
      try {
        if (request.supersede && request.threadId !== null)
          return await retryDeadlocks(() => acceptSuperseding(request));
        const { statement, ids, accepted } = prepare(request);
        const { result, read } = await retryDeadlocks(() =>
          runScopedWith<{ base: string }, ContextRow>(
            appPool,
            ids.workspaceId,
            statement,
            needs.context.statement(ids),
          ),
        );
        const base = result.rows[0]?.base;
        if (base !== undefined) {
          const begun = accepted(Number(base), false);
          needs.context.keep(begun.turn, read?.rows[0]);
          return begun;
        }
      } catch (error) {
        // Two unique indexes stand guard: one live turn a conversation, one turn an Idempotency-Key.
        if (!(error instanceof Error && 'code' in error && error.code === '23505')) throw error;
      }
      return transact(appPool, request.caller.workspaceId, async (client) => {
        return (await sameTurn(client, request)) ?? refuse(client, request);
      });
    },

    settle(turn, settlement) {
      return whileDatabaseReturns(needs, async () => {
        const { rows } = await retryDeadlocks(() =>
          runtimePool.query<{ inbox_waiting: number }>(settleStatement(needs, turn, settlement)),
        );
        // Whoever leaves something holds the conversation's or the turn's row, so this number is not outrun.
        if (rows[0] !== undefined) return rows[0].inbox_waiting > 0 ? 'inbox-waiting' : 'settled';
        const state = await runtimePool.query<{
          status: string;
          lease_epoch: number;
          decisions: number;
          kept_seq: string;
        }>(`select status, lease_epoch, decisions, kept_seq from turns where id = $1`, [turn.turnId]);
        const row = state.rows[0];
        if (row === undefined || row.lease_epoch !== turn.epoch) return 'lost';
        // An earlier try was committed although its answer got lost.
        if (row.status === settlement.status && Number(row.kept_seq) === lastSeq(settlement.rows))
          return 'inbox-waiting';
        if (row.status !== 'running') return 'lost';
        return row.decisions === turn.decisions ? 'cancel-requested' : 'decisions-waiting';
      });
    },

    async renew(held) {
      const { rows } = await runtimePool.query<{ id: string; epoch: number; cancel: boolean }>({
        name: 'renew',
        text: `update turns t set lease_until = now() + make_interval(secs => $3)
                 from unnest($1::uuid[], $2::int[]) as h(id, epoch)
                where t.id = h.id and t.lease_epoch = h.epoch and t.status = 'running'
            returning t.id, h.epoch, t.cancel_requested_at is not null as cancel`,
        values: [held.map((one) => one.turnId), held.map((one) => one.epoch), leaseSeconds],
      });
      const kept = new Set(rows.map((row) => `${row.id} ${row.epoch}`));
      return {
        lost: held.filter((one) => !kept.has(`${one.turnId} ${one.epoch}`)),
        cancel: rows.filter((row) => row.cancel).map((row) => row.id),
      };
    },

    async takeOver(limit) {
      const taken: { turn: LeasedTurn; events: StoredEvent[] }[] = [];
      while (taken.length < limit) {
        const one = await takeOverOne(needs);
        if (one === null) break;
        taken.push(one);
      }
      await tellLeft(limit);
      return taken;
    },

    async release(turn) {
      await runtimePool.query(
        `update turns set lease_until = now() - interval '1 second' where id = $1 and lease_epoch = $2 and status = 'running'`,
        [turn.turnId, turn.epoch],
      );
      await runtimePool.query(`select pg_notify('overture', 'released')`);
    },

    async countDecisions(turn) {
      const { rows } = await runtimePool.query<{ decisions: number }>(
        `select decisions from turns where id = $1`,
        [turn.turnId],
      );
      return rows[0]?.decisions ?? turn.decisions;
    },

    async readInbox(turn) {
      const { rows } = await runtimePool.query<{ id: string; type: NewEvent['type']; data: never }>(
        `select id, type, data from journal_inbox where conversation_id = $1 order by id`,
        [turn.threadId],
      );
      return rows.map((row) => ({ id: row.id, event: { type: row.type, data: row.data } }));
    },

    tellInbox,
  };
}

/** Takes the turn whose lease ran out first; null where there is none. */
function takeOverOne(needs: TurnStoreNeeds): Promise<{ turn: LeasedTurn; events: StoredEvent[] } | null> {
  return transact(needs.runtimePool, null, async (client) => {
    const { rows } = await client.query<{ id: string; message_id: string; run_id: string; usage: Usage }>(
      `select id, message_id, run_id, usage from turns where status = 'running' and lease_until < now()
        order by lease_until limit 1 for update skip locked`,
    );
    const lost = rows[0];
    if (lost === undefined) return null;
    await client.query(
      `update turns t set takeovers = case when t.takeover_mark is not distinct from m.mark then t.takeovers + 1 else 1 end,
              takeover_mark = m.mark
         from (select max(checkpoint_id) || ':' || sum(jsonb_array_length(writes)) as mark
                 from turn_checkpoints where turn_id = $1) m
        where t.id = $1`,
      [lost.id],
    );
    const end: NewEvent = {
      type: 'run-end',
      data: { status: 'lost', message_id: lost.message_id, usage: lost.usage },
    };
    const { turn, events } = await leaseTurn(needs, client, lost.id, 'recovery', [end]);
    // The end is the lost run's, and says so.
    await client.query(`update events set run_id = $3 where conversation_id = $1 and seq = $2`, [
      turn.threadId,
      events[0]?.seq,
      lost.run_id,
    ]);
    return { turn, events: events.map((row, index) => (index === 0 ? { ...row, runId: lost.run_id } : row)) };
  });
}

function lastSeq(rows: readonly StoredEvent[]): number {
  return rows.at(-1)?.seq ?? 0;
}

function settleStatement(needs: TurnStoreNeeds, turn: LeasedTurn, settlement: Settlement): pg.QueryConfig {
  return {
    name: 'settle',
    text: SETTLE,
    values: [
      turn.turnId,
      turn.epoch,
      settlement.status,
      turn.decisions,
      toJson(settlement.usage),
      settlement.tainted,
      settlement.error === null ? null : toJson(settlement.error),
      lastSeq(settlement.rows),
      settlement.inboxIds,
      settlement.message.content.slice(0, PREVIEW_LENGTH),
      turn.messageId,
      lastSeq(settlement.rows),
      settlement.message.status,
      settlement.message.content,
      toJson(settlement.message.parts),
      toJson(settlement.message.metadata),
      new Date(needs.now()).toISOString(),
      toJson(settlement.rows.map(toRecord)),
      toJson(settlement.approvals),
      needs.owner,
    ],
  };
}
