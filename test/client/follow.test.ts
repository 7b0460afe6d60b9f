import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import type { Clock } from '../../src/client/clock.ts';
import { ClientError } from '../../src/client/errors.ts';
import type { JournalEvent } from '../../src/client/events.ts';
import {
  answerJson,
  beginStream,
  frame,
  MESSAGE,
  RUN,
  startScriptedServer,
  THREAD,
  TURN,
  turnFrames,
  USAGE,
} from './scripted-server.ts';

const WORDS = ['Grüße', ' 🚀 to', ' all\n', 'CFOs'];
/** Numbers ascend but are not dense. */
const FRAMES = turnFrames(WORDS, 100, 7);

/** The frames whose number is above the cursor. */
function suffix(frames: string[], cursor: string | undefined): string[] {
  return frames.filter((text) => Number(/^id: (\d+)/.exec(text)?.[1]) > Number(cursor ?? -1));
}

function drop(response: ServerResponse, bytes: string | Buffer): void {
  response.write(bytes, () => response.socket?.destroy());
}

async function collect(events: AsyncIterable<JournalEvent>): Promise<JournalEvent[]> {
  const collected: JournalEvent[] = [];
  for await (const event of events) collected.push(event);
  return collected;
}

async function seqs(events: AsyncIterable<JournalEvent>): Promise<number[]> {
  return (await collect(events)).map((event) => event.seq);
}

/** A clock whose appointments are kept only when the test says so; waits of up to a second come due at once. */
function createTestClock(random = 0) {
  const appointments: { milliseconds: number; callback: () => void; cancelled: boolean }[] = [];
  const waits: number[] = [];
  const clock: Clock = {
    random: () => random,
    schedule(milliseconds, callback) {
      const appointment = { milliseconds, callback, cancelled: false };
      appointments.push(appointment);
      if (milliseconds !== 30_000) {
        waits.push(milliseconds);
        setImmediate(() => {
          if (!appointment.cancelled) callback();
        });
      }
      return () => {
        appointment.cancelled = true;
      };
    },
  };
  return {
    clock,
    /** How long the client waited before each new opening. */
    waits,
    /** Lets 30 seconds of silence pass. */
    fallSilent() {
      for (const each of appointments) if (!each.cancelled && each.milliseconds === 30_000) each.callback();
    },
  };
}

const ALL = FRAMES.map((_, index) => 100 + index * 7);

