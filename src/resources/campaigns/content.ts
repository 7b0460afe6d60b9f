/** What a campaign says: its steps with the texts they stand for, who writes, and the mail that comes of it for one lead. */

import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { z } from 'zod';
import type { WorkspaceTransaction } from '../../db/database.ts';
import { ServiceError } from '../../errors.ts';
import type { Caller } from '../../runtime/caller.ts';
import { withFooter } from '../outbox/footer.ts';
import type { SenderReader } from '../personalization/ports.ts';
import type { SenderProfile } from '../sender-profiles/schema.ts';
import { fingerprint, senderOf } from '../sender-profiles/sender.ts';
import { renderTemplate } from '../templates/render.ts';
import type { Finding } from './findings.ts';
import { type CampaignRow, stepsOf } from './rows.ts';
import type { CampaignStep, StepVariant } from './schema.ts';

/** Texts and senders with nothing left to look up: what an approval covers. */
export const contentSchema = z.object({
  steps: z.array(
    z.object({
      step: z.int(),
      delay_days: z.int(),
      variants: z.array(
        z.object({
          label: z.string(),
          weight: z.int(),
          subject: z.string(),
          body: z.string(),
          /** Set where each lead gets a text of their own; subject and body are then what it is written after, or empty. */
          personal: z.literal(true).optional(),
          /** Null where the campaign's senders take turns. */
          sender_id: z.string().nullable(),
        }),
      ),
    }),
  ),
  senders: z.array(
    z.object({
      id: z.string(),
      name: z.string().nullable(),
      address: z.string(),
      postal_address: z.string().nullable(),
      fingerprint: z.string(),
    }),
  ),
  /** The senders that take turns. */
  pool: z.array(z.string()),
  /** Whether mails are only kept here. */
  sandbox: z.boolean(),
});
export type Content = z.output<typeof contentSchema>;
export type ContentStep = Content['steps'][number];
export type ContentVariant = ContentStep['variants'][number];
export type Sender = Content['senders'][number];

/** A lead as its mails see it. */
export interface Recipient {
  leadId: string;
  /** What fills the variables. */
  values: Record<string, unknown>;
  /** By step: the texts that were written for this lead alone. */
  texts?: ReadonlyMap<number, OwnText> | undefined;
}

/** A text that was written for one lead. */
export interface OwnText {
  label: string;
  subject: string;
  body: string;
  leadFingerprint: string;
  stepFingerprint: string;
  /** Whether somebody has read it and lets it go. */
  reviewed: boolean;
}

/** A mail of one step for one lead. */
export interface Letter {
  step: number;
  variant: ContentVariant;
  sender: Sender;
  subject: string;
  /** With `LINK` where the recipient's own unsubscribe link goes. */
  body: string;
  /** Variables that neither a value nor a fallback filled. */
  missing: string[];
  /** Of a text of the lead's own: whether there is a current one, and whether somebody has read it. */
  own?: 'missing' | 'unseen' | 'reviewed';
}

/** Stands for the link until the mail has an id; no stored text can hold it. */
const LINK = '\0unsubscribe\0';
export const LINK_VARIABLE = 'unsubscribe_link';

