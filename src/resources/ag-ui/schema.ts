/** What AG-UI's clients send: of it only the new words and the decisions are taken. */

import { z } from 'zod';
import { DECISIONS, type Decision } from '../../runtime/events.ts';
import { args, argsHash, reason } from '../approvals/schema.ts';
import type { CardAnswer } from '../chat/answers.ts';
import { externalId } from '../external-threads/external-threads.ts';
import { faulty, HISTORY_LENGTH, type NewWords, readWords } from '../external-threads/words.ts';

export const agUiBody = z.looseObject({
  threadId: externalId,
  runId: externalId,
  /** Clients before 1.0 do not name it. */
  protocolVersion: z.string().optional(),
  messages: z
    .array(z.looseObject({ id: z.string(), role: z.string(), content: z.unknown().optional() }))
    .max(HISTORY_LENGTH)
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

/** The user's message that ends the history; null where it ends with anything else. Throws `VALIDATION_ERROR`. */
export function wordsOf({ messages }: AgUiBody): NewWords | null {
  const last = messages.at(-1);
  if (last?.role !== 'user') return null;
  return readWords({ id: last.id, content: last.content }, ['messages', messages.length - 1]);
}

const details = { reason, edited_args: args.optional(), args_hash: argsHash.optional() };
const payload = z.union([
  z.boolean().transform((approved) => ({ approved })),
  z.object({ approved: z.boolean(), ...details }),
  z.object({ decision: z.enum(DECISIONS), ...details }),
]);

/** The decisions in a resume: what was cancelled is rejected. Throws `VALIDATION_ERROR`. */
export function answersOf(resume: NonNullable<AgUiBody['resume']>): CardAnswer[] {
  return resume.map((entry, index): CardAnswer => {
    const approvalId = entry.interruptId;
    if (entry.status === 'cancelled')
      return { approvalId, decision: 'reject', reason: 'Cancelled by the user.' };
    const said = payload.safeParse(entry.payload);
    if (!said.success) {
      throw faulty(
        ['resume', index, 'payload'],
        'Answer with {"approved": true | false, "reason"?, "edited_args"?}, or {"decision": …} as the responseSchema says.',
        'invalid_answer',
      );
    }
    const answer = { reason: undefined, edited_args: undefined, args_hash: undefined, ...said.data };
    const decision = decisionOf(answer);
    const edits = decision === 'edit' ? { args: answer.edited_args, argsHash: answer.args_hash } : {};
    return { approvalId, decision, ...edits, reason: answer.reason };
  });
}

function decisionOf(answer: { decision?: Decision; approved?: boolean; edited_args?: unknown }): Decision {
  if (answer.decision !== undefined) return answer.decision;
  if (answer.approved !== true) return 'reject';
  return answer.edited_args === undefined ? 'approve' : 'edit';
}
