/** The effects ledger in memory: the twin of resources/turns/effects.ts. What tools write themselves is theirs to keep. */

import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely';
import type { WorkspaceTransaction } from '../../../src/db/database.ts';
import type { Tables } from '../../../src/db/tables.ts';
import { ServiceError } from '../../../src/errors.ts';
import { type EffectCall, type Ledger, providerKey } from '../../../src/resources/turns/effects.ts';
import type { EffectState } from '../../../src/runtime/events.ts';
import type { LeasedTurn } from '../../../src/runtime/ports.ts';
import { type EffectRow, jsonb, type MemoryDatabase } from './database.ts';

export function createMemoryLedger({ database }: { database: MemoryDatabase }): Ledger {
  /** Gives tools a transaction in which every statement answers nothing. */
  const nowhere = new Kysely<Tables>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (kysely) => new PostgresIntrospector(kysely),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  });

  function within<T>(work: (tx: WorkspaceTransaction) => Promise<T>): Promise<T> {
    return nowhere.transaction().execute(work);
  }

  function fence(turn: LeasedTurn): void {
    const row = database.turns.get(turn.turnId);
    if (row?.leaseEpoch !== turn.epoch || row.status !== 'running')
      throw new ServiceError('LEASE_LOST', 'Another process goes on with this turn.');
  }

  function refuseCancelled(turn: LeasedTurn): void {
    if (database.turns.get(turn.turnId)?.cancelRequested === true)
      throw new ServiceError('TURN_NOT_LIVE', 'Cancelled before it was carried out. Nothing was done.');
  }

  function find(turn: LeasedTurn, toolCallId: string): EffectRow | null {
    return database.effects.get(`${turn.turnId} ${toolCallId}`) ?? null;
  }

  function insert(turn: LeasedTurn, call: EffectCall, state: EffectState, result: unknown): void {
    database.effects.set(`${turn.turnId} ${call.toolCallId}`, {
      turnId: turn.turnId,
      call,
      state,
      attempt: 1,
      approvalId: call.approvalId,
      epoch: turn.epoch,
      providerKey: providerKey(turn, call),
      providerRef: null,
      result: result === undefined ? null : jsonb(result),
      error: null,
    });
  }

  function told(row: EffectRow) {
    const { turnId: _turn, call: _call, ...rest } = row;
    return jsonb(rest);
  }

  return {
    read: (turn, toolCallId) =>
      database.transact(() => {
        const row = find(turn, toolCallId);
        return row === null ? null : told(row);
      }),

    spent: () => database.transact(() => 0),

    inside: (turn, call, work) =>
      database.transact(async () => {
        fence(turn);
        const before = find(turn, call.toolCallId);
        if (before?.state === 'done') return before.result;
        refuseCancelled(turn);
        const result = await within(work);
        insert(turn, call, 'done', result);
        return result;
      }),

    intend: (turn, call, work) =>
      database.transact(async () => {
        fence(turn);
        const before = find(turn, call.toolCallId);
        if (before !== null) return { before: told(before) };
        refuseCancelled(turn);
        const intent = await within(work);
        if ('done' in intent) insert(turn, call, 'done', intent.done);
        else insert(turn, call, 'intended', undefined);
        return intent;
      }),

    again: (turn, toolCallId, approvalId) =>
      database.transact(() => {
        fence(turn);
        const row = find(turn, toolCallId);
        if (row === null || row.state === 'done') return;
        Object.assign(row, {
          state: 'intended',
          error: null,
          attempt: row.attempt + 1,
          approvalId,
          epoch: turn.epoch,
        });
      }),

    settle: (turn, toolCallId, outcome, work) =>
      database.transact(async () => {
        fence(turn);
        const result = await within(work);
        const row = find(turn, toolCallId);
        if (row === null || row.state === 'done') return result;
        row.state = outcome.state;
        row.providerRef = outcome.providerRef ?? null;
        row.result = result === undefined ? null : jsonb(result);
        row.error = outcome.error ?? null;
        return result;
      }),
  };
}
