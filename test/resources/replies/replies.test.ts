/** The door by which mail comes in, over HTTP: what is read of a mail, what it is matched with, and what it is refused for. */

import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createOutbox } from '../../../src/resources/outbox/outbox.ts';
import { createReplies } from '../../../src/resources/replies/replies.ts';
import { createReplyRoutes } from '../../../src/resources/replies/routes.ts';
import { MAIL_LIMIT, type Reply, TEXT_LIMIT } from '../../../src/resources/replies/schema.ts';
import { createSuppression } from '../../../src/resources/suppression/suppression.ts';
import type { Caller } from '../../../src/runtime/caller.ts';
import { type HttpHarness, startHttpHarness, WORKSPACE_HEADER } from '../../support/http-harness.ts';
import {
  exchangeBounce,
  gmailBounce,
  handIn,
  humanReply,
  outOfOffice,
  postfixBounce,
  rawMail,
} from '../../support/raw-mails.ts';

const SENT = '<0123456789abcdef@example.com>';
const NOW = Date.parse('2026-03-02T11:00:00Z');

let harness: HttpHarness;
let now = NOW;
beforeAll(async () => {
  harness = await startHttpHarness({
    routes: (needs) =>
      createReplyRoutes(createReplies({ ...needs, now: () => now, suppression: createSuppression(needs) })),
  });
});
afterAll(() => harness.close());
beforeEach(async () => {
  now = NOW;
  for (const table of ['replies', 'outbox', 'suppression_entries'])
    await harness.ownerQuery(`delete from ${table}`);
  harness.lines.length = 0;
});

/** Records a mail that was sent; answers its row. */
async function sent(messageId = SENT, to = 'person0@acme.example', caller: Caller = harness.caller) {
  const call = { turnId: harness.newId(), toolCallId: 'call' };
  return harness.database.within(caller.workspaceId, async (tx) => {
    const outbox = createOutbox(harness);
    await outbox.recordWithin(tx, caller, {
      ...call,
      leadId: harness.newId(),
      senderProfileId: null,
      from: 'Jane <jane@example.com>',
      to,
      subject: 'Maps for Acme',
      body: 'Hello.',
      messageId,
      sandbox: false,
    });
    return outbox.settleWithin(tx, call, { state: 'done', providerRef: null });
  });
}

const hand = (raw: string | Uint8Array, headers?: Record<string, string>) =>
  handIn(harness.url, raw, headers);
const rows = () => harness.ownerQuery('select * from replies order by id');
const suppressed = () => harness.ownerQuery('select email, reason, source from suppression_entries');

interface Page {
  replies: Reply[];
  items: Reply[];
  total: number;
  next_cursor: string | null;
  has_more: boolean;
}
const list = async (query = '', workspace: 'a' | 'b' = 'a') =>
  (await harness.ask<Page>('GET', `/api/v1/replies${query}`, { workspace })).body;

