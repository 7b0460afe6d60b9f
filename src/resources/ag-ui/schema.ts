/** What AG-UI's clients send: of it only the new words and the decisions are taken. */

import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { DECISIONS } from '../../runtime/events.ts';
import type { CardAnswer } from '../chat/answers.ts';
import { externalId } from '../external-threads/external-threads.ts';
import { line } from '../text.ts';

/** Clients send their whole history, of which all but the end is dropped. */
export const AG_UI_BODY_LIMIT = 8 * 1024 * 1024;

export const agUiBody = z.looseObject({
  threadId: externalId,
  runId: externalId,
  /** Clients before 1.0 do not name it. */
  protocolVersion: z.string().optional(),
  messages: z
    .array(z.looseObject({ id: z.string(), role: z.string(), content: z.unknown().optional() }))
    .max(10_000)
    .default([]),
  resume: z
    .array(
      z.object({
        interruptId: z.uuid('Name the id of a pending interrupt.'),
        status: z.enum(['resolved', 'cancelled']),
        payload: z.unknown().optional(),
      }),
    )
    .max(50)
    .nullish(),
});
export type AgUiBody = z.output<typeof agUiBody>;

export const agUiParams = z.object({ thread_id: externalId });

/** A user's message at the end of the history. */
export interface NewWords {
  id: string;
  text: string;
}

const textPart = z.object({ type: z.literal('text'), text: z.string() });

/** The user's message that ends the history; null where it ends with anything else. Throws `VALIDATION_ERROR`. */
export function wordsOf({ messages }: AgUiBody): NewWords | null {
  const last = messages.at(-1);
  if (last?.role !== 'user') return null;
  const id = line.min(1).max(100).safeParse(last.id);
  const content = z.union([z.string(), z.array(textPart)]).safeParse(last.content);
  if (!id.success) throw faulty(messages.length - 1, 'id', 'A message id may have at most 100 characters.');
  if (!content.success) throw faulty(messages.length - 1, 'content', 'A message can hold text only.');
  const text =
    typeof content.data === 'string' ? content.data : content.data.map((part) => part.text).join('\n');
  return { id: id.data, text };
}

function faulty(index: number, field: string, msg: string): ServiceError {
  return new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
    details: [{ loc: ['body', 'messages', index, field], msg, type: 'unsupported' }],
  });
}

const payload = z.union([
  z.boolean().transform((approved) => ({ approved })),
  z.object({
    approved: z.boolean(),
    reason: z.string().max(2000).optional(),
    edited_args: z.record(z.string(), z.unknown()).optional(),
    args_hash: z.string().optional(),
  }),
  z.object({
    decision: z.enum(DECISIONS),
    reason: z.string().max(2000).optional(),
    edited_args: z.record(z.string(), z.unknown()).optional(),
    args_hash: z.string().optional(),
  }),
]);

/** The decisions in a resume: what was cancelled is rejected. Throws `VALIDATION_ERROR`. */
export function answersOf(resume: NonNullable<AgUiBody['resume']>): CardAnswer[] {
  return resume.map((entry, index): CardAnswer => {
    const approvalId = entry.interruptId;
    if (entry.status === 'cancelled')
      return { approvalId, decision: 'reject', reason: 'Cancelled by the user.' };
    const said = payload.safeParse(entry.payload);
    if (!said.success) {
      throw new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
        details: [
          {
            loc: ['body', 'resume', index, 'payload'],
            msg: 'Answer with {"approved": true | false, "reason"?, "edited_args"?}, or {"decision": …} as the responseSchema says.',
            type: 'invalid_answer',
          },
        ],
      });
    }
    const { reason, edited_args, args_hash } = {
      reason: undefined,
      edited_args: undefined,
      args_hash: undefined,
      ...said.data,
    };
    const edits = edited_args === undefined ? {} : { args: edited_args, argsHash: args_hash };
    const decision =
      'decision' in said.data
        ? said.data.decision
        : !said.data.approved
          ? 'reject'
          : edited_args === undefined
            ? 'approve'
            : 'edit';
    return { approvalId, decision, ...(decision === 'edit' ? edits : {}), reason };
  });
}