describe('send', () => {
  it('gives the exact sequence wherever the socket drops: every frame boundary and every byte between', async () => {
    const whole = Buffer.from(`retry: 1\n\n${FRAMES.join('')}`);
    let dropAt: number | null = null;
    await using server = await startScriptedServer(({ headers, response }) => {
      beginStream(response);
      const at = dropAt;
      dropAt = null;
      if (at !== null) drop(response, whole.subarray(0, at));
      else response.end(suffix(FRAMES, headers['last-event-id']?.toString()).join(''));
    });
    const client = createClient({ baseUrl: server.baseUrl, ...createTestClock().clock });
    for (let cut = 1; cut < whole.length; cut += 1) {
      dropAt = cut;
      server.asked.length = 0;
      const turn = await client.send({ message: 'hello' });
      const seen = await seqs(turn.events);
      const [first, second, ...more] = server.asked;
      const cursor = second?.headers['last-event-id'];
      expect({ cut, seen, more }).toEqual({ cut, seen: ALL, more: [] });
      // Without a cursor the message is sent again under its key, which joins the turn.
      if (cursor === undefined)
        expect(second?.headers['idempotency-key']).toBe(first?.headers['idempotency-key']);
      else expect(second?.url).toBe(`/api/v1/agent/conversations/${THREAD}/stream?until=idle`);
    }
  }, 180_000);

  it('gives the exact sequence when every connection drops after one more frame, told twice', async () => {
    await using server = await startScriptedServer(({ headers, response }) => {
      beginStream(response);
      const [next = '', ...rest] = suffix(FRAMES, headers['last-event-id']?.toString());
      const repeated = FRAMES[FRAMES.indexOf(next) - 1] ?? '';
      if (rest.length === 0) response.end(repeated + next);
      else drop(response, repeated + next);
    });
    const client = createClient({ baseUrl: server.baseUrl, ...createTestClock().clock });
    const turn = await client.send({ message: 'hello' });
    expect(turn).toMatchObject({ threadId: THREAD, turnId: TURN, runId: RUN });
    expect(await seqs(turn.events)).toEqual(ALL);
    const cursors = server.asked.map((each) => each.headers['last-event-id']);
    expect(cursors).toEqual([undefined, ...ALL.slice(0, -1).map(String)]);
  });

  it('takes a proper end of the body without run-end for a drop', async () => {
    await using server = await startScriptedServer(({ method, headers, response }) => {
      beginStream(response);
      const frames = suffix(FRAMES, headers['last-event-id']?.toString());
      response.end((method === 'POST' ? frames.slice(0, 3) : frames).join(''));
    });
    const client = createClient({ baseUrl: server.baseUrl, ...createTestClock().clock });
    expect(await seqs((await client.send({ message: 'hello' })).events)).toEqual(ALL);
  });

  it('goes on behind a lost run until the run that takes the turn over ends', async () => {
    const lost = frame(110, 'run-end', { status: 'lost', message_id: MESSAGE, usage: USAGE });
    const frames = [...turnFrames(['a'], 100).slice(0, 3), lost, ...turnFrames(['b'], 200)];
    await using server = await startScriptedServer(({ method, headers, response }) => {
      beginStream(response);
      const rest = suffix(frames, headers['last-event-id']?.toString());
      response.end((method === 'POST' ? rest.slice(0, 4) : rest).join(''));
    });
    const client = createClient({ baseUrl: server.baseUrl, ...createTestClock().clock });
    const turn = await client.send({ message: 'hello' });
    expect(await seqs(turn.events)).toEqual([100, 101, 102, 110, 200, 201, 202, 203, 204]);
  });

  it('sends what it was given, with key, token and headers', async () => {
    await using server = await startScriptedServer(({ response }) => {
      beginStream(response);
      response.end(FRAMES.join(''));
    });
    const client = createClient({
      baseUrl: `${server.baseUrl}/`,
      token: async () => 'secret',
      headers: { 'X-Test': 'yes' },
    });
    const input = { thread_id: THREAD, message: 'hello', resume: { confirmed: true } };
    await collect((await client.send(input, { idempotencyKey: 'key-1' })).events);
    expect(server.asked[0]).toMatchObject({
      method: 'POST',
      url: '/api/v1/agent/chat',
      body: input,
      headers: {
        accept: 'text/event-stream',
        authorization: 'Bearer secret',
        'content-type': 'application/json',
        'idempotency-key': 'key-1',
        'x-overture-client': 'library',
        'x-test': 'yes',
      },
    });
  });

  it('leaves its connections to later turns', async () => {
    const sockets = new Set<unknown>();
    await using server = await startScriptedServer(({ response }) => {
      sockets.add(response.socket);
      beginStream(response);
      response.write(FRAMES.join(''));
      setTimeout(() => response.end(), 10);
    });
    const client = createClient({ baseUrl: server.baseUrl });
    for (let turn = 0; turn < 20; turn += 1) await collect((await client.send({ message: 'hello' })).events);
    expect(sockets.size).toBeLessThan(10);
  });

  it('throws the refusal with its code, facts and Retry-After', async () => {
    const body = { detail: 'APPROVAL_PENDING', message: 'Decide first.', approvals: [{ approval_id: 'a' }] };
    await using server = await startScriptedServer(({ response }) =>
      answerJson(response, 409, body, { 'retry-after': '7' }),
    );
    const client = createClient({ baseUrl: server.baseUrl });
    const error = await client.send({ message: 'hello' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ClientError);
    expect(error).toMatchObject({
      status: 409,
      code: 'APPROVAL_PENDING',
      message: 'Decide first.',
      body,
      retryAfter: 7,
    });
    expect(server.asked).toHaveLength(1);
  });

  it('tries a service that is not there five times with one key, then throws', async () => {
    const { clock, waits } = createTestClock();
    await using server = await startScriptedServer(({ response }) =>
      answerJson(response, 503, { detail: 'DRAINING', message: 'Going down.' }),
    );
    const client = createClient({ baseUrl: server.baseUrl, ...clock });
    await expect(client.send({ message: 'hello' })).rejects.toMatchObject({ status: 503, code: 'DRAINING' });
    expect(server.asked).toHaveLength(5);
    expect(new Set(server.asked.map((each) => each.headers['idempotency-key'])).size).toBe(1);
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000]);
    await server[Symbol.asyncDispose]();
    await expect(client.send({ message: 'hello' })).rejects.toThrow('fetch failed');
  });

  it('stops when a snapshot shows that the turn is over', async () => {
    await using server = await startScriptedServer(({ method, response }) => {
      beginStream(response);
      if (method === 'POST') return drop(response, FRAMES.slice(0, 2).join(''));
      response.write(
        frame(900, 'snapshot', {
          conversation: {
            thread_id: THREAD,
            title: null,
            created_at: '',
            status: 'idle',
            last_seq: 900,
            active_run: null,
            messages: [],
            next_cursor: null,
            has_more: false,
          },
        }),
      );
    });
    const client = createClient({ baseUrl: server.baseUrl, ...createTestClock().clock });
    expect((await seqs((await client.send({ message: 'hello' })).events)).at(-1)).toBe(900);
  });

  it('rejects with the reason of an abort before the answer, and ends quietly after it', async () => {
    await using server = await startScriptedServer(({ body, response }) => {
      if (JSON.stringify(body).includes('never')) return;
      beginStream(response);
      response.write(FRAMES.slice(0, 3).join(''));
    });
    const client = createClient({ baseUrl: server.baseUrl });
    await expect(
      client.send({ message: 'never' }, { signal: AbortSignal.timeout(20) }),
    ).rejects.toMatchObject({ name: 'TimeoutError' });
    const abort = new AbortController();
    const turn = await client.send({ message: 'hello' }, { signal: abort.signal });
    const seen: number[] = [];
    for await (const event of turn.events) {
      seen.push(event.seq);
      if (seen.length === 3) abort.abort();
    }
    expect(seen).toEqual(ALL.slice(0, 3));
  });

  it('asks again, on another connection, where its request was taken for one that never came', async () => {
    await using server = await startScriptedServer(({ response }) => {
      if (server.asked.length <= 2) {
        response.writeHead(408, { connection: 'close' }).end();
        return;
      }
      beginStream(response);
      response.end(FRAMES.join(''));
    });
    const client = createClient({ baseUrl: server.baseUrl, ...createTestClock().clock });
    expect(await seqs((await client.send({ message: 'hello' })).events)).toEqual(ALL);
    const keys = server.asked.map((each) => each.headers['idempotency-key']);
    expect(keys).toEqual([keys[0], keys[0], keys[0]]);
  });

  it('throws for an answer that is no stream', async () => {
    await using server = await startScriptedServer(({ response }) => answerJson(response, 200, {}));
    const client = createClient({ baseUrl: server.baseUrl });
    await expect(client.send({ message: 'hello' })).rejects.toMatchObject({ code: 'NOT_A_STREAM' });
  });
});