describe('a mail that comes in', () => {
  it('is kept with its words and the mail that it answers', async () => {
    const mail = await sent();
    const { status, reply } = await hand(humanReply(SENT, { messageId: '<answer@acme.example>' }));
    expect(status).toBe(201);
    expect(reply).toEqual({
      reply_id: expect.any(String),
      kind: 'reply',
      from_email: 'person0@acme.example',
      from_name: 'Maureen Fuentes',
      subject: 'Re: Maps for Acme',
      text: expect.stringMatching(
        /^Yes, gladly\. Call me on Friday – Grüße aus Köln\.\n\nOn Mon.*\n\n> Hello/s,
      ),
      attachments: 0,
      message_id: '<answer@acme.example>',
      outbox_id: mail.outbox_id,
      campaign_id: null,
      campaign_lead_id: null,
      lead_id: mail.lead_id,
      bounce: null,
      received_at: '2026-03-02T11:00:00.000Z',
    });
    const read = await harness.ask('GET', `/api/v1/replies/${reply.reply_id}`);
    expect(read.body).toEqual(reply);
  });

  it('is kept once by its Message-ID, also when it comes twenty times at the same moment', async () => {
    await sent();
    const raw = humanReply(SENT);
    const answers = await Promise.all(Array.from({ length: 20 }, () => hand(raw)));
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(19).fill(200), 201]);
    expect(new Set(answers.map(({ reply }) => reply.reply_id)).size).toBe(1);
    expect(await rows()).toHaveLength(1);
  });

  it('without a Message-ID is known by its bytes', async () => {
    const raw = rawMail({ messageId: null });
    expect((await hand(raw)).status).toBe(201);
    expect((await hand(raw)).status).toBe(200);
    expect((await hand(rawMail({ messageId: null, body: 'Another.' }))).status).toBe(201);
    expect((await hand(rawMail({ messageId: `<${'x'.repeat(3000)}@y.example>` }))).status).toBe(201);
    expect(await rows()).toHaveLength(3);
  });

  it('honours Idempotency-Key: the first answer again, and no other mail under it', async () => {
    const key = { 'idempotency-key': 'mail-1' };
    const raw = humanReply(SENT);
    const first = await hand(raw, key);
    const second = await hand(raw, key);
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.reply).toEqual(first.reply);
    expect(await hand(humanReply(SENT), key)).toMatchObject({ status: 422 });
  });

  it('is matched by References where In-Reply-To names nothing of ours, the nearest first', async () => {
    const older = await sent('<older@example.com>', 'a@acme.example');
    const newer = await sent('<newer@example.com>', 'b@acme.example');
    const headers = [
      'In-Reply-To: <theirs@acme.example>',
      'References: <older@example.com>\n <newer@example.com> <theirs@acme.example>',
    ];
    const { reply } = await hand(rawMail({ from: 'colleague@acme.example', headers }));
    expect(reply.outbox_id).toBe(newer.outbox_id);
    const direct = await hand(
      rawMail({ headers: ['In-Reply-To: <older@example.com>', 'References: <newer@example.com>'] }),
    );
    expect(direct.reply.outbox_id).toBe(older.outbox_id);
  });

  it('is matched by its sender where it names no mail, with the latest that went there', async () => {
    await sent('<one@example.com>');
    await harness.ownerQuery(`update outbox set sent_at = '2026-03-01', created_at = '2026-03-01'`);
    const latest = await sent('<two@example.com>');
    await sent('<three@example.com>', 'somebody@else.example');
    const { reply } = await hand(rawMail({ from: 'PERSON0@Acme.example' }));
    expect(reply).toMatchObject({ from_email: 'PERSON0@Acme.example', outbox_id: latest.outbox_id });
    await harness.ownerQuery(`update outbox set status = 'failed'`);
    const none = await hand(rawMail({ from: 'person0@acme.example' }));
    expect(none.reply).toMatchObject({ outbox_id: null, lead_id: null });
  });

  it('matches nothing where it answers nothing, and is kept', async () => {
    const { status, reply } = await hand(rawMail({ from: 'stranger@nowhere.example' }));
    expect(status).toBe(201);
    expect(reply).toMatchObject({ kind: 'reply', outbox_id: null, campaign_id: null, lead_id: null });
  });

  it('is told as plain text where it is HTML', async () => {
    const { reply } = await hand(
      rawMail({
        headers: ['MIME-Version: 1.0', 'Content-Type: text/html; charset=utf-8'],
        body: '<html><head><title>x</title></head><body><script>alert(1)</script><p>Hello &amp; <b>thanks</b>&#0;</p><p>Bye&#128075;</p></body></html>',
      }),
    );
    expect(reply.text).toMatch(/^Hello & thanks\s+Bye👋$/);
  });

  it('loses its attachments, which are counted', async () => {
    const { reply } = await hand(
      rawMail({
        headers: ['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary="b"'],
        body: [
          ...[
            '--b',
            'Content-Type: text/plain; charset=iso-8859-1',
            'Content-Transfer-Encoding: quoted-printable',
          ],
          ...['', 'Gr=FC=DFe', '--b', 'Content-Type: application/pdf; name="secret.pdf"'],
          ...['Content-Transfer-Encoding: base64', '', 'QUFB', '--b', 'Content-Type: message/rfc822', ''],
          ...['From: other@x.example', '', 'Words of another mail.', '--b--'],
        ].join('\n'),
      }),
    );
    expect(reply).toMatchObject({ text: 'Grüße', attachments: 2 });
  });

  it('is read in a character set that it lies about or that nobody knows', async () => {
    const wrong = await hand(
      Buffer.from(
        rawMail({ headers: ['Content-Type: text/plain; charset=us-ascii'], body: 'Grüße' }),
        'latin1',
      ),
    );
    expect(wrong).toMatchObject({ status: 201, reply: { text: expect.stringContaining('Gr') } });
    const unknown = await hand(
      rawMail({ headers: ['Content-Type: text/plain; charset=x-klingon'], body: 'nuqneH' }),
    );
    expect(unknown).toMatchObject({ status: 201, reply: { text: 'nuqneH' } });
  });

  it('is cut where it is endless', async () => {
    const { reply } = await hand(rawMail({ body: `${'x'.repeat(TEXT_LIMIT - 1)}👋 and more` }));
    expect(reply.text).toBe('x'.repeat(TEXT_LIMIT - 1));
    const lines = await hand(rawMail({ body: `First.${'\n'.repeat(200_000)}Last.` }));
    expect(lines.reply.text).toBe('First.');
  });
});

