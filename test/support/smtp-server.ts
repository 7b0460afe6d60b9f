/** A real SMTP server that keeps and counts what it physically takes, and breaks where a test says so. */

import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { SMTPServer } from 'smtp-server';

export interface Delivery {
  from: string;
  to: string;
  subject: string;
  /** The text as the recipient reads it, with line feeds. */
  text: string;
  messageId: string;
  raw: string;
}

/**
 * What becomes of a mail once the server has all of it: `take` answers 250; `drop` takes it and breaks the connection
 * before the answer; `refuse` answers 550 and keeps nothing; `repeat` answers 250 and keeps nothing, as a server does
 * that has this mail already. A promise holds the answer back, and the mail was taken.
 */
export type Treatment = 'take' | 'drop' | 'refuse' | 'repeat';

export interface SmtpServer {
  /** For SMTP_URL. */
  url: string;
  /** Everything taken, `drop` included, in the order it came. */
  taken: Delivery[];
  /** What was taken for this address. */
  takenFor(address: string): Delivery[];
  /** The first mail for this address, as soon as it was taken. */
  arrival(address: string): Promise<Delivery>;
  /** Decides by mail; default: `take`. */
  treat(treatment: (delivery: Delivery) => Treatment | Promise<Treatment>): void;
  /** Refuses the address as soon as it is named (RCPT), with these words, which begin with the code. */
  refuseRecipient(address: string, words: string): void;
  close(): Promise<void>;
}

/** Starts a server on a free port of the loopback. */
export async function startSmtpServer(): Promise<SmtpServer> {
  const taken: Delivery[] = [];
  const sockets = new Map<number, Socket>();
  const awaited = new Set<() => void>();
  const refused = new Map<string, string>();
  let treatment: (delivery: Delivery) => Treatment | Promise<Treatment> = () => 'take';
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    // Connections that the tests break end with the server instead of being waited for.
    closeTimeout: 1,
    onRcptTo({ address }, _session, done) {
      const words = refused.get(address);
      if (words === undefined) return done();
      done(Object.assign(new Error(words.slice(4)), { responseCode: Number(words.slice(0, 3)) }));
    },
    async onData(stream, session, done) {
      const chunks: Buffer[] = [];
      try {
        for await (const chunk of stream) chunks.push(chunk);
      } catch {
        // The sender died before the end of its mail: nothing was taken, and nobody waits for an answer.
        return;
      }
      const { mailFrom, rcptTo } = session.envelope;
      const delivery = read(
        mailFrom === false ? '' : mailFrom.address,
        rcptTo.map((recipient) => recipient.address).join(', '),
        Buffer.concat(chunks).toString(),
      );
      const how = treatment(delivery);
      // Taken is what has come, whatever is answered and when.
      if (how !== 'refuse' && how !== 'repeat') taken.push(delivery);
      for (const look of [...awaited]) look();
      switch (await how) {
        case 'take':
        case 'repeat':
          return done();
        case 'refuse':
          return done(Object.assign(new Error('No such user here'), { responseCode: 550 }));
        case 'drop':
          sockets.get(session.remotePort)?.destroy();
      }
    },
  });
  server.server.on('connection', (socket) => {
    const port = socket.remotePort ?? 0;
    sockets.set(port, socket);
    socket.on('close', () => sockets.delete(port));
  });
  server.on('error', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const { port } = server.server.address() as AddressInfo;
  return {
    url: `smtp://127.0.0.1:${port}`,
    taken,
    takenFor: (address) => taken.filter((delivery) => delivery.to === address),
    arrival: (address) =>
      new Promise((resolve) => {
        const look = () => {
          const delivery = taken.find((one) => one.to === address);
          if (delivery === undefined) return;
          awaited.delete(look);
          resolve(delivery);
        };
        awaited.add(look);
        look();
      }),
    refuseRecipient: (address, words) => void refused.set(address, words),
    treat(next) {
      treatment = next;
    },
    close() {
      for (const socket of sockets.values()) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

function read(from: string, to: string, raw: string): Delivery {
  const end = raw.indexOf('\r\n\r\n');
  const head = raw.slice(0, end).replaceAll(/\r\n[ \t]+/g, ' ');
  const header = (name: string) => new RegExp(`^${name}: (.*)$`, 'im').exec(head)?.[1] ?? '';
  const body = raw.slice(end + 4);
  const quoted = /^quoted-printable$/i.test(header('Content-Transfer-Encoding'));
  const text = quoted
    ? Buffer.from(
        body
          .replaceAll('=\r\n', '')
          .replaceAll(/=([0-9A-F]{2})/g, (_code, hex: string) =>
            String.fromCharCode(Number.parseInt(hex, 16)),
          ),
        'latin1',
      ).toString()
    : body;
  return {
    from,
    to,
    raw,
    subject: header('Subject'),
    messageId: header('Message-ID'),
    text: text.replaceAll('\r\n', '\n').trimEnd(),
  };
}
