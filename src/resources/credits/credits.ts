/** Deeds of credits: the balance, the ledger, an estimate, and what work reserves, captures and releases. */

import type { Selectable } from 'kysely';
import type { z } from 'zod';
import type { Database } from '../../db/database.ts';
import type { CreditTransactionTable } from '../../db/tables.ts';
import { ServiceError } from '../../errors.ts';
import type { Cursors } from '../../http/cursors.ts';
import type { Caller } from '../../runtime/caller.ts';
import { behind, madeAt, pageOf } from '../newest-first.ts';
import { operationOf, PRICES } from './prices.ts';
import { createReservations } from './reservations.ts';
import {
  type CreditBalance,
  type CreditTransaction,
  type creditEstimate,
  creditTransaction,
  type estimateBody,
  type listTransactionsQuery,
  type transactionList,
} from './schema.ts';

export interface CreditNeeds {
  database: Database;
  cursors: Cursors;
  newId(): string;
}

export type Credits = ReturnType<typeof createCredits>;

export function createCredits({ database, cursors, newId }: CreditNeeds) {
  return {
    ...createReservations({ newId }),

    /** The workspace's credits: `available` may be spent now, `total` is everything it ever got less what came back. */
    balance(caller: Caller): Promise<CreditBalance> {
      return database.within(caller.workspaceId, async (tx) => {
        const account = await tx.selectFrom('credit_accounts').selectAll().executeTakeFirst();
        const { balance, reserved, used } = account ?? { balance: 0, reserved: 0, used: 0 };
        return {
          total_credits: balance + reserved + used,
          used_credits: used,
          available_credits: balance,
          current_package: null,
          packages: [],
        };
      });
    },

    /** The ledger, newest first. */
    transactions(
      caller: Caller,
      query: z.output<typeof listTransactionsQuery>,
    ): Promise<z.output<typeof transactionList>> {
      return database.within(caller.workspaceId, async (tx) => {
        let all = tx.selectFrom('credit_transactions');
        if (query.operation_type !== undefined && query.operation_type !== '') {
          const known = operationOf(query.operation_type);
          all = all.where('operation_type', '=', known ?? query.operation_type);
        }
        if (query.transaction_type !== undefined) {
          all = all.where('transaction_type', '=', query.transaction_type);
        }
        const { total } = await all
          .select((row) => row.fn.countAll<string>().as('total'))
          .executeTakeFirstOrThrow();
        const sorted = all
          .selectAll()
          .select(madeAt.as('made_at'))
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc');
        const found = await (query.cursor === undefined
          ? sorted.offset(query.offset)
          : sorted.where(behind(cursors, query.cursor))
        )
          .limit(query.limit + 1)
          .execute();
        const { rows, ...rest } = pageOf(cursors, found, query.limit);
        const items = rows.map(toTransaction);
        return {
          transactions: items,
          items,
          total: Number(total),
          limit: query.limit,
          offset: query.offset,
          ...rest,
        };
      });
    },

    /** What an operation would cost; throws `VALIDATION_ERROR` for one that has no price. */
    estimate(input: z.output<typeof estimateBody>): z.output<typeof creditEstimate> {
      const operation = operationOf(input.operation_type);
      if (operation === null) {
        throw new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
          details: [
            {
              loc: ['body', 'operation_type'],
              msg: `This operation has no price. Known are: ${Object.keys(PRICES).join(', ')}.`,
              type: 'unknown_operation',
            },
          ],
        });
      }
      const unitCost = PRICES[operation];
      const count = input.operation_count;
      return {
        credits_required: unitCost * count,
        operation_type: operation,
        operation_count: count,
        pricing_mode: 'per_operation',
        unit_cost: unitCost,
        tier_discount: null,
        breakdown: { unit_cost: unitCost, operation_count: count },
      };
    },
  };
}

function toTransaction(row: Selectable<CreditTransactionTable>): CreditTransaction {
  return {
    id: row.id,
    // The table's check names the same four.
    transaction_type: creditTransaction.shape.transaction_type.parse(row.transaction_type),
    operation_type: row.operation_type,
    amount: row.amount,
    balance_after: row.balance_after,
    description: row.description,
    created_at: row.created_at.toISOString(),
  };
}
