/** What is said of mails that came back. */

import { z } from 'zod';
import { line } from '../text.ts';

/** `reply`: a person wrote it; `auto_reply`: a machine answered, such as an out-of-office; `bounce`: it did not arrive. */
export const REPLY_KINDS = ['reply', 'auto_reply', 'bounce'] as const;

/** Characters that are kept. */
export const TEXT_LIMIT = 20_000;
export const SUBJECT_LIMIT = 500;
export const NAME_LIMIT = 200;
/** Bytes that one mail may have. */
export const MAIL_LIMIT = 5 * 1024 * 1024;

export const reply = z.object({
  reply_id: z.uuid(),
  kind: z.enum(REPLY_KINDS),
  from_email: z.string().nullable(),
  from_name: z.string().nullable(),
  subject: z.string(),
  /** As plain text. A stranger wrote it. */
  text: z.string(),
  /** How many parts were not kept. */
  attachments: z.int(),
  message_id: z.string(),
  /** The mail that it answers, its campaign and its lead; null where none is known. */
  outbox_id: z.uuid().nullable(),
  campaign_id: z.uuid().nullable(),
  campaign_lead_id: z.uuid().nullable(),
  lead_id: z.uuid().nullable(),
  bounce: z
    .object({
      type: z.enum(['hard', 'soft']),
      status: z.string().nullable(),
      recipient: z.string().nullable(),
    })
    .nullable(),
  received_at: z.iso.datetime(),
});
export type Reply = z.output<typeof reply>;

export const listRepliesQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: z.string().max(500).optional(),
  campaign_id: z.uuid().optional(),
  kind: z.enum(REPLY_KINDS).optional(),
  since: z.iso.datetime({ offset: true }).optional(),
  q: line.max(200).optional(),
});

export const replyList = z.object({
  replies: z.array(reply),
  items: z.array(reply),
  total: z.int(),
  next_cursor: z.string().nullable(),
  has_more: z.boolean(),
});
