/** What an approval card says beyond what the service wrote: the button's words, the numbers that need care, how it ended. */

import type { Approval, Fact, ToolPart, Warning } from '../../src/client/events.ts';
import { absolute } from './days.ts';
import { amountsOf } from './facts.ts';

/** Above these a number must be typed before the button works (research: ui.md §4.9). */
const MANY_RECIPIENTS = 500;
const BIG_SHARE = 0.25;
const LAST_HOUR_MS = 3_600_000;

/** The number that a person must type first, and what it counts; null where a click is enough. `available`: credits, where the card names no balance. */
export function numberToType(
  approval: Approval,
  available: number | null,
): { number: number; what: string } | null {
  const { recipients, credits, balance } = amountsOf(approval.facts);
  const held = balance ?? available;
  if (recipients !== null && recipients > MANY_RECIPIENTS) return { number: recipients, what: 'recipients' };
  if (credits !== null && held !== null && credits > 0 && credits > held * BIG_SHARE) {
    return { number: credits, what: 'credits' };
  }
  return null;
}

/** The primary button: it names the act and never says "OK". */
export function actLabel(approval: Approval): string {
  const { recipients, credits } = amountsOf(approval.facts);
  const leads = (count: number) => `${count.toLocaleString()} ${count === 1 ? 'lead' : 'leads'}`;
  switch (approval.tool) {
    case 'send_email':
      return `Send to ${nameIn(approval.preview[0]?.to ?? factOf(approval.facts, 'To') ?? 'one person')}`;
    case 'launch_campaign':
      return recipients === null ? 'Launch campaign' : `Launch to ${leads(recipients)}`;
    case 'resume_campaign':
      return recipients === null ? 'Resume campaign' : `Resume for ${leads(recipients)}`;
    default:
      if (credits !== null && credits > 0)
        return `Spend ${credits.toLocaleString()} ${credits === 1 ? 'credit' : 'credits'}`;
      return approval.title.length <= 44 ? approval.title : 'Approve';
  }
}

/** The button while the act goes on, and with edits. */
export function actVerb(approval: Approval): { doing: string; withEdits: string } {
  if (approval.tool === 'send_email') return { doing: 'Sending…', withEdits: 'Send with edits' };
  if (approval.tool === 'launch_campaign') return { doing: 'Launching…', withEdits: 'Launch with edits' };
  return { doing: 'Working…', withEdits: 'Approve with edits' };
}

function factOf(facts: readonly Fact[], label: string): string | undefined {
  return facts.find((fact) => fact.label === label)?.value;
}

/** The name in `Name <address>`, else the address. */
export function nameIn(mailbox: string): string {
  const name = /^\s*"?([^"<]*?)"?\s*<[^>]+>\s*$/.exec(mailbox)?.[1];
  return name !== undefined && name !== '' ? name : mailbox.replaceAll(/[<>]/g, '').trim();
}

export type Grade = 'blocked' | 'warning' | 'note' | 'ok';

/** How a warning is shown: words and an icon, never colour alone. */
export function gradeOf(warning: Warning): Grade {
  if (/^(BLOCKED|PREFLIGHT_BLOCKED)/.test(warning.code)) return 'blocked';
  return warning.severity === 'low' ? 'note' : 'warning';
}

/** Whether a tick is asked for before it can be approved. */
export function needsTick(approval: Approval): boolean {
  return approval.warnings.some((warning) => warning.severity === 'high');
}

export type Expiry = 'far' | 'near' | 'over';

export function expiryOf(approval: Approval, now: number): Expiry {
  const left = Date.parse(approval.expires_at) - now;
  if (left <= 0) return 'over';
  return left < LAST_HOUR_MS ? 'near' : 'far';
}

export interface Outcome {
  tone: 'good' | 'bad' | 'quiet' | 'busy';
  words: string;
}

/**
 * What became of a decided card. `call` is its tool call, where the page has it; `next` the kind of the card that was
 * asked after it for the same call: its end is told there.
 */
export function outcomeOf(
  approval: Approval,
  call: ToolPart | undefined,
  next: Approval['kind'] | null = null,
): Outcome {
  if (approval.status === 'approved' && next === 'proposal') {
    return {
      tone: 'quiet',
      words: 'It had changed before it could be done. Nothing was done; a new card asks again.',
    };
  }
  if (approval.status === 'approved' && next === 'outcome') {
    return { tone: 'quiet', words: 'How it ended is not known; the next card asks.' };
  }
  switch (approval.status) {
    case 'pending':
      return { tone: 'busy', words: 'Waits for a decision.' };
    case 'rejected':
      return { tone: 'quiet', words: 'Nothing was sent, spent or changed.' };
    case 'expired':
      return { tone: 'quiet', words: 'Nobody decided in time. Nothing was done.' };
    case 'superseded':
      return { tone: 'quiet', words: 'Given up before a decision. Nothing was done.' };
    case 'approved':
      return approvedOutcome(approval, call);
  }
}

function approvedOutcome(approval: Approval, call: ToolPart | undefined): Outcome {
  if (call !== undefined && call.status !== 'running') {
    if (call.status === 'ok') return { tone: 'good', words: doneWords(approval, call.result) };
    if (call.status === 'unknown') return { tone: 'bad', words: 'It is not known whether this happened.' };
    return { tone: 'bad', words: call.error?.message ?? 'This did not happen.' };
  }
  switch (approval.effect?.state) {
    case 'done':
      return { tone: 'good', words: doneWords(approval, undefined) };
    case 'failed':
      return { tone: 'bad', words: 'This failed. Nothing was done.' };
    case 'unknown':
      return { tone: 'bad', words: 'It is not known whether this happened.' };
    default:
      return { tone: 'busy', words: actVerb(approval).doing };
  }
}

function doneWords(approval: Approval, result: unknown): string {
  const facts = new Map<string, unknown>(
    Object.entries(typeof result === 'object' && result !== null ? result : {}),
  );
  const recipients = facts.get('recipients');
  switch (approval.tool) {
    case 'send_email':
      return facts.get('sandbox') === true
        ? 'Kept in the outbox: this is the sandbox, nothing left this machine.'
        : 'Sent.';
    case 'launch_campaign':
    case 'resume_campaign': {
      const done = approval.tool === 'launch_campaign' ? 'Launched' : 'Resumed';
      if (typeof recipients !== 'number') return `${done}.`;
      const first = facts.get('first_send_at');
      const when = typeof first === 'string' ? `, the first mail ${absolute(first)}` : '';
      return `${done}: ${recipients.toLocaleString()} ${recipients === 1 ? 'recipient' : 'recipients'}${when}.`;
    }
    default:
      return 'Done.';
  }
}

/** Who decided, as a person says it. `me` is the user of this page. */
export function whoDecided(decidedBy: string | undefined, me: string | undefined): string {
  if (decidedBy === undefined) return 'Somebody';
  const [kind, id = ''] = decidedBy.split(/:(.*)/s);
  if (kind === 'user') return id === me ? 'You' : id;
  return kind === 'key' ? `An API key (${id.slice(0, 8)})` : decidedBy;
}

/** The kind of the card that was asked next for the same call, among `approvals`; null where there is none. */
export function nextOf(approval: Approval, approvals: readonly Approval[]): Approval['kind'] | null {
  const later = approvals
    .filter((one) => one.tool_call_id === approval.tool_call_id && one.created_at > approval.created_at)
    .sort((one, other) => one.created_at.localeCompare(other.created_at));
  return later[0]?.kind ?? null;
}
