/** A launch, a resumption, or leads that join, as a person decides on them: facts, warnings, and the mails as they would leave. */

import { shareOf, withLinkShown, writeLetter } from '../resources/campaigns/content.ts';
import { type Prepared, told, wordsFor } from '../resources/campaigns/launch/prepare.ts';
import type { LeftOut, Ready } from '../resources/campaigns/launch/recipients.ts';
import { isPersonal } from '../resources/campaigns/own-texts.ts';
import { visibleText } from '../resources/leads/visible-text.ts';
import { formatMailbox } from '../resources/outbox/mailer.ts';
import type { Fact, Preview, Warning } from '../runtime/events.ts';
import type { Recipient } from './tool.ts';

/** Addresses that are listed of those who are left out. */
const LISTED = 30;

export interface CampaignCard {
  facts: Fact[];
  warnings: Warning[];
  preview: Preview[];
  consequence: string;
}

/** The card of what was prepared; `credits` are those that can be spent. */
export function campaignCard(
  prepared: Prepared,
  credits: { price: number; available: number },
): CampaignCard {
  const { campaign, content, ready, leftOut, report, findings, kind } = prepared;
  const zone = campaign.timezone;
  const { preview, shown } = previews(prepared);
  const steps = content.steps.map(({ step, delay_days: days, variants }) => {
    const when = step === 1 && days === 0 ? 'at the start' : `${days} ${days === 1 ? 'day' : 'days'} later`;
    return `${step}: ${when}${variants.length > 1 ? `, ${variants.length} variants` : ''}`;
  });
  const facts: Fact[] = [
    { label: 'Campaign', value: visibleText(campaign.name) },
    { label: 'Recipients', value: `${ready.length} of ${report.summary.total_rows} leads` },
    ...(leftOut.length === 0
      ? []
      : [
          { label: 'Left out', value: told(report.left_out) },
          { label: 'Who is left out', value: listed(leftOut) },
        ]),
    {
      label: 'Sender',
      value: content.senders.map((sender) => formatMailbox(sender.name, sender.address)).join(', '),
    },
    { label: 'First mail', value: localTime(report.first_send_at, zone) },
    {
      label: kind === 'resume' ? 'Last mail of those that wait' : 'Last first mail',
      value: localTime(report.last_send_at, zone),
    },
    { label: 'Steps', value: steps.join('; ') },
    {
      label: 'Window',
      value: `${campaign.sending_window_start.slice(0, 5)}–${campaign.sending_window_end.slice(0, 5)} ${zone}, ${daysTold(campaign.send_days)}`,
    },
    {
      label: 'Daily cap',
      value: `${campaign.daily_limit} mails a day and mailbox, at least ${intervalTold(campaign.min_interval_seconds)} apart`,
    },
    ...(content.steps.some(isPersonal) ? [{ label: 'Texts', value: ownTexts(ready) }] : []),
    { label: 'Credits', value: `${credits.price} of ${credits.available} available` },
    {
      label: 'Sending',
      value: content.sandbox ? 'sandbox: kept in the outbox, nothing leaves this machine' : 'by SMTP',
    },
    ...(shown === '' ? [] : [{ label: 'Shown below', value: shown }]),
  ];
  const warnings = findings.map(
    ({ code, message, level }): Warning => ({
      code,
      message: visibleText(message, 1000),
      severity: level === 'blocks' ? 'high' : level,
    }),
  );
  const people = ready.length === 1 ? '1 person gets' : `${ready.length} people get`;
  const mails = content.steps.length === 1 ? '1 mail' : `up to ${content.steps.length} mails`;
  const consequence = content.sandbox
    ? `The mails to ${ready.length === 1 ? '1 person' : `${ready.length} people`} are kept in the outbox when their time comes. Nothing leaves this machine.`
    : `${people} ${mails} each. ${kind === 'launch' ? 'Until the first one leaves, the launch can be undone. ' : ''}What has left cannot be taken back; pausing holds the rest.`;
  return { facts, warnings, preview, consequence };
}

