/**
 * The deed by which a person sends themselves a mail that a card shows, to see it as its recipient would. It is no effect
 * of the approval, costs nothing and counts as no mail to anybody.
 */

import { sql } from 'kysely';
import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import { ServiceError } from '../../errors.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { Preview } from '../../runtime/events.ts';
import { type Mailer, parseMailbox } from '../outbox/mailer.ts';
import type { Outbox } from '../outbox/outbox.ts';
import type { OutboxMail } from '../outbox/schema.ts';
import { emailAddress } from '../suppression/schema.ts';
import type { Suppression } from '../suppression/suppression.ts';
import type { Approvals } from './approvals.ts';
import type { TestMail } from './schema.ts';

export interface TestMailNeeds {
  database: Database;
  approvals: Pick<Approvals, 'asShown'>;
  outbox: Pick<Outbox, 'recordTestWithin' | 'settleTestWithin'>;
  suppression: Pick<Suppression, 'suppressedWithin'>;
  mailer: Mailer;
  /** Longer than a mail may take. */
  leaseSeconds: number;
}

export type TestMails = ReturnType<typeof createTestMails>;

/** What the subject of a test begins with. */
const SUBJECT_MARK = '[Test] ';
const SUBJECT_LENGTH = 998;

export function createTestMails(needs: TestMailNeeds) {
  const { database, approvals, outbox, suppression, mailer, leaseSeconds } = needs;

  /** Throws where the card has been decided or has expired meanwhile; a decision waits until the mail is recorded. */
  async function requirePendingWithin(tx: WorkspaceTransaction, approvalId: string): Promise<void> {
    const open = await tx
      .selectFrom('approvals')
      .select('id')
      .where((row) => row.and({ id: approvalId, status: 'pending' }))
      .where('expires_at', '>', sql<Date>`now()`)
      .forShare()
      .executeTakeFirst();
    if (open === undefined) {
      throw new ServiceError(
        'APPROVAL_EXPIRED',
        'This approval does not wait any more, so no test of it is sent. Ask the agent again.',
      );
    }
  }

  return {
    /**
     * Sends the mail that the card shows, word for word under a marked subject, to the caller's own address. Answers how
     * it ended, `unknown` included. Throws as a decision would; `VALIDATION_ERROR` where the card shows no such mail;
     * `RECIPIENT_INVALID` where the caller has no address; `RECIPIENT_SUPPRESSED`, `RATE_LIMITED`; `MAIL_REFUSED` and
     * `MAIL_UNAVAILABLE` where nothing has left.
     */
    async send(caller: Caller, threadId: string, approvalId: string, asked: TestMail): Promise<OutboxMail> {
      const { approval, sandbox } = await approvals.asShown(caller, threadId, approvalId, asked);
      const mail = mailOf(approval.preview[asked.preview_index]);
      const to = ownAddress(caller, mail.from);
      const recorded = await database.within(caller.workspaceId, async (tx) => {
        await requirePendingWithin(tx, approvalId);
        if ((await suppression.suppressedWithin(tx, [to])).size > 0) {
          throw new ServiceError(
            'RECIPIENT_SUPPRESSED',
            'Your own address is on the do-not-contact list, so nothing was sent.',
          );
        }
        return outbox.recordTestWithin(tx, caller, {
          ...mail,
          to,
          subject: `${SUBJECT_MARK}${mail.subject}`.slice(0, SUBJECT_LENGTH),
          sandbox: mailer.sandbox || caller.sandbox || sandbox,
          leaseSeconds,
        });
      });
      if (recorded.status !== 'sending') return recorded;
      // No header for unsubscribing: the one who reads it must not sign the lead off.
      const outcome = await mailer.send({
        from: parseMailbox(recorded.from),
        to: recorded.to,
        subject: recorded.subject,
        text: recorded.body,
        messageId: recorded.message_id,
        headers: {},
      });
      const settled = await database.within(caller.workspaceId, (tx) =>
        outbox.settleTestWithin(tx, recorded.outbox_id, outcome),
      );
      if (outcome.state !== 'failed') return settled;
      const { code, message, retryable } = outcome.error;
      throw new ServiceError(code, message, { retryable });
    },
  };
}

function mailOf(shown: Preview | undefined): { from: string; subject: string; body: string } {
  const { from, subject, body } = shown ?? {};
  if (from !== undefined && subject !== undefined && body !== undefined) return { from, subject, body };
  throw new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
    details: [
      { loc: ['body', 'preview_index'], msg: 'The card shows no such mail.', type: 'no_such_preview' },
    ],
  });
}

/** Where the caller reads mail: what their session token says; the local user of dev mode is whoever owns the sender's mailbox. */
function ownAddress(caller: Caller, from: string): string {
  const own = caller.kind === 'dev' ? parseMailbox(from).address : caller.email;
  const address = emailAddress.safeParse(own);
  if (address.success) return address.data;
  throw new ServiceError(
    'RECIPIENT_INVALID',
    'Your sign-in names no email address, so there is nowhere to send a test to. Use a session whose token has the claim "email".',
  );
}
