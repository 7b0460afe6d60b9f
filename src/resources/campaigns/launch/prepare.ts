/**
 * What a launch would do, computed without doing it: who is written to and who is left out, every text, the plan, what a
 * person should know, and the digest of all that. The same state gives the same answer, but for the moments of the plan.
 */

import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { WorkspaceTransaction } from '../../../db/database.ts';
import type { Caller } from '../../../runtime/caller.ts';
import type { SenderReader } from '../../personalization/ports.ts';
import { type Content, resolveContentWithin } from '../content.ts';
import {
  contentFindings,
  createFieldCount,
  type Finding,
  ownTextFindings,
  roleFindings,
  ruleFindings,
  signatureFindings,
  toWarning,
  worstFirst,
} from '../findings.ts';
import { isPersonal, ownTextsWithin } from '../own-texts.ts';
import { type CampaignRow, ruleOf, stepsOf } from '../rows.ts';
import { type LaunchReport, LEADS_PER_CAMPAIGN, type LeftOutReason } from '../schema.ts';
import { readPlans } from './occupancy.ts';
import { createPlanner, HORIZON_DAYS, type Planner, type SendRule } from './plan.ts';
import { chooseRecipients, type LaunchAct, type LeftOut, leadRowsWithin, type Ready } from './recipients.ts';

export interface PrepareNeeds {
  senders: SenderReader;
  /** Whether mail stays here. */
  sandbox: boolean;
  /** Whether mails can carry a link by which recipients unsubscribe (design.md §9: links need PUBLIC_URL). */
  links: boolean;
  /** The domain that mails are signed for here (DKIM); null where they are not. Absent: nobody is told of it. */
  signedFor?: string | null;
}

export interface Prepared {
  kind: LaunchAct['kind'];
  campaign: CampaignRow;
  rule: SendRule;
  content: Content;
  ready: Ready[];
  leftOut: LeftOut[];
  /** Enrolled leads (by their id in the campaign) for which no step is left. */
  through: string[];
  /** Worst first. */
  findings: Finding[];
  report: LaunchReport;
  /** Everything an approval is given for. */
  stands: Record<string, unknown>;
}

/** Throws nothing for what is missing: that is told as findings. */
export async function prepareWithin(
  tx: WorkspaceTransaction,
  caller: Caller,
  campaign: CampaignRow,
  act: LaunchAct,
  at: number,
  needs: PrepareNeeds,
): Promise<Prepared> {
  const sandbox = needs.sandbox || caller.sandbox;
  const resolved =
    act.kind === 'leads'
      ? { content: act.content, findings: [] }
      : await resolveContentWithin(tx, caller, campaign, { senders: needs.senders, sandbox });
  const { content } = resolved;
  const rule = ruleOf(campaign);
  const planner = createPlanner();
  const { rows, through } = await leadRowsWithin(tx, campaign, act, content.sandbox);
  const findings = [...resolved.findings, ...contentFindings(content), ...ruleFindings(rule, rows.length)];
  findings.push(...(await campaignFindings(tx, campaign, act, rows.length, at)));
  if (!needs.links) {
    findings.push({
      code: 'NO_UNSUBSCRIBE_LINK',
      message: 'Without PUBLIC_URL mails carry no link by which recipients can unsubscribe.',
      level: content.sandbox ? 'medium' : 'blocks',
    });
  }
  if (needs.signedFor !== undefined && !content.sandbox) {
    findings.push(...signatureFindings(content, needs.signedFor));
  }
  const writable = !findings.some((finding) => finding.level === 'blocks');
  const fields = createFieldCount();
  const { ready, leftOut } = chooseRecipients(campaign, content, rows, {
    rule,
    planner,
    at,
    link: needs.links,
    write: writable,
    note: fields.add,
    texts: await ownTextsWithin(tx, content, rows),
  });
  const unseen = ready.reduce((sum, one) => sum + one.unseen, 0);
  const missing = leftOut.filter(({ reason }) => reason === 'no_text');
  findings.push(
    ...ownTextFindings({ unseen, missing, leads: rows.length }, campaign.unreviewed_launch_policy),
  );
  findings.push(...fields.findings(ready.length), ...roleFindings(ready));
  if (ready.length === 0 && writable) {
    findings.push({
      code: 'NO_RECIPIENTS',
      message:
        rows.length === 0
          ? 'There is no lead to write to.'
          : `All ${rows.length} leads are left out: ${told(countOf(leftOut))}.`,
      // A paused campaign may have nobody left to write to; it then comes to its end.
      level: act.kind === 'resume' ? 'medium' : 'blocks',
    });
  } else if (leftOut.length > 0) {
    findings.push({
      code: 'LEADS_LEFT_OUT',
      message: `${leftOut.length} of ${rows.length} leads are left out: ${told(countOf(leftOut))}.`,
      level: 'low',
      row: leftOut[0]?.position ?? null,
    });
  }
  const plan = writable ? await foresee(tx, planner, rule, ready, at) : { first: null, last: null, late: 0 };
  if (plan.late > 0) {
    findings.push({
      code: 'PLAN_TOO_LONG',
      message: `${plan.late} of ${ready.length} mails find no place within ${HORIZON_DAYS} days: window, days, daily limit and interval leave too little room. Widen them, or take fewer leads.`,
      level: 'blocks',
    });
  }
  const sorted = worstFirst(findings);
  const report: LaunchReport = {
    summary: {
      total_rows: rows.length,
      launchable_rows: sorted.some((finding) => finding.level === 'blocks') ? 0 : ready.length,
      warning_count: sorted.length,
    },
    warnings: sorted.map(toWarning),
    left_out: countOf(leftOut),
    first_send_at: plan.first === null ? null : new Date(plan.first).toISOString(),
    last_send_at: plan.last === null ? null : new Date(plan.last).toISOString(),
  };
  const stands = {
    ...standsOf(campaign, act, content, ready, leftOut),
    ...(content.steps.some(isPersonal) ? { unseen_texts: unseen } : {}),
  };
  return {
    kind: act.kind,
    campaign,
    rule,
    content,
    ready,
    leftOut,
    through,
    findings: sorted,
    report,
    stands,
  };
}

