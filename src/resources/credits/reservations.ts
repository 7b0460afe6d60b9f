/**
 * Credits set aside for work, taken for what it brought, given back for the rest; each step inside the transaction of
 * what it pays for. The ledger moves with the balance: the sum of a workspace's transactions is what it can spend.
 */

import { sql } from 'kysely';
import type { WorkspaceTransaction } from '../../db/database.ts';
import { ServiceError } from '../../errors.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { OperationType } from './prices.ts';

/** Whose credits they are. */
export type Payer = Pick<Caller, 'workspaceId'>;

export interface Reserve {
  /** Whole credits; with 0 nothing is set aside. */
  credits: number;
  operation: OperationType;
  /** What is paid for, unique in the workspace: the same reference reserves once. */
  reference: string;
  /** For the ledger. */
  description: string;
}

export type Reservations = ReturnType<typeof createReservations>;

export function createReservations({ newId }: { newId(): string }) {
  /** Locks the account before anything else, so that two steps of one workspace never wait for each other in a circle. */
  async function lockAccount(tx: WorkspaceTransaction): Promise<{ balance: number }> {
    const account = await tx.selectFrom('credit_accounts').select('balance').forUpdate().executeTakeFirst();
    return account ?? { balance: 0 };
  }

  async function book(
    tx: WorkspaceTransaction,
    payer: Payer,
    entry: { type: 'consumption' | 'refund'; operation: string; amount: number; description: string },
  ): Promise<void> {
    const { balance } = await tx
      .updateTable('credit_accounts')
      .set((row) => ({
        balance: row('balance', '+', entry.amount),
        reserved: row('reserved', '-', entry.amount),
      }))
      .where('workspace_id', '=', payer.workspaceId)
      .returning('balance')
      .executeTakeFirstOrThrow();
    await tx
      .insertInto('credit_transactions')
      .values({
        id: newId(),
        workspace_id: payer.workspaceId,
        transaction_type: entry.type,
        operation_type: entry.operation,
        amount: entry.amount,
        balance_after: balance,
        description: entry.description,
        // The transaction may have begun long before it got the account: the ledger is in the order of its balances.
        created_at: sql<Date>`clock_timestamp()`,
      })
      .execute();
  }

  function reservationOf(tx: WorkspaceTransaction, reference: string) {
    return tx
      .selectFrom('credit_reservations')
      .select(['operation_type', 'credits', 'captured', 'released'])
      .where('reference', '=', reference)
      .executeTakeFirst();
  }

  return {
    /**
     * Throws `NOT_ENOUGH_CREDITS` where so many could not be reserved at this moment; changes nothing. What is reserved
     * under the reference already is affordable.
     */
    async refuseUnaffordableWithin(
      tx: WorkspaceTransaction,
      { credits, reference }: { credits: number; reference: string },
    ): Promise<void> {
      if (credits === 0 || (await reservationOf(tx, reference)) !== undefined) return;
      const account = await tx.selectFrom('credit_accounts').select('balance').executeTakeFirst();
      refuse(credits, account?.balance ?? 0);
    },

    /** Sets credits aside; again with the same reference changes nothing. Throws `NOT_ENOUGH_CREDITS` with what is missing. */
    async reserveWithin(tx: WorkspaceTransaction, payer: Payer, input: Reserve): Promise<void> {
      const { credits, operation, reference, description } = input;
      whole(credits);
      if (credits === 0) return;
      const { balance } = await lockAccount(tx);
      if ((await reservationOf(tx, reference)) !== undefined) return;
      refuse(credits, balance);
      await tx
        .insertInto('credit_reservations')
        .values({ workspace_id: payer.workspaceId, reference, operation_type: operation, credits })
        .execute();
      await book(tx, payer, { type: 'consumption', operation, amount: -credits, description });
    },

    /**
     * Takes reserved credits for good: `credits` is what the work cost so far in all, so again with the same number
     * changes nothing. Throws where more is taken than is set aside under the reference.
     */
    async captureWithin(
      tx: WorkspaceTransaction,
      payer: Payer,
      { reference, credits }: { reference: string; credits: number },
    ): Promise<void> {
      whole(credits);
      if (credits === 0) return;
      await lockAccount(tx);
      const held = await reservationOf(tx, reference);
      if (held === undefined || credits > held.credits - held.released) {
        throw new Error('more credits are captured than were reserved');
      }
      const more = credits - held.captured;
      if (more <= 0) return;
      await tx
        .updateTable('credit_reservations')
        .set({ captured: credits })
        .where('reference', '=', reference)
        .execute();
      await tx
        .updateTable('credit_accounts')
        .set((row) => ({ reserved: row('reserved', '-', more), used: row('used', '+', more) }))
        .where('workspace_id', '=', payer.workspaceId)
        .execute();
    },

    /** Gives back what was set aside and not taken; answers how much that was. Again, or of what was never reserved: 0. */
    async releaseWithin(
      tx: WorkspaceTransaction,
      payer: Payer,
      { reference }: { reference: string },
    ): Promise<number> {
      // Work that costs nothing must not wait for the account.
      if ((await reservationOf(tx, reference)) === undefined) return 0;
      await lockAccount(tx);
      const held = await reservationOf(tx, reference);
      const rest = held === undefined ? 0 : held.credits - held.captured - held.released;
      if (held === undefined || rest === 0) return 0;
      await tx
        .updateTable('credit_reservations')
        .set((row) => ({ released: row('released', '+', rest) }))
        .where('reference', '=', reference)
        .execute();
      await book(tx, payer, {
        type: 'refund',
        operation: held.operation_type,
        amount: rest,
        description: 'Reserved and not used',
      });
      return rest;
    },
  };
}

function refuse(required: number, available: number): void {
  if (required <= available) return;
  const missing = required - available;
  throw new ServiceError(
    'NOT_ENOUGH_CREDITS',
    `This needs ${required} credits and ${available} are available: ${missing} are missing. Nothing was reserved.`,
    { facts: { required, available, missing } },
  );
}

function whole(credits: number): void {
  if (!Number.isSafeInteger(credits) || credits < 0) throw new Error('credits are whole and not negative');
}
