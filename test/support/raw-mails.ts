/** Raw mails as programs of this world write them, and the way they are handed in. */

import type { Reply } from '../../src/resources/replies/schema.ts';

export interface RawMail {
  from?: string;
  subject?: string;
  messageId?: string | null;
  /** Header lines beside those. */
  headers?: readonly string[];
  body?: string;
}

let made = 0;
export function uniqueMessageId(): string {
  made += 1;
  return `<made-${made}@elsewhere.example>`;
}

/** A mail as one string with CRLF line ends. */
export function rawMail({
  from = 'Maureen Fuentes <person0@acme.example>',
  subject = 'Re: Maps for Acme',
  messageId = uniqueMessageId(),
  headers = [],
  body = 'Yes, gladly. Call me on Friday.',
}: RawMail = {}): string {
  return crlf(
    [
      'Return-Path: <person0@acme.example>',
      'Received: from mx.acme.example (mx.acme.example [203.0.113.9]) by mail.example.com; Mon, 02 Mar 2026 11:00:00 +0000',
      `From: ${from}`,
      'To: Jane Doe <jane@example.com>',
      `Subject: ${subject}`,
      ...(messageId === null ? [] : [`Message-ID: ${messageId}`]),
      'Date: Mon, 02 Mar 2026 11:00:00 +0000',
      ...headers,
      '',
      body,
      '',
    ].join('\n'),
  );
}

/** A person's answer to a mail of ours, quoting it. */
export function humanReply(answered: string, changes: RawMail = {}): string {
  return rawMail({
    headers: [
      `In-Reply-To: ${answered}`,
      `References: ${answered}`,
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=UTF-8',
      'Content-Transfer-Encoding: 8bit',
    ],
    body: `Yes, gladly. Call me on Friday – Grüße aus Köln.

On Mon, Mar 2, 2026 at 9:00 AM Jane Doe <jane@example.com> wrote:

> Hello Person0,
> shall we talk about maps?`,
    ...changes,
  });
}

/** What Outlook answers for somebody who is away. */
export function outOfOffice(answered: string, from = 'person0@acme.example'): string {
  return rawMail({
    from: `"Fuentes, Maureen" <${from}>`,
    subject: 'Automatic reply: Maps for Acme',
    headers: [
      `In-Reply-To: ${answered}`,
      `References: ${answered}`,
      'X-MS-Has-Attach:',
      'Auto-Submitted: auto-generated',
      'X-Auto-Response-Suppress: All',
      'MIME-Version: 1.0',
      'Content-Type: text/html; charset="us-ascii"',
    ],
    body: '<html><head><style>p {margin:0}</style></head><body><p>I am out of the office until March&nbsp;9.</p></body></html>',
  });
}

export interface BouncedMail {
  to: string;
  /** The Message-ID of the mail that bounced; null where the report does not tell. */
  messageId: string | null;
  status: string;
  action?: string;
}

/** As Postfix writes it: the mail's header comes back as text/rfc822-headers. */
export function postfixBounce({ to, messageId, status, action = 'failed' }: BouncedMail): string {
  return crlf(`Return-Path: <>
Received: by mail.example.com (Postfix) id 4F1; Mon,  2 Mar 2026 09:00:02 +0100 (CET)
Date: Mon,  2 Mar 2026 09:00:02 +0100 (CET)
From: MAILER-DAEMON@mail.example.com (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: jane@example.com
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="4F1.1772438402/mail.example.com"
Message-Id: ${uniqueMessageId()}

This is a MIME-encapsulated message.

--4F1.1772438402/mail.example.com
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mail.example.com.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

<${to}>: host mx.acme.example[203.0.113.9] said: 550 ${status}
    <${to}>: Recipient address rejected (in reply to RCPT TO command)

--4F1.1772438402/mail.example.com
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.com
X-Postfix-Queue-ID: 4F1
X-Postfix-Sender: rfc822; jane@example.com
Arrival-Date: Mon,  2 Mar 2026 09:00:01 +0100 (CET)

Final-Recipient: rfc822; ${to}
Original-Recipient: rfc822;${to}
Action: ${action}
Status: ${status}
Remote-MTA: dns; mx.acme.example
Diagnostic-Code: smtp; 550 ${status} <${to}>: Recipient address
    rejected: User unknown

--4F1.1772438402/mail.example.com
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

Return-Path: <jane@example.com>
From: Jane Doe <jane@example.com>
To: ${to}
Subject: Maps for Acme
${messageId === null ? '' : `Message-ID: ${messageId}\n`}Date: Mon, 02 Mar 2026 08:00:00 +0000

--4F1.1772438402/mail.example.com--
`);
}

