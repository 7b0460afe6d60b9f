/** Deeds of approvals: read a card, preview an edit, record a decision once, expire what nobody decided. */

import type pg from 'pg';
import type { z } from 'zod';
import {
  type Queryable,
  retryDeadlocks,
  runScoped,
  transact,
  whileDatabaseReturns,
} from '../../db/pipeline.ts';
import { ServiceError } from '../../errors.ts';
import { type Cursors, idPosition } from '../../http/cursors.ts';
import { type Caller, mayDecide, principalOf } from '../../runtime/caller.ts';
import type { Approval, ApprovalStatus, Decision, EventData, NewEvent, Part } from '../../runtime/events.ts';
import type { LeasedTurn, StoredEvent } from '../../runtime/ports.ts';
import { applyEvent, closingEvents, contentOf } from '../../runtime/reply.ts';
import type { Begun } from '../../runtime/turn.ts';
import { closeWaiting } from '../turns/close.ts';
import { type ChatKey, keepBegun } from '../turns/keys.ts';
import { insertEvents, type LeaseNeeds, leaseTurn, toStored } from '../turns/lease.ts';
import { toJson } from '../turns/rows.ts';
import type { approvalRecipients, NamedDecision, Resume } from './schema.ts';

/** A card for changed arguments, computed as the first one was. Supplied by the tool gate. */
export interface Proposer {
  /** Throws `VALIDATION_ERROR` where the arguments do not fit the tool's schema, or the tool's own refusal. */
  propose(
    caller: Caller,
    card: Approval,
    args: Record<string, unknown>,
    tainted: boolean,
  ): Promise<
    Pick<Approval, 'args' | 'args_hash' | 'title' | 'facts' | 'warnings' | 'preview' | 'consequence'>
  >;
  /** Everybody whom the card is about, as it would be done now; throws as `propose` does. */
  recipients(caller: Caller, card: Approval, tainted: boolean): Promise<z.output<typeof approvalRecipients>>;
}

export interface ApprovalNeeds extends LeaseNeeds {
  appPool: pg.Pool;
  runtimePool: pg.Pool;
  cursors: Cursors;
  proposer: Proposer;
}

export interface ApprovalRow {
  id: string;
  card: Approval;
  status: ApprovalStatus;
  decision: Decision | null;
  decided_by: string | null;
  decided_at: Date | null;
  reason: string | null;
  executed_args: Record<string, unknown> | null;
  executed_hash: string | null;
  effect_state: NonNullable<Approval['effect']>['state'] | null;
  provider_ref: string | null;
}

const CARD = `
select a.id, a.card, a.status, a.decision, a.decided_by, a.decided_at, a.reason, a.executed_args, a.executed_hash,
       e.state as effect_state, e.provider_ref
  from approvals a left join effects e on e.turn_id = a.turn_id and e.tool_call_id = a.tool_call_id`;

/** What a decision led to: a run to drive here, or a note for the run that is live somewhere. */
export type Recorded =
  | { kind: 'leased'; turn: LeasedTurn; events: StoredEvent[]; approvals: Approval[] }
  | {
      kind: 'noted';
      threadId: string;
      turnId: string;
      runId: string;
      lastSeq: number;
      approvals: Approval[];
    };

export type Approvals = ReturnType<typeof createApprovals>;

