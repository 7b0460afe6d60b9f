/** What the AI SDK's chat transport sends: of it only the new words and the answers to cards are taken. */

import { z } from 'zod';
import { reason } from '../approvals/schema.ts';
import type { CardAnswer } from '../chat/answers.ts';
import { externalId } from '../external-threads/external-threads.ts';
import { faulty, HISTORY_LENGTH, type NewWords, readWords } from '../external-threads/words.ts';

const uiMessage = z.looseObject({
  id: z.string(),
  role: z.string(),
  parts: z.array(z.looseObject({ type: z.string() })).max(HISTORY_LENGTH),
});
type SentMessage = z.output<typeof uiMessage>;

export const aiSdkBody = z.looseObject({
  id: externalId,
  messages: z.array(uiMessage).max(HISTORY_LENGTH).optional(),
  /** Pages that send the last message only. */
  message: uiMessage.optional(),
  trigger: z.enum(['submit-message', 'regenerate-message']).default('submit-message'),
  messageId: z.string().optional(),
});
export type AiSdkBody = z.output<typeof aiSdkBody>;

/** The user's message that ends what was sent; null where it ends with an answer's. Throws `VALIDATION_ERROR`. */
export function wordsOf(body: AiSdkBody): NewWords | null {
  const last = body.message ?? body.messages?.at(-1);
  if (last === undefined) throw faulty(['messages'], 'Send the messages, or the last message.');
  if (last.role !== 'user') return null;
  const content = last.parts.filter(({ type }) => type === 'text' || type === 'file');
  const place = body.message === undefined ? ['messages', (body.messages?.length ?? 1) - 1] : ['message'];
  return readWords({ id: last.id, content }, place);
}

const answered = z.looseObject({
  state: z.literal('approval-responded'),
  approval: z.object({
    id: z.uuid(),
    approved: z.boolean(),
    reason,
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
