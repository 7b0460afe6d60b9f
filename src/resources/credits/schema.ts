/** What is said of credits: the balance, its ledger, and what an operation would cost. */

import { z } from 'zod';

export const creditBalance = z.object({
  total_credits: z.int(),
  used_credits: z.int(),
  available_credits: z.int(),
  current_package: z.null(),
  packages: z.array(z.record(z.string(), z.unknown())),
});
export type CreditBalance = z.output<typeof creditBalance>;

const transactionType = z.enum(['consumption', 'refund', 'purchase', 'adjustment']);

export const creditTransaction = z.object({
  id: z.uuid(),
  transaction_type: transactionType,
  operation_type: z.string().nullable(),
  amount: z.int(),
  balance_after: z.int(),
  description: z.string().nullable(),
  created_at: z.iso.datetime(),
});
export type CreditTransaction = z.output<typeof creditTransaction>;

export const listTransactionsQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(50),
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0),
  cursor: z.string().max(500).optional(),
  operation_type: z
    .string()
    .max(100)
    .regex(/^[\w .:-]*$/)
    .optional(),
  transaction_type: transactionType.optional(),
});

export const transactionList = z.object({
  transactions: z.array(creditTransaction),
  items: z.array(creditTransaction),
  total: z.int(),
  limit: z.int(),
  offset: z.int(),
  next_cursor: z.string().nullable(),
  has_more: z.boolean(),
});

/** `file_size_mb` and `user_tier` are taken for compatibility; no price here depends on them. */
export const estimateBody = z.strictObject({
  operation_type: z.string().min(1).max(100),
  operation_count: z.int().min(1).max(1_000_000).default(1),
  file_size_mb: z.number().min(0).nullish(),
  user_tier: z.string().max(100).nullish(),
});

export const creditEstimate = z.object({
  credits_required: z.int(),
  operation_type: z.string(),
  operation_count: z.int(),
  pricing_mode: z.literal('per_operation'),
  unit_cost: z.int(),
  tier_discount: z.null(),
  breakdown: z.object({ unit_cost: z.int(), operation_count: z.int() }),
});