export function createApprovals(needs: ApprovalNeeds) {
  const { appPool, runtimePool, proposer } = needs;

  /** The pending cards of a conversation, oldest first. */
  async function pendingWithin(client: Queryable, threadId: string): Promise<Approval[]> {
    const { rows } = await client.query<ApprovalRow>(
      `${CARD} where a.conversation_id = $1 and a.status = 'pending' order by a.created_at, a.id`,
      [threadId],
    );
    return rows.map(toApproval);
  }

  /** Records decisions, all or none, with the request's key, and takes the turn if no run of it is live. */
  async function decide(
    caller: Caller,
    threadId: string,
    decisions: readonly NamedDecision[],
    own: boolean,
    key: ChatKey | null = null,
  ): Promise<Recorded> {
    requireDecider(caller);
    const checked = new Map<string, Checked>();
    for (const decision of decisions) {
      if (checked.has(decision.approval_id)) {
        throw new ServiceError('AMBIGUOUS_DECISION', 'Decide each approval once in a request.');
      }
      checked.set(decision.approval_id, await check(caller, threadId, decision, own));
    }
    return retryDeadlocks(() =>
      transact(appPool, caller.workspaceId, async (client) => {
        const recorded = await record(client, caller, threadId, decisions, checked);
        if (key !== null) await keepBegun(client, caller.workspaceId, key, begunOf(recorded));
        return recorded;
      }),
    );
  }

  interface Checked {
    args: Record<string, unknown> | null;
    hash: string | null;
  }

  /** Before anything is written: the decision fits the card, its hash is the one that was shown, an edit is a valid proposal. */
  async function check(
    caller: Caller,
    threadId: string,
    decision: NamedDecision,
    own: boolean,
  ): Promise<Checked> {
    const { row, turn } = await load(caller, threadId, decision.approval_id, own);
    if (caller.sandbox && !turn.caller.sandbox) {
      throw new ServiceError('FORBIDDEN', 'A test key cannot decide what would happen for real.');
    }
    refuseDecided(row);
    if (!row.card.allowed_decisions.includes(decision.decision)) {
      throw new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
        details: [
          {
            loc: ['body', 'decision'],
            msg: `This approval takes one of: ${row.card.allowed_decisions.join(', ')}.`,
            type: 'decision_not_allowed',
          },
        ],
      });
    }
    if (decision.decision !== 'edit') {
      if (decision.args_hash !== row.card.args_hash) throw changed();
      return { args: null, hash: null };
    }
    if (decision.args === undefined) {
      throw new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
        details: [{ loc: ['body', 'args'], msg: 'An edit needs the changed arguments.', type: 'missing' }],
      });
    }
    const proposal = await proposer.propose(turn.caller, row.card, decision.args, turn.tainted);
    if (proposal.args_hash !== decision.args_hash) throw changed();
    return { args: proposal.args, hash: proposal.args_hash };
  }

  async function record(
    client: Queryable,
    caller: Caller,
    threadId: string,
    decisions: readonly NamedDecision[],
    checked: Map<string, Checked>,
  ): Promise<Recorded> {
    // The turn's row first, then the conversation's: the order every transaction keeps.
    const turns = await client.query<{ id: string; status: string; run_id: string }>(
      `select t.id, t.status, t.run_id from turns t
        where t.id = (select turn_id from approvals where id = $1 and conversation_id = $2) for update`,
      [decisions[0]?.approval_id, threadId],
    );
    const turn = turns.rows[0];
    if (turn === undefined) throw new ServiceError('NOT_FOUND', 'There is no such approval.');
    const told: NewEvent[] = [];
    const decidedBy = principalOf(caller);
    for (const { approval_id, decision, reason } of decisions) {
      const edit = checked.get(approval_id);
      const status = decision === 'reject' ? 'rejected' : 'approved';
      const { rows } = await client.query<{ decided_at: Date; args_hash: string; card: Approval }>(
        `update approvals set status = $3, decision = $4, decided_by = $5, decided_at = now(), reason = $6, executed_args = $7, executed_hash = $8
          where id = $1 and turn_id = $2 and status = 'pending' and expires_at > now()
        returning decided_at, args_hash, card`,
        [
          approval_id,
          turn.id,
          status,
          decision,
          decidedBy,
          reason ?? null,
          edit?.args == null ? null : toJson(edit.args),
          edit?.hash ?? null,
        ],
      );
      const row = rows[0];
      if (row === undefined) throw await lostRace(client, approval_id);
      told.push({
        type: 'approval-end',
        data: {
          approval_id,
          status,
          decision,
          decided_by: decidedBy,
          decided_at: row.decided_at.toISOString(),
          ...(reason === undefined ? {} : { reason }),
          ...(status === 'approved'
            ? { args: edit?.args ?? row.card.args, args_hash: edit?.hash ?? row.args_hash }
            : {}),
        },
      });
    }
    await client.query(`update turns set decisions = decisions + 1 where id = $1`, [turn.id]);
    const after = () =>
      cards(
        client,
        decisions.map((decision) => decision.approval_id),
      );
    if (turn.status === 'running') {
      const lastSeq = await leaveInInbox(client, threadId, caller.workspaceId, turn.id, told);
      return {
        kind: 'noted',
        threadId,
        turnId: turn.id,
        runId: turn.run_id,
        lastSeq,
        approvals: await after(),
      };
    }
    const leased = await leaseTurn(needs, client, turn.id, 'resume', told);
    await client.query(`select pg_notify('overture', 'list ' || $1 || ' ' || $2)`, [
      caller.workspaceId,
      threadId,
    ]);
    return { kind: 'leased', ...leased, approvals: await after() };
  }

  async function cards(client: Queryable, ids: readonly string[]): Promise<Approval[]> {
    const { rows } = await client.query<ApprovalRow>(
      `${CARD} where a.id = any($1::uuid[]) order by a.created_at, a.id`,
      [ids],
    );
    return rows.map(toApproval);
  }

  /** The row and its turn; a foreign one is `NOT_FOUND`. `own` asks for the caller's own conversation. */
  async function load(caller: Caller, threadId: string, approvalId: string, own: boolean) {
    return transact(appPool, caller.workspaceId, async (client) => {
      const { rows } = await client.query<
        ApprovalRow & { turn_caller: Caller; turn_tainted: boolean; user_id: string }
      >(
        `select x.*, t.caller as turn_caller, t.tainted as turn_tainted, t.user_id from (${CARD} where a.id = $1 and a.conversation_id = $2) x
           join turns t on t.id = (x.card->>'turn_id')::uuid`,
        [approvalId, threadId],
      );
      const row = rows[0];
      if (row === undefined || (own && row.user_id !== caller.userId)) {
        throw new ServiceError('NOT_FOUND', 'There is no such approval.');
      }
      return { row, turn: { caller: row.turn_caller, tainted: row.turn_tainted } };
    });
  }

  return {
    pendingWithin,
    decide,

    /** Answers the conversation's cards in either spelling; `NOTHING_PENDING` where there is none to answer. */
    async resume(caller: Caller, threadId: string, resume: Resume, key: ChatKey | null): Promise<Recorded> {
      requireDecider(caller);
      if ('decisions' in resume) return decide(caller, threadId, resume.decisions, true, key);
      const { pending, last } = await transact(appPool, caller.workspaceId, async (client) => {
        const owned = await client.query(`select 1 from conversations where id = $1 and user_id = $2`, [
          threadId,
          caller.userId,
        ]);
        if (owned.rows.length === 0) throw new ServiceError('NOT_FOUND', 'There is no such conversation.');
        const { rows } = await client.query<ApprovalRow>(
          `${CARD} where a.conversation_id = $1 and a.status <> 'pending' order by a.decided_at desc nulls last, a.id desc limit 1`,
          [threadId],
        );
        return { pending: await pendingWithin(client, threadId), last: rows[0] };
      });
      const [only, ...others] = pending;
      if (only === undefined) {
        if (last !== undefined) refuseDecided(last);
        throw new ServiceError('NOTHING_PENDING', 'Nothing waits for a decision in this conversation.');
      }
      if (others.length > 0) {
        throw new ServiceError(
          'AMBIGUOUS_DECISION',
          `${pending.length} approvals wait. Send {"decisions": [{"approval_id", "decision", "args_hash"}]} to say which.`,
          { facts: { approvals: pending } },
        );
      }
      if (only.kind === 'outcome') {
        throw new ServiceError(
          'AMBIGUOUS_DECISION',
          'This card asks what really happened; yes or no does not answer it. Send {"decisions": […]}.',
          {
            facts: { approvals: pending },
          },
        );
      }
      const decision: NamedDecision = {
        approval_id: only.approval_id,
        args_hash: only.args_hash,
        decision: resume.confirmed ? 'approve' : 'reject',
        ...(resume.reason === undefined ? {} : { reason: resume.reason }),
      };
      return decide(caller, threadId, [decision], true, key);
    },

    /** The card as it would be with these arguments: new facts and the hash that the edit must echo. */
    async preview(
      caller: Caller,
      threadId: string,
      approvalId: string,
      args: Record<string, unknown>,
    ): Promise<Approval> {
      const { row, turn } = await load(caller, threadId, approvalId, false);
      refuseDecided(row);
      if (!row.card.allowed_decisions.includes('edit')) {
        throw new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
          details: [
            { loc: ['body', 'args'], msg: 'This approval cannot be edited.', type: 'decision_not_allowed' },
          ],
        });
      }
      return { ...toApproval(row), ...(await proposer.propose(turn.caller, row.card, args, turn.tainted)) };
    },

    /**
     * The card as it is before somebody who may decide it: as it was proposed, or with the edit whose preview has this
     * hash; and whether what it proposes would stay in the sandbox. Throws as a decision on it would.
     */
    async asShown(
      caller: Caller,
      threadId: string,
      approvalId: string,
      shown: { args_hash: string; args?: Record<string, unknown> | undefined },
    ): Promise<{ approval: Approval; sandbox: boolean }> {
      requireDecider(caller);
      const { row, turn } = await load(caller, threadId, approvalId, false);
      refuseDecided(row);
      const { args } = shown;
      const edit =
        args === undefined ? {} : await proposer.propose(turn.caller, row.card, args, turn.tainted);
      const approval = { ...toApproval(row), ...edit };
      if (approval.args_hash !== shown.args_hash) throw changed();
      return { approval, sandbox: turn.caller.sandbox };
    },

    /** Everybody whom a card that waits is about, for those who may decide it. */
    async recipients(
      caller: Caller,
      threadId: string,
      approvalId: string,
    ): Promise<z.output<typeof approvalRecipients>> {
      requireDecider(caller);
      const { row, turn } = await load(caller, threadId, approvalId, false);
      refuseDecided(row);
      return proposer.recipients(turn.caller, row.card, turn.tainted);
    },

    /** One card; throws `NOT_FOUND`. */
    async get(caller: Caller, threadId: string, approvalId: string): Promise<Approval> {
      return toApproval((await load(caller, threadId, approvalId, false)).row);
    },

    /** All cards of the workspace, for those who may decide them; newest first. */
    async list(caller: Caller, query: { status: string; limit: number; cursor?: string | undefined }) {
      requireDecider(caller);
      const after = query.cursor === undefined ? null : needs.cursors.decode(query.cursor, idPosition)[0];
      const rows = await transact(appPool, caller.workspaceId, async (client) => {
        const found = await client.query<ApprovalRow>(
          `${CARD} where ($1 = 'all' or a.status = $1) and ($2::uuid is null or a.id < $2) order by a.id desc limit $3`,
          [query.status, after, query.limit + 1],
        );
        return found.rows;
      });
      const items = rows.slice(0, query.limit).map(toApproval);
      const last = items.at(-1);
      const more = rows.length > query.limit && last !== undefined;
      return {
        approvals: items,
        items,
        next_cursor: more ? needs.cursors.encode([last.approval_id]) : null,
        has_more: more,
      };
    },

    /** How many cards wait in the workspace. */
    async countPending(caller: Caller): Promise<number> {
      return transact(appPool, caller.workspaceId, async (client) => {
        const { rows } = await client.query<{ n: number }>(
          `select count(*)::int as n from approvals where status = 'pending'`,
        );
        return rows[0]?.n ?? 0;
      });
    },

    /** The newest card of a call: what the gate goes by at execution time. */
    async ofCall(turn: LeasedTurn, toolCallId: string): Promise<ApprovalRow | null> {
      const statement = {
        name: 'card_of_call',
        text: `${CARD} where a.turn_id = $1 and a.tool_call_id = $2 order by a.created_at desc, a.id desc limit 1`,
        values: [turn.turnId, toolCallId],
      };
      const { rows } = await whileDatabaseReturns(needs, () =>
        runScoped<ApprovalRow>(appPool, turn.workspaceId, statement),
      );
      return rows[0] ?? null;
    },

    /** Expires what nobody decided in time, one card a transaction; answers how many (design.md §3, last rows). */
    async expire(limit: number): Promise<number> {
      let count = 0;
      while (
        count < limit &&
        (await retryDeadlocks(() => transact(runtimePool, null, (client) => expireOne(needs, client))))
      )
        count += 1;
      return count;
    },
  };
}

