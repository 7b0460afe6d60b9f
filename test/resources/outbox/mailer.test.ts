import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterEach, describe, expect, it } from 'vitest';
import {
  createSandboxMailer,
  createSmtpMailer,
  formatMailbox,
  type Mail,
  parseMailbox,
} from '../../../src/resources/outbox/mailer.ts';
import { checkDkim } from '../../support/dkim.ts';

const mail: Mail = {
  from: { name: 'Jane Doe', address: 'jane@example.com' },
  to: 'maureen@example.org',
  subject: 'Grüße',
  text: 'Hello Maureen,\n\nwie geht’s?\n.\nJane',
  messageId: '<abc123@example.com>',
  headers: {},
};

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Received {
  from: string;
  to: string[];
  raw: string;
}

/** A real SMTP server on a free port that keeps what it takes. */
async function startSmtp(options: SMTPServerOptions = {}): Promise<{ port: number; received: Received[] }> {
  const received: Received[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    // Open connections of broken sends end with the server instead of being waited for.
    closeTimeout: 1,
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        received.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map((recipient) => recipient.address),
          raw: Buffer.concat(chunks).toString(),
        });
        done();
      });
    },
    ...options,
  });
  // Connections that the tests break are no news.
  server.on('error', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  return { port: (server.server.address() as AddressInfo).port, received };
}

/** A line to `port` that can be cut. */
async function startCable(port: number): Promise<{ port: number; cut(): void }> {
  const ends = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      ends.add(one);
      one.on('error', () => undefined);
      one.on('close', () => other.destroy());
      one.pipe(other);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => new Promise((resolve) => server.close(() => resolve())));
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => {
      for (const end of ends) end.destroy();
    },
  };
}

