/** What is said of the lead finder's batches (contract, tag lead-finder). */

import { z } from 'zod';
import { queryBoolean } from '../../http/validation.ts';
import { datasetName } from '../datasets/schema.ts';
import { line } from '../text.ts';

/** The `source_type` of a dataset that a batch fills. The built-in source does not look there: it would find its own finds. */
export const FOUND = 'lead_finder';

const NAME_LIMIT = 500;
const CRITERIA_LIMIT = 20;

const words = line.trim().max(200);

const criteriaFields = {
  company: words.nullish().describe('Company, or a part of its name.'),
  title: words.nullish().describe('Job title; other ways to say it are found too.'),
  location: words.nullish().describe('City or country.'),
};

export const wishedPerson = z.strictObject({ name: words.min(1), ...criteriaFields });

export const wishedCriteria = z
  .strictObject({
    ...criteriaFields,
    keywords: words.nullish().describe('Words that may stand anywhere.'),
    limit: z.int().min(1).max(100).default(25).describe('How many leads at most.'),
  })
  .refine((one) => [one.company, one.title, one.location, one.keywords].some((part) => (part ?? '') !== ''), {
    error: 'Say at least one of company, title, location and keywords.',
  });

/** Names to profiles, or criteria to leads. */
export const batchBody = z
  .strictObject({
    names: z.array(wishedPerson).min(1).max(NAME_LIMIT).optional(),
    criteria: z.array(wishedCriteria).min(1).max(CRITERIA_LIMIT).optional(),
    dataset_name: datasetName.nullish(),
  })
  .refine(({ names, criteria }) => (names === undefined) !== (criteria === undefined), {
    error: 'Give names or criteria.',
    path: ['names'],
  });
export type BatchBody = z.output<typeof batchBody>;

const sessionStatus = z.enum(['queued', 'processing', 'completed', 'failed']);

export const batch = z.object({
  session_id: z.uuid(),
  dataset_id: z.uuid(),
  status: sessionStatus,
  total: z.int(),
  /** Price of the source: 0 in the workspace's own datasets. */
  credits_reserved: z.int(),
  source: z.string(),
});
export type Batch = z.output<typeof batch>;

export const batchStatusQuery = z.object({ include_results: queryBoolean.default(true) });

const batchResult = z.object({
  /** Of the name or criterion in the request. */
  row_index: z.int(),
  /** Of the person, as they were found; else as they were wished for. */
  name: z.string().nullable(),
  linkedin_url: z.string().nullable(),
  status: z.enum(['queued', 'found', 'not_found', 'failed']),
  confidence: z.number().nullable(),
  lead_id: z.string().nullable(),
  email: z.string().nullable(),
  company: z.string().nullable(),
  title: z.string().nullable(),
  city: z.string().nullable(),
  country: z.string().nullable(),
  error: z.string().nullable(),
});
export type BatchResult = z.output<typeof batchResult>;

export const batchStatus = z.object({
  session_id: z.uuid(),
  dataset_id: z.uuid().nullable(),
  status: sessionStatus,
  total: z.int(),
  processed: z.int(),
  found: z.int(),
  not_found: z.int(),
  failed: z.int(),
  progress_percentage: z.number(),
  credits_reserved: z.int(),
  credits_charged: z.int(),
  results: z.array(batchResult).nullable(),
});
export type BatchStatus = z.output<typeof batchStatus>;

/** A profile as a row keeps it; what was stored is ours, so only its shape is stated. */
export const storedProfile = z.object({
  lead_id: z.string().nullable(),
  email: z.string().nullable(),
  first_name: z.string().nullable(),
  last_name: z.string().nullable(),
  company: z.string().nullable(),
  title: z.string().nullable(),
  city: z.string().nullable(),
  country: z.string().nullable(),
  website: z.string().nullable(),
  linkedin_url: z.string().nullable(),
  suppressed: z.boolean(),
  confidence: z.number(),
  matched: z.array(z.enum(['name', 'company', 'title', 'location', 'keywords'])),
});
