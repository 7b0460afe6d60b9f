/** The tool that sends one email: it shows exactly what would leave, and sends that or nothing. */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { isDatabaseAway } from '../db/away.ts';
import type { Database, WorkspaceTransaction } from '../db/database.ts';
import { type Patience, whileDatabaseReturns } from '../db/pipeline.ts';
import { errorFact, ServiceError } from '../errors.ts';
import { fingerprint as leadFingerprint } from '../resources/leads/leads.ts';
import type { Lead } from '../resources/leads/schema.ts';
import { visibleText } from '../resources/leads/visible-text.ts';
import { withFooter } from '../resources/outbox/footer.ts';
import { formatMailbox, type Mailer, parseMailbox } from '../resources/outbox/mailer.ts';
import type { Outbox } from '../resources/outbox/outbox.ts';
import type { OutboxMail } from '../resources/outbox/schema.ts';
import type { SenderReader } from '../resources/personalization/ports.ts';
import { fingerprint as senderFingerprint, senderOf } from '../resources/sender-profiles/sender.ts';
import { emailAddress } from '../resources/suppression/schema.ts';
import type { Suppression } from '../resources/suppression/suppression.ts';
import { line, text } from '../resources/text.ts';
import type { Caller } from '../runtime/caller.ts';
import { mailWarnings } from './mail-warnings.ts';
import { type Proposal, type Tool, tool } from './tool.ts';

/** The leads, for whom a mail may go to. */
export interface RecipientReader {
  getWithin(tx: WorkspaceTransaction, leadId: string): Promise<Lead | null>;
  /** Whether some lead of the workspace has this address, ignoring case. */
  hasAddressWithin(tx: WorkspaceTransaction, address: string): Promise<boolean>;
}

/** While the database is away, the look before a mail leaves is repeated: what a person approved is no fault of the mail's. */
export interface SendEmailNeeds extends Patience {
  database: Database;
  leads: RecipientReader;
  senders: SenderReader;
  suppression: Pick<Suppression, 'suppressedWithin'>;
  outbox: Outbox;
  mailer: Mailer;
}

const schema = z
  .strictObject({
    lead_id: z.uuid().optional().describe('The lead to write to. Prefer this to an address.'),
    to: emailAddress
      .optional()
      .describe('An address that the user named, for somebody who is not among the leads.'),
    subject: line.trim().min(1).max(998).describe('The finished subject, on one line.'),
    body: text
      .trim()
      .min(1)
      .max(50_000)
      .describe('The finished plain text, greeting and closing included; no placeholders.'),
    sender_profile_id: z
      .uuid()
      .optional()
      .describe("The sender profile to write as; without it the user's default."),
  })
  .refine((args) => (args.lead_id === undefined) !== (args.to === undefined), {
    error: 'Give exactly one of lead_id and to.',
    path: ['to'],
  });

/** What an approval of a mail stands for: change any of it and it is another mail. */
const standsSchema = z.object({
  recipient: z.object({
    address: z.string(),
    lead_id: z.string().nullable(),
    lead_fingerprint: z.string().nullable(),
  }),
  sender: z.object({ profile_id: z.string(), fingerprint: z.string() }),
  from: z.object({ name: z.string().nullable(), address: z.string() }),
  subject: z.string(),
  text: z.string(),
  sending: z.enum(['sandbox', 'smtp']),
});