/** Everybody the act is about, those who are written to first. */
export function recipientsOf({ ready, leftOut }: Prepared): Recipient[] {
  const shown = (value: unknown) => (typeof value === 'string' ? visibleText(value) || null : null);
  return [
    ...ready.map((one) => ({
      email: visibleText(one.email, 254),
      name: shown(one.name),
      company: shown(one.values.company),
      left_out: null,
    })),
    ...leftOut.map((one) => ({
      email: visibleText(one.email, 254),
      name: null,
      company: null,
      left_out: wordsFor(one.reason),
    })),
  ];
}

/** "Mon, 2 Mar 2026, 09:00 (Europe/Berlin)". */
export function localTime(instant: string | null, timeZone: string): string {
  if (instant === null) return 'none';
  const text = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
  }).format(new Date(instant));
  return `${text} (${timeZone})`;
}

const WEEK = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];

/** "Mon–Fri", "Mon, Wed, Fri": days that follow on one another are told as one. */
export function daysTold(sendDays: readonly string[]): string {
  const runs: string[][] = [];
  let before = -2;
  for (const [place, day] of WEEK.entries()) {
    if (!sendDays.includes(day.toLowerCase())) continue;
    if (place === before + 1) runs.at(-1)?.push(day);
    else runs.push([day]);
    before = place;
  }
  return runs.flatMap((days) => (days.length < 3 ? days : [`${days[0]}–${days.at(-1)}`])).join(', ');
}

/** "90 s", "5 min", "5 min 30 s". */
export function intervalTold(seconds: number): string {
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  if (minutes === 0 || seconds < 120) return `${seconds} s`;
  return rest === 0 ? `${minutes} min` : `${minutes} min ${rest} s`;
}

function ownTexts(ready: readonly Ready[]): string {
  const unseen = ready.reduce((sum, one) => sum + one.unseen, 0);
  return unseen === 0
    ? 'written for each lead, all of them read by somebody'
    : `written for each lead, ${unseen} of them read by nobody`;
}

function listed(leftOut: readonly LeftOut[]): string {
  const names = leftOut.slice(0, LISTED).map(({ email, reason }) => `${visibleText(email)} (${reason})`);
  const more = leftOut.length - names.length;
  return `${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/**
 * All further mails of the first lead, the next one of a lead picked by hash, and what the lead gets for whom most
 * fields are missing. The words say which is which, in the order of the previews.
 */
function previews(prepared: Prepared): { preview: Preview[]; shown: string } {
  const { ready, content } = prepared;
  const [first] = ready;
  if (first === undefined) return { preview: [], shown: '' };
  const told: string[] = [];
  const preview: Preview[] = [];
  const show = (one: Ready, last: number, who: string) => {
    const mails = lettersOf(prepared, one, last);
    preview.push(...mails);
    told.push(`${mails.length === 1 ? '1 mail' : `${mails.length} mails`} to ${who}`);
  };
  show(first, content.steps.length, 'the first lead');
  const random = ready.reduce((least, one) => (pick(prepared, one) < pick(prepared, least) ? one : least));
  if (random !== first) show(random, random.letter.step, 'a lead taken at random');
  const worst = ready.reduce((most, one) => (one.gaps > most.gaps ? one : most));
  if (worst.gaps > 0 && worst !== first)
    show(worst, content.steps.length, 'the lead with most fields missing');
  return { preview, shown: told.join('; then ') };
}

function pick({ campaign }: Prepared, { leadId }: Ready): number {
  return shareOf(campaign.id, leadId, 'preview');
}

function lettersOf({ campaign, content }: Prepared, one: Ready, last: number): Preview[] {
  return content.steps
    .filter(({ step }) => step >= one.letter.step && step <= last)
    .map(({ step }) => {
      const letter = writeLetter(content, campaign.id, one, step, { link: true });
      return {
        from: formatMailbox(letter.sender.name, letter.sender.address),
        to: formatMailbox(one.name === null ? null : visibleText(one.name, 100), one.email),
        subject: letter.subject,
        body: withLinkShown(letter.body),
      };
    });
}
