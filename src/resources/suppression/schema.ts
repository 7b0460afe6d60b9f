/** What is said of the do-not-contact list. */

import { z } from 'zod';
import { line, text } from '../text.ts';

export const emailAddress = z.email().max(254);

export const suppressionEntry = z.object({
  entry_id: z.uuid(),
  email: z.string(),
  reason: z.string().nullable(),
  source: z.string().nullable(),
  created_at: z.iso.datetime(),
});
export type SuppressionEntry = z.output<typeof suppressionEntry>;

export const addSuppressionBody = z.strictObject({
  email: emailAddress,
  reason: text.max(500).nullish(),
});

export const listSuppressionQuery = z.object({
  limit: z.coerce.number().int().min(1).max(500).default(100),
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0),
  cursor: z.string().max(500).optional(),
  search: line.max(254).optional(),
});

export const suppressionList = z.object({
  entries: z.array(suppressionEntry),
  items: z.array(suppressionEntry),
  total: z.int(),
  next_cursor: z.string().nullable(),
  has_more: z.boolean(),
});
