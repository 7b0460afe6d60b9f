/** Readers who come with a cursor that makes no sense, at each door that takes one. */

import { type IncomingMessage, request } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll } from 'vitest';
import type { JournalEvent } from '../../src/client/events.ts';
import { type Dispatched, readByStandard } from '../support/event-stream.ts';
import { eventually, type Mailing, openMailing, say } from '../support/mailing.ts';
import { heardOf, joined, numbersOf, type Told } from '../support/numbers.ts';
import { proves } from '../support/proves.ts';
import type { ServiceHere } from '../support/service.ts';
import { gate } from '../support/stage.ts';
import { sorted } from './oracle.ts';

/** What stands in a header, byte by byte; a list is sent as several headers. */
type Cursor = string | string[];

const CURSORS: Cursor[] = [
  '0',
  '0003',
  '  3\t',
  '-1',
  '-0',
  '+5',
  'NaN',
  'Infinity',
  '1e3',
  '1.5',
  '0x10',
  '0b1',
  '1_000',
  '',
  ' ',
  '5 7',
  '5;7',
  'null',
  'undefined',
  '[object Object]',
  '{"seq":5}',
  '9007199254740991',
  '9007199254740992',
  '9223372036854775807',
  '9223372036854775808',
  '18446744073709551616',
  '999999999999999',
  '9'.repeat(6000),
  'x'.repeat(8000),
  "1' or '1'='1",
  '1; drop table events; --',
  '%0d%0aid: 5',
  '5\u00a0',
  Buffer.from('٣٤').toString('latin1'),
  Buffer.from('５').toString('latin1'),
  ['3', '5'],
  ['3', 'x'],
  ['', '3'],
];
/** As JSON, for a door that takes its cursor there. */
const SINCES = [
  '-1',
  '0.5',
  '1e999',
  '1e15',
  '9007199254740991',
  '9007199254740992',
  '"5"',
  '""',
  '[]',
  '{}',
  'true',
];
const WORDS = ['One ', 'two ', 'three ', 'four.'];
const WHOLE = WORDS.join('');
const CHANNELS = ['values', 'messages', 'tools', 'lifecycle', 'custom', 'input', 'checkpoints'];
/** Of a reader that nobody ends. */
const PATIENCE_MS = 40_000;
/** A principal may hold 200 streams in each process; each cursor opens four. */
const AT_ONCE = 30;

/** Declares the row; `chance` cursors are made up beside those of the list. */
export function provesCursors({ chance }: { chance: number }): void {
  let mailing: Mailing;
  let one: ServiceHere;
  let other: ServiceHere;
  beforeAll(async () => {
    mailing = await openMailing();
    [one, other] = [await mailing.start(), await mailing.start()];
  });
  afterAll(() => mailing.close());

  const madeUp = fc.sample(
    fc.oneof(
      fc.nat({ max: 2 ** 31 - 1 }).map(String),
      fc.bigInt({ min: 0n, max: 2n ** 70n }).map(String),
      fc.double().map(String),
      fc.string({ minLength: 1, maxLength: 12 }),
    ),
    { seed: 20261128, numRuns: chance },
  );
  const strange: Cursor[] = [...CURSORS, ...madeUp];

  interface Place {
    threadId: string;
    runId: string;
    words: string;
    /** Goes on with the answer to its end. */
    open(): void;
  }

  /** A turn that waits in the middle of its answer, all of which is stored. */
  async function begin(): Promise<Place> {
    const held = gate();
    const words = `held back ${crypto.randomUUID()}`;
    mailing.talk.plan(words, [
      { reasoning: 'Hm. ', text: WORDS.slice(0, 2), toolCalls: [{ name: 'get_credit_balance' }] },
      { text: [WORDS[2] ?? '', held.promise, WORDS[3] ?? ''] },
    ]);
    const { thread_id: threadId, run_id: runId } = await one.client.request<{
      thread_id: string;
      run_id: string;
    }>('POST', '/api/v1/agent/chat', { message: words }, { headers: { Prefer: 'respond-async' } });
    await eventually(
      () => numbersOf(mailing.database, threadId),
      (rows) => rows.some(({ delta }) => delta.endsWith(WORDS[2] ?? '')),
    );
    return { threadId, runId, words, open: held.open };
  }

  proves(
    'P7',
    'a cursor that makes no sense, at each door, while the turn runs and after it: refused, or the exact suffix',
    strange.length * 10,
    async (tally) => {
      mailing.talk.plan('much was said', ['Many words.']);
      const elsewhere = await say(one.client, 'much was said');
      const foreign = elsewhere.events.at(-1)?.seq ?? 0;
      for (let from = 0; from < strange.length; from += AT_ONCE) {
        const place = await begin();
        const { threadId } = place;
        const before = await numbersOf(mailing.database, threadId);
        const reached = before.at(-1)?.seq ?? 0;
        // Of another conversation, and of the future: so many that the answer will reach it, and so many that nothing will.
        const future = [foreign, reached + 1, reached + 2, reached + 500_000].map(String);
        const cursors = [...strange.slice(from, from + AT_ONCE), ...future];
        const come = () =>
          [one, other].flatMap((service) => [
            ...cursors.flatMap((cursor) => [
              readNative(service, place, cursor, 'header'),
              readNative(service, place, cursor, 'query'),
              readFirstProtocol(service, place, cursor),
              readAiSdk(service, place, cursor),
            ]),
            ...[...SINCES, ...future.map((seq) => `${seq}9`)].map((since) =>
              readSecondProtocol(service, place, since),
            ),
          ]);
        // All of them are there before the turn goes on.
        const early = await Promise.all(come().map(async (coming) => (await coming).judge));
        place.open();
        await eventually(
          () => numbersOf(mailing.database, threadId),
          (rows) => endedIn(rows),
        );
        const numbers = await numbersOf(mailing.database, threadId);
        const end = numbers.at(-1)?.seq ?? 0;
        await tally.each(early, early.length, (judge) => judge(numbers, reached));
        const late = await Promise.all(come().map(async (coming) => (await coming).judge));
        await tally.each(late, late.length, (judge) => judge(numbers, end));
      }
    },
  );
}

