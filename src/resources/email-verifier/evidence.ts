/** What a workspace itself knows of an address: it costs nothing, and weighs more than what the DNS says. */

import { sql } from 'kysely';
import type { WorkspaceTransaction } from '../../db/database.ts';
import type { Reason, Verdict } from './schema.ts';

export interface Evidence {
  /** It stands on the do-not-contact list. */
  suppressed: boolean;
  /**
   * The last mail to it was refused for good by a mail server: because of the `mailbox` (enhanced status X.1.x or X.2.1 of
   * RFC 3463), or of the `mail` or its sender, which says less. Null where it was not, or a later mail was taken.
   */
  refused: 'mailbox' | 'mail' | null;
}

/** What mailers write before the server's words (outbox/mailer.ts); a line of theirs begins with its codes. */
const REFUSAL = /^The mail server refused the mail: 5\d\d[ -](?:5\.(\d{1,3})\.(\d{1,3})\b)?/;

/** Reads the evidence for an address in lower case. */
export async function readEvidenceWithin(tx: WorkspaceTransaction, address: string): Promise<Evidence> {
  const suppressed = await tx
    .selectFrom('suppression_entries')
    .select('id')
    .where('email', '=', address)
    .executeTakeFirst();
  const last = await tx
    .selectFrom('outbox')
    .select(['status', 'error'])
    .where('address', '=', address)
    .where('status', 'in', ['sent', 'failed'])
    // What was not handed over says nothing of the recipient.
    .where(sql<boolean>`(status = 'sent' or error->>'code' = 'MAIL_REFUSED')`)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return {
    suppressed: suppressed !== undefined,
    refused: last?.status === 'failed' ? refusalOf(String(last.error?.message ?? '')) : null,
  };
}

function refusalOf(message: string): Evidence['refused'] {
  const [whole, subject, detail] = REFUSAL.exec(message) ?? [];
  if (whole === undefined) return null;
  return subject === '1' || (subject === '2' && detail === '1') ? 'mailbox' : 'mail';
}

/** The verdict that the evidence gives by itself, or null where it leaves room for asking. */
export function verdictOf({ refused }: Evidence): Verdict | null {
  if (refused !== 'mailbox') return null;
  const message = 'The mail server refused the last mail to this address: it has no such mailbox.';
  return { verdict: 'invalid', mailbox: 'refused', reasons: [{ code: 'MAILBOX_REFUSED', message }] };
}

/** The verdict together with what the workspace knows beside it. */
export function weigh(judged: Verdict, { suppressed, refused }: Evidence): Verdict {
  const known: Reason[] = [];
  if (suppressed) {
    known.push({
      code: 'SUPPRESSED',
      message: 'The address is on the do-not-contact list of this workspace: no mail will be sent to it.',
    });
  }
  if (refused === 'mail') {
    known.push({
      code: 'REFUSED_BEFORE',
      message:
        'A mail server refused the last mail to this address for good, without saying that the mailbox is missing.',
    });
  }
  if (known.length === 0) return judged;
  return {
    ...judged,
    verdict: judged.verdict === 'valid' ? 'risky' : judged.verdict,
    reasons: judged.verdict === 'valid' ? [...known, ...judged.reasons] : [...judged.reasons, ...known],
  };
}
