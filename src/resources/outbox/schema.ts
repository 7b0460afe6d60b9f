/** What is said of the outbox: every mail that was, is or would be sent. */

import { z } from 'zod';

/** `sandbox`: kept here and never sent. `unknown`: it may have left, and is not sent again by itself. */
export const MAIL_STATUS = ['sandbox', 'queued', 'sending', 'sent', 'failed', 'unknown'] as const;

export const outboxMail = z.object({
  outbox_id: z.uuid(),
  from: z.string(),
  to: z.string(),
  subject: z.string(),
  body: z.string(),
  status: z.enum(MAIL_STATUS),
  /** Whether the mail was only kept: nothing left this machine. */
  sandbox: z.boolean(),
  message_id: z.string(),
  /** Whether somebody sent it to themselves to see what a card would send: no act of the agent, and no mail to a lead. */
  test: z.boolean(),
  lead_id: z.uuid().nullable(),
  turn_id: z.uuid().nullable(),
  error: z.object({ code: z.string(), message: z.string(), retryable: z.boolean() }).nullable(),
  created_at: z.iso.datetime(),
  sent_at: z.iso.datetime().nullable(),
});
export type OutboxMail = z.output<typeof outboxMail>;

export const listOutboxQuery = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(500).optional(),
});

export const outboxList = z.object({
  mails: z.array(outboxMail),
  items: z.array(outboxMail),
  total: z.int(),
  next_cursor: z.string().nullable(),
  has_more: z.boolean(),
});