function endedIn(rows: readonly Told[]): boolean {
  return rows.some(({ what }) => JSON.stringify(what)?.startsWith('["run-end"') === true);
}

type Judge = (numbers: readonly Told[], floor: number) => Promise<string[]>;

interface Place {
  threadId: string;
  runId: string;
}

interface Reading {
  status: number;
  type: string;
  seen(): string;
  /** Resolves at the end of the body, or as soon as it holds what was waited for; rejects where neither comes. */
  until(holds: (text: string) => boolean): Promise<string>;
}

function open(
  url: string,
  { method = 'GET', cursor, body }: { method?: string; cursor?: Cursor; body?: string },
): Promise<Reading> {
  return new Promise((resolve, reject) => {
    const headers = {
      accept: 'text/event-stream',
      ...(cursor === undefined ? {} : { 'last-event-id': cursor }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    const sent = request(url, { method, headers, agent: false }, (response) => {
      resolve(readingOf(response));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

function readingOf(response: IncomingMessage): Reading {
  let text = '';
  let over = false;
  const looks = new Set<() => void>();
  const change = () => {
    for (const look of [...looks]) look();
  };
  response.setEncoding('utf8');
  response.on('data', (chunk) => {
    text += chunk;
    change();
  });
  const end = () => {
    over = true;
    change();
  };
  response.on('end', end);
  response.on('error', end);
  return {
    status: response.statusCode ?? 0,
    type: response.headers['content-type'] ?? '',
    seen: () => text,
    until(holds) {
      return new Promise((resolve, reject) => {
        const patience = setTimeout(() => {
          response.destroy();
          reject(new Error(`it never ended; it told: ${text.slice(-300)}`));
        }, PATIENCE_MS);
        const look = () => {
          if (!over && !holds(text)) return;
          clearTimeout(patience);
          looks.delete(look);
          response.destroy();
          resolve(text);
        };
        looks.add(look);
        look();
      });
    },
  };
}

/** What a refusal has to be; null where it was none. */
async function refusalFaults(reading: Reading): Promise<string[] | null> {
  if (reading.status < 400) return null;
  const text = await reading.until(() => false);
  const code = reading.type.startsWith('application/json') ? JSON.parse(text).detail : undefined;
  return reading.status < 500 && typeof code === 'string'
    ? []
    : [`it was answered ${reading.status} ${text}`];
}

/** The numbers behind which a reader may begin who came with this cursor; `none` is where it begins who has none. */
function beginnings(cursor: Cursor, floor: number, none: number): number[] {
  const text = [cursor]
    .flat()
    .join(', ')
    .replaceAll(/^[ \t]+|[ \t]+$/g, '');
  if (!/^\d{1,15}$/.test(text)) return [none];
  const number = Number(text);
  // Of a number that is told only later nobody in another process can know that it was not told yet.
  return number <= floor ? [number] : [none, floor, number];
}

function suffixFaults(
  who: string,
  heard: readonly Told[],
  numbers: readonly Told[],
  begun: readonly number[],
): string[] {
  const text = JSON.stringify(sorted(joined(heard)));
  const fits = begun.some(
    (after) => text === JSON.stringify(sorted(joined(numbers.filter(({ seq }) => seq > after)))),
  );
  return fits
    ? []
    : [`${who} heard ${heard.map(({ seq }) => seq).join()} and not what is behind ${begun.join(' or ')}`];
}

async function readNative(
  service: ServiceHere,
  { threadId }: Place,
  cursor: Cursor,
  way: 'header' | 'query',
): Promise<{ judge: Judge }> {
  const who = `native, by ${way} ${JSON.stringify(cursor).slice(0, 40)}`;
  const query =
    way === 'header'
      ? ''
      : [cursor]
          .flat()
          .map((one) => `&after=${encodeURIComponent(one)}`)
          .join('');
  const reading = await open(
    `${service.url}/api/v1/agent/conversations/${threadId}/stream?until=idle${query}`,
    way === 'header' ? { cursor } : {},
  );
  return {
    async judge(numbers, floor) {
      const refused = await refusalFaults(reading);
      if (refused !== null) return refused;
      const events = readByStandard(await reading.until(() => false)).map(
        ({ id, event, data }) => ({ seq: Number(id), type: event, data: JSON.parse(data) }) as JournalEvent,
      );
      return suffixFaults(who, heardOf(events), numbers, beginnings(cursor, floor, floor));
    },
  };
}

/** The text in a frame of LangGraph's first protocol, or of the AI SDK's. */
function pieceOf({ event, data }: Dispatched): string {
  if (data === '[DONE]') return '';
  const told = JSON.parse(data);
  if (event === undefined) return told.type === 'text-delta' ? told.delta : '';
  return event === 'messages' && told[0].type === 'AIMessageChunk' ? told[0].content : '';
}

async function readFirstProtocol(
  service: ServiceHere,
  { threadId, runId }: Place,
  cursor: Cursor,
): Promise<{ judge: Judge }> {
  const reading = await open(
    `${service.url}/api/v1/agent/langgraph/threads/${threadId}/runs/${runId}/stream`,
    { cursor },
  );
  return {
    async judge(numbers, floor) {
      const refused = await refusalFaults(reading);
      if (refused !== null) return refused;
      const frames = readByStandard(await reading.until(() => false));
      const text = frames.map(pieceOf).join('');
      const begun = beginnings(cursor, floor, 0);
      const wanted = begun.map((after) =>
        numbers
          .filter(({ seq, part }) => seq > after && part?.startsWith('text-delta') === true)
          .map(({ delta }) => delta)
          .join(''),
      );
      const who = `LangGraph, behind ${JSON.stringify(cursor).slice(0, 40)}`;
      const faults = wanted.includes(text)
        ? []
        : [`${who} heard ${JSON.stringify(text)} of ${wanted.join(' or ')}`];
      const state = frames.findLast(({ event }) => event === 'values')?.data ?? '';
      const end = numbers.at(-1)?.seq ?? 0;
      if (begun.every((after) => after < end) && !state.includes(WORDS.slice(2).join('')))
        faults.push(`${who} never saw the state: ${state.slice(-200)}`);
      return faults;
    },
  };
}

async function readAiSdk(
  service: ServiceHere,
  { threadId }: Place,
  cursor: Cursor,
): Promise<{ judge: Judge }> {
  const reading = await open(`${service.url}/api/v1/agent/ai-sdk/${threadId}/stream`, { cursor });
  return {
    async judge() {
      const refused = await refusalFaults(reading);
      if (refused !== null) return refused;
      const text = await reading.until(() => false);
      // Its clients have no numbers, so whatever stands there changes nothing.
      if (reading.status === 204) return text === '' ? [] : ['nothing runs, and yet something was told'];
      const said = readByStandard(text).map(pieceOf).join('');
      return said === WHOLE ? [] : [`the AI SDK heard ${JSON.stringify(said)}`];
    },
  };
}

async function readSecondProtocol(
  service: ServiceHere,
  { threadId }: Place,
  since: string,
): Promise<{ judge: Judge }> {
  const reading = await open(`${service.url}/api/v1/agent/langgraph/threads/${threadId}/stream/events`, {
    method: 'POST',
    body: `{"channels":${JSON.stringify(CHANNELS)},"since":${since}}`,
  });
  return {
    async judge() {
      const refused = await refusalFaults(reading);
      if (refused !== null) return refused;
      const text = await reading.until((seen) => seen.includes('"event":"completed"'));
      const frames = readByStandard(text);
      const state = frames.findLast(({ event }) => event === 'values')?.data ?? '';
      return state.includes(WORDS.slice(2).join(''))
        ? []
        : [`since ${since} the state was ${state.slice(-200)}`];
    },
  };
}
