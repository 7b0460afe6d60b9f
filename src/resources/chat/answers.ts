/** Answers to cards as other protocols spell them: by the card alone, without the hash that our own page echoes. */

import { ServiceError } from '../../errors.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { Approval, Decision } from '../../runtime/events.ts';
import type { Begun } from '../../runtime/turn.ts';
import type { Approvals } from '../approvals/approvals.ts';
import type { NamedDecision } from '../approvals/schema.ts';
import type { Chat } from './chat.ts';

/** What a person said of one card. A card never changes, so its id stands for the hash of what was shown. */
export interface CardAnswer {
  approvalId: string;
  decision: Decision;
  /** The changed arguments of an edit. */
  args?: Record<string, unknown> | undefined;
  /** Of an edit whose new facts were looked at by a preview. */
  argsHash?: string | undefined;
  reason?: string | undefined;
}

export type AnswerCards = ReturnType<typeof createAnswerCards>;

export function createAnswerCards({ chat, approvals }: { chat: Chat; approvals: Approvals }) {
  /**
   * Records the answers, all or none, in the caller's own conversation. Null where each of them was given before in the
   * same words: clients repeat themselves. Throws the refusals of a decision.
   */
  return async (caller: Caller, threadId: string, answers: readonly CardAnswer[]): Promise<Begun | null> => {
    const decisions: NamedDecision[] = [];
    for (const answer of answers) {
      const card = await approvals.get(caller, threadId, answer.approvalId);
      if (!isRepeated(card, answer)) decisions.push(await decisionOf(caller, threadId, card, answer));
    }
    if (decisions.length === 0) return null;
    const resume = { decisions };
    return chat.send(caller, { thread_id: threadId, message: '', on_pending: 'refuse', resume }, undefined);
  };

  async function decisionOf(
    caller: Caller,
    threadId: string,
    card: Approval,
    answer: CardAnswer,
  ): Promise<NamedDecision> {
    const { approvalId, decision, args, argsHash, reason } = answer;
    const said = { approval_id: approvalId, ...(reason === undefined ? {} : { reason }) };
    if (decision !== 'edit') return { ...said, decision, args_hash: card.args_hash };
    if (argsHash !== undefined) return { ...said, decision, args, args_hash: argsHash };
    const preview = await approvals.preview(caller, threadId, approvalId, args ?? {});
    if (preview.args_hash === card.args_hash) {
      return { ...said, decision: 'approve', args_hash: card.args_hash };
    }
    refuseUnseen(card, preview, args ?? {});
    return { ...said, decision, args, args_hash: preview.args_hash };
  }
}

function isRepeated(card: Approval, { decision, args }: CardAnswer): boolean {
  if (decision === 'approve') return card.decision === 'approve';
  if (decision === 'reject') return card.decision === 'reject';
  return card.decision === decision && args === undefined;
}

/**
 * Most protocols have no second look before an edit is carried out. What the person typed they have seen; any other fact
 * that the edit changes (whose address a lead has, what it costs) must be shown first, so such an edit is refused.
 */
function refuseUnseen(card: Approval, preview: Approval, args: Record<string, unknown>): void {
  const typed = new Set(Object.values(args).map((value) => String(value)));
  const shown = new Set(card.facts.map(({ label, value }) => `${label}\n${value}`));
  const unseen = preview.facts.filter(
    ({ label, value }) => !shown.has(`${label}\n${value}`) && !typed.has(value),
  );
  const warned = new Set(card.warnings.map(({ code, message }) => `${code} ${message}`));
  const worse = preview.warnings.filter(
    ({ code, message, severity }) => severity === 'high' && !warned.has(`${code} ${message}`),
  );
  if (unseen.length === 0 && worse.length === 0) return;
  throw new ServiceError(
    'APPROVAL_CHANGED',
    'This edit changes more than what was typed. Look at the new facts and send the edit again with their args_hash.',
    { facts: { preview } },
  );
}