/** Where a reader of what a decision led to begins. */
export function begunOf(recorded: Recorded): Begun {
  if (recorded.kind === 'noted') {
    const { threadId, turnId, runId, lastSeq } = recorded;
    return { threadId, turnId, runId, firstSeq: lastSeq + 1 };
  }
  const { threadId, turnId, runId, nextSeq } = recorded.turn;
  return { threadId, turnId, runId, firstSeq: recorded.events[0]?.seqFrom ?? nextSeq };
}

function requireDecider(caller: Caller): void {
  if (mayDecide(caller)) return;
  throw new ServiceError(
    'FORBIDDEN',
    'This caller may not decide approvals. Use a session, or a key with the scope approvals:write.',
  );
}

function changed(): ServiceError {
  return new ServiceError(
    'APPROVAL_CHANGED',
    'The hash is not that of the proposal. Read the card again, or preview the edit, and echo its args_hash.',
  );
}

/** Throws the refusal that a card which is not pending any more deserves. */
function refuseDecided(row: ApprovalRow): void {
  const { status } = row;
  if (status === 'pending') return;
  const approval = toApproval(row);
  if (status === 'expired') {
    throw new ServiceError('APPROVAL_EXPIRED', 'This approval has expired. Ask the agent again.', {
      facts: { approval },
    });
  }
  const how =
    status === 'superseded'
      ? 'was given up for a new message or a cancel'
      : `was ${status} by ${row.decided_by ?? 'somebody'} already`;
  throw new ServiceError('ALREADY_DECIDED', `This approval ${how}. The first decision stands.`, {
    facts: { approval, winner: approval },
  });
}

