/** The effects ledger: one row for each call that does something, so that doing it again is a replay, or a question. */

import { createHash } from 'node:crypto';
import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import { ERROR_STATUS, type ErrorFact, ServiceError } from '../../errors.ts';
import type { EffectClass, EffectState } from '../../runtime/events.ts';
import type { LeasedTurn } from '../../runtime/ports.ts';

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
  providerKey: string;
  providerRef: string | null;
  result: unknown;
  error: ErrorFact | null;
}

export type Ledger = ReturnType<typeof createLedger>;

export function createLedger({ database }: { database: Database }) {
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
        lease_epoch: turn.epoch,
      })
      .execute();
  }

  return {
    read(turn: LeasedTurn, toolCallId: string): Promise<LedgerRow | null> {
      return database.within(turn.workspaceId, (tx) => readWithin(tx, turn, toolCallId));
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
      return database.within(turn.workspaceId, async (tx) => {
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
      return database.within(turn.workspaceId, async (tx) => {
        await fence(tx, turn);
        const before = await readWithin(tx, turn, call.toolCallId);
        if (before !== null) return { before };
        await refuseCancelled(tx, turn);
        const intent = await work(tx);
        if ('done' in intent) await insertWithin(tx, turn, call, 'done', intent.done);
        else await insertWithin(tx, turn, call, 'intended', undefined);
        return intent;
      });
    },

    /** Starts another attempt of an effect that is not done; throws `LEASE_LOST`. */
    again(turn: LeasedTurn, toolCallId: string): Promise<void> {
      return database.within(turn.workspaceId, async (tx) => {
        await fence(tx, turn);
        await tx
          .updateTable('effects')
          .set((row) => ({
            state: 'intended',
            error: null,
            attempt: row('attempt', '+', 1),
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
      return database.within(turn.workspaceId, async (tx) => {
        await fence(tx, turn);
        const result = await work(tx);
        await tx
          .updateTable('effects')
          .set({
            state: outcome.state,
            provider_ref: outcome.providerRef ?? null,
            result: result === undefined ? null : JSON.stringify({ value: result }),
            error: outcome.error === undefined ? null : JSON.stringify(outcome.error),
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