/** As Gmail writes it: two texts and a picture, the report, the whole mail. */
export function gmailBounce({ to, messageId, status, action = 'failed' }: BouncedMail): string {
  return crlf(`Return-Path: <>
From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>
To: jane@example.com
Auto-Submitted: auto-replied
Subject: Delivery Status Notification (Failure)
X-Failed-Recipients: ${to}
In-Reply-To: ${messageId}
References: ${messageId}
Message-ID: ${uniqueMessageId()}
Date: Mon, 02 Mar 2026 00:00:03 -0800 (PST)
MIME-Version: 1.0
Content-Type: multipart/report; boundary="0000000000007d1a"; report-type=delivery-status

--0000000000007d1a
Content-Type: multipart/related; boundary="0000000000008f2b"

--0000000000008f2b
Content-Type: multipart/alternative; boundary="0000000000008f2c"

--0000000000008f2c
Content-Type: text/plain; charset="UTF-8"

** Address not found **

Your message wasn't delivered to ${to} because the address couldn't be found.

--0000000000008f2c
Content-Type: text/html; charset="UTF-8"

<html><body><b>Address not found</b></body></html>

--0000000000008f2c--
--0000000000008f2b
Content-Type: image/png; name="icon.png"
Content-Disposition: attachment; filename="icon.png"
Content-Transfer-Encoding: base64
Content-ID: <icon.png>

iVBORw0KGgo=

--0000000000008f2b--
--0000000000007d1a
Content-Type: message/delivery-status

Reporting-MTA: dns; googlemail.com
Received-From-MTA: dns; jane@example.com
Arrival-Date: Mon, 02 Mar 2026 00:00:02 -0800 (PST)
X-Original-Message-ID: ${messageId}

Final-Recipient: rfc822; ${to}
Action: ${action}
Status: ${status}
Diagnostic-Code: smtp; 550-${status} The email account that you tried to reach does not exist.
Last-Attempt-Date: Mon, 02 Mar 2026 00:00:03 -0800 (PST)

--0000000000007d1a
Content-Type: message/rfc822

Message-ID: ${messageId}
From: Jane Doe <jane@example.com>
To: ${to}
Subject: Maps for Acme
Content-Type: text/plain

Hello Person0

--0000000000007d1a--
`);
}

/** As Exchange writes it: the header comes back as a mail of its own, the recipient is the address it was sent on to. */
export function exchangeBounce(
  { to, messageId, status, action = 'failed' }: BouncedMail,
  finalRecipient = to,
): string {
  return crlf(`Return-Path: <>
From: <postmaster@acme.example>
To: <jane@example.com>
Subject: Undeliverable: Maps for Acme
Message-ID: ${uniqueMessageId()}
In-Reply-To: ${messageId}
References: ${messageId}
Date: Mon, 2 Mar 2026 08:00:03 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
 boundary="_000_AM0PR01_"
X-MS-Exchange-Message-Is-Ndr:
Auto-Submitted: auto-replied

--_000_AM0PR01_
Content-Type: text/html; charset="utf-8"
Content-Transfer-Encoding: base64

${Buffer.from(`<html><body><p>Your message to ${to} couldn't be delivered.</p></body></html>`).toString('base64')}

--_000_AM0PR01_
Content-Type: message/delivery-status

Reporting-MTA: dns;AM0PR01MB0000.eurprd01.prod.exchangelabs.com
Arrival-Date: Mon, 2 Mar 2026 08:00:02 +0000

Original-Recipient: rfc822;${to}
Final-Recipient: rfc822;${finalRecipient}
Action: ${action}
Status: ${status}
Diagnostic-Code: smtp;550 ${status} RESOLVER.ADR.RecipNotFound; not found

--_000_AM0PR01_
Content-Type: message/rfc822

From: Jane Doe <jane@example.com>
To: <${to}>
Subject: Maps for Acme
Message-ID: ${messageId}
Content-Type: text/plain

--_000_AM0PR01_--
`);
}

export interface Handed {
  status: number;
  reply: Reply;
  /** The answer as it came. */
  text: string;
}

/** Hands a raw mail in. */
export async function handIn(
  url: string,
  raw: string | Uint8Array,
  headers: Record<string, string> = {},
): Promise<Handed> {
  const response = await fetch(`${url}/api/v1/replies/inbound`, {
    method: 'POST',
    headers: { 'content-type': 'message/rfc822', ...headers },
    body: raw as NonNullable<RequestInit['body']>,
  });
  const text = await response.text();
  return { status: response.status, reply: JSON.parse(text) as Reply, text };
}

function crlf(text: string): string {
  return text.replaceAll(/\r?\n/g, '\r\n');
}