describe('what no person wrote', () => {
  it.each([
    ['an out-of-office', outOfOffice(SENT)],
    ['Auto-Submitted with a comment', rawMail({ headers: ['Auto-Submitted: auto-replied (vacation)'] })],
    ['Precedence: bulk', rawMail({ headers: ['Precedence: bulk'] })],
    ['Precedence: auto_reply', rawMail({ headers: ['precedence: AUTO_REPLY'] })],
    ['X-Autoreply', rawMail({ headers: ['X-Autoreply: yes'] })],
    [
      'a read receipt',
      rawMail({
        headers: ['Content-Type: multipart/report; boundary=x; report-type=disposition-notification'],
      }),
    ],
    ['a mail from the mail system', rawMail({ from: 'MAILER-DAEMON@acme.example' })],
    ['a mail without a return path', rawMail().replace('<person0@acme.example>', '<>')],
    [
      'a report of success',
      postfixBounce({ to: 'person0@acme.example', messageId: SENT, status: '2.1.5', action: 'delivered' }),
    ],
  ])('is told from a reply: %s', async (_what, raw) => {
    const mail = await sent();
    const { reply } = await hand(raw);
    expect(reply).toMatchObject({ kind: 'auto_reply', bounce: null });
    if (raw.includes(SENT)) expect(reply.outbox_id).toBe(mail.outbox_id);
    expect(await suppressed()).toEqual([]);
  });

  it('is not what says that a person did', async () => {
    const { reply } = await hand(rawMail({ headers: ['Auto-Submitted: no', 'Precedence: normal'] }));
    expect(reply.kind).toBe('reply');
  });

  it('is readable: an out-of-office that comes as HTML', async () => {
    expect((await hand(outOfOffice(SENT))).reply).toMatchObject({
      from_name: 'Fuentes, Maureen',
      text: 'I am out of the office until March\u00a09.',
    });
  });
});

