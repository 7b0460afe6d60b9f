/** Reads one raw mail (RFC 5322): who wrote it, what it says as plain text, what it answers, and whether a person wrote it. */

import { createHash } from 'node:crypto';
import PostalMime, { type Email } from 'postal-mime';
import { ServiceError } from '../../errors.ts';
import { visibleText } from '../leads/visible-text.ts';
import { emailAddress } from '../suppression/schema.ts';
import { type Bounce, PARSE_LIMITS, readDeliveryReport } from './delivery-report.ts';
import { NAME_LIMIT, SUBJECT_LIMIT, TEXT_LIMIT } from './schema.ts';

/** A mail as far as anything here depends on it. All of it was written by a stranger. */
export interface InboundMail {
  kind: 'reply' | 'auto_reply' | 'bounce';
  /** With its angle brackets; made of the mail's bytes where it has none that can be kept. */
  messageId: string;
  fromEmail: string | null;
  fromName: string | null;
  subject: string;
  text: string;
  /** Parts that were not read. */
  attachments: number;
  /** Message-IDs of the mails that it may be an answer to, the likeliest first. */
  answers: string[];
  bounce: Bounce | null;
}

/** Lines of a mail that are read. Its words come first; what is cut are attachments. */
const LINES = 30_000;
/** Parts of a mail that are read, and characters of each that are made into text where it is HTML. */
const BODIES = 20;
const HTML_LIMIT = 200_000;
/** One more than an address may have, so that none is taken for another. */
const ADDRESS_CUT = 255;
const MESSAGE_ID = /<[^<>\s]{1,500}>/g;
const ANSWERS = 50;

/** Throws `INVALID_MAIL` for bytes that are no mail, or one that nests without end. */
export async function readInboundMail(raw: Buffer): Promise<InboundMail> {
  const { mail, bodies } = await parsed(firstLines(raw));
  if (!mail.headers.some(({ key }) => key === 'from')) throw invalid('It has no From field.');
  const report = await within(() => readDeliveryReport(mail.attachments));
  const bounce = report?.bounce ?? null;
  const kind = bounce !== null ? 'bounce' : isAutomatic(mail) ? 'auto_reply' : 'reply';
  const address = emailAddress.safeParse(mail.from?.address?.slice(0, ADDRESS_CUT));
  const name = visibleText(mail.from?.name ?? '', NAME_LIMIT);
  return {
    kind,
    messageId: idsIn(mail.messageId)[0] ?? idOfBytes(raw),
    fromEmail: address.success ? address.data : null,
    fromName: name === '' ? null : name,
    subject: visibleText(mail.subject ?? '', SUBJECT_LIMIT),
    text: plainText(await textOf(bodies)),
    attachments: mail.attachments.length,
    answers: [
      ...idsIn(report?.originalId ?? undefined),
      ...idsIn(mail.inReplyTo),
      // The nearest ancestor stands last (RFC 5322 §3.6.4).
      ...idsIn(mail.references).reverse(),
    ].slice(0, ANSWERS),
    bounce,
  };
}

/** One part that is read: what it says, and whether that is HTML. */
interface Body {
  text: string;
  html: boolean;
}

/**
 * The parser, but for one step: it would make all HTML of a mail into text at once, however long and hostile it is. The
 * step and what it works on are the parser's inner matter, of the version that package.json pins; tests hold it.
 */
class Parser extends PostalMime {
  declare textMap: Map<unknown, Partial<Record<'plain' | 'html', { value: string }[]>>>;
  declare bodies: Body[];

  renderTextContent(): void {
    this.bodies = [...this.textMap.values()].flatMap(({ plain = [], html = [] }): Body[] => {
      const text = plain.map(({ value }) => value).join('\n');
      if (text.trim() !== '' || html.length === 0) return [{ text, html: false }];
      return [{ text: html.map(({ value }) => value).join('\n'), html: true }];
    });
  }
}

async function parsed(raw: Buffer): Promise<{ mail: Email; bodies: Body[] }> {
  if (raw.length === 0) throw invalid('The body is empty.');
  const parser = new Parser(PARSE_LIMITS);
  const mail = await within(() => parser.parse(raw));
  return { mail, bodies: parser.bodies };
}