async function campaignFindings(
  tx: WorkspaceTransaction,
  campaign: CampaignRow,
  act: LaunchAct,
  leads: number,
  at: number,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  if (leads > LEADS_PER_CAMPAIGN) {
    findings.push({
      code: 'TOO_MANY_LEADS',
      message: `A campaign has at most ${LEADS_PER_CAMPAIGN} leads; these are ${leads}.`,
      level: 'blocks',
    });
  }
  if (act.kind !== 'launch') return findings;
  const dataset = await tx
    .selectFrom('datasets')
    .select('archived_at')
    .where('id', '=', campaign.dataset_id)
    .executeTakeFirst();
  if (dataset === undefined || dataset.archived_at !== null) {
    findings.push({
      code: 'DATASET_ARCHIVED',
      message: "The campaign's dataset is archived. Restore it first.",
      level: 'blocks',
    });
  }
  if (
    campaign.launch_type === 'scheduled' &&
    campaign.start_date !== null &&
    campaign.start_date.getTime() < at
  ) {
    findings.push({
      code: 'START_IN_PAST',
      message: 'The start_date is over, so mails leave as soon as the window opens.',
      level: 'low',
    });
  }
  if (stepsOf(campaign).some((step) => step.track_clicks)) {
    findings.push({
      code: 'CLICKS_NOT_COUNTED',
      message: 'Clicks are not counted yet, although a step asks for it.',
      level: 'low',
    });
  }
  return findings;
}

/** When the first and the last of these mails would leave, planned beside what the mailboxes have to do already. */
async function foresee(
  tx: WorkspaceTransaction,
  planner: Planner,
  rule: SendRule,
  ready: readonly Ready[],
  at: number,
): Promise<{ first: number | null; last: number | null; late: number }> {
  const mailboxes = [...new Set(ready.map((one) => one.mailbox))];
  const plans = await readPlans(tx, planner, mailboxes, at);
  let [first, last, late]: [number | null, number | null, number] = [null, null, 0];
  for (const { mailbox, earliest } of ready) {
    const slot = plans.get(mailbox)?.take(rule, earliest) ?? null;
    if (slot === null) late += 1;
    else {
      first = Math.min(first ?? slot.dueAt, slot.dueAt);
      last = Math.max(last ?? slot.dueAt, slot.dueAt);
    }
  }
  return { first, last, late };
}

/** The schedule's rule stands here and not its first instant: a decision may come tomorrow (design.md §6). */
function standsOf(
  campaign: CampaignRow,
  act: LaunchAct,
  content: Content,
  ready: readonly Ready[],
  leftOut: readonly LeftOut[],
): Record<string, unknown> {
  return {
    campaign_id: campaign.id,
    kind: act.kind,
    name: campaign.name,
    recipients: {
      count: ready.length,
      digest: digest(
        ready.map((one) => [one.leadId, one.email, one.letter.step, ...one.textHashes].join(' ')),
      ),
    },
    left_out: {
      count: leftOut.length,
      digest: digest(leftOut.map(({ leadId, reason }) => `${leadId} ${reason}`)),
    },
    content: digest([canonicalize(content) ?? '']),
    senders: content.senders.map(({ id, fingerprint }) => ({ id, fingerprint })),
    schedule: {
      timezone: campaign.timezone,
      window: [campaign.sending_window_start, campaign.sending_window_end],
      days: campaign.send_days.toSorted(),
      daily_limit: campaign.daily_limit,
      min_interval_seconds: campaign.min_interval_seconds,
      start: campaign.launch_type === 'scheduled' ? (campaign.start_date?.toISOString() ?? null) : null,
    },
    sending: content.sandbox ? 'sandbox' : 'smtp',
  };
}

/** SHA-256 (hex) of these lines, in whatever order they come. */
export function digest(lines: readonly string[]): string {
  const hash = createHash('sha256');
  for (const line of lines.toSorted()) hash.update(`${line}\n`);
  return hash.digest('hex');
}

function countOf(leftOut: readonly LeftOut[]): Partial<Record<LeftOutReason, number>> {
  const counts: Partial<Record<LeftOutReason, number>> = {};
  for (const { reason } of leftOut) counts[reason] = (counts[reason] ?? 0) + 1;
  return counts;
}

const REASONS: Record<LeftOutReason, string> = {
  invalid: 'without a valid address',
  suppressed: 'on the do-not-contact list',
  duplicate: 'with an address that is there already',
  contacted: 'that another mail went or goes to',
  no_text: 'without a text of their own',
  empty_text: 'with an empty text',
};

/** "on the do-not-contact list". */
export function wordsFor(reason: LeftOutReason): string {
  return REASONS[reason];
}

/** "2 on the do-not-contact list, 1 that another mail went or goes to". */
export function told(counts: Partial<Record<LeftOutReason, number>>): string {
  return Object.entries(REASONS)
    .flatMap(([reason, words]) => {
      const count = counts[reason as LeftOutReason];
      return count === undefined ? [] : [`${count} ${words}`];
    })
    .join(', ');
}
