/** What is said of personalization: the preview of one mail, and the prompts that it may be written by. */

import { z } from 'zod';
import { isStorableJson, text } from '../text.ts';

const fields = z
  .record(z.string(), z.unknown())
  .refine(isStorableJson, 'This object is nested too deeply or holds characters that cannot be kept.');

/** `dataset_id`, `row_index` and `force_refresh_research` belong to a cache of research that this service does not have. */
export const previewBody = z
  .strictObject({
    lead_data: fields,
    sender_profile_id: z.string().max(100).nullish(),
    sender_data: fields.nullish(),
    custom_prompt: text.min(100).max(5000).nullish(),
    research_context: text.max(20_000).nullish(),
    dataset_id: z.string().max(100).nullish(),
    row_index: z.int().min(0).nullish(),
    force_refresh_research: z.boolean().default(false),
  })
  .refine((body) => typeof body.sender_profile_id === 'string' || (body.sender_data ?? null) !== null, {
    error: 'Name a sender_profile_id, or give sender_data.',
    path: ['sender_data'],
  });

export const previewResult = z.object({
  subject: z.string(),
  email_body: z.string(),
  commonality: z.object({ text: z.string(), supporting_evidence: z.array(z.string()) }).nullable(),
  prompt_source: z.string(),
  model_used: z.string(),
  latency_ms: z.int(),
  research_sources: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      summary: z.string(),
      meta: z.record(z.string(), z.unknown()),
      from_cache: z.boolean(),
    }),
  ),
  research_chars: z.int(),
  research_latency_ms: z.int(),
  research_from_cache: z.boolean(),
  research_cached_at: z.string().nullable(),
  /** `checks`: what is wrong with the mail, a sentence each; empty where every statement stands on a field. */
  research_meta: z.object({ checks: z.array(z.string()) }),
});
export type PreviewResult = z.output<typeof previewResult>;

export const defaultPrompt = z.object({ prompt: z.string(), prompt_source: z.literal('default') });

export const effectivePromptQuery = z.object({ sender_profile_id: z.string().max(100).optional() });

export const effectivePrompt = z.object({
  prompt: z.string(),
  prompt_source: z.enum(['named', 'custom_prompt', 'default']),
  prompt_name: z.string().nullable(),
  sender_profile_id: z.string().nullable(),
});
export type EffectivePrompt = z.output<typeof effectivePrompt>;