/** What the campaign says now. What is missing for a launch is told as findings; the content is then what there is of it. */
export async function resolveContentWithin(
  tx: WorkspaceTransaction,
  caller: Caller,
  row: Pick<CampaignRow, 'steps' | 'alias_ids'>,
  { senders, sandbox }: { senders: SenderReader; sandbox: boolean },
): Promise<{ content: Content; findings: Finding[] }> {
  const findings: Finding[] = [];
  const steps = stepsOf(row);
  const templates = await templatesWithin(tx, steps);
  const found = new Map<string, Sender>();

  /** The id of a sender that mail can leave from, or null with a finding. */
  async function senderId(profileId: string | undefined, step: number | null): Promise<string | null> {
    try {
      const profile = await senders.resolveWithin(tx, caller, profileId);
      const sender = toSender(profile);
      if (sender === null) {
        findings.push({
          code: 'SENDER_MAILBOX_MISSING',
          message: `The sender profile "${profile.profile_name}" names no from_email, so nothing can leave from it.`,
          level: 'blocks',
          step,
        });
        return null;
      }
      found.set(sender.id, sender);
      return sender.id;
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      findings.push({ code: 'SENDER_MISSING', message: error.message, level: 'blocks', step });
      return null;
    }
  }

  const pool: string[] = [];
  for (const id of row.alias_ids?.length ? row.alias_ids : [undefined]) {
    const known = await senderId(id, null);
    if (known !== null && !pool.includes(known)) pool.push(known);
  }
  const resolved: ContentStep[] = [];
  for (const step of steps) {
    const variants: ContentVariant[] = [];
    for (const variant of step.variants) {
      const words = wordsOf(variant, templates);
      if ('problem' in words) {
        findings.push({ ...words.problem, level: 'blocks', step: step.step });
        continue;
      }
      const own = variant.sender_profile_id ?? null;
      variants.push({
        label: variant.label,
        weight: variant.weight,
        ...words,
        sender_id: own === null ? null : await senderId(own, step.step),
      });
    }
    if (step.variants.length === 0) {
      findings.push({
        code: 'NO_TEXT',
        message: `Step ${step.step} has no text: give it a variant with a template, or with subject and body.`,
        level: 'blocks',
        step: step.step,
      });
    }
    resolved.push({ step: step.step, delay_days: step.delay_days, variants });
  }
  return {
    content: {
      steps: resolved,
      senders: [...found.values()].sort((one, other) => (one.id < other.id ? -1 : 1)),
      pool,
      sandbox,
    },
    findings,
  };
}

/** The mail of a step for a lead; always the same for the same content. Throws where the content has no such text. */
export function writeLetter(
  content: Content,
  campaignId: string,
  recipient: Recipient,
  stepNumber: number,
  options: { link: boolean; label?: string },
): Letter {
  const { variant, sender } = armOf(content, campaignId, recipient.leadId, stepNumber, options.label);
  if (variant.personal) return ownLetter(stepNumber, variant, sender, recipient, options.link);
  const values: Record<string, unknown> = {
    ...recipient.values,
    sender_name: sender.name,
    sender_email: sender.address,
    [LINK_VARIABLE]: options.link ? LINK : null,
  };
  const subject = renderTemplate(variant.subject, values);
  const body = renderTemplate(variant.body, values);
  return {
    step: stepNumber,
    variant,
    sender,
    // A value of several lines must not add a header.
    subject: oneLine(subject.text.replaceAll(LINK, '')),
    body: withFooter(body.text, sender.postal_address),
    missing: [...new Set([...subject.missing, ...body.missing])],
  };
}

/** Which variant of a step a lead gets, and who writes it; always the same for the same content. */
export function armOf(
  content: Content,
  campaignId: string,
  leadId: string,
  stepNumber: number,
  label?: string,
): { variant: ContentVariant; sender: Sender } {
  const step = content.steps[stepNumber - 1];
  const variant =
    step?.variants.find((one) => one.label === label) ??
    pickVariant(step?.variants ?? [], shareOf(campaignId, leadId, String(stepNumber)));
  const turn = Math.floor(shareOf(campaignId, leadId, 'sender') * content.pool.length);
  const senderId = variant?.sender_id ?? content.pool[turn];
  const sender = content.senders.find((one) => one.id === senderId);
  if (variant === undefined || sender === undefined)
    throw new Error(`step ${stepNumber} has no text or sender`);
  return { variant, sender };
}

const OWN_LINK = /\{\{\s*unsubscribe_link\s*\}\}/g;

/** The lead's own text as it is, with its unsubscribe link below where it does not place it; empty where no current one is there. */
function ownLetter(
  step: number,
  variant: ContentVariant,
  sender: Sender,
  { values, texts }: Recipient,
  link: boolean,
): Letter {
  const text = texts?.get(step);
  const current =
    text !== undefined &&
    text.label === variant.label &&
    text.leadFingerprint === leadFingerprint(values) &&
    text.stepFingerprint === stepFingerprint(step, variant, sender);
  if (!current) return { step, variant, sender, subject: '', body: '', missing: [], own: 'missing' };
  const placed = text.body.replaceAll(OWN_LINK, link ? LINK : '');
  const body = link && !placed.includes(LINK) ? `${placed}\n\nTo receive no more mails: ${LINK}` : placed;
  return {
    step,
    variant,
    sender,
    subject: oneLine(text.subject),
    body: withFooter(body, sender.postal_address),
    missing: [],
    own: text.reviewed ? 'reviewed' : 'unseen',
  };
}

