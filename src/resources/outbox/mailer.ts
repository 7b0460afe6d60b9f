/** Hands one mail to SMTP and says honestly how that ended: accepted, refused, not reached, or nobody can know. */

import { Readable } from 'node:stream';
import { createTransport } from 'nodemailer';
import DKIM from 'nodemailer/lib/dkim';
import type { ErrorCode, ErrorFact } from '../../errors.ts';
import { emailAddress } from '../suppression/schema.ts';

/** A plain text mail to one recipient. */
export interface Mail {
  from: { name: string | null; address: string };
  to: string;
  subject: string;
  text: string;
  /** `<…@…>`; the same for every attempt to send the same mail. */
  messageId: string;
  /** Header fields beside those above, each on one line. */
  headers: Readonly<Record<string, string>>;
}

/** `unknown`: the message may have left. */
export type MailOutcome =
  | { state: 'done'; providerRef: string | null }
  | { state: 'failed'; error: ErrorFact }
  | { state: 'unknown'; error: ErrorFact };

export interface Mailer {
  /** Whether mail stays here. */
  readonly sandbox: boolean;
  /** Whether the provider sends a mail with the same message id only once. */
  readonly deduplicates: boolean;
  /** Sends; never throws. */
  send(mail: Mail): Promise<MailOutcome>;
}

/** What mails are signed with (RFC 6376). */
export interface DkimSettings {
  domain: string;
  selector: string;
  /** RSA, PEM. */
  privateKey: string;
}

/**
 * The header fields that a signature covers, where a mail has them: those that a reader is shown, and both fields of
 * one-click unsubscribing, which mail programs trust only when they are signed (RFC 8058 §4).
 */
const SIGNED_FIELDS = [
  'From',
  'To',
  'Subject',
  'Date',
  'Message-ID',
  'MIME-Version',
  'Content-Type',
  'Content-Transfer-Encoding',
  'List-Unsubscribe',
  'List-Unsubscribe-Post',
].join(':');

export interface SmtpMailerNeeds {
  /** `smtp://` or `smtps://`, with user and password where the server wants them. */
  url: string;
  /** Milliseconds that one mail may take, from the connection to the server's last word. */
  timeoutMs: number;
  /** Without them the relay signs, or nobody. */
  dkim?: DkimSettings | null;
}

/**
 * Sends by SMTP, one connection a mail. What the server refuses is `failed` (`MAIL_REFUSED`), and so is a server that is
 * not reached or does not let us in (`MAIL_UNAVAILABLE`); a connection lost between the first byte of the message and
 * the server's answer is `unknown` (`EFFECT_UNKNOWN`): SMTP cannot be asked, and knows no repeat (RFC 5321 §4.5.4).
 */
export function createSmtpMailer({ url, timeoutMs, dkim = null }: SmtpMailerNeeds): Mailer {
  const signer =
    dkim === null
      ? null
      : new DKIM({
          domainName: dkim.domain,
          keySelector: dkim.selector,
          privateKey: dkim.privateKey,
          headerFieldNames: SIGNED_FIELDS,
        });
  return {
    sandbox: false,
    deduplicates: false,
    async send(mail) {
      const fault = faultOf(mail);
      if (fault !== undefined) return failed('MAIL_REFUSED', fault, false);
      let began = false;
      const transport = createTransport({ url, disableFileAccess: true, disableUrlAccess: true });
      transport.use('stream', (compiled, done) => {
        // Here and not by the transport's own option: a signer reads the whole message before the server asks for it.
        if (signer !== null) compiled.message.processFunc((input) => signer.sign(input));
        // SMTP reads the message only after the server has asked for it (354), so its first read is where doubt begins.
        compiled.message.processFunc((input) =>
          Readable.from(
            onFirstRead(input, () => {
              began = true;
            }),
            { objectMode: false },
          ),
        );
        done();
      });
      try {
        const { response } = await transport.sendMail({
          from: { name: mail.from.name ?? '', address: mail.from.address },
          to: { name: '', address: mail.to },
          envelope: { from: mail.from.address, to: [mail.to] },
          subject: mail.subject,
          // A carriage return by itself becomes a line's end on the way, after the signature was made over it.
          text: mail.text.replaceAll(/\r\n?/g, '\n'),
          messageId: mail.messageId,
          headers: { ...mail.headers },
          xMailer: false,
          signal: AbortSignal.timeout(timeoutMs),
        });
        return { state: 'done', providerRef: oneLine(response, 200) };
      } catch (error) {
        return outcomeOf(error, began);
      } finally {
        transport.close();
      }
    },
  };
}

