/** Cards in memory: the twin of resources/approvals/approvals.ts, as far as a turn and whoever decides need it. */

import { ServiceError } from '../../../src/errors.ts';
import {
  type ApprovalRow,
  type Approvals,
  type Proposer,
  toApproval,
} from '../../../src/resources/approvals/approvals.ts';
import { toStored } from '../../../src/resources/turns/lease.ts';
import { mayDecide, principalOf } from '../../../src/runtime/caller.ts';
import type { Approval, NewEvent, Part } from '../../../src/runtime/events.ts';
import { applyEvent, closingEvents, contentOf } from '../../../src/runtime/reply.ts';
import { type CardRow, insertEvents, jsonb, type MemoryDatabase, must, type TurnRow } from './database.ts';
import { closeWaiting, leaseTurn, leaveInInbox, type MemoryNeeds, takeNumbers } from './lease.ts';

/** The row as the gate and the wire know it. */
function rowOf(database: MemoryDatabase, card: CardRow): ApprovalRow {
  const effect = database.effects.get(`${card.turnId} ${card.toolCallId}`);
  return {
    id: card.id,
    card: jsonb(card.card),
    status: card.status,
    decision: card.decision,
    decided_by: card.decidedBy,
    decided_at: card.decidedAt,
    reason: card.reason,
    executed_args: jsonb(card.executedArgs),
    executed_hash: card.executedHash,
    effect_state: effect?.state ?? null,
    provider_ref: effect?.providerRef ?? null,
  };
}

function inOrder(cards: CardRow[]): CardRow[] {
  return cards.sort((one, other) => one.createdAt - other.createdAt || (one.id < other.id ? -1 : 1));
}

/** The pending cards of a conversation, oldest first. */
export function pendingOf(database: MemoryDatabase, threadId: string): Approval[] {
  const pending = [...database.cards.values()].filter(
    (card) => card.threadId === threadId && card.status === 'pending',
  );
  return inOrder(pending).map((card) => toApproval(rowOf(database, card)));
}

