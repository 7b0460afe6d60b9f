/** Readers of a long turn: from behind every number, in both processes; such as do not read, and such as come and go. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll } from 'vitest';
import { collectGarbage, INSPECTABLE } from '../support/collector.ts';
import { cardsOf, endOf, eventually, type Mailing, openMailing, say, sendEmail } from '../support/mailing.ts';
import { heardOf, joined, numbersOf, type Told } from '../support/numbers.ts';
import { proves } from '../support/proves.ts';
import type { ServiceProcess } from '../support/service.ts';
import { openStream } from '../support/sse.ts';
import { gate } from '../support/stage.ts';
import { sorted } from './oracle.ts';

export interface ReaderSizes {
  /** So many the long turn tells at least; a busy machine joins more of its text. */
  numbers: number;
  /** From behind each so-manieth of them. */
  step: number;
  stalled: number;
  /** What they do not read: half a MiB a turn; more than some eight is more than sockets take. */
  turns: number;
  comers: number;
  /** Connections that are opened long before anything is asked on them, which takes its time: may be 0. */
  ahead: number;
}

const KIB = 1024;
/** A stalled reader may hold so much (design.md §10), and a process of itself so much more between two looks. */
const STALLED_BYTES = 1024 * KIB;
const SLACK_BYTES = 32 * 1024 * KIB;
const PIECES = 16;
/** Words of a turn whose delay is measured, and their pace. */
const PROBES = 50;
const PROBE_MS = 20;
/** Node looks every 30 s for connections on which nothing came for too long; it used to mind after 10 s. */
const AHEAD_MS = 42_000;