export function createSendEmailTool({
  database,
  leads,
  senders,
  suppression,
  outbox,
  mailer,
  ...patience
}: SendEmailNeeds): Tool {
  /** The address, and the lead it belongs to; free text only where nothing untrusted could have suggested it (design.md §6). */
  async function recipientWithin(
    tx: WorkspaceTransaction,
    args: z.output<typeof schema>,
    tainted: boolean,
  ): Promise<{ address: string; lead: Lead | null }> {
    if (args.lead_id !== undefined) {
      const lead = await leads.getWithin(tx, args.lead_id);
      if (lead === null) throw new ServiceError('NOT_FOUND', 'There is no such lead.');
      const address = emailAddress.safeParse(lead.email);
      if (address.success) return { address: address.data, lead };
      throw new ServiceError('RECIPIENT_INVALID', 'This lead has no email address that mail can go to.');
    }
    // The schema lets nothing pass that has neither.
    const address = args.to ?? '';
    if (tainted && !(await leads.hasAddressWithin(tx, address))) {
      throw new ServiceError(
        'RECIPIENT_NOT_ALLOWED',
        'This conversation holds text from third parties, so mail goes only to leads. Add the person as a lead first.',
      );
    }
    return { address, lead: null };
  }

  async function refuseSuppressedWithin(tx: WorkspaceTransaction, address: string): Promise<void> {
    if ((await suppression.suppressedWithin(tx, [address])).size > 0) {
      throw new ServiceError(
        'RECIPIENT_SUPPRESSED',
        `${address} is on the do-not-contact list, so nothing is sent there.`,
      );
    }
  }

  return tool({
    name: 'send_email',
    description:
      'Sends one finished email to one person. A person approves it before anything leaves; the system asks them, so call this without asking first. Answers the mail with its status: "sent", or "sandbox" where mail is only kept here.',
    schema,
    untrusted: false,
    effect: 'outside',
    deduplicates: mailer.deduplicates,

    propose(context, args) {
      const { caller } = context;
      return database.within(caller.workspaceId, async (tx): Promise<Proposal> => {
        const { address, lead } = await recipientWithin(tx, args, context.tainted);
        await refuseSuppressedWithin(tx, address);
        const profile = await senders.resolveWithin(tx, caller, args.sender_profile_id);
        const { from_name, from_email, postal_address } = senderOf(profile);
        const from = { name: from_name, address: fromAddress(from_email, caller) };
        const stands: z.input<typeof standsSchema> = {
          recipient: {
            address,
            lead_id: lead?.lead_id ?? null,
            lead_fingerprint: lead === null ? null : leadFingerprint(lead),
          },
          sender: { profile_id: profile.id, fingerprint: senderFingerprint(profile) },
          from,
          subject: args.subject,
          text: withFooter(args.body, postal_address),
          sending: mailer.sandbox || caller.sandbox ? 'sandbox' : 'smtp',
        };
        const sender = formatMailbox(from.name, from.address);
        const recipient = formatMailbox(nameOf(lead), address);
        const kept = stands.sending === 'sandbox';
        return {
          args: {
            ...(args.lead_id === undefined ? { to: address } : { lead_id: args.lead_id }),
            subject: args.subject,
            body: args.body,
            sender_profile_id: profile.id,
          },
          stands,
          effectClass: 'send',
          credits: 0,
          title: `Send an email to ${recipient}`,
          facts: [
            { label: 'To', value: recipient },
            { label: 'From', value: sender },
            { label: 'Subject', value: args.subject },
            {
              label: 'Sending',
              value: kept ? 'sandbox: kept in the outbox, nothing leaves this machine' : 'by SMTP now',
            },
          ],
          warnings: mailWarnings({
            address,
            subject: args.subject,
            body: args.body,
            text: stands.text,
            postalAddress: postal_address,
            fromFallsBack: from_email === null ? from.address : null,
            recentMails: await outbox.recentlyMailedWithin(tx, address, context),
          }),
          recipients: () => [
            {
              email: visibleText(address, 254),
              name: nameOf(lead),
              company: lead?.company == null ? null : visibleText(lead.company, 200),
              left_out: null,
            },
          ],
          preview: [{ from: sender, to: recipient, subject: args.subject, body: stands.text }],
          consequence: kept
            ? `One email to ${address} is kept in the outbox. Nothing leaves this machine.`
            : `One email leaves for ${address}. It cannot be taken back.`,
        };
      });
    },

    async intendWithin(tx, context, proposal) {
      const { recipient, sender, from, subject, text: body, sending } = standsSchema.parse(proposal.stands);
      // Somebody may have asked not to be written to while the approval waited.
      await refuseSuppressedWithin(tx, recipient.address);
      const mail = await outbox.recordWithin(tx, context.caller, {
        turnId: context.turnId,
        toolCallId: context.toolCallId,
        leadId: recipient.lead_id,
        senderProfileId: sender.profile_id,
        from: formatMailbox(from.name, from.address),
        to: recipient.address,
        subject,
        body,
        messageId: messageIdOf(context.providerKey, from.address),
        sandbox: sending === 'sandbox',
      });
      return mail.status === 'sending' ? { act: true } : { done: resultOf(mail) };
    },

    /** Sends what was recorded: also after a crash, or when a person wants another try, it is that mail and no other. */
    async act(context) {
      let mail: OutboxMail | null;
      try {
        mail = await whileDatabaseReturns(patience, () =>
          database.within(context.caller.workspaceId, async (tx) => {
            const recorded = await outbox.beginWithin(tx, context);
            if (recorded?.status === 'sending') await refuseSuppressedWithin(tx, recorded.to);
            return recorded;
          }),
        );
      } catch (error) {
        if (isDatabaseAway(error)) throw error;
        return { state: 'failed', error: errorFact(error) };
      }
      if (mail?.status === 'sent') return { state: 'done', providerRef: null };
      if (mail?.status !== 'sending') {
        const message = 'There is no mail to send for this call. Nothing was sent.';
        return { state: 'failed', error: { code: 'TOOL_FAILED', message, retryable: false } };
      }
      return mailer.send({
        from: parseMailbox(mail.from),
        to: mail.to,
        subject: mail.subject,
        text: mail.body,
        messageId: mail.message_id,
        headers: {},
      });
    },

    async settleWithin(tx, context, _proposal, outcome) {
      const mail = await outbox.settleWithin(tx, context, outcome);
      return outcome.state === 'done' ? resultOf(mail) : undefined;
    },
  });
}

/** A mail cannot leave without a mailbox that answers can go to. */
function fromAddress(fromEmail: string | null, caller: Caller): string {
  const address = emailAddress.safeParse(fromEmail ?? caller.email);
  if (address.success) return address.data;
  throw new ServiceError(
    'NO_SENDER_PROFILE',
    'The sender profile names no mailbox to send from. Set from_email in its sender_data.',
  );
}

function nameOf(lead: Lead | null): string | null {
  return lead === null ? null : visibleText(lead.name ?? '', 100);
}

/** The same for every attempt of a call, so that a receiver who compares can drop a repeat. */
function messageIdOf(providerKey: string, fromAddress: string): string {
  const unique = createHash('sha256').update(providerKey).digest('hex').slice(0, 32);
  return `<${unique}@${fromAddress.slice(fromAddress.lastIndexOf('@') + 1)}>`;
}

function resultOf(mail: OutboxMail) {
  return { outbox_id: mail.outbox_id, to: mail.to, status: mail.status, sandbox: mail.sandbox };
}