export function createMemoryApprovals({
  proposer,
  ...needs
}: MemoryNeeds & { proposer: Proposer }): Pick<Approvals, 'decide' | 'ofCall' | 'expire'> {
  const { database } = needs;

  /** Throws the refusal that a card which cannot be decided any more deserves. */
  function refuseDecided(card: CardRow): void {
    const approval = toApproval(rowOf(database, card));
    if (card.status === 'expired' || (card.status === 'pending' && card.expiresAt <= database.now()))
      throw new ServiceError('APPROVAL_EXPIRED', 'It has expired.', { facts: { approval } });
    if (card.status !== 'pending')
      throw new ServiceError('ALREADY_DECIDED', 'The first decision stands.', {
        facts: { approval, winner: approval },
      });
  }

  function expireOne(): boolean {
    const [card] = [...database.cards.values()]
      .filter((one) => one.status === 'pending' && one.expiresAt <= database.now())
      .sort((one, other) => one.expiresAt - other.expiresAt);
    if (card === undefined) return false;
    const turn = must(database.turns.get(card.turnId), 'turn');
    const siblings = [...database.cards.values()].filter(
      (one) => one.turnId === turn.id && one.status === 'pending' && one.id !== card.id,
    );
    if (turn.status === 'awaiting_approval' && siblings.length === 0) {
      closeWaiting(needs, turn, 'expired');
      return true;
    }
    card.status = 'expired';
    card.decidedAt = new Date(database.now());
    turn.decisions += 1;
    const ended: NewEvent = { type: 'approval-end', data: { approval_id: card.id, status: 'expired' } };
    if (turn.status === 'running') leaveInInbox(database, turn, [ended]);
    else tellExpired(card, turn, ended);
    return true;
  }

  function tellExpired(card: CardRow, turn: TurnRow, ended: NewEvent): void {
    const message = must(database.messages.get(turn.messageId), 'message');
    const mine = message.parts.filter(
      (part) =>
        (part.type === 'approval' && part.approval.approval_id === card.id) ||
        (part.type === 'tool' && part.tool_call_id === card.toolCallId),
    );
    const told = [ended, ...closingEvents(mine, 'expired').filter((event) => event.type === 'tool-end')];
    message.parts = jsonb(told.reduce<Part[]>(applyEvent, message.parts));
    message.content = contentOf(message.parts);
    const base = takeNumbers(database, turn.threadId, told.length);
    const rows = told.map((event, index) => toStored(needs, event, base + 1 + index, turn.id, null));
    insertEvents(database, turn.threadId, rows, null);
    turn.keptSeq = base + told.length;
  }

  return {
    async decide(caller, threadId, decisions, own, key = null) {
      if (!mayDecide(caller)) throw new ServiceError('FORBIDDEN', 'This caller may not decide.');
      const ids = decisions.map((one) => one.approval_id);
      if (new Set(ids).size < ids.length) throw new ServiceError('AMBIGUOUS_DECISION', 'Once each.');
      const edits = new Map<string, { args: Record<string, unknown>; hash: string }>();
      for (const { approval_id: id, decision, args, args_hash: hash } of decisions) {
        const card = database.cards.get(id);
        const turn = card === undefined ? undefined : database.turns.get(card.turnId);
        if (card?.threadId !== threadId || turn === undefined || turn.workspaceId !== caller.workspaceId)
          throw new ServiceError('NOT_FOUND', 'There is no such approval.');
        if (own && turn.userId !== caller.userId)
          throw new ServiceError('NOT_FOUND', 'There is no such approval.');
        if (card.status !== 'pending') refuseDecided(card);
        if (!card.card.allowed_decisions.includes(decision))
          throw new ServiceError('VALIDATION_ERROR', 'This decision does not fit the card.');
        if (decision === 'edit') {
          const shown = await proposer.propose(turn.caller, card.card, args ?? {}, turn.tainted);
          if (shown.args_hash !== hash) throw new ServiceError('APPROVAL_CHANGED', 'Another hash.');
          edits.set(id, { args: shown.args, hash });
        } else if (hash !== card.argsHash) throw new ServiceError('APPROVAL_CHANGED', 'Another hash.');
      }
      return database.transact(() => {
        const cards = ids.map((id) => must(database.cards.get(id), 'card'));
        const turn = must(database.turns.get(cards[0]?.turnId ?? ''), 'turn');
        for (const card of cards) {
          if (card.turnId !== turn.id) throw new ServiceError('NOT_FOUND', 'There is no such approval.');
          refuseDecided(card);
        }
        const decidedBy = principalOf(caller);
        const told = cards.map((card, index): NewEvent => {
          const { decision, reason } = must(decisions[index], 'decision');
          const edit = edits.get(card.id);
          card.status = decision === 'reject' ? 'rejected' : 'approved';
          card.decision = decision;
          card.decidedBy = decidedBy;
          card.decidedAt = new Date(database.now());
          card.reason = reason ?? null;
          card.executedArgs = edit === undefined ? null : jsonb(edit.args);
          card.executedHash = edit?.hash ?? null;
          const carriedOut = { args: edit?.args ?? card.card.args, args_hash: edit?.hash ?? card.argsHash };
          return {
            type: 'approval-end',
            data: {
              approval_id: card.id,
              status: card.status,
              decision,
              decided_by: decidedBy,
              decided_at: card.decidedAt.toISOString(),
              ...(reason === undefined ? {} : { reason }),
              ...(card.status === 'approved' ? carriedOut : {}),
            },
          };
        });
        turn.decisions += 1;
        const approvals = () => inOrder([...cards]).map((card) => toApproval(rowOf(database, card)));
        const keep = (begun: { runId: string; firstSeq: number }) => {
          if (key !== null) database.keys.push({ ...key, turnId: turn.id, begun });
        };
        if (turn.status === 'running') {
          leaveInInbox(database, turn, told);
          const lastSeq = database.events.get(threadId)?.at(-1)?.seq ?? 0;
          keep({ runId: turn.runId, firstSeq: lastSeq + 1 });
          return {
            kind: 'noted',
            threadId,
            turnId: turn.id,
            runId: turn.runId,
            lastSeq,
            approvals: approvals(),
          };
        }
        const leased = leaseTurn(needs, turn, 'resume', told);
        keep({ runId: leased.turn.runId, firstSeq: leased.events[0]?.seqFrom ?? leased.turn.nextSeq });
        return { kind: 'leased', ...leased, approvals: approvals() };
      });
    },

    ofCall: (turn, toolCallId) =>
      database.transact(() => {
        const cards = [...database.cards.values()].filter(
          (card) => card.turnId === turn.turnId && card.toolCallId === toolCallId,
        );
        const newest = inOrder(cards).at(-1);
        return newest === undefined ? null : rowOf(database, newest);
      }),

    expire: (limit) =>
      database.transact(() => {
        let count = 0;
        while (count < limit && expireOne()) count += 1;
        return count;
      }),
  };
}