describe('a bounce', () => {
  const makers = { Postfix: postfixBounce, Gmail: gmailBounce, Exchange: exchangeBounce };
  it.each(Object.entries(makers))('for good, as %s writes it, suppresses the address', async (_by, make) => {
    const mail = await sent();
    const { reply } = await hand(make({ to: 'person0@acme.example', messageId: SENT, status: '5.1.1' }));
    expect(reply).toMatchObject({
      kind: 'bounce',
      outbox_id: mail.outbox_id,
      bounce: { type: 'hard', status: '5.1.1', recipient: 'person0@acme.example' },
    });
    expect(await suppressed()).toEqual([
      {
        email: 'person0@acme.example',
        reason: 'A mail came back as undeliverable (5.1.1)',
        source: 'bounce',
      },
    ]);
  });

  it.each(Object.entries(makers))('for now, as %s writes it, changes nothing', async (_by, make) => {
    const mail = await sent();
    for (const [status, action] of [
      ['4.4.1', 'delayed'],
      ['4.2.2', 'failed'],
      ['5.4.1', 'delayed'],
      ['5.2.2', 'failed'],
      ['5.3.4', 'failed'],
      ['5.7.1', 'failed'],
      ['5.7.509', 'failed'],
    ] as const) {
      const { reply } = await hand(make({ to: 'person0@acme.example', messageId: SENT, status, action }));
      expect(reply).toMatchObject({
        kind: 'bounce',
        outbox_id: mail.outbox_id,
        bounce: { type: 'soft', status },
      });
    }
    expect(await suppressed()).toEqual([]);
  });

  it('suppresses the address that was written to, and not the one that it was sent on to', async () => {
    await sent();
    const bounced = { to: 'person0@acme.example', messageId: SENT, status: '5.1.10' };
    await hand(exchangeBounce(bounced, 'private@home.example'));
    expect(await suppressed()).toMatchObject([{ email: 'person0@acme.example' }]);
  });

  it('is matched by the address where the report does not name the mail', async () => {
    const mail = await sent();
    const { reply } = await hand(
      postfixBounce({ to: 'Person0@acme.example', messageId: null, status: '5.1.1' }),
    );
    expect(reply.outbox_id).toBe(mail.outbox_id);
    expect(await suppressed()).toMatchObject([{ email: 'person0@acme.example' }]);
  });

  it('of a mail that was never sent suppresses nobody', async () => {
    const { reply } = await hand(
      postfixBounce({ to: 'ceo@customer.example', messageId: '<never@example.com>', status: '5.1.1' }),
    );
    expect(reply).toMatchObject({ kind: 'bounce', outbox_id: null });
    expect(await suppressed()).toEqual([]);
  });

  it('stands by an address that is suppressed already', async () => {
    await sent();
    await harness.ownerQuery(
      `insert into suppression_entries (id, workspace_id, email, reason) values ($1, $2, 'person0@acme.example', 'asked')`,
      [harness.newId(), harness.caller.workspaceId],
    );
    const bounced = { to: 'person0@acme.example', messageId: SENT, status: '5.1.1' };
    expect((await hand(postfixBounce(bounced))).status).toBe(201);
    expect(await suppressed()).toMatchObject([{ reason: 'asked' }]);
  });
});

describe('another workspace', () => {
  it('is neither matched nor told of by a forged In-Reply-To, sender or bounce', async () => {
    const theirs = await sent('<theirs@other.example>', 'victim@acme.example', harness.other);
    const forged = [
      humanReply('<theirs@other.example>', { from: 'victim@acme.example' }),
      postfixBounce({ to: 'victim@acme.example', messageId: '<theirs@other.example>', status: '5.1.1' }),
    ];
    for (const raw of forged) {
      const { status, reply, text } = await hand(raw);
      expect(status).toBe(201);
      expect(reply).toMatchObject({ outbox_id: null, campaign_id: null, lead_id: null });
      expect(text).not.toContain(theirs.outbox_id);
    }
    expect(await suppressed()).toEqual([]);
    expect((await list('', 'b')).total).toBe(0);
    expect((await list()).total).toBe(2);
  });

  it('finds no reply by its id, and may have the same Message-ID', async () => {
    const raw = rawMail();
    const { reply } = await hand(raw);
    const foreign = await harness.ask('GET', `/api/v1/replies/${reply.reply_id}`, { workspace: 'b' });
    expect(foreign).toMatchObject({ status: 404, body: { detail: 'NOT_FOUND' } });
    const again = await hand(raw, { [WORKSPACE_HEADER]: 'b' });
    expect(again.status).toBe(201);
    expect(again.reply.reply_id).not.toBe(reply.reply_id);
  });
});

