/** The load client, in a process of its own: it runs turns against any of the servers and says when their tokens came. */

import { randomUUID } from 'node:crypto';
import { Agent, type ClientRequest, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { createParser } from 'eventsource-parser';
import { answerParent } from './processes.ts';
import { answerOf, messageOf, type Script } from './script.ts';
import { median, quantile } from './statistics.ts';

/** A server as the load client reaches it. */
export interface Door {
  kind: 'model' | 'relay' | 'service' | 'peer';
  url: string;
  /** API keys, used in turn. */
  keys: string[];
}

export interface Job {
  door: Door;
  script: Script;
  turns: number;
  /** Turns under way at the same time. */
  atOnce: number;
  /** Milliseconds from one to the next of the first `atOnce` starts. */
  staggerMs: number;
  /** Conversations to go on with, in turn, each with its own key; else each turn begins one. */
  threads?: { threadId: string; key: string }[];
}

export interface Measured {
  turns: number;
  tokens: number;
  /** Median milliseconds from the request to the first token. */
  firstMs: number;
  /** Median milliseconds from the request to the last token. */
  lastMs: number;
  /** Milliseconds from the first start to the last token of all. */
  wallMs: number;
  /** Of the milliseconds between two arrivals of text in one turn, the 99th percentile. */
  gapMs: number;
  /** Conversations that were begun. */
  threads: { threadId: string; key: string }[];
}

/** Streams to be opened and left open. */
export interface Opening {
  door: Door;
  count: number;
  /** A turn whose model says nothing, or a stream on which nothing happens. */
  what: 'turn' | 'stream';
  threads: { threadId: string; key: string }[];
}

const agent = new Agent({ keepAlive: true });
let turnsBegun = 0;

interface Turn {
  first: number;
  last: number;
  gaps: number[];
  thread: { threadId: string; key: string };
}

async function run(job: Job): Promise<Measured> {
  const turns: Turn[] = [];
  const began = performance.now();
  let left = job.turns;
  const expected = answerOf(job.script);
  const worker = async (index: number) => {
    if (job.staggerMs > 0) await new Promise((resolve) => setTimeout(resolve, index * job.staggerMs));
    while (left > 0) {
      left -= 1;
      turns.push(await runTurn(job, expected));
    }
  };
  await Promise.all(Array.from({ length: job.atOnce }, (_, index) => worker(index)));
  return {
    turns: turns.length,
    tokens: turns.length * job.script.tokens,
    firstMs: median(turns.map((turn) => turn.first)),
    lastMs: median(turns.map((turn) => turn.last)),
    wallMs: lastTokenAt - began,
    gapMs: quantile(
      turns.flatMap((turn) => turn.gaps),
      0.99,
    ),
    threads: turns.map((turn) => turn.thread),
  };
}

let lastTokenAt = 0;

function runTurn({ door, script, threads }: Job, expected: string): Promise<Turn> {
  turnsBegun += 1;
  const known = threads?.[turnsBegun % threads.length];
  const key = known?.key ?? door.keys[turnsBegun % door.keys.length] ?? '';
  const asked = askTurn(door, script, key, known?.threadId);
  const turn: Turn = { first: 0, last: 0, gaps: [], thread: { threadId: '', key } };
  let text = '';
  let ended = door.kind === 'peer';
  return new Promise((resolve, reject) => {
    const began = performance.now();
    let before = 0;
    const parser = createParser({
      onEvent({ event, data }) {
        let delta: ReturnType<typeof readDelta>;
        try {
          delta = readDelta(door.kind, event, data);
        } catch (error) {
          // Thrown in here it would end this process, and nobody would know of which turn.
          reject(error);
          return;
        }
        if (delta === null) return;
        if (delta === END) {
          ended = true;
          return;
        }
        const now = performance.now();
        if (text === '') turn.first = now - began;
        else turn.gaps.push(now - before);
        before = now;
        text += delta;
      },
    });
    const hear = (answer: IncomingMessage) => {
      turn.thread.threadId = answer.headers['x-thread-id']?.toString() ?? '';
      answer.setEncoding('utf8');
      let raw = '';
      answer.on('data', (piece: string) => {
        if (answer.statusCode !== 200) raw += piece;
        parser.feed(piece);
      });
      answer.on('error', (cause) =>
        reject(new Error(`${door.kind} broke off after ${text.length} characters`, { cause })),
      );
      answer.on('end', () => {
        turn.last = before - began;
        lastTokenAt = Math.max(lastTokenAt, before);
        if (answer.statusCode === 200 && text === expected && ended) return resolve(turn);
        reject(
          new Error(
            `${door.kind} answered ${answer.statusCode} with ${text.length} characters of ${expected.length}: ${raw.slice(0, 300)}`,
          ),
        );
      });
    };
    const ask = () => {
      const outgoing = request(asked.url, { ...asked.options, agent }, hear);
      outgoing.setNoDelay(true);
      outgoing.on('error', (cause: NodeJS.ErrnoException) => {
        // The server closed a kept connection in the moment in which it was to be used again: no turn has begun.
        if (outgoing.reusedSocket && cause.code === 'ECONNRESET') ask();
        else reject(new Error(`${door.kind} cannot be reached`, { cause }));
      });
      outgoing.end(asked.body);
    };
    ask();
  });
}

function askTurn(
  door: Door,
  script: Script,
  key: string,
  threadId: string | undefined,
): { url: string; options: RequestOptions; body: string } {
  const message = messageOf(script);
  const headers: Record<string, string> = { 'content-type': 'application/json', accept: 'text/event-stream' };
  const post = (path: string, body: unknown) => ({
    url: door.url + path,
    options: { method: 'POST', headers },
    body: JSON.stringify(body),
  });
  const messages = [{ role: 'user', content: message }];
  switch (door.kind) {
    case 'model':
      return post('/v1/chat/completions', { model: 'bench', stream: true, messages });
    case 'relay':
      return post('/chat', { message });
    case 'service':
      headers.authorization = `Bearer ${key}`;
      return post('/api/v1/agent/chat', { message, thread_id: threadId });
    case 'peer':
      return post(`/threads/${randomUUID()}/runs/stream`, {
        assistant_id: 'bench',
        if_not_exists: 'create',
        input: { messages },
        stream_mode: ['messages-tuple'],
      });
  }
}

const END = Symbol('the end of the turn');

/** The text that an event brings; null where it brings none. */
function readDelta(kind: Door['kind'], event: string | undefined, data: string): string | typeof END | null {
  switch (kind) {
    case 'model': {
      if (data === '[DONE]') return END;
      return textOf(JSON.parse(data).choices[0]?.delta.content);
    }
    case 'peer': {
      if (event === 'error') throw new Error(`the peer says ${data}`);
      if (event !== 'messages') return null;
      const chunk: { type: string; content: unknown } = JSON.parse(data)[0];
      return chunk.type === 'tool' ? null : textOf(chunk.content);
    }
    default: {
      if (event === 'text-delta') return textOf(JSON.parse(data).delta);
      if (event !== 'run-end') return null;
      if (JSON.parse(data).status !== 'completed') throw new Error(`a turn ended so: ${data}`);
      return END;
    }
  }
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

const opened = new Set<ClientRequest>();

/** Opens streams, a few at a time, and resolves when each has answered with its first bytes (or, a turn, was asked). */
async function open({ door, count, what, threads }: Opening): Promise<null> {
  let left = count;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      await openOne(door, what, threads[left % threads.length]);
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  return null;
}

function openOne(
  door: Door,
  what: Opening['what'],
  thread: { threadId: string; key: string } | undefined,
): Promise<void> {
  const key = door.keys[opened.size % door.keys.length] ?? '';
  const asked =
    what === 'turn'
      ? askTurn(door, { tokens: 1, everyMs: 0, hold: true }, key, undefined)
      : askStream(door, thread);
  return new Promise((resolve, reject) => {
    // A connection each: a stream that stays open is not shared.
    const outgoing = request(asked.url, { ...asked.options, agent: false }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`${door.kind} answered ${answer.statusCode}`));
      answer.resume();
      answer.on('error', () => {});
      resolve();
    });
    outgoing.on('error', reject);
    outgoing.end(asked.body);
    opened.add(outgoing);
  });
}

function askStream(door: Door, thread: { threadId: string; key: string } | undefined) {
  const path =
    door.kind === 'relay' ? '/stream' : `/api/v1/agent/conversations/${thread?.threadId ?? ''}/stream`;
  const headers = { authorization: `Bearer ${thread?.key ?? ''}` };
  return { url: door.url + path, options: { method: 'GET', headers }, body: '' };
}

function close(): null {
  for (const outgoing of opened) outgoing.destroy();
  opened.clear();
  return null;
}

answerParent({ run, open, close });
process.send?.({ url: '' });
