/** The effects ledger: one row for each call that does something, so that doing it again is a replay, or a question. */

import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import { whileDatabaseReturns } from '../../db/pipeline.ts';
import { ERROR_STATUS, type ErrorFact, ServiceError } from '../../errors.ts';
import type { EffectClass, EffectState } from '../../runtime/events.ts';
import type { LeasedTurn } from '../../runtime/ports.ts';
import type { LeaseNeeds } from './lease.ts';

/** What the ledger needs to know of a call. */
export interface EffectCall {
  toolCallId: string;
  tool: string;
  effectClass: EffectClass;
  argsHash: string;
  approvalId: string | null;
}

export interface LedgerRow {
  state: EffectState;
  attempt: number;
  /** The card under which the last attempt was made; null where nobody was asked. */
  approvalId: string | null;
  /** The lease under which the last attempt was begun. */
  epoch: number;
  providerKey: string;
  providerRef: string | null;
  result: unknown;
  error: ErrorFact | null;
}

export type Ledger = ReturnType<typeof createLedger>;

export interface LedgerNeeds extends Pick<LeaseNeeds, 'now' | 'leaseSeconds'> {
  database: Database;
}

/** Makes the ledger. While the database is away each of its steps is repeated, so that what was done is not told as a fault. */
export function createLedger({ database, ...patience }: LedgerNeeds) {
  /**
   * Locks the turn's row, which fences a zombie: it waits for a takeover in flight and then finds another epoch.
   * A turn that shall be cancelled starts no new effect.
   */
  async function fence(tx: WorkspaceTransaction, turn: LeasedTurn): Promise<void> {
    const row = await tx
      .selectFrom('turns')
      .select(['lease_epoch', 'status', 'cancel_requested_at'])
      .where('id', '=', turn.turnId)
      .forShare()
      .executeTakeFirst();
    if (row === undefined || row.lease_epoch !== turn.epoch || row.status !== 'running') {
      throw new ServiceError('LEASE_LOST', 'Another process goes on with this turn.');
    }
  }

  async function refuseCancelled(tx: WorkspaceTransaction, turn: LeasedTurn): Promise<void> {
    const row = await tx
      .selectFrom('turns')
      .select('cancel_requested_at')
      .where('id', '=', turn.turnId)
      .executeTakeFirst();
    if (row?.cancel_requested_at != null) {
      throw new ServiceError('TURN_NOT_LIVE', 'Cancelled before it was carried out. Nothing was done.');
    }
  }

  async function readWithin(
    tx: WorkspaceTransaction,
    turn: LeasedTurn,
    toolCallId: string,
  ): Promise<LedgerRow | null> {
    const row = await tx
      .selectFrom('effects')
      .selectAll()
      .where('turn_id', '=', turn.turnId)
      .where('tool_call_id', '=', toolCallId)
      .executeTakeFirst();
    if (row === undefined) return null;
    return {
      state: row.state as EffectState,
      attempt: row.attempt,
      approvalId: row.approval_id,
      epoch: row.lease_epoch,
      providerKey: row.provider_key,
      providerRef: row.provider_ref,
      result: row.result === null ? null : row.result.value,
      error: toErrorFact(row.error),
    };
  }

  async function insertWithin(
    tx: WorkspaceTransaction,
    turn: LeasedTurn,
    call: EffectCall,
    state: EffectState,
    result: unknown,
  ): Promise<void> {
    await tx
      .insertInto('effects')
      .values({
        turn_id: turn.turnId,
        tool_call_id: call.toolCallId,
        workspace_id: turn.workspaceId,
        tool: call.tool,
        effect_class: call.effectClass,
        args_hash: call.argsHash,
        approval_id: call.approvalId,
        state,
        provider_key: providerKey(turn, call),
        result: result === undefined ? null : JSON.stringify({ value: result }),
        credits: capturedFor(turn, call.toolCallId),
        lease_epoch: turn.epoch,
      })
      .execute();
  }

  function inTransaction<T>(turn: LeasedTurn, work: (tx: WorkspaceTransaction) => Promise<T>): Promise<T> {
    return whileDatabaseReturns(patience, () => database.within(turn.workspaceId, work));
  }

  return {
    read(turn: LeasedTurn, toolCallId: string): Promise<LedgerRow | null> {
      return inTransaction(turn, (tx) => readWithin(tx, turn, toolCallId));
    },

    /** The credits that the turn's calls have captured so far. */
    spent(turn: LeasedTurn): Promise<number> {
      return inTransaction(turn, async (tx) => {
        const { credits } = await tx
          .selectFrom('effects')
          .select((row) => row.fn.coalesce(row.fn.sum<string>('credits'), sql<string>`0`).as('credits'))
          .where('turn_id', '=', turn.turnId)
          .executeTakeFirstOrThrow();
        return Number(credits);
      });
    },

    /**
     * Work in our own database: it commits with its row, exactly once. Throws `LEASE_LOST`, or what `work` throws (then
     * nothing is kept).
     */
    inside(
      turn: LeasedTurn,
      call: EffectCall,
      work: (tx: WorkspaceTransaction) => Promise<unknown>,
    ): Promise<unknown> {
      return inTransaction(turn, async (tx) => {
        await fence(tx, turn);
        const before = await readWithin(tx, turn, call.toolCallId);
        if (before?.state === 'done') return before.result;
        await refuseCancelled(tx, turn);
        const result = await work(tx);
        await insertWithin(tx, turn, call, 'done', result);
        return result;
      });
    },

    /**
     * Work outside, first half: records the intent together with what `work` writes. Answers the row as it was, when an
     * earlier attempt left one; `done` when there is nothing outside to do.
     */
    intend(
      turn: LeasedTurn,
      call: EffectCall,
      work: (tx: WorkspaceTransaction) => Promise<{ done: unknown } | { act: true }>,
    ): Promise<{ before: LedgerRow } | { done: unknown } | { act: true }> {
      let tries = 0;
      return inTransaction(turn, async (tx) => {
        tries += 1;
        await fence(tx, turn);
        const before = await readWithin(tx, turn, call.toolCallId);
        // The commit of the try before this one got through although its answer was lost: nothing was acted on yet.
        if (before?.state === 'intended' && before.epoch === turn.epoch && tries > 1) return { act: true };
        if (before !== null) return { before };
        await refuseCancelled(tx, turn);
        const intent = await work(tx);
        if ('done' in intent) await insertWithin(tx, turn, call, 'done', intent.done);
        else await insertWithin(tx, turn, call, 'intended', undefined);
        return intent;
      });
    },

    /** Starts another attempt of an effect that is not done, under the card that allows it; throws `LEASE_LOST`. */
    again(turn: LeasedTurn, toolCallId: string, approvalId: string | null): Promise<void> {
      return inTransaction(turn, async (tx) => {
        await fence(tx, turn);
        await tx
          .updateTable('effects')
          .set((row) => ({
            state: 'intended',
            error: null,
            attempt: row('attempt', '+', 1),
            approval_id: approvalId,
            lease_epoch: turn.epoch,
            updated_at: new Date(),
          }))
          .where('turn_id', '=', turn.turnId)
          .where('tool_call_id', '=', toolCallId)
          .where('state', 'in', ['intended', 'unknown', 'failed'])
          .execute();
      });
    },

    /** Second half: records how it ended together with what `work` writes; answers the call's result. Throws `LEASE_LOST`. */
    settle(
      turn: LeasedTurn,
      toolCallId: string,
      outcome: { state: 'done' | 'failed' | 'unknown'; providerRef?: string | null; error?: ErrorFact },
      work: (tx: WorkspaceTransaction) => Promise<unknown>,
    ): Promise<unknown> {
      return inTransaction(turn, async (tx) => {
        await fence(tx, turn);
        const result = await work(tx);
        await tx
          .updateTable('effects')
          .set({
            state: outcome.state,
            provider_ref: outcome.providerRef ?? null,
            result: result === undefined ? null : JSON.stringify({ value: result }),
            error: outcome.error === undefined ? null : JSON.stringify(outcome.error),
            credits: capturedFor(turn, toolCallId),
            updated_at: new Date(),
          })
          .where('turn_id', '=', turn.turnId)
          .where('tool_call_id', '=', toolCallId)
          .where('state', '<>', 'done')
          .execute();
        return result;
      });
    },
  };
}