/** For a service without a mail server: it sends nothing, whoever asks. */
export function createSandboxMailer(): Mailer {
  return {
    sandbox: true,
    deduplicates: true,
    send: async () =>
      failed('MAIL_UNAVAILABLE', 'This service sends no mail: no mail server is configured.', false),
  };
}

/** `Name <address>`, as people read it; what could be mistaken for another address is taken out of the name. */
export function formatMailbox(name: string | null, address: string): string {
  const shown = (name ?? '').replaceAll(/[\p{C}<>"@]+/gu, ' ').trim();
  return shown === '' ? address : `${shown} <${address}>`;
}

/** The two halves of what `formatMailbox` made. */
export function parseMailbox(mailbox: string): { name: string | null; address: string } {
  const [, name = null, address = mailbox] = /^(.*) <([^<>]*)>$/s.exec(mailbox) ?? [];
  return { name, address };
}

async function* onFirstRead(input: Readable, note: () => void): AsyncGenerator<Buffer> {
  note();
  for await (const chunk of input) yield chunk;
}

const HEADER_NAME = /^[A-Za-z][A-Za-z0-9-]{0,75}$/;
/** What the mail's own fields say; another header must not say it differently. */
const OWN_HEADERS =
  /^(?:from|sender|to|cc|bcc|subject|date|message-id|mime-version|content-.*|return-path|received)$/i;

/** Why this mail must not be handed to a server; a line break in a header would add headers of a stranger's making. */
function faultOf(mail: Mail): string | undefined {
  if (!emailAddress.safeParse(mail.from.address).success) return 'The sender is not one email address.';
  if (!emailAddress.safeParse(mail.to).success) return 'The recipient is not one email address.';
  if (!/^<[^\s<>@]+@[^\s<>@]+>$/.test(mail.messageId)) return 'The message id is malformed.';
  const names = Object.keys(mail.headers);
  if (!names.every((name) => HEADER_NAME.test(name) && !OWN_HEADERS.test(name))) {
    return 'The mail has a header that it must not have.';
  }
  const values = [mail.from.name ?? '', mail.subject, mail.messageId, ...Object.values(mail.headers)];
  if (values.some((value) => /\p{Cc}/u.test(value))) {
    return 'A header of the mail holds a line break or a control character.';
  }
  return undefined;
}

/** The parts of a nodemailer error that tell how far it came. */
interface SmtpError {
  code?: unknown;
  responseCode?: unknown;
  response?: unknown;
}

function outcomeOf(error: unknown, began: boolean): MailOutcome {
  const { code, responseCode, response } = (error instanceof Error ? error : {}) as SmtpError;
  if (code === 'EAUTH' || code === 'ENOAUTH') {
    return failed('MAIL_UNAVAILABLE', 'The mail server did not accept our sign-in. Check SMTP_URL.', true);
  }
  if (typeof responseCode === 'number' && responseCode >= 400 && responseCode < 600) {
    const words = oneLine(typeof response === 'string' ? response : String(responseCode), 300);
    const again = responseCode < 500 ? ' It may accept the same mail later.' : '';
    return failed('MAIL_REFUSED', `The mail server refused the mail: ${words}${again}`, responseCode < 500);
  }
  if (began) {
    return {
      state: 'unknown',
      error: {
        code: 'EFFECT_UNKNOWN',
        message:
          'The connection to the mail server was lost before it said whether it took the mail, so it may have left. Look there before it is sent again.',
        retryable: false,
      },
    };
  }
  // Refused by the client for what the server announced: the message is larger than its limit, or an address is unfit.
  if (code === 'EMESSAGE' || code === 'EENVELOPE') {
    return failed('MAIL_REFUSED', 'The mail server does not take such a mail.', false);
  }
  return failed('MAIL_UNAVAILABLE', 'The mail server could not be reached. Nothing was sent.', true);
}

function failed(code: ErrorCode, message: string, retryable: boolean): MailOutcome {
  return { state: 'failed', error: { code, message, retryable } };
}

function oneLine(text: string, length: number): string {
  return text
    .replaceAll(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, length);
}