/** A server that speaks these lines: the first at once, the others one for each line or message it is told. */
async function startParrot(...lines: (string | 'hang up')[]): Promise<number> {
  const server = createServer((socket) => {
    const left = [...lines];
    const say = () => {
      const line = left.shift();
      if (line === 'hang up') socket.destroy();
      else if (line !== undefined) socket.write(`${line}\r\n`);
    };
    socket.on('error', () => undefined);
    socket.on('data', say);
    closing.push(async () => {
      socket.destroy();
    });
    say();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => new Promise((resolve) => server.close(() => resolve())));
  return (server.address() as AddressInfo).port;
}

function send(port: number, changes: Partial<Mail> = {}, timeoutMs = 10_000) {
  return createSmtpMailer({ url: `smtp://127.0.0.1:${port}`, timeoutMs }).send({ ...mail, ...changes });
}

function refusal(code: number, words: string): Error {
  return Object.assign(new Error(words), { responseCode: code });
}

describe('the SMTP mailer', () => {
  it('hands over one plain text mail with our message id, and nothing of its own', async () => {
    const { port, received } = await startSmtp();
    const outcome = await send(port, { headers: { 'X-Overture': 'yes' } });
    expect(outcome).toEqual({ state: 'done', providerRef: expect.stringContaining('250') });
    expect(received).toHaveLength(1);
    const [got] = received;
    expect(got).toMatchObject({ from: 'jane@example.com', to: ['maureen@example.org'] });
    const raw = got?.raw ?? '';
    const end = raw.indexOf('\r\n\r\n');
    const [head, body] = [raw.slice(0, end), raw.slice(end)];
    expect(head).toContain('From: Jane Doe <jane@example.com>');
    expect(head).toContain('To: maureen@example.org');
    expect(head).toContain('Message-ID: <abc123@example.com>');
    expect(head).toContain('Subject: =?UTF-8?');
    expect(head).toContain('X-Overture: yes');
    expect(head).toMatch(/Content-Type: text\/plain; charset=utf-8/i);
    expect(head).not.toMatch(/x-mailer/i);
    const text = Buffer.from(body.replaceAll(/=\r\n/g, '').replaceAll(/=([0-9A-F]{2})/g, '%$1'));
    expect(decodeURIComponent(text.toString())).toContain('wie geht’s?\r\n.\r\nJane');
  });

  it('calls a recipient that is refused for good failed, in the words of the server', async () => {
    const { port, received } = await startSmtp({
      onRcptTo: (_address, _session, done) => done(refusal(550, 'No such user here')),
    });
    expect(await send(port)).toEqual({
      state: 'failed',
      error: {
        code: 'MAIL_REFUSED',
        message: expect.stringContaining('550 No such user here'),
        retryable: false,
      },
    });
    expect(received).toEqual([]);
  });

  it.each([
    ['at the sender', { onMailFrom: (_a, _s, done) => done(refusal(450, 'Busy')) }, true],
    ['at the recipient', { onRcptTo: (_a, _s, done) => done(refusal(421, 'Come back')) }, true],
    [
      'after the message',
      {
        onData(stream, _session, done) {
          stream.resume().on('end', () => done(refusal(451, 'Greylisted')));
        },
      },
      true,
    ],
    [
      'after the message, for good',
      {
        onData(stream, _session, done) {
          stream.resume().on('end', () => done(refusal(554, 'Spam')));
        },
      },
      false,
    ],
  ] satisfies [string, SMTPServerOptions, boolean][])(
    'calls a refusal %s failed',
    async (_when, options, retryable) => {
      const { port } = await startSmtp(options);
      expect(await send(port)).toMatchObject({ state: 'failed', error: { code: 'MAIL_REFUSED', retryable } });
    },
  );

  it('calls a server that is not there, closes, or greets with 421 failed and not unknown', async () => {
    const free = createServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    const { port } = free.address() as AddressInfo;
    await new Promise((resolve) => free.close(resolve));
    const unavailable = { state: 'failed', error: { code: 'MAIL_UNAVAILABLE', retryable: true } };
    expect(await send(port)).toMatchObject(unavailable);
    expect(await send(await startParrot('hang up'))).toMatchObject(unavailable);
    expect(await send(await startParrot('220 hello', '250 hello', 'hang up'))).toMatchObject(unavailable);
    expect(
      await send(await startParrot('220 hello', '250 hello', '250 ok', '250 ok', 'hang up')),
    ).toMatchObject(unavailable);
    expect(await send(await startParrot('421 going down'))).toMatchObject({
      state: 'failed',
      error: { code: 'MAIL_REFUSED', retryable: true },
    });
  });

  it('calls a sign-in that is refused failed', async () => {
    const { port, received } = await startSmtp({
      authOptional: false,
      allowInsecureAuth: true,
      onAuth: (_auth, _session, done) => done(refusal(535, 'Wrong password')),
    });
    const mailer = createSmtpMailer({ url: `smtp://jane:secret@127.0.0.1:${port}`, timeoutMs: 10_000 });
    const outcome = await mailer.send(mail);
    expect(outcome).toMatchObject({ state: 'failed', error: { code: 'MAIL_UNAVAILABLE', retryable: true } });
    expect(JSON.stringify(outcome)).not.toContain('secret');
    expect(received).toEqual([]);
  });

  it('calls a connection that is lost after the message, and before the answer, unknown', async () => {
    const arrived = Promise.withResolvers<void>();
    const { port } = await startSmtp({
      onData(stream) {
        stream.resume().on('end', () => arrived.resolve());
      },
    });
    const cable = await startCable(port);
    const sending = send(cable.port);
    await arrived.promise;
    cable.cut();
    expect(await sending).toMatchObject({
      state: 'unknown',
      error: { code: 'EFFECT_UNKNOWN', retryable: false },
    });
  });

  it('calls a connection that is lost in the middle of the message unknown', async () => {
    const begun = Promise.withResolvers<void>();
    const { port } = await startSmtp({
      onData(stream) {
        stream.once('data', () => begun.resolve());
      },
    });
    const cable = await startCable(port);
    const sending = send(cable.port, { text: 'x'.repeat(5_000_000) });
    await begun.promise;
    cable.cut();
    expect(await sending).toMatchObject({ state: 'unknown' });
  });

  it('gives up in time: unknown after the message, failed before it', async () => {
    const { port } = await startSmtp({ onData: (stream) => stream.resume() });
    expect(await send(port, {}, 500)).toMatchObject({ state: 'unknown' });
    expect(await send(await startParrot('220 hello'), {}, 200)).toMatchObject({
      state: 'failed',
      error: { code: 'MAIL_UNAVAILABLE' },
    });
  });

  it('refuses a header that would make headers or recipients of its own', async () => {
    const { port, received } = await startSmtp();
    const attempts: Partial<Mail>[] = [
      { subject: 'Hi\r\nBcc: evil@example.net' },
      { subject: 'Hi\nBcc: evil@example.net' },
      { from: { name: 'Jane\r\nBcc: evil@example.net', address: 'jane@example.com' } },
      { from: { name: 'Jane', address: 'jane@example.com>\r\nBcc: <evil@example.net' } },
      { to: 'maureen@example.org, evil@example.net' },
      { to: 'maureen@example.org\r\nevil@example.net' },
      { to: 'Maureen <maureen@example.org>' },
      { messageId: '<a@b>\r\nBcc: evil@example.net' },
      { headers: { 'X-A': 'b\r\nBcc: evil@example.net' } },
      { headers: { 'X-A\r\nBcc': 'evil@example.net' } },
      { headers: { Bcc: 'evil@example.net' } },
      { headers: { to: 'evil@example.net' } },
    ];
    for (const attempt of attempts) {
      expect(await send(port, attempt)).toMatchObject({
        state: 'failed',
        error: { code: 'MAIL_REFUSED', retryable: false },
      });
    }
    expect(received).toEqual([]);
  });

  it('lets no subject, name or text change the envelope or add a header', async () => {
    const { port, received } = await startSmtp();
    const wild = fc.stringMatching(/^[ -~\r\n\t,;:<>"'@]{0,60}$/);
    await fc.assert(
      fc.asyncProperty(wild, wild, wild, async (subject, name, text) => {
        received.length = 0;
        const outcome = await send(port, { subject, from: { name, address: 'jane@example.com' }, text });
        const clean = !/\p{Cc}/u.test(subject + name);
        expect(outcome.state).toBe(clean ? 'done' : 'failed');
        expect(received).toHaveLength(clean ? 1 : 0);
        for (const { from, to, raw } of received) {
          expect({ from, to }).toEqual({ from: 'jane@example.com', to: ['maureen@example.org'] });
          const [head = ''] = raw.split('\r\n\r\n');
          const names = head
            .replaceAll(/\r\n[ \t]+/g, ' ')
            .split('\r\n')
            .map((one) => one.split(':')[0]?.toLowerCase());
          const allowed = ['from', 'to', 'subject', 'message-id', 'date', 'mime-version', 'content-type'];
          expect(
            names.filter((one) => ![...allowed, 'content-transfer-encoding'].includes(one ?? '')),
          ).toEqual([]);
          expect(new Set(names).size).toBe(names.length);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('a mail that is signed', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const dkim = {
    domain: 'example.com',
    selector: 'overture',
    privateKey: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  };
  const signing = (port: number, changes: Partial<Mail> = {}) =>
    createSmtpMailer({ url: `smtp://127.0.0.1:${port}`, timeoutMs: 10_000, dkim }).send({
      ...mail,
      ...changes,
    });
  const unsubscribing = {
    'List-Unsubscribe': '<https://mail.example.com/unsubscribe/abc>',
    'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
  };

  it('carries a signature that holds, over what is shown and both fields of one-click unsubscribing', async () => {
    const { port, received } = await startSmtp();
    expect(await signing(port, { headers: unsubscribing })).toMatchObject({ state: 'done' });
    const raw = received[0]?.raw ?? '';
    const check = checkDkim(raw, publicKey);
    expect(check).toMatchObject({
      valid: true,
      tags: { v: '1', a: 'rsa-sha256', c: 'relaxed/relaxed', d: 'example.com', s: 'overture' },
    });
    expect(check.signed).toEqual(
      expect.arrayContaining([
        'from',
        'to',
        'subject',
        'date',
        'message-id',
        'list-unsubscribe',
        'list-unsubscribe-post',
      ]),
    );
    // Whoever changes any of it is found out.
    for (const [from, to] of [
      ['jane@example.com>', 'evil@example.com>'],
      ['maureen@example.org', 'mallory@example.org'],
      ['unsubscribe/abc', 'unsubscribe/abd'],
      ['=One-Click', '=Two-Click'],
      ['<abc123@', '<abc124@'],
    ] as const) {
      expect(raw).toContain(from);
      expect(checkDkim(raw.replace(from, to), publicKey), from).toMatchObject({
        valid: false,
        fault: 'headers',
      });
    }
    expect(checkDkim(raw.replace('Hello', 'Hallo'), publicKey)).toMatchObject({ fault: 'body' });
    const other = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
    expect(checkDkim(raw, other).valid).toBe(false);
  });

  it('holds whatever is written', async () => {
    const { port, received } = await startSmtp();
    const signs = [
      '\r',
      '\n',
      ' ',
      '\t',
      '.',
      'a',
      'é',
      '=',
      '\0',
      '\u0085',
      '\u2028',
      '\ufeff',
      '\ud800',
      'From ',
      ':',
    ];
    const words = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.string({ unit: fc.constantFrom(...signs), maxLength: 30 }),
    );
    await fc.assert(
      fc.asyncProperty(words, words, async (subject, text) => {
        received.length = 0;
        const outcome = await signing(port, { subject: subject.replaceAll(/\p{C}/gu, ''), text });
        expect(outcome.state).toBe('done');
        expect(checkDkim(received[0]?.raw ?? '', publicKey)).toMatchObject({ valid: true });
      }),
      { numRuns: 40, examples: [['', '\r\r']] },
    );
  });

  it('is in doubt only from where the server has asked for it', async () => {
    for (const lines of [
      ['220 hello', '250 hello', 'hang up'],
      ['220 hello', '250 hello', '250 ok', 'hang up'],
      ['220 hello', '250 hello', '250 ok', '250 ok', 'hang up'],
    ] as const) {
      expect(await signing(await startParrot(...lines))).toMatchObject({
        state: 'failed',
        error: { code: 'MAIL_UNAVAILABLE' },
      });
    }
    const begun = Promise.withResolvers<void>();
    const { port } = await startSmtp({
      onData(stream) {
        stream.once('data', () => begun.resolve());
      },
    });
    const cable = await startCable(port);
    const sending = signing(cable.port, { text: 'x'.repeat(5_000_000) });
    await begun.promise;
    cable.cut();
    expect(await sending).toMatchObject({ state: 'unknown' });
  });
});

describe('the sandbox mailer', () => {
  it('says that it is one and never sends', async () => {
    const mailer = createSandboxMailer();
    expect(mailer.sandbox).toBe(true);
    expect(await mailer.send(mail)).toMatchObject({ state: 'failed' });
  });
});

describe('a mailbox as people read it', () => {
  it('shows the name beside the address, and no name that looks like another address', () => {
    expect(formatMailbox('Jane Doe', 'jane@example.com')).toBe('Jane Doe <jane@example.com>');
    expect(formatMailbox(null, 'jane@example.com')).toBe('jane@example.com');
    for (const name of ['Jane Doe', null]) {
      expect(parseMailbox(formatMailbox(name, 'jane@example.com'))).toEqual({
        name,
        address: 'jane@example.com',
      });
    }
    expect(formatMailbox('ceo@bank.com>\u202e\n', 'jane@example.com')).toBe(
      'ceo bank.com <jane@example.com>',
    );
  });
});
