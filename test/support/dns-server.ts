/** A real DNS server on the loopback, by UDP and TCP, that answers what a test says and notes what it was asked. */

import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  type Packet,
  RECURSION_AVAILABLE,
  streamDecode,
  streamEncode,
  TRUNCATED_RESPONSE,
} from 'dns-packet';

const RCODES = { nxdomain: 3, servfail: 2, refused: 5 } as const;

/**
 * What is known of a domain. Records: what is not named is not there (NODATA). `truncated`: by UDP nothing but "ask by
 * TCP"; with `tcp: false` TCP breaks the connection. A function decides by the type that is asked (`MX`, `A`, `AAAA`).
 */
export type Zone =
  | keyof typeof RCODES
  | 'silence'
  | 'nonsense'
  | { mx?: [number, string][]; a?: string[]; aaaa?: string[]; ns?: string[]; truncated?: { tcp: boolean } }
  | ((type: string) => Zone);

export interface DnsServer {
  /** `type name`, in the order they came by UDP. */
  asked: string[];
  set(domain: string, zone: Zone): void;
  /** A resolver that asks this server alone; each question waits so many milliseconds (default: as long as a busy machine may take). */
  createResolver(timeout?: number): Resolver;
  /** Answers nothing any more and resolves when a question has come: call `open` to answer it and all others. */
  hold(): { reached: Promise<void>; open(): void };
  close(): Promise<void>;
}

/** Starts a server; a domain that was not set does not exist. Of the internet it knows the root (`.`). */
export async function startDnsServer(): Promise<DnsServer> {
  const zones = new Map<string, Zone>([['.', { ns: ['root.servers.example'] }]]);
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  let held: { reached(): void; opened: Promise<void> } | null = null;
  const tcp = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // Who asks may leave without a word.
    socket.on('error', () => socket.destroy());
    let read = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      read = Buffer.concat([read, chunk]);
      if (read.length < 2 || read.length < 2 + read.readUInt16BE(0)) return;
      const query = streamDecode(read);
      const zone = zoneOf(query);
      if (typeof zone === 'object' && zone.truncated?.tcp === false) socket.destroy();
      else {
        const answer = answerOf(query, zone, true);
        if (answer !== null) socket.end(streamEncode(answer));
      }
    });
  });
  const { udp, port } = await bind(tcp);
  udp.on('message', async (message, from) => {
    const query = decode(message);
    const [question] = query.questions ?? [];
    asked.push(`${question?.type} ${question?.name}`);
    held?.reached();
    await held?.opened;
    const zone = zoneOf(query);
    const answer = zone === 'nonsense' ? Buffer.from('no DNS') : encoded(answerOf(query, zone, false));
    if (answer !== null) udp.send(answer, from.port, from.address);
  });

  function zoneOf({ questions }: Packet): Zone {
    const [question] = questions ?? [];
    let zone = zones.get(question?.name.toLowerCase() ?? '') ?? 'nxdomain';
    while (typeof zone === 'function') zone = zone(question?.type ?? '');
    return zone;
  }

  return {
    asked,
    set: (domain, zone) => void zones.set(domain, zone),
    createResolver(timeout = 20_000) {
      const resolver = new Resolver({ timeout, tries: 1 });
      resolver.setServers([`127.0.0.1:${port}`]);
      return resolver;
    },
    hold() {
      const reached = Promise.withResolvers<void>();
      const opened = Promise.withResolvers<void>();
      held = { reached: reached.resolve, opened: opened.promise };
      return {
        reached: reached.promise,
        open() {
          held = null;
          opened.resolve();
        },
      };
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await Promise.all([
        new Promise<void>((resolve) => udp.close(resolve)),
        new Promise((resolve) => tcp.close(resolve)),
      ]);
    },
  };
}

/** Both listen on one port, as a resolver asks again by TCP where it asked by UDP. */
async function bind(tcp: Server): Promise<{ udp: DatagramSocket; port: number }> {
  for (;;) {
    tcp.listen(0, '127.0.0.1');
    await once(tcp, 'listening');
    const { port } = tcp.address() as AddressInfo;
    const udp = createSocket('udp4');
    udp.bind(port, '127.0.0.1');
    try {
      await once(udp, 'listening');
      return { udp, port };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      // Somebody else has the port by UDP: another one is tried.
      udp.close();
      await new Promise((resolve) => tcp.close(resolve));
    }
  }
}

function encoded(answer: Packet | null): Buffer | null {
  return answer === null ? null : encode(answer);
}

/** Null where nothing is said. */
function answerOf({ id, questions = [] }: Packet, zone: Zone, byTcp: boolean): Packet | null {
  const [question] = questions;
  if (question === undefined || zone === 'silence' || zone === 'nonsense' || typeof zone === 'function') {
    return null;
  }
  const flags = AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE;
  const head = { type: 'response', id, questions } as const;
  if (typeof zone === 'string') return { ...head, flags: flags | RCODES[zone] };
  if (zone.truncated !== undefined && !byTcp) return { ...head, flags: flags | TRUNCATED_RESPONSE };
  const { name } = question;
  const records: Record<string, Answer[]> = {
    MX: (zone.mx ?? []).map(([preference, exchange]) => ({
      name,
      type: 'MX',
      ttl: 60,
      data: { preference, exchange },
    })),
    A: (zone.a ?? []).map((data) => ({ name, type: 'A', ttl: 60, data })),
    NS: (zone.ns ?? []).map((data) => ({ name, type: 'NS', ttl: 60, data })),
    AAAA: (zone.aaaa ?? []).map((data) => ({ name, type: 'AAAA', ttl: 60, data })),
  };
  return { ...head, flags, answers: records[question.type] ?? [] };
}