/** Why the conditional update found nothing to decide. */
async function lostRace(client: Queryable, approvalId: string): Promise<Error> {
  const { rows } = await client.query<ApprovalRow>(`${CARD} where a.id = $1`, [approvalId]);
  const row = rows[0];
  if (row === undefined) return new ServiceError('NOT_FOUND', 'There is no such approval.');
  try {
    refuseDecided(row);
  } catch (error) {
    if (error instanceof Error) return error;
  }
  return new ServiceError('APPROVAL_EXPIRED', 'This approval has expired. Ask the agent again.', {
    facts: { approval: toApproval(row) },
  });
}

/** Leaves facts for the owner of the live run, who numbers them; answers the last number readers can have seen as given. */
async function leaveInInbox(
  client: Queryable,
  threadId: string,
  workspaceId: string,
  turnId: string,
  facts: readonly NewEvent[],
): Promise<number> {
  for (const fact of facts) {
    await client.query(
      `insert into journal_inbox (conversation_id, workspace_id, turn_id, type, data) values ($1, $2, $3, $4, $5)`,
      [threadId, workspaceId, turnId, fact.type, toJson(fact.data)],
    );
  }
  await client.query(`update conversations set inbox_waiting = inbox_waiting + $2 where id = $1`, [
    threadId,
    facts.length,
  ]);
  await client.query(`select pg_notify('overture', 'inbox ' || $1)`, [turnId]);
  const last = await client.query<{ seq: string | null }>(
    `select max(seq) as seq from events where conversation_id = $1`,
    [threadId],
  );
  return Number(last.rows[0]?.seq ?? 0);
}

