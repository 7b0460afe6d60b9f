/** What is said of an address (contract, tag email-finder: verify). */

import { z } from 'zod';
import { emailAddress } from '../suppression/schema.ts';

/**
 * `valid`: nothing known speaks against it and its domain takes mail. `risky`: mail may not arrive, or should not be sent.
 * `invalid`: mail cannot arrive. `unknown`: it could not be found out.
 */
export const verdictName = z.enum(['valid', 'risky', 'invalid', 'unknown']);
export type VerdictName = z.output<typeof verdictName>;

/** Whether the mailbox itself is known, which the domain's records cannot tell: a mail came from it, or one to it was refused. */
export const mailboxState = z.enum(['confirmed', 'unconfirmed', 'refused']);

export const reason = z.object({ code: z.string(), message: z.string() });
export type Reason = z.output<typeof reason>;

export const verdict = z.object({
  verdict: verdictName,
  mailbox: mailboxState,
  /** The gravest first. */
  reasons: z.array(reason),
});
export type Verdict = z.output<typeof verdict>;

/** How a verification is kept as a job and answered: the contract's fields, then ours. */
export const verifyOutcome = z.object({
  found: z.null(),
  email: z.string(),
  pattern: z.null(),
  result: verdictName,
  is_catch_all: z.null(),
  confidence: z.null(),
  /** Why the result is `unknown`, else null. */
  error: z.string().nullable(),
  mailbox: mailboxState,
  reasons: z.array(reason),
  credits: z.int(),
});
export type VerifyOutcome = z.output<typeof verifyOutcome>;

export const verifyJobStatus = verifyOutcome.extend({
  job_id: z.uuid(),
  job_type: z.literal('verify'),
  status: z.literal('completed'),
});

export const verifyBody = z.strictObject({ email: emailAddress });

export const verifyAnswer = z.object({
  /** Whether the answer was known here, so that nothing was looked up and nothing is charged. */
  cached: z.boolean(),
  job_id: z.uuid(),
  status: z.literal('completed'),
  credits_charged: z.int(),
  result: verifyJobStatus,
});
export type VerifyAnswer = z.output<typeof verifyAnswer>;
