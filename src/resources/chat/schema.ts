/** What the chat takes and what it answers when no stream is wanted. */

import { z } from 'zod';
import { approvalShape, resumeBody } from '../approvals/schema.ts';
import { messageShape } from '../conversations/schema.ts';
import { isStorableJson, line, text } from '../text.ts';

/** Bytes of JSON that a page may send along. */
const PAGE_CONTEXT_LIMIT = 16 * 1024;

export const messageText = text.max(10_000, 'A message may have at most 10,000 characters.');
export const clientMessageId = line.min(1).max(100);

export const chatBody = z
  .strictObject({
    thread_id: z.uuid().nullish(),
    message: messageText.default(''),
    client_message_id: clientMessageId.optional(),
    page_context: z
      .record(z.string(), z.unknown())
      .refine(isStorableJson, {
        error: 'page_context holds a character that cannot be kept, or is nested too deeply.',
        // What is nested without end cannot even be measured.
        abort: true,
      })
      .refine(
        (context) => JSON.stringify(context).length <= PAGE_CONTEXT_LIMIT,
        'page_context may have at most 16 KiB.',
      )
      .optional(),
    resume: resumeBody.nullish(),
    on_pending: z.enum(['refuse', 'supersede']).default('refuse'),
  })
  .superRefine((body, context) => {
    const speaks = body.message.trim() !== '';
    if (speaks && body.resume != null) {
      context.addIssue({
        code: 'custom',
        path: ['resume'],
        message: 'Send a message or a resume, not both.',
      });
    }
    if (!speaks && body.resume == null) {
      context.addIssue({
        code: 'custom',
        path: ['message'],
        message: 'Send a message, or a resume that answers what is pending.',
      });
    }
    if (body.resume != null && body.thread_id == null) {
      context.addIssue({
        code: 'custom',
        path: ['thread_id'],
        message: 'A resume needs the thread_id it answers in.',
      });
    }
  });
export type ChatBody = z.output<typeof chatBody>;

export const cancelBody = z.strictObject({ turn_id: z.uuid().optional() });

export const streamQuery = z.object({
  after: z
    .string()
    .regex(/^\d{1,15}$/, 'Digits: the number behind which to begin.')
    .optional(),
  until: z.enum(['idle']).optional(),
});

export const chatAnswer = z.object({
  thread_id: z.uuid(),
  turn_id: z.uuid(),
  run_id: z.uuid(),
  status: z.string(),
  messages: z.array(messageShape),
  approvals: z.array(approvalShape),
  usage: z.record(z.string(), z.number()).nullable(),
  error: z.looseObject({ code: z.string(), message: z.string() }).nullish(),
});

export const acceptedAnswer = z.object({
  thread_id: z.uuid(),
  turn_id: z.uuid(),
  run_id: z.uuid(),
  status: z.string(),
});