/** Expires the card that is due first; false where none is. */
async function expireOne(needs: ApprovalNeeds, client: Queryable): Promise<boolean> {
  const due = await client.query<{
    id: string;
    turn_id: string;
    conversation_id: string;
    workspace_id: string;
  }>(
    `select a.id, a.turn_id, a.conversation_id, a.workspace_id from approvals a join turns t on t.id = a.turn_id
      where a.status = 'pending' and a.expires_at <= now() order by a.expires_at limit 1 for update of t skip locked`,
  );
  const card = due.rows[0];
  if (card === undefined) return false;
  const turns = await client.query<{ status: string; open: boolean; pending: number; message_id: string }>(
    `select t.status, t.message_id, a.status = 'pending' as open,
            (select count(*)::int from approvals where turn_id = t.id and status = 'pending' and id <> $2) as pending
       from turns t join approvals a on a.turn_id = t.id and a.id = $2 where t.id = $1`,
    [card.turn_id, card.id],
  );
  const turn = turns.rows[0];
  // Decided in time, by a transaction that this one saw only once it had the lock.
  if (turn?.open === false) return true;
  if (turn?.status === 'awaiting_approval' && turn.pending === 0) {
    await closeWaiting(needs, client, card.turn_id, 'expired');
    return true;
  }
  await client.query(
    `update approvals set status = 'expired', decided_at = now() where id = $1 and status = 'pending'`,
    [card.id],
  );
  await client.query(`update turns set decisions = decisions + 1 where id = $1`, [card.turn_id]);
  const ended: NewEvent = { type: 'approval-end', data: { approval_id: card.id, status: 'expired' } };
  if (turn?.status === 'running') {
    await leaveInInbox(client, card.conversation_id, card.workspace_id, card.turn_id, [ended]);
  } else if (turn !== undefined) {
    await tellExpired(needs, client, card, turn.message_id, ended);
  }
  return true;
}

