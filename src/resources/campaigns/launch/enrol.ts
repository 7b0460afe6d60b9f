/** Writes what a launch is about to do: who is in, which mail waits for which moment, and that it was approved. */

import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { WorkspaceTransaction } from '../../../db/database.ts';
import { formatMailbox } from '../../outbox/mailer.ts';
import type { UnsubscribeLinks } from '../../unsubscribe/links.ts';
import { type Letter, withLink } from '../content.ts';
import { lockMailboxes, readPlans, wakeMailboxes } from './occupancy.ts';
import type { Planner, SendRule, Slot } from './plan.ts';

/** Rows that go in one statement. */
const CHUNK = 1000;

/** A mail that shall get its moment. */
export interface NewMail {
  campaignLeadId: string;
  leadId: string;
  to: string;
  letter: Letter;
  mailbox: string;
  earliest: number;
}

export interface MailBatch {
  workspaceId: string;
  campaignId: string;
  launchId: string;
  rule: SendRule;
  /** Whether the mails are only kept here when their time comes. */
  sandbox: boolean;
  mails: readonly NewMail[];
}

/**
 * Gives each mail its moment, under the lock of its mailbox. Answers the slots in the order of the mails; null for a mail
 * that finds no place within the horizon.
 */
export async function planMails(
  tx: WorkspaceTransaction,
  planner: Planner,
  batch: MailBatch,
  at: number,
): Promise<(Slot | null)[]> {
  const mailboxes = [...new Set(batch.mails.map((mail) => mail.mailbox))];
  if (mailboxes.length === 0) return [];
  await lockMailboxes(tx, batch.workspaceId, mailboxes);
  const plans = await readPlans(tx, planner, mailboxes, at);
  return batch.mails.map((mail) => plans.get(mail.mailbox)?.take(batch.rule, mail.earliest) ?? null);
}

/** Lets the mails wait in the outbox for the moments that `planMails` gave them in the same transaction. */
export async function queueMails(
  tx: WorkspaceTransaction,
  batch: MailBatch,
  slots: readonly (Slot | null)[],
  { links, newId }: { links: UnsubscribeLinks; newId(): string },
): Promise<void> {
  const first = new Map<string, number>();
  const rows: Record<string, unknown>[] = [];
  for (const [index, mail] of batch.mails.entries()) {
    const slot = slots[index];
    if (slot == null) continue;
    first.set(mail.mailbox, Math.min(first.get(mail.mailbox) ?? slot.dueAt, slot.dueAt));
    const id = newId();
    const { sender, step, variant, subject, body } = mail.letter;
    rows.push({
      id,
      campaign_lead_id: mail.campaignLeadId,
      lead_id: mail.leadId,
      sender_profile_id: sender.id,
      from_address: formatMailbox(sender.name, sender.address),
      to_address: mail.to,
      subject,
      body: withLink(body, links.urlFor(batch.workspaceId, id)),
      message_id: messageIdOf(mail.campaignLeadId, step, sender.address),
      step,
      variant_label: variant.label,
      mailbox: mail.mailbox,
      due_at: new Date(slot.dueAt).toISOString(),
      due_until: new Date(slot.dueUntil).toISOString(),
    });
  }
  for (const chunk of chunksOf(rows)) {
    await sql`
      insert into outbox (workspace_id, campaign_id, launch_id, keep, status, id, campaign_lead_id, lead_id, sender_profile_id,
        from_address, to_address, subject, body, message_id, step, variant_label, mailbox, due_at, due_until)
      select ${batch.workspaceId}::uuid, ${batch.campaignId}::uuid, ${batch.launchId}::uuid, ${batch.sandbox}, 'queued', m.*
        from json_to_recordset(${JSON.stringify(chunk)}::json) as m(id uuid, campaign_lead_id uuid, lead_id uuid,
          sender_profile_id uuid, from_address text, to_address text, subject text, body text, message_id text, step int,
          variant_label text, mailbox text, due_at timestamptz, due_until timestamptz)`.execute(tx);
  }
  await wakeMailboxes(tx, first);
}

/** A lead as it stands in the campaign from now on. */
export interface Enrolled {
  id: string;
  lead_id: string;
  position: number;
  status: 'active' | 'skipped' | 'suppressed' | 'pending';
  next_action_at: string | null;
  text_hashes: string[];
  error: string | null;
}

/** Writes these leads of the campaign, new ones and those that were there. */
export async function writeLeads(
  tx: WorkspaceTransaction,
  workspaceId: string,
  campaignId: string,
  leads: readonly Enrolled[],
): Promise<void> {
  for (const chunk of chunksOf(leads)) {
    await sql`
      insert into campaign_leads (workspace_id, campaign_id, id, lead_id, position, status, next_action_at, text_hashes, error)
      select ${workspaceId}::uuid, ${campaignId}::uuid, l.id, l.lead_id, l.position, l.status, l.next_action_at, l.text_hashes, l.error
        from json_to_recordset(${JSON.stringify(chunk)}::json) as l(id uuid, lead_id uuid, position int, status text,
          next_action_at timestamptz, text_hashes text[], error text)
      on conflict (campaign_id, lead_id) do update
         set status = excluded.status, next_action_at = excluded.next_action_at, next_step = null,
             text_hashes = excluded.text_hashes, error = excluded.error`.execute(tx);
  }
}

function chunksOf<T>(rows: readonly T[]): T[][] {
  const count = Math.ceil(rows.length / CHUNK);
  return Array.from({ length: count }, (_, index) => rows.slice(index * CHUNK, (index + 1) * CHUNK));
}

/** The same for every attempt at this mail, so that a receiver who compares can drop a repeat. */
function messageIdOf(campaignLeadId: string, step: number, address: string): string {
  const unique = createHash('sha256').update(`${campaignLeadId} ${step}`).digest('hex').slice(0, 32);
  return `<${unique}@${address.slice(address.lastIndexOf('@') + 1)}>`;
}
