/** What the AI SDK's chat transport sends: of it only the new words and the answers to cards are taken. */

import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import type { CardAnswer } from '../chat/answers.ts';
import { externalId } from '../external-threads/external-threads.ts';
import { line } from '../text.ts';

/** Clients send their whole history, of which all but the end is dropped. */
export const AI_SDK_BODY_LIMIT = 8 * 1024 * 1024;

const uiMessage = z.looseObject({
  id: z.string(),
  role: z.string(),
  parts: z.array(z.looseObject({ type: z.string() })).max(10_000),
});
type SentMessage = z.output<typeof uiMessage>;

export const aiSdkBody = z.looseObject({
  id: externalId,
  messages: z.array(uiMessage).max(10_000).optional(),
  /** Pages that send the last message only. */
  message: uiMessage.optional(),
  trigger: z.enum(['submit-message', 'regenerate-message']).default('submit-message'),
  messageId: z.string().optional(),
});
export type AiSdkBody = z.output<typeof aiSdkBody>;

export const aiSdkParams = z.object({ thread_id: externalId });

export interface NewWords {
  id: string;
  text: string;
}

/** The user's message that ends what was sent; null where it ends with an answer's. Throws `VALIDATION_ERROR`. */
export function wordsOf(body: AiSdkBody): NewWords | null {
  const last = body.message ?? body.messages?.at(-1);
  if (last === undefined) throw faulty(['messages'], 'Send the messages, or the last message.');
  if (last.role !== 'user') return null;
  const id = line.min(1).max(100).safeParse(last.id);
  if (!id.success) throw faulty(['messages', 'id'], 'A message id may have at most 100 characters.');
  if (last.parts.some((part) => part.type === 'file'))
    throw faulty(['messages', 'parts'], 'A message can hold text only; import files as datasets.');
  const text = last.parts
    .flatMap((part) => (part.type === 'text' && typeof part.text === 'string' ? [part.text] : []))
    .join('\n');
  if (text.trim() === '') throw faulty(['messages', 'parts'], 'The last message is empty.');
  return { id: id.data, text };
}

const answered = z.looseObject({
  state: z.literal('approval-responded'),
  approval: z.object({
    id: z.uuid(),
    approved: z.boolean(),
    reason: z.string().max(2000).optional(),
  }),
});

/** The answers in the message that is to be continued: nothing else of its parts is looked at. */
export function answersOf(body: AiSdkBody): CardAnswer[] {
  const sent: SentMessage[] = body.messages ?? (body.message === undefined ? [] : [body.message]);
  const message = sent.find(({ id }) => id === body.messageId) ?? sent.at(-1);
  return (message?.parts ?? []).flatMap((part): CardAnswer[] => {
    const found = answered.safeParse(part);
    if (!found.success) return [];
    const { id: approvalId, approved, reason } = found.data.approval;
    return [{ approvalId, decision: approved ? 'approve' : 'reject', reason }];
  });
}

export function faulty(loc: string[], msg: string): ServiceError {
  return new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
    details: [{ loc: ['body', ...loc], msg, type: 'unsupported' }],
  });
}