describe('the list', () => {
  it('tells the newest first, by pages that hold while others come in', async () => {
    for (let index = 0; index < 5; index += 1) await hand(rawMail({ subject: `Number ${index}` }));
    const first = await list('?limit=2');
    expect(first).toMatchObject({ total: 5, has_more: true });
    expect(first.items.map((one) => one.subject)).toEqual(['Number 4', 'Number 3']);
    expect(first.replies).toEqual(first.items);
    await hand(rawMail({ subject: 'Number 5' }));
    const second = await list(`?limit=2&cursor=${first.next_cursor}`);
    expect(second.items.map((one) => one.subject)).toEqual(['Number 2', 'Number 1']);
    const last = await list(`?limit=2&cursor=${second.next_cursor}`);
    expect(last).toMatchObject({ has_more: false, next_cursor: null });
    expect(last.items.map((one) => one.subject)).toEqual(['Number 0']);
    expect(await harness.ask('GET', '/api/v1/replies?cursor=mine')).toMatchObject({ status: 422 });
  });

  it('can be narrowed to a kind, a time, and words', async () => {
    await hand(rawMail({ subject: 'Price', body: '100%_sure' }));
    now += 1000;
    await hand(outOfOffice(SENT));
    expect((await list('?kind=reply')).items.map((one) => one.subject)).toEqual(['Price']);
    expect((await list('?kind=bounce')).total).toBe(0);
    expect((await list('?since=2026-03-02T12:00:01%2B01:00')).total).toBe(1);
    expect((await list('?q=100%25_s')).total).toBe(1);
    expect((await list('?q=100xxs')).total).toBe(0);
    expect((await list('?q=MAUREEN')).total).toBe(2);
    expect((await list(`?campaign_id=${harness.newId()}`)).total).toBe(0);
  });
});

