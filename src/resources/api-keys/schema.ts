/** What is said of API keys. */

import { z } from 'zod';
import { SCOPES } from '../../runtime/caller.ts';
import { line } from '../text.ts';

export const KEYS_PER_WORKSPACE = 20;
/** How much of a key is shown after its creation. */
export const SHOWN_CHARACTERS = 17;

export const apiKey = z.object({
  id: z.uuid(),
  name: z.string(),
  key_prefix: z.string(),
  sandbox: z.boolean(),
  /** null: all of them. */
  scopes: z.array(z.string()).nullable(),
  created_at: z.iso.datetime(),
  last_used_at: z.iso.datetime().nullable(),
});
export type ApiKey = z.output<typeof apiKey>;

/** `key` is shown this once. */
export const apiKeyCreated = apiKey.extend({ key: z.string() });
export type ApiKeyCreated = z.output<typeof apiKeyCreated>;

export const createApiKeyBody = z.strictObject({
  name: line.trim().min(1).max(100),
  /** Left out: all scopes. */
  scopes: z
    .array(z.enum(SCOPES))
    .min(1)
    .max(SCOPES.length)
    .refine((scopes) => new Set(scopes).size === scopes.length, 'A scope is named twice.')
    .nullish(),
  sandbox: z.boolean().default(false),
});

export const apiKeyList = z.object({
  keys: z.array(apiKey),
  items: z.array(apiKey),
  count: z.int(),
  tier_limit: z.int(),
  next_cursor: z.null(),
  has_more: z.literal(false),
});