describe('follow', () => {
  it('sends the cursor as Last-Event-ID, on the first connection and after drops', async () => {
    await using server = await startScriptedServer(({ headers, response }) => {
      beginStream(response);
      drop(response, suffix(FRAMES, headers['last-event-id']?.toString()).slice(0, 2).join(''));
    });
    const client = createClient({ baseUrl: server.baseUrl, ...createTestClock().clock });
    const events = client.follow(THREAD, { after: 107, until: (event) => event.type === 'run-end' });
    expect(await seqs(events)).toEqual(ALL.slice(2));
    expect(server.asked.map((each) => each.headers['last-event-id'])).toEqual(['107', '121', '135']);
  });

  it('takes a cursor from an id without data', async () => {
    let count = 0;
    await using server = await startScriptedServer(({ response }) => {
      beginStream(response);
      count += 1;
      if (count === 1) drop(response, 'id: 113\n\n');
      else response.write(FRAMES.join(''));
    });
    const client = createClient({ baseUrl: server.baseUrl, ...createTestClock().clock });
    await collect(client.follow(THREAD, { until: (event) => event.type === 'run-end' }));
    expect(server.asked.map((each) => each.headers['last-event-id'])).toEqual([undefined, '113']);
  });

  it('waits as long as retry says, lengthened by chance, doubled while it fails, and begins anew after a frame', async () => {
    const script = ['frame', 'refuse', 'refuse', 'frame', 'end'];
    await using server = await startScriptedServer(({ headers, response }) => {
      const step = script.shift();
      if (step === 'refuse') return answerJson(response, 500, { detail: 'INTERNAL_ERROR' });
      beginStream(response);
      const rest = suffix(FRAMES, headers['last-event-id']?.toString());
      if (step === 'frame') drop(response, `retry: 200\n\n${rest[0]}`);
      else response.write(rest.join(''));
    });
    const { clock, waits } = createTestClock(0.5);
    const client = createClient({ baseUrl: server.baseUrl, ...clock });
    expect(await seqs(client.follow(THREAD, { until: (event) => event.type === 'run-end' }))).toEqual(ALL);
    expect(waits).toEqual([250, 500, 1_000, 250]);
  });

  it('waits out a 429 and a Retry-After after the first opening', async () => {
    let count = 0;
    await using server = await startScriptedServer(({ response }) => {
      count += 1;
      if (count === 2) return answerJson(response, 429, {}, { 'retry-after': '9' });
      beginStream(response);
      if (count === 1) drop(response, FRAMES[0] ?? '');
      else response.write(FRAMES.join(''));
    });
    const { clock, waits } = createTestClock();
    const client = createClient({ baseUrl: server.baseUrl, ...clock });
    expect(await seqs(client.follow(THREAD, { until: (event) => event.type === 'run-end' }))).toEqual(ALL);
    expect(waits).toEqual([1_000, 9_000]);
  });

  it('ends with ClientError where reopening is refused', async () => {
    let count = 0;
    await using server = await startScriptedServer(({ response }) => {
      count += 1;
      if (count > 1) return answerJson(response, 404, { detail: 'NOT_FOUND', message: 'Gone.' });
      beginStream(response);
      drop(response, FRAMES[0] ?? '');
    });
    const client = createClient({ baseUrl: server.baseUrl, ...createTestClock().clock });
    const seen: number[] = [];
    const reading = (async () => {
      for await (const event of client.follow(THREAD)) seen.push(event.seq);
    })();
    await expect(reading).rejects.toMatchObject({ status: 404, code: 'NOT_FOUND' });
    expect(seen).toEqual([100]);
  });

  it('takes 30 s without a byte for a drop, while comments keep the connection', async () => {
    const test = createTestClock();
    const states: string[] = [];
    let count = 0;
    await using server = await startScriptedServer(({ headers, response }) => {
      beginStream(response);
      count += 1;
      if (count === 1) response.write(FRAMES[0]);
      else response.write(suffix(FRAMES, headers['last-event-id']?.toString()).join(''));
    });
    const client = createClient({ baseUrl: server.baseUrl, ...test.clock });
    const events = client
      .follow(THREAD, { onConnection: (state) => states.push(state) })
      [Symbol.asyncIterator]();
    expect((await events.next()).value).toMatchObject({ seq: 100 });
    const next = events.next();
    // The read that waits has its appointment once this turn of the loop is over.
    await new Promise(setImmediate);
    expect(count).toBe(1);
    test.fallSilent();
    expect((await next).value).toMatchObject({ seq: 107 });
    expect(states).toEqual(['open', 'lost', 'open']);
    expect(server.asked[1]?.headers['last-event-id']).toBe('100');
    await events.return?.();
  });

  it('renews its patience with every comment', async () => {
    const appointments: number[] = [];
    let response: ServerResponse | undefined;
    await using server = await startScriptedServer((exchange) => {
      beginStream(exchange.response);
      response = exchange.response;
      exchange.response.write(FRAMES[0]);
    });
    const client = createClient({
      baseUrl: server.baseUrl,
      schedule: (milliseconds) => {
        appointments.push(milliseconds);
        // Each appointment shows that the bytes before it were heard; then the next comment is sent.
        if (appointments.length >= 3 && appointments.length < 8) response?.write(': ping\n\n');
        if (appointments.length === 8) response?.write(FRAMES[1]);
        return () => undefined;
      },
    });
    const events = client.follow(THREAD, { until: (event) => event.seq === 107 });
    expect(await seqs(events)).toEqual([100, 107]);
    expect(appointments).toEqual(Array(8).fill(30_000));
    expect(server.asked).toHaveLength(1);
  });

  it('ends where the service ends an idle stream, and reopens where a run is live or the service is draining', async () => {
    const script = [FRAMES.slice(0, 3), FRAMES.slice(3), ['retry: 1\n\n', 'retry: 1\n\n'], []];
    await using server = await startScriptedServer(({ response }) => {
      beginStream(response);
      response.end(script.shift()?.join(''));
    });
    const client = createClient({ baseUrl: server.baseUrl, ...createTestClock().clock });
    expect(await seqs(client.follow(THREAD, { after: 0, until: 'idle' }))).toEqual(ALL);
    expect(server.asked.map((each) => each.url)).toEqual(
      Array(2).fill(`/api/v1/agent/conversations/${THREAD}/stream?until=idle`),
    );
    expect(await seqs(client.follow(THREAD, { until: 'idle' }))).toEqual([]);
    expect(server.asked).toHaveLength(4);
  });

  it('stops on 204, on abort while it waits, and when its reader leaves', async () => {
    let count = 0;
    const closed: Promise<void>[] = [];
    await using server = await startScriptedServer(({ url, response }) => {
      count += 1;
      if (url.includes('done')) return void response.writeHead(204).end();
      if (url.includes('away')) return answerJson(response, 500, {});
      closed.push(new Promise((resolve) => response.on('close', resolve)));
      beginStream(response);
      response.write(FRAMES.join(''));
    });
    const client = createClient({ baseUrl: server.baseUrl });
    expect(await seqs(client.follow('done'))).toEqual([]);
    const abort = new AbortController();
    const events = client.follow('away', { signal: abort.signal, onConnection: () => abort.abort() });
    expect(await seqs(events)).toEqual([]);
    expect(await seqs(client.follow('never', { signal: AbortSignal.abort() }))).toEqual([]);
    expect(count).toBe(2);
    for await (const event of client.follow(THREAD)) if (event.seq === 107) break;
    await Promise.all(closed);
    expect(count).toBe(3);
  });

  it('throws for frames that no reopening would mend', async () => {
    await using server = await startScriptedServer(({ url, response }) => {
      beginStream(response);
      if (url.includes('broken')) response.write(`${FRAMES[0]}id: 101\nevent: notice\ndata: {"code"\n\n`);
      else response.write(`${FRAMES[0]}id: 101\nevent: notice\ndata: ${'x'.repeat(5 * 1024 * 1024)}`);
    });
    const client = createClient({ baseUrl: server.baseUrl });
    await expect(collect(client.follow('broken'))).rejects.toMatchObject({ code: 'BAD_FRAME' });
    await expect(collect(client.follow('large'))).rejects.toMatchObject({ code: 'FRAME_TOO_LARGE' });
  });

  it('passes over frames without a number and tells types it does not know', async () => {
    await using server = await startScriptedServer(({ response }) => {
      beginStream(response);
      response.write(`event: hello\ndata: {}\n\nid: 3\nevent: brand-new\ndata: {"turn_id":null}\n\n`);
    });
    const client = createClient({ baseUrl: server.baseUrl });
    const events = await collect(client.follow(THREAD, { until: () => true }));
    expect(events).toEqual([{ seq: 3, type: 'brand-new', data: { turn_id: null } }]);
  });
});

describe('watch', () => {
  it('tells what changes, over drops, and says when it is open again', async () => {
    let count = 0;
    await using server = await startScriptedServer(({ response }) => {
      beginStream(response);
      count += 1;
      drop(response, `event: conversation\ndata: {"thread_id":"${count}"}\n\n`);
    });
    const states: string[] = [];
    const abort = new AbortController();
    const client = createClient({ baseUrl: server.baseUrl, ...createTestClock().clock });
    const seen: unknown[] = [];
    for await (const event of client.watch(abort.signal, (state) => states.push(state))) {
      seen.push(event);
      if (seen.length === 2) abort.abort();
    }
    expect(seen).toEqual([
      { type: 'conversation', data: { thread_id: '1' } },
      { type: 'conversation', data: { thread_id: '2' } },
    ]);
    expect(states).toEqual(['open', 'lost', 'open']);
    expect(server.asked[0]?.url).toBe('/api/v1/agent/stream');
  });
});
