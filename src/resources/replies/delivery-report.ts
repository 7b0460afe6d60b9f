/** Reads the part of a bounce that is made for machines (RFC 3464): whom a mail did not reach, and whether for good. */

import PostalMime, { type Attachment, type Email } from 'postal-mime';
import { emailAddress } from '../suppression/schema.ts';

/** What a delivery report says of a mail that did not arrive. */
export interface Bounce {
  /** `hard`: the address takes no mail, not now and not later; `soft`: this mail may arrive yet, or another one may. */
  type: 'hard' | 'soft';
  /** The status code, such as 5.1.1; null where the report has none. */
  status: string | null;
  /** Whom it was sent to, in lower case: as we wrote it where the report says so, else where it was last sent on to. */
  recipients: string[];
}

/** A report, and the Message-ID of the mail it is about where it came with that mail or its header. */
export interface DeliveryReport {
  /** Null where the report tells of no failure. */
  bounce: Bounce | null;
  originalId: string | null;
}

/** Bounds for what is parsed of a mail: levels of parts, bytes of all headers. */
export const PARSE_LIMITS = {
  maxNestingDepth: 50,
  maxHeadersSize: 128 * 1024,
  // A mail inside a mail is somebody else's words; it is not read as this one's.
  forceRfc822Attachments: true,
} as const;

const REPORT = /^message\/(?:global-)?delivery-status$/;
const RETURNED = /^(?:message\/(?:rfc822|global|global-headers|rfc822-headers)|text\/rfc822-headers)$/;
/** Recipients of one report that are looked at; a mail of ours has one. */
const RECIPIENTS = 20;

/** The report in a mail, or null where it has none. Throws where its parts exceed the limits. */
export async function readDeliveryReport(attachments: readonly Attachment[]): Promise<DeliveryReport | null> {
  const report = attachments.find((part) => REPORT.test(part.mimeType));
  if (report === undefined) return null;
  // Fields of the whole message first, then those of each recipient, blank lines between them (RFC 3464 §2.1).
  const groups = textOf(report)
    .split(/\n[ \t]*\n/)
    .filter((group) => group.trim() !== '');
  const recipients: Recipient[] = [];
  for (const group of groups.slice(0, RECIPIENTS + 1)) {
    const recipient = recipientOf(await PostalMime.parse(`${group.trim()}\n\n`, PARSE_LIMITS));
    if (recipient !== null) recipients.push(recipient);
  }
  const returned = attachments.find((part) => RETURNED.test(part.mimeType));
  // Only its header: what else it holds is not looked at.
  const [header = ''] = returned === undefined ? [] : textOf(returned).trim().split('\n\n', 1);
  const original = header === '' ? null : await PostalMime.parse(`${header}\n\n`, PARSE_LIMITS);
  return { bounce: worstOf(recipients), originalId: original?.messageId ?? null };
}

interface Recipient {
  addresses: string[];
  status: string | null;
  /** What became of the mail; null where it was delivered or handed on. */
  type: 'hard' | 'soft' | null;
}

function recipientOf(fields: Email): Recipient | null {
  const field = (name: string) => fields.headers.find(({ key }) => key === name)?.value ?? null;
  const addresses = [field('original-recipient'), field('final-recipient')].flatMap((value) => {
    const address = addressIn(value);
    return address === null ? [] : [address];
  });
  const action = (field('action') ?? '').trim().toLowerCase();
  const status = /^\s*([245]\.\d{1,3}\.\d{1,3})/.exec(field('status') ?? '')?.[1] ?? null;
  if (addresses.length === 0 && status === null) return null;
  return { addresses, status, type: typeOf(action, status) };
}

/**
 * What is refused for good, but says nothing of the address (RFC 3463): a full mailbox, a mail that is too large, and what a
 * policy refuses (X.7), such as a blocked sender.
 */
const OF_THE_MAIL = /^5\.(?:2\.[23]|3\.4|7\.\d+)$/;

function typeOf(action: string, status: string | null): Recipient['type'] {
  if (/^(?:delivered|relayed|expanded)\b/.test(action) || status?.startsWith('2') === true) return null;
  // A server that goes on trying has not given up, whatever the code.
  const forGood = status?.startsWith('5') === true && !action.startsWith('delayed');
  return forGood && !OF_THE_MAIL.test(status ?? '') ? 'hard' : 'soft';
}

/** `rfc822; <person@example.com>` as an address in lower case. */
function addressIn(value: string | null): string | null {
  const [, address = ''] = /^[^;]{0,60};(.*)$/s.exec(value ?? '') ?? [];
  const plain = emailAddress.safeParse(
    address
      .trim()
      .replace(/^<(.*)>$/, '$1')
      .toLowerCase(),
  );
  return plain.success ? plain.data : null;
}

function worstOf(recipients: readonly Recipient[]): Bounce | null {
  const failed =
    recipients.find(({ type }) => type === 'hard') ?? recipients.find(({ type }) => type === 'soft');
  if (failed?.type == null) return null;
  return { type: failed.type, status: failed.status, recipients: failed.addresses };
}

function textOf({ content }: Attachment): string {
  const text = typeof content === 'string' ? content : new TextDecoder().decode(content);
  return text.replaceAll('\r\n', '\n');
}
