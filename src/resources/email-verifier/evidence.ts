/** What a workspace itself knows of an address: it costs nothing, and weighs more than what the DNS says. */

import { sql } from 'kysely';
import type { WorkspaceTransaction } from '../../db/database.ts';
import type { Reason, Verdict } from './schema.ts';

export interface Evidence {
  /** It stands on the do-not-contact list. */
  suppressed: boolean;
  /** What the last word on the mailbox was; null where there was none. */
  word: Word | null;
}

/**
 * `answered`: a mail came back from the address, from a person or by itself. `mailbox`: there is none, as a mail server (or
 * the report of one) said by the enhanced status X.1.x or X.2.1 of RFC 3463. `mail`: ours was refused for good for another
 * reason, which says less of the address.
 */
export type Word = 'answered' | 'mailbox' | 'mail';

/** What mailers write before the server's words (outbox/mailer.ts); a line of theirs begins with its codes. */
const REFUSAL = /^The mail server refused the mail: 5\d\d[ -](?:(5\.\d{1,3}\.\d{1,3})\b)?/;
const NO_MAILBOX = /^5\.(?:1\.\d{1,3}|2\.1)$/;

/** Reads the evidence for an address in lower case. */
export async function readEvidenceWithin(tx: WorkspaceTransaction, address: string): Promise<Evidence> {
  const suppressed = await tx
    .selectFrom('suppression_entries')
    .select('id')
    .where('email', '=', address)
    .executeTakeFirst();
  const refusal = await readRefusalWithin(tx, address);
  const returned = await readReturnedWithin(tx, address);
  const later = returned !== null && (refusal === null || returned.at >= refusal.at) ? returned : refusal;
  return { suppressed: suppressed !== undefined, word: later?.word ?? null };
}

interface WordAt {
  word: Word;
  at: Date;
}

/** The refusal of the last mail to the address that was handed over; null where that was taken, which says nothing. */
async function readRefusalWithin(tx: WorkspaceTransaction, address: string): Promise<WordAt | null> {
  const last = await tx
    .selectFrom('outbox')
    .select(['status', 'error'])
    .select(sql<Date>`coalesce(started_at, created_at)`.as('at'))
    .where('address', '=', address)
    .where('status', 'in', ['sent', 'failed'])
    // What was not handed over says nothing of the recipient.
    .where(sql<boolean>`(status = 'sent' or error->>'code' = 'MAIL_REFUSED')`)
    .orderBy('at', 'desc')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (last?.status !== 'failed') return null;
  const [whole, status = ''] = REFUSAL.exec(String(last.error?.message ?? '')) ?? [];
  return whole === undefined ? null : { word: wordOf(status), at: last.at };
}

/** What came back last to a mail of ours: an answer from the address itself, or the report that it was not delivered for good. */
async function readReturnedWithin(tx: WorkspaceTransaction, address: string): Promise<WordAt | null> {
  const last = await tx
    .selectFrom('replies as r')
    .innerJoin('outbox as o', 'o.id', 'r.outbox_id')
    .select(['r.kind', 'r.bounce_status', 'r.received_at'])
    .where('o.address', '=', address)
    .where((row) =>
      row.or([
        row.and([row('r.kind', 'in', ['reply', 'auto_reply']), row(sql`lower(r.from_email)`, '=', address)]),
        row.and([row('r.bounce_type', '=', 'hard'), row(sql`lower(r.bounce_recipient)`, '=', address)]),
      ]),
    )
    .orderBy('r.received_at', 'desc')
    .orderBy('r.id', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (last === undefined) return null;
  const word = last.kind === 'bounce' ? wordOf(last.bounce_status ?? '') : 'answered';
  return { word, at: last.received_at };
}

function wordOf(status: string): Word {
  return NO_MAILBOX.test(status) ? 'mailbox' : 'mail';
}

const DECIDED: Partial<Record<Word, Verdict>> = {
  answered: {
    verdict: 'valid',
    mailbox: 'confirmed',
    reasons: [{ code: 'ANSWERED', message: 'A mail came back from this address to one of this workspace.' }],
  },
  mailbox: {
    verdict: 'invalid',
    mailbox: 'refused',
    reasons: [
      {
        code: 'MAILBOX_REFUSED',
        message: 'The last mail to this address was refused by a mail server: it has no such mailbox.',
      },
    ],
  },
};

/** The verdict that the evidence gives by itself, or null where it leaves room for asking. */
export function verdictOf({ word }: Evidence): Verdict | null {
  return (word !== null && DECIDED[word]) || null;
}

/** The verdict together with what the workspace knows beside it. */
export function weigh(judged: Verdict, { suppressed, word }: Evidence): Verdict {
  const known: Reason[] = [];
  if (suppressed) {
    known.push({
      code: 'SUPPRESSED',
      message: 'The address is on the do-not-contact list of this workspace: no mail will be sent to it.',
    });
  }
  if (word === 'mail') {
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
