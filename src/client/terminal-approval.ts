/** Puts one approval before a person in a terminal: the card, the question, the decision. */

import type { Client } from './client.ts';
import { ClientError } from './errors.ts';
import type { Approval, Decision, DecisionKind } from './events.ts';
import type { Teller } from './teller.ts';
import { approvalCard, hasMorePreviews, oneLine, previewText } from './terminal-text.ts';

/** `gone`: it was decided elsewhere, changed or expired; what still waits has to be read again. */
export type ApprovalOutcome = 'decided' | 'gone' | 'later';

export interface ApprovalNeeds {
  client: Pick<Client, 'decide' | 'preview'>;
  teller: Teller;
  /** As `Terminal.ask`. */
  ask(question: string, fresh?: boolean): Promise<string | null>;
  tellError(error: unknown): void;
}

/** The letter of each decision and its label, in the order asked. */
const CHOICES: [letter: string, decision: DecisionKind, label: string][] = [
  ['a', 'approve', '[a]pprove'],
  ['r', 'reject', '[r]eject'],
  ['e', 'edit', '[e]dit'],
  ['d', 'mark_done', '[d]one'],
  ['f', 'mark_failed', '[f]ailed'],
  ['t', 'retry', '[t]ry again'],
];

/** Asks until the approval is decided or put off. The end of the input puts it off. */
export async function askApproval(needs: ApprovalNeeds, approval: Approval): Promise<ApprovalOutcome> {
  needs.teller.line('');
  needs.teller.write(approvalCard(approval, Date.now()));
  const choices = CHOICES.filter(([, decision]) => approval.allowed_decisions.includes(decision));
  const more = hasMorePreviews(approval);
  const labels = [...choices.map(([, , label]) => label), ...(more ? ['[v]iew'] : []), '[l]ater'];
  for (;;) {
    const answer = (await needs.ask(`${labels.join(' / ')}: `, true))?.trim().toLowerCase();
    if (answer === undefined || answer === 'l' || answer === 'later') return 'later';
    if (more && (answer === 'v' || answer === 'view')) needs.teller.write(previewText(approval));
    const [, decision] = choices.find(([letter, name]) => answer === letter || answer === name) ?? [];
    if (decision === undefined) continue;
    if (decision !== 'edit') return decide(needs, approval, decision);
    const outcome = await edit(needs, approval);
    if (outcome !== 'back') return outcome;
  }
}

async function decide(
  needs: ApprovalNeeds,
  approval: Approval,
  decision: DecisionKind,
): Promise<ApprovalOutcome> {
  const reason = decision === 'reject' ? (await needs.ask('Reason (may be empty): '))?.trim() : '';
  return record(needs, approval, { decision, args_hash: approval.args_hash, ...(reason ? { reason } : {}) });
}

async function record(
  needs: ApprovalNeeds,
  approval: Approval,
  decision: Decision,
): Promise<ApprovalOutcome> {
  try {
    await needs.client.decide(approval.thread_id, approval.approval_id, decision);
    return 'decided';
  } catch (error) {
    needs.tellError(error);
    return error instanceof ClientError && (error.status === 409 || error.status === 410) ? 'gone' : 'later';
  }
}

/** Changes arguments one by one; each change is shown with its new facts before it can be approved. */
async function edit(needs: ApprovalNeeds, approval: Approval): Promise<ApprovalOutcome | 'back'> {
  const { ask, client, teller } = needs;
  let args = approval.args;
  for (;;) {
    const fields = fieldNames(approval, args);
    for (const field of fields) {
      teller.line(`  ${field} = ${oneLine(JSON.stringify(args[field]) ?? '(not set)', 200)}`);
    }
    const field = (await ask('Field to change (empty: back): '))?.trim() ?? '';
    if (field === '') return 'back';
    if (!fields.includes(field)) {
      teller.line(`There is no field "${field}".`);
      continue;
    }
    const changed = withTyped(args, field, await ask(`New value of ${field}, as JSON: `));
    if (changed === null) {
      teller.line('That is not JSON; nothing was changed.');
      continue;
    }
    try {
      const shown = await client.preview(approval.thread_id, approval.approval_id, changed);
      args = shown.args ?? changed;
      teller.write(approvalCard({ ...approval, ...shown }, Date.now()));
      const answer = (await ask('[a]pprove as changed / [e]dit more / [b]ack: ', true))?.trim().toLowerCase();
      if (answer === 'a') {
        return await record(needs, approval, { decision: 'edit', args, args_hash: shown.args_hash });
      }
      if (answer !== 'e') return 'back';
    } catch (error) {
      needs.tellError(error);
    }
  }
}

function fieldNames(approval: Approval, args: Record<string, unknown>): string[] {
  const { properties } = approval.args_schema;
  const known = typeof properties === 'object' && properties !== null ? Object.keys(properties) : [];
  return [...new Set([...known, ...Object.keys(args)])];
}

/** The arguments with one value as typed; words for a field that holds words need no quotes. Null where it is neither. */
function withTyped(
  args: Record<string, unknown>,
  field: string,
  typed: string | null,
): Record<string, unknown> | null {
  if (typed === null) return null;
  const holdsWords = typeof args[field] === 'string';
  try {
    const value: unknown = JSON.parse(typed);
    return { ...args, [field]: holdsWords && typeof value !== 'string' ? typed : value };
  } catch {
    return holdsWords ? { ...args, [field]: typed } : null;
  }
}