/** Tells an expired card, and answers its call, in a turn that goes on waiting for its siblings. */
async function tellExpired(
  needs: ApprovalNeeds,
  client: Queryable,
  card: { id: string; turn_id: string; conversation_id: string; workspace_id: string },
  messageId: string,
  ended: NewEvent,
): Promise<void> {
  const message = await client.query<{ parts: Part[] }>(
    `select parts from conversation_messages where id = $1`,
    [messageId],
  );
  const before = message.rows[0]?.parts ?? [];
  const expired = before.filter((part) => part.type === 'approval' && part.approval.approval_id === card.id);
  const calls = new Set(expired.map((part) => (part.type === 'approval' ? part.approval.tool_call_id : '')));
  const open = before.filter((part) => part.type === 'tool' && calls.has(part.tool_call_id));
  const told = [
    ended,
    ...closingEvents([...expired, ...open], 'expired').filter((event) => event.type === 'tool-end'),
  ];
  const parts = told.reduce<Part[]>(applyEvent, before);
  await client.query(`update conversation_messages set parts = $2, content = $3 where id = $1`, [
    messageId,
    toJson(parts),
    contentOf(parts),
  ]);
  const block = await client.query<{ base: string }>(
    `update conversations set last_seq = last_seq + $2 where id = $1 returning last_seq - $2 as base`,
    [card.conversation_id, told.length],
  );
  const base = Number(block.rows[0]?.base);
  const events = told.map((event, index) => toStored(needs, event, base + 1 + index, card.turn_id, null));
  await insertEvents(client, card.conversation_id, card.workspace_id, events);
  await client.query(`update turns set kept_seq = $2 where id = $1`, [card.turn_id, base + told.length]);
}

export function toApproval(row: ApprovalRow): Approval {
  return {
    ...row.card,
    status: row.status,
    ...(row.decided_at === null ? {} : { decided_at: row.decided_at.toISOString() }),
    ...(row.decided_by === null ? {} : { decided_by: row.decided_by }),
    ...(row.decision === null ? {} : { decision: row.decision }),
    ...(row.reason === null ? {} : { decision_reason: row.reason }),
    ...(row.executed_args === null ? {} : { executed_args: row.executed_args }),
    ...(row.executed_hash === null ? {} : { executed_hash: row.executed_hash }),
    ...(row.effect_state === null
      ? {}
      : { effect: { state: row.effect_state, provider_ref: row.provider_ref } }),
  };
}

export type ApprovalEnd = EventData['approval-end'];