/** SHA-256 (hex) of everything that is known of a lead: a text that was written from other fields is not current. */
export function leadFingerprint(values: Readonly<Record<string, unknown>>): string {
  return sha256(canonicalize(values) ?? '');
}

/** SHA-256 (hex) of what a lead's text is written for: step, variant with its base text, sender. */
export function stepFingerprint(
  step: number,
  { label, subject, body }: Pick<ContentVariant, 'label' | 'subject' | 'body'>,
  sender: Pick<Sender, 'fingerprint'>,
): string {
  return sha256(canonicalize({ step, label, subject, body, sender: sender.fingerprint }) ?? '');
}

function sha256(text: string): string {
  return hash('sha256', text);
}

/** The text with the recipient's own link. */
export function withLink(body: string, link: string | null): string {
  return body.replaceAll(LINK, link ?? '');
}

/** The text as it is shown before the link exists. */
export function withLinkShown(body: string): string {
  return body.replaceAll(LINK, "[the recipient's unsubscribe link]");
}

/** SHA-256 (hex) of what a mail says and who says it. */
export function hashLetter(letter: Letter): string {
  return sha256([letter.sender.address, letter.variant.label, letter.subject, letter.body].join('\n\0\n'));
}

/** The same share for the same words: at least 0, below 1. */
export function shareOf(...words: string[]): number {
  return Number.parseInt(sha256(words.join('\n')).slice(0, 8), 16) / 2 ** 32;
}

export function toSender(profile: SenderProfile): Sender | null {
  const { from_name, from_email, postal_address } = senderOf(profile);
  if (from_email === null) return null;
  return {
    id: profile.id,
    name: from_name,
    address: from_email,
    postal_address,
    fingerprint: fingerprint(profile),
  };
}

async function templatesWithin(
  tx: WorkspaceTransaction,
  steps: readonly CampaignStep[],
): Promise<Map<string, { subject: string; body: string }>> {
  const ids = steps.flatMap((step) => step.variants.flatMap((variant) => variant.template_id ?? []));
  if (ids.length === 0) return new Map();
  const rows = await tx
    .selectFrom('templates')
    .select(['id', 'subject', 'body'])
    .where('id', 'in', ids)
    .execute();
  return new Map(rows.map((row) => [row.id, { subject: row.subject, body: row.body }]));
}

function wordsOf(
  variant: StepVariant,
  templates: ReadonlyMap<string, { subject: string; body: string }>,
): { subject: string; body: string; personal?: true } | { problem: { code: string; message: string } } {
  const personal = variant.type === 'PERSONALIZATION' ? ({ personal: true } as const) : {};
  if (variant.subject != null && variant.body != null)
    return { subject: variant.subject, body: variant.body, ...personal };
  const template = templates.get(variant.template_id ?? '');
  if (template !== undefined) return { ...template, ...personal };
  // A text of the lead's own needs nothing that it is written after.
  if (variant.template_id == null && personal.personal) return { subject: '', body: '', ...personal };
  return {
    problem:
      variant.template_id == null
        ? { code: 'NO_TEXT', message: `Variant ${variant.label} has neither a template nor a text.` }
        : {
            code: 'TEMPLATE_MISSING',
            message: `The template of variant ${variant.label} does not exist any more.`,
          },
  };
}

/** By weight; where all weights are 0 each variant has the same share. */
function pickVariant(variants: readonly ContentVariant[], share: number): ContentVariant | undefined {
  const total = variants.reduce((sum, variant) => sum + variant.weight, 0);
  if (total === 0) return variants[Math.floor(share * variants.length)];
  let rest = share * total;
  return variants.find((variant) => {
    rest -= variant.weight;
    return rest < 0;
  });
}

function oneLine(value: string): string {
  return value
    .replaceAll(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, 998);
}
