/** What is said of finding addresses (contract, tag email-finder). */

import { z } from 'zod';
import { queryBoolean } from '../../http/validation.ts';
import { verifyJobStatus } from '../email-verifier/schema.ts';
import { line } from '../text.ts';
import { domainName } from './domains.ts';

const words = line.trim().max(200);

const targetFields = z.strictObject({
  name: words.min(1),
  domain: domainName.nullish(),
  company: words.nullish(),
});

/** A name with a domain or a company. */
export const findTarget = targetFields.refine(
  ({ domain, company }) => (domain ?? '') !== '' || (company ?? '') !== '',
  { error: 'Give a domain or a company.', path: ['domain'] },
);
export type FindTarget = z.output<typeof findTarget>;

const pattern = z.object({
  pattern: z.string(),
  confidence: z.number(),
  /** Known addresses of the domain that were made by it. */
  known_addresses: z.int(),
});

const company = z.object({
  domain: z.string(),
  name: z.string().nullable(),
  known_addresses: z.int(),
});

export const personSearchResult = z.object({
  found: z.boolean(),
  profile: z
    .object({
      lead_id: z.uuid(),
      email: z.string(),
      name: z.string(),
      title: z.string().nullable(),
      company: z.string().nullable(),
      suppressed: z.boolean(),
    })
    .nullable(),
  predicted_emails: z.array(pattern.extend({ email: z.string() })),
  company: company.nullable(),
});
export type PersonSearchResult = z.output<typeof personSearchResult>;

/**
 * `result`: `known` stands in the workspace's own leads; `unverified` was made by a pattern that known addresses of the
 * domain show, and nobody has asked the mail server.
 */
export const findOutcome = z.object({
  found: z.boolean(),
  email: z.string().nullable(),
  pattern: z.string().nullable(),
  result: z.enum(['known', 'unverified']).nullable(),
  is_catch_all: z.null(),
  confidence: z.number().nullable(),
  error: z.string().nullable(),
});
export type FindOutcome = z.output<typeof findOutcome>;

export const emailJob = z.object({
  job_id: z.uuid(),
  status: z.literal('completed'),
  credits_charged: z.int(),
});

const findJobStatus = findOutcome.extend({
  job_id: z.uuid(),
  job_type: z.literal('find'),
  status: z.literal('completed'),
});

export const emailJobStatus = z.discriminatedUnion('job_type', [findJobStatus, verifyJobStatus]);

/** No lead here is without an address, so there is no dataset whose gaps could be filled. */
export const bulkFindBody = z.strictObject({
  rows: z.array(targetFields).min(1).max(200),
  dataset_id: z.null({ error: 'Filling a dataset is not possible here; leave this out.' }).optional(),
});

const skippedRow = z.object({ row_index: z.int(), name: z.string(), reason: z.string() });

export const bulkFindJob = z.object({
  job_id: z.uuid(),
  status: z.literal('completed'),
  total: z.int(),
  queued: z.int(),
  credits_charged: z.int(),
  skipped_unresolved: z.array(skippedRow),
});
export type BulkFindJob = z.output<typeof bulkFindJob>;

export const bulkStatusQuery = z.object({ include_rows: queryBoolean.default(true) });

export const bulkFindStatus = z.object({
  job_id: z.uuid(),
  status: z.literal('completed'),
  total: z.int(),
  completed: z.int(),
  found: z.int(),
  not_found: z.int(),
  failed: z.int(),
  rows: z.array(findJobStatus.extend({ row_index: z.int() })).nullable(),
});

export const companyProfile = z.object({
  domain: z.string(),
  name: z.string().nullable(),
  email_patterns: z.array(pattern),
  profile: z.object({ known_addresses: z.int() }),
});

export const finderStats = z.object({
  known_addresses: z.int(),
  known_domains: z.int(),
  searches: z.int(),
  found: z.int(),
});

export const finderHealth = z.object({ status: z.literal('ok'), verifier: z.literal(true) });