async function textOf(bodies: readonly Body[]): Promise<string> {
  const texts: string[] = [];
  for (const { text, html } of bodies.slice(0, BODIES)) {
    texts.push(html ? await textOfHtml(text.slice(0, HTML_LIMIT)) : text);
  }
  return texts.join('\n');
}

/** What the parser refuses, it refuses for its limits; its own words could quote the mail. */
async function within<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch {
    throw invalid('Its parts nest too deep, or its header is too long.');
  }
}

function invalid(why: string): ServiceError {
  return new ServiceError(
    'INVALID_MAIL',
    `This is not a mail that can be read. ${why} Send one whole message, header first, as it was received.`,
  );
}

/** The parser's time grows with the lines, and a mail may be nothing but line breaks. */
function firstLines(raw: Buffer): Buffer {
  let end = -1;
  for (let line = 0; line < LINES; line += 1) {
    end = raw.indexOf(0x0a, end + 1);
    if (end < 0) return raw;
  }
  return raw.subarray(0, end + 1);
}

/** Whether no person wrote it: RFC 3834 §5, the older fields beside it, reports of any kind, and what has no return path. */
function isAutomatic(mail: Email): boolean {
  const field = (name: string) =>
    mail.headers
      .find(({ key }) => key === name)
      ?.value.trim()
      .toLowerCase();
  const submitted = field('auto-submitted');
  if (submitted !== undefined && submitted !== '' && !/^no\b/.test(submitted)) return true;
  if (/^(?:bulk|junk|auto[_-]reply)\b/.test(field('precedence') ?? '')) return true;
  for (const name of ['x-autoreply', 'x-autorespond', 'x-autoresponse']) {
    const value = field(name);
    if (value !== undefined && value !== 'no') return true;
  }
  if (/^multipart\/report\b/.test(field('content-type') ?? '')) return true;
  return field('return-path') === '<>' || /^(?:mailer-daemon|postmaster)@/i.test(mail.from?.address ?? '');
}

function idsIn(value: string | undefined): string[] {
  return [...(value ?? '').matchAll(MESSAGE_ID)]
    .slice(0, ANSWERS)
    .map(([id]) => id)
    .filter(isKeepable);
}

function idOfBytes(raw: Buffer): string {
  return `<${createHash('sha256').update(raw).digest('hex')}@no-message-id.invalid>`;
}

function isKeepable(value: string): boolean {
  return value.isWellFormed() && !/\p{Cc}/u.test(value);
}

/** Words of HTML, without what only a program reads, by the parser's own rules. */
async function textOfHtml(html: string): Promise<string> {
  if (html === '') return '';
  const part = Buffer.from(withoutLinks(html).toWellFormed()).toString('base64');
  const mail = await PostalMime.parse(
    [
      'Content-Type: multipart/mixed; boundary=x',
      '',
      '--x',
      'Content-Type: text/html; charset=utf-8',
      'Content-Transfer-Encoding: base64',
      '',
      part,
      // Where one part is plain text, all of them are told as such.
      '--x',
      'Content-Type: text/plain; charset=utf-8',
      '',
      '',
      '--x--',
      '',
    ].join('\n'),
    PARSE_LIMITS,
  );
  return mail.text ?? '';
}

/**
 * The parser looks for the target of each link in a way that takes minutes where one is not closed or names many. Each tag
 * of a link becomes one that it only drops; what follows the last `>` holds no tag. Both take one pass.
 */
function withoutLinks(html: string): string {
  const end = html.lastIndexOf('>') + 1;
  return html.slice(0, end).replaceAll(/<a\b[^>]*>/gi, '<i>') + html.slice(end).replaceAll('<', ' ');
}

/** Text as it is kept: line feeds and tabs are the only control characters, and it is not endless. */
function plainText(text: string): string {
  const clean = text
    .replaceAll(/\r\n?|[\u2028\u2029]/g, '\n')
    .replaceAll(/[^\P{Cc}\n\t]/gu, '')
    .toWellFormed()
    .replaceAll(/\n{3,}/g, '\n\n')
    .trim();
  return clean.slice(0, TEXT_LIMIT).replace(/\p{Cs}$/u, '');
}