/** What a call's credits are reserved under (credits/reservations.ts), the same for every attempt. */
export function callReference({ turnId, toolCallId }: { turnId: string; toolCallId: string }): string {
  return `call:${turnId}:${toolCallId}`;
}

/** What was captured for the call, as its row says it: read where it is written, so that the two cannot differ. */
function capturedFor({ turnId }: LeasedTurn, toolCallId: string) {
  const reference = callReference({ turnId, toolCallId });
  return sql<number>`coalesce((select captured from credit_reservations where reference = ${reference}), 0)`;
}

/** Our key for the provider: made of our own ids, never of the model's, and the same for every attempt. */
export function providerKey(
  turn: Pick<LeasedTurn, 'workspaceId' | 'turnId'>,
  call: Pick<EffectCall, 'toolCallId' | 'tool' | 'argsHash'>,
): string {
  return createHash('sha256')
    .update([turn.workspaceId, turn.turnId, call.toolCallId, call.tool, call.argsHash].join('\n'))
    .digest('hex');
}

function toErrorFact(row: Record<string, unknown> | null): ErrorFact | null {
  if (row === null) return null;
  const { code, message, retryable } = row;
  const known = typeof code === 'string' && code in ERROR_STATUS;
  return {
    code: known ? (code as ErrorFact['code']) : 'TOOL_FAILED',
    message: String(message),
    retryable: retryable === true,
  };
}