export function provesReaders(sizes: ReaderSizes): void {
  let mailing: Mailing;
  let one: ServiceProcess;
  let other: ServiceProcess;
  beforeAll(async () => {
    mailing = await openMailing(INSPECTABLE);
    [one, other] = (await Promise.all([mailing.startProcess(), mailing.startProcess()])) as [
      ServiceProcess,
      ServiceProcess,
    ];
  });
  afterAll(() => mailing.close());

  function streamOf(service: ServiceProcess, threadId: string): string {
    return `${service.url}/api/v1/agent/conversations/${threadId}/stream`;
  }

  /** A turn with text, thoughts, many calls and two cards, in whose middle others rename and decide from elsewhere. */
  async function tellLongTurn(): Promise<{ threadId: string; finish(): Promise<void> }> {
    const held = gate();
    const leads = await Promise.all(
      ['first', 'second'].map((name) => mailing.addLead(`${name}-${crypto.randomUUID()}@acme.example`)),
    );
    const words = `a long turn ${crypto.randomUUID()}`;
    // A little time between them, so that not all of them travel at once.
    const paced = (count: number) =>
      Array.from({ length: count }, (_, index) => [
        new Promise((resolve) => setTimeout(resolve, 20 * (index + 1))),
        `word${index} `,
      ]).flat() as (string | Promise<unknown>)[];
    const looks = Array.from({ length: 10 }, () => ({ name: 'get_credit_balance' }));
    mailing.talk.plan(words, [
      () => ({ reasoning: paced(20), text: paced(30), toolCalls: looks }),
      () => ({ text: paced(70), toolCalls: looks }),
      () => ({ text: paced(10), toolCalls: leads.map((lead) => sendEmail(lead)) }),
      () => ({ text: paced(90), toolCalls: looks }),
      () => ({ text: [...paced(30), held.promise, 'and so it ends.'] }),
    ]);
    const stream = await openStream(`${one.url}/api/v1/agent/chat`, { body: { message: words } });
    const threadId = stream.headers.get('x-thread-id') ?? '';
    const rename = (title: string) =>
      other.client.request('PATCH', `/api/v1/agent/conversations/${threadId}`, { title });
    await stream.event('text-delta');
    await rename('While it speaks');
    await stream.ended;
    await rename('While it waits');
    const cards = await cardsOf(other.client, threadId);
    const [first, second] = cards;
    if (first === undefined || second === undefined) throw new Error(`there are ${cards.length} cards`);
    const decide = (card: typeof first, decision: 'approve' | 'reject', service: ServiceProcess) =>
      service.client.decide(threadId, card.approval_id, { decision, args_hash: card.args_hash });
    await decide(first, 'approve', other);
    await decide(second, 'reject', one);
    const follower = await openStream(streamOf(one, threadId), { headers: { 'last-event-id': '0' } });
    await follower.event('text-delta', ({ data }) => data.call === 4);
    await rename('While it speaks again');
    await follower.event('text-start', ({ data }) => data.call === 5);
    return {
      threadId,
      async finish() {
        held.open();
        await follower.event('run-end', ({ data }) => data.status === 'completed');
        follower.close();
      },
    };
  }

  async function newThread(): Promise<string> {
    const { thread_id } = await one.client.request<{ thread_id: string }>(
      'POST',
      '/api/v1/agent/conversations',
      {},
    );
    return thread_id;
  }

  /** Text is told twice, in pieces and at its end. */
  async function speakAtLength(threadId: string): Promise<void> {
    for (let turn = 0; turn < sizes.turns; turn += 1) {
      const words = `much text ${turn} ${crypto.randomUUID()}`;
      mailing.talk.plan(words, [{ text: Array.from({ length: PIECES }, () => 'x'.repeat(16 * KIB)) }]);
      const { events } = await say(one.client, words, { thread_id: threadId });
      if (endOf(events) !== 'completed') throw new Error(`a turn ended ${endOf(events)}`);
    }
  }

  /** Milliseconds from a word of the model to its reader, for each of some turns' words; of a conversation of their own. */
  async function delaysOf(turns: number): Promise<number[]> {
    const threadId = await newThread();
    const delays: number[] = [];
    for (let turn = 0; turn < turns; turn += 1) {
      const words = `how late ${crypto.randomUUID()}`;
      const said: number[] = [];
      const paced = Array.from({ length: PROBES }, (_, index) => [
        wait(PROBE_MS * (index + 1)).then(() => {
          said[index] = performance.now();
        }),
        `word${index} `,
      ]).flat();
      mailing.talk.plan(words, [() => ({ text: paced })]);
      const sent = await one.client.send({ message: words, thread_id: threadId });
      for await (const event of sent.events) {
        if (event.type !== 'text-delta') continue;
        for (const [, index] of event.data.delta.matchAll(/word(\d+) /g))
          delays.push(performance.now() - (said[Number(index)] ?? 0));
      }
    }
    return delays.sort((first, second) => first - second);
  }

  async function readFrom(
    service: ServiceProcess,
    threadId: string,
    numbers: readonly Told[],
    cursor: number,
  ): Promise<string[]> {
    const last = numbers.at(-1)?.seq ?? 0;
    const stream = await openStream(streamOf(service, threadId), {
      headers: { 'last-event-id': String(cursor) },
    });
    await stream.frame((frame) => Number(frame.id) >= last && frame.data.length > 0);
    const heard = joined(heardOf(stream.events().filter(({ seq }) => seq <= last)));
    stream.close();
    const wanted = joined(numbers.filter(({ seq }) => seq > cursor));
    return JSON.stringify(sorted(heard)) === JSON.stringify(sorted(wanted))
      ? []
      : [`behind ${cursor} ${heard.length} facts were heard in place of ${wanted.length}`];
  }

  const what = `every number of a turn with ${sizes.numbers} and more, in both processes, while it runs and after it`;
  proves('P7', what, Math.floor((4 * sizes.numbers) / sizes.step), async (tally) => {
    const { threadId, finish } = await tellLongTurn();
    const live = async () => {
      // What is told last is stored a moment later.
      const rows = await eventually(
        () => numbersOf(mailing.database, threadId),
        (seen) =>
          seen.some(({ part, delta }) => part?.startsWith('text-delta 5') && delta.includes('word29')),
      );
      return rows;
    };
    for (const look of [live, () => finish().then(() => numbersOf(mailing.database, threadId))]) {
      const numbers = await look();
      if (numbers.length < sizes.numbers) throw new Error(`the turn told ${numbers.length} numbers only`);
      const cursors = [0, ...numbers.slice(0, -1).map(({ seq }) => seq)].filter(
        (_cursor, index) => index % sizes.step === 0,
      );
      for (const service of [one, other])
        await tally.each(cursors, 12, (cursor) => readFrom(service, threadId, numbers, cursor));
    }
  });

  proves(
    'P11',
    'readers that do not read: others and the turns go on, memory stays',
    sizes.stalled,
    async (tally) => {
      const { key } = await one.client.request<{ key: string }>('POST', '/api/v1/api-keys', {
        name: 'stalled',
      });
      const threadId = await newThread();
      // The same once without them, so that the process has grown to what turns take.
      await speakAtLength(await newThread());
      const alone = await delaysOf(sizes.turns);
      const before = await neededBytes(one);
      const sockets: Socket[] = [];
      for (let count = 0; count < sizes.stalled; count += 1) sockets.push(stall(one, threadId, key));
      await eventually(
        () => gaugeOf(one, 'streams_open'),
        (open) => open >= sizes.stalled,
      );
      const follower = await openStream(`${streamOf(one, threadId)}?after=0`);
      await speakAtLength(threadId);
      await eventually(
        () => follower.events().filter(({ type }) => type === 'run-end').length,
        (ends) => ends === sizes.turns,
      );
      follower.close();
      const grown = (await neededBytes(one)) - before;
      const beside = await delaysOf(sizes.turns);
      const figures = [0.5, 0.99].map((share) =>
        [beside, alone]
          .map((delays) => (delays[Math.floor(delays.length * share)] ?? 0).toFixed(1))
          .join(' against '),
      );
      tally.remark(
        `${Math.round(grown / KIB / sizes.stalled)} KiB each (asked: 1,024); words of others come after ${figures[0]} ms without them, p99 ${figures[1]} (asked: 20 %)`,
      );
      const faults =
        grown <= sizes.stalled * STALLED_BYTES + SLACK_BYTES
          ? []
          : [`${sizes.stalled} stalled readers cost ${Math.round(grown / KIB / KIB)} MiB`];
      // The first of them reads at last, and hears everything.
      const [late, ...others] = sockets;
      for (const socket of others) socket.destroy();
      let ends = 0;
      let rest = '';
      late?.on('data', (chunk) => {
        const text = rest + chunk.toString('latin1');
        ends += text.match(/"status":"completed"/g)?.length ?? 0;
        rest = text.endsWith('"status":"completed"') ? '' : text.slice(-18);
      });
      late?.resume();
      await eventually(
        () => ends,
        (seen) => seen === sizes.turns,
      );
      late?.destroy();
      await expectNobody(one);
      for (let count = 0; count < sizes.stalled; count += 1) tally.count(count === 0 ? faults : []);
    },
  );

  proves('P11', 'readers that come and go: none is left behind', sizes.comers, async (tally) => {
    const words = `come and go ${crypto.randomUUID()}`;
    mailing.talk.plan(words, ['A word or two.']);
    const { threadId, events } = await say(one.client, words);
    const last = events.at(-1)?.seq ?? 0;
    await tally.each(Array.from({ length: sizes.comers }).keys(), 20, async (index) => {
      const service = index % 2 === 0 ? one : other;
      // Behind the beginning, in the middle, at the end, and without a cursor.
      const cursor = [0, events[index % events.length]?.seq ?? 0, last, null][index % 4];
      const stream = await openStream(streamOf(service, threadId), {
        headers: cursor == null ? {} : { 'last-event-id': String(cursor) },
      });
      if (stream.status !== 200) return [`a reader was answered ${stream.status}`];
      if (index % 3 > 0) await stream.frame((frame) => frame.id !== null || frame.retry !== null);
      stream.close();
      return [];
    });
    await Promise.all([expectNobody(one), expectNobody(other)]);
  });

  if (sizes.ahead === 0) return;
  proves('P11', 'connections that clients open long before they read on them', sizes.ahead, async (tally) => {
    const threadId = await newThread();
    await tally.each(Array.from({ length: sizes.ahead }).keys(), sizes.ahead, async (index) => {
      const { port, hostname } = new URL((index % 2 === 0 ? one : other).url);
      const socket = connect(Number(port), hostname);
      try {
        await once(socket, 'connect');
        await wait(AHEAD_MS);
        socket.write(
          `GET /api/v1/agent/conversations/${threadId}/stream HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`,
        );
        const [first] = await once(socket, 'data');
        const [line] = String(first).split('\r\n');
        return line === 'HTTP/1.1 200 OK' ? [] : [`it was answered ${line}`];
      } finally {
        socket.destroy();
      }
    });
  });
}

/** No stream and no reader is left open. */
async function expectNobody(service: ServiceProcess): Promise<void> {
  for (const gauge of ['streams_open', 'journal_readers']) {
    await eventually(
      () => gaugeOf(service, gauge),
      (open) => open === 0,
    );
  }
}

async function gaugeOf(service: ServiceProcess, name: string): Promise<number> {
  const text = await (await fetch(`${service.url}/metrics`)).text();
  const value = new RegExp(`^overture_${name} (.+)$`, 'm').exec(text)?.[1];
  if (value === undefined) throw new Error(`there is no gauge ${name}`);
  return Number(value);
}

/** What the process takes once it has collected its garbage. */
async function neededBytes(service: ServiceProcess): Promise<number> {
  await collectGarbage(service);
  return gaugeOf(service, 'process_resident_memory_bytes');
}

/** A client that asks for a stream and never reads. */
function stall(service: ServiceProcess, threadId: string, key: string): Socket {
  const { port, hostname } = new URL(service.url);
  const socket = connect(Number(port), hostname);
  socket.pause();
  socket.on('error', () => undefined);
  socket.write(
    `GET /api/v1/agent/conversations/${threadId}/stream?after=0 HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${key}\r\n\r\n`,
  );
  return socket;
}