describe('a hostile mail', () => {
  it.each([
    ['a header without end', rawMail({ headers: [`X-Long: ${'x'.repeat(200_000)}`] })],
    ['parts 10,000 deep', rawMail({ headers: nested(10_000) })],
    ['no From', 'Subject: hello\r\n\r\nHi'],
    ['nothing but words', 'hello'],
    ['nothing', ''],
  ])('is refused by name: %s', async (_what, raw) => {
    const answer = await hand(raw);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text)).toMatchObject({ detail: 'INVALID_MAIL' });
    expect(await rows()).toEqual([]);
  });

  it.each([
    [
      'a NUL in every place',
      rawMail({ from: '"A\0B" <a@b.example>', subject: 'x\0y', body: 'one\0two' }),
      { from_name: 'AB', subject: 'xy', text: 'onetwo' },
    ],
    [
      'encoded words with control characters',
      rawMail({
        from: '=?utf-8?Q?Ev=00e=0D=0ABcc=3A_x=40y.example?= <eve@evil.example>',
        subject: '=?utf-8?B?YQBiDQpj?=',
      }),
      { from_name: 'Eve Bcc: x@y.example', subject: 'ab c' },
    ],
    ['a From that is no address', rawMail({ from: 'undisclosed' }), { from_email: null }],
    [
      'a From of a group',
      rawMail({ from: 'Friends: a@b.example, c@d.example;' }),
      { from_email: null, from_name: 'Friends' },
    ],
    [
      'invisible and reversing signs',
      rawMail({ from: '"\u202eMaureen\u200b" <a@b.example>', subject: '\u2066Hi' }),
      { from_name: 'Maureen', subject: 'Hi' },
    ],
    [
      'a thousand references',
      rawMail({
        from: 'a@b.example',
        headers: [
          `References: ${Array.from({ length: 1000 }, (_, index) => `<${index}@x.example>`).join(' ')}`,
        ],
      }),
      { outbox_id: null },
    ],
    [
      'SQL',
      rawMail({ from: 'a@b.example', headers: [`In-Reply-To: <'};drop_table_replies--@x.example>`] }),
      { outbox_id: null },
    ],
    [
      'a report that reports nothing',
      rawMail({
        headers: ['Content-Type: multipart/report; boundary=b; report-type=delivery-status'],
        body: '--b\nContent-Type: message/delivery-status\n\n\0\nFinal-Recipient: rfc822; \0@x\n\n\n--b--',
      }),
      { kind: 'auto_reply' },
    ],
  ])('is kept harmlessly: %s', async (_what, raw, expected) => {
    await sent();
    const { status, reply, text } = await hand(raw);
    expect(status, text).toBe(201);
    expect(reply).toMatchObject(expected);
    expect(await suppressed()).toEqual([]);
  });

  it.each([
    ['<a href='],
    ['<a href="x" '],
    ['<a<a href=x '],
    ['<li '],
    ['<!--'],
    ['<script>'],
    ['</p'],
    ['&#x'],
    ['\u00a0\u000b'],
    ['<a href=x>y</a> '],
  ])('is read in a time that grows with its length only, as HTML of “%s” again and again', async (piece) => {
    const hostile = piece.repeat(600_000 / piece.length);
    for (const end of ['', '>']) {
      const headers = ['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary=b'];
      const html = `--b\nContent-Type: text/html; charset=utf-8\n\n<p>First</p>${hostile}${end}\n`;
      const body = `--b\nContent-Type: text/plain\n\nHello\n${html}--b--`;
      const { status, reply } = await hand(rawMail({ headers, body }));
      expect(status).toBe(201);
      expect(reply.text).toMatch(/^Hello\s+First/);
    }
  });

  it('is refused where it is too large, whether it says so or not', async () => {
    const large = Buffer.alloc(MAIL_LIMIT + 1, 'x');
    expect(await hand(large)).toMatchObject({ status: 413 });
    const streamed = await fetch(`${harness.url}/api/v1/replies/inbound`, {
      method: 'POST',
      headers: { 'content-type': 'message/rfc822' },
      body: new Blob([large]).stream(),
      duplex: 'half',
    } as RequestInit);
    expect(streamed.status).toBe(413);
    expect(await streamed.json()).toMatchObject({ detail: 'BODY_TOO_LARGE' });
    const largest = rawMail({ headers: ['Content-Type: text/plain'], body: 'Hi.' });
    expect((await hand(largest.padEnd(MAIL_LIMIT, 'x'))).status).toBe(201);
  });

  it('is refused where it comes as something else', async () => {
    for (const type of ['application/json', 'text/plain', 'multipart/form-data; boundary=b']) {
      const answer = await hand(rawMail(), { 'content-type': type });
      expect(JSON.parse(answer.text)).toMatchObject({ detail: 'UNSUPPORTED_MEDIA_TYPE' });
    }
    expect((await hand(rawMail(), { 'content-type': 'Message/RFC822; charset=utf-8' })).status).toBe(201);
  });

  it('is never in the log, whatever becomes of it', async () => {
    const secret = 'canary-of-a-stranger';
    await hand(rawMail({ from: `"${secret}" <${secret}@x.example>`, subject: secret, body: secret }));
    await hand(rawMail({ headers: [`X-${secret}: ${'x'.repeat(200_000)}`] }));
    await hand(`Subject: ${secret}\r\n\r\n${secret}`);
    expect(harness.lines.length).toBeGreaterThanOrEqual(3);
    expect(JSON.stringify(harness.lines)).not.toContain(secret);
  });

  it('of any bytes is never a fault of ours', async () => {
    const token = fc
      .constantFrom(
        ...[
          'From: a@b.example\r\n',
          'Content-Type: multipart/report; boundary=b\r\n',
          '--b\r\n',
          '--b--',
          '\r\n\r\n',
        ],
        ...[
          'Content-Type: message/delivery-status\r\n',
          'Final-Recipient: rfc822; a@b.example\r\n',
          'Status: 5.1.1\r\n',
        ],
        ...[
          'Content-Transfer-Encoding: base64\r\n',
          '=?utf-8?B?/w==?=',
          '=ff=00',
          '\0',
          ';',
          '<',
          '>',
          '"',
          '(',
          ':',
        ],
        ...[
          'Content-Type: text/html; charset=utf-16\r\n',
          'In-Reply-To: <a@b>\r\n',
          'Message-ID: ',
          '&#0;',
          '&#xd800;',
        ],
      )
      .map((text) => Buffer.from(text));
    const bytes = fc
      .array(
        fc.oneof(
          token,
          fc.uint8Array({ maxLength: 20 }).map((some) => Buffer.from(some)),
        ),
        { maxLength: 40 },
      )
      .map((pieces) => Buffer.concat(pieces));
    await fc.assert(
      fc.asyncProperty(bytes, fc.boolean(), async (some, begins) => {
        const raw = begins ? Buffer.concat([Buffer.from('From: a@b.example\r\n'), some]) : some;
        const { status, text } = await hand(raw);
        expect([200, 201, 400], `${raw.toString('base64')}: ${text}`).toContain(status);
      }),
      { numRuns: 300, seed: 20_261_128 },
    );
  }, 120_000);
});

/** Header lines that open that many parts within each other. */
function nested(levels: number): string[] {
  return Array.from(
    { length: levels },
    (_, index) => `Content-Type: multipart/mixed; boundary=b${index}\n\n--b${index}`,
  );
}
