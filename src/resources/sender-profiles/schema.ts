/** What is said of sender profiles: who writes, and the prompts they write with. */

import { z } from 'zod';
import { emailAddress } from '../suppression/schema.ts';
import { isStorableJson, line, text } from '../text.ts';

/** Contract, x-policies.limits.sender_profiles_per_user. */
export const PROFILES_PER_USER = 5;
export const PROMPTS_PER_PROFILE = 50;
/** Bytes of `sender_data` as JSON. */
export const SENDER_DATA_LIMIT = 64 * 1024;

/** Names that stand for the other sources of a prompt, so that no named prompt can hide them. */
const RESERVED_PROMPT_NAMES = ['default', 'custom_prompt'];

const promptName = line
  .trim()
  .min(1)
  .max(100)
  .refine(
    (name) => !RESERVED_PROMPT_NAMES.includes(name.toLowerCase()),
    'This name is reserved; choose another.',
  );
const promptText = text.min(100).max(5000);

export const namedPrompt = z.object({
  name: z.string(),
  prompt: z.string(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
});
export type NamedPrompt = z.output<typeof namedPrompt>;

/** The bare object that requests carry: the known fields are checked, all others are kept as they are. */
export const senderData = z
  .looseObject({
    from_name: line.max(200).nullish(),
    from_email: emailAddress.nullish(),
    postal_address: text.max(1000).nullish(),
    custom_prompt: text.max(32_000).nullish(),
    prompts: z
      .array(
        z.strictObject({
          name: promptName,
          prompt: promptText,
          created_at: z.iso.datetime().optional(),
          updated_at: z.iso.datetime().optional(),
        }),
      )
      .max(PROMPTS_PER_PROFILE)
      .refine(
        (prompts) => new Set(prompts.map((prompt) => prompt.name)).size === prompts.length,
        'Two prompts have the same name.',
      )
      .nullish(),
  })
  .refine(isStorableJson, 'sender_data is nested too deeply or holds characters that cannot be kept.');

/** As it stands in the table: prompts have their times. */
export type SenderData = Omit<z.output<typeof senderData>, 'prompts'> & { prompts?: NamedPrompt[] | null };

export const senderProfile = z.object({
  id: z.uuid(),
  user_id: z.string(),
  profile_name: z.string(),
  description: z.string().nullable(),
  sender_data: z.object({ data: z.record(z.string(), z.unknown()) }),
  is_default: z.boolean(),
  usage_count: z.int(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
});
export type SenderProfile = z.output<typeof senderProfile>;

const profileName = line.trim().min(1).max(100);

export const createSenderProfileBody = z.strictObject({
  profile_name: profileName,
  sender_data: senderData,
  description: text.max(500).nullish(),
  is_default: z.boolean().default(false),
});

/** Only what is given changes; null changes nothing except in `description`, which it empties. */
export const updateSenderProfileBody = z.strictObject({
  profile_name: profileName.nullish(),
  sender_data: senderData.nullish(),
  description: text.max(500).nullish(),
  is_default: z.boolean().nullish(),
});

export const listSenderProfilesQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(100),
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0),
});

export const searchSenderProfilesQuery = z.object({
  query: text.min(1).max(100),
  limit: z.coerce.number().int().min(1).max(100).default(20),
});

export const createPromptBody = z.strictObject({ name: promptName, prompt: promptText });

export const updatePromptBody = z.strictObject({ name: promptName.nullish(), prompt: promptText.nullish() });

export const savePromptBody = z.strictObject({
  sender_profile_id: z.string().max(100),
  prompt: promptText,
  save_as_name: promptName.nullable().default('saved'),
});
