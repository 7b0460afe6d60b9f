/** Readers of a conversation: from any number, over processes and turns, whatever else goes on in between. */

import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JournalEvent } from '../../src/client/events.ts';
import { eventually, say, toldSoFar } from '../support/mailing.ts';
import { heardOf, joined, numbersOf, type Told } from '../support/numbers.ts';
import { realClock, type ServiceHere } from '../support/service.ts';
import { type OpenStream, openStream } from '../support/sse.ts';
import { gate, openStage, type Stage } from '../support/stage.ts';
import { createTalk, type Talk } from '../support/talk.ts';

let stage: Stage;
let talk: Talk;
/** Two services on one database. */
let here: ServiceHere;
let there: ServiceHere;
/** Lets the heartbeats of `here` come when a test says so. */
const beats: (() => void)[] = [];
beforeAll(async () => {
  stage = await openStage();
  talk = createTalk(stage.model);
  const clock: typeof realClock = {
    now: realClock.now,
    after(ms, callback) {
      if (ms !== 10_000) return realClock.after(ms, callback);
      beats.push(callback);
      return () => void beats.splice(beats.indexOf(callback) >>> 0, 1);
    },
  };
  // Leases are renewed by other timers than the ten seconds of a heartbeat.
  here = await stage.start({ clock, environment: { LEASE_SECONDS: '45' } });
  there = await stage.start();
});
afterAll(() => stage.close());

function follow(
  service: { url: string },
  threadId: string,
  { after, query = '' }: { after?: number | string; query?: string } = {},
): Promise<OpenStream> {
  return openStream(`${service.url}/api/v1/agent/conversations/${threadId}/stream?${query}`, {
    headers: after === undefined ? {} : { 'last-event-id': String(after) },
  });
}

/** Reads from behind every number of the list, some at once, and compares with what stands there. */
async function expectSuffixes(
  services: readonly ServiceHere[],
  threadId: string,
  numbers: readonly Told[],
  query: string,
): Promise<void> {
  const last = numbers.at(-1)?.seq ?? 0;
  const cursors = [(numbers[0]?.seq ?? 1) - 1, ...numbers.slice(0, -1).map(({ seq }) => seq)];
  for (let start = 0; start < cursors.length; start += 24) {
    await Promise.all(
      cursors.slice(start, start + 24).map(async (cursor, index) => {
        const service = services[(start + index) % services.length] as ServiceHere;
        const byHeader = index % 2 === 0;
        const stream = await follow(service, threadId, {
          ...(byHeader ? { after: cursor } : {}),
          query: byHeader ? query : `${query}&after=${cursor}`,
        });
        await stream.frame((frame) => Number(frame.id) >= last && frame.data.length > 0);
        const heard = stream.events().filter(({ seq }) => seq <= last);
        stream.close();
        expect(joined(heardOf(heard)), `behind ${cursor}`).toEqual(
          joined(numbers.filter(({ seq }) => seq > cursor)),
        );
      }),
    );
  }
}

describe('a reader from any number', () => {
  it('hears exactly what comes after it: while the turn runs and when it has ended, in either process', async () => {
    const held = gate();
    const words = Array.from({ length: 40 }, (_, index) => `word${index} `);
    // A little time between them, so that not all of them travel at once.
    const paced = () =>
      words.flatMap((word, index) => [new Promise((resolve) => setTimeout(resolve, index * 20)), word]);
    talk.plan('many words', [
      () => ({ reasoning: words.slice(0, 20), text: paced(), toolCalls: [{ name: 'get_credit_balance' }] }),
      () => ({ text: [...paced(), held.promise, ...words] }),
    ]);
    const post = await openStream(`${here.url}/api/v1/agent/chat`, { body: { message: 'many words' } });
    const threadId = post.headers.get('x-thread-id') ?? '';
    await post.event('text-start', (event) => event.data.call === 2);
    const written = () =>
      numbersOf(stage.database, threadId).then((numbers) => ({
        numbers,
        text: numbers.flatMap(({ part, delta }) => (part === 'text-delta 2 3' ? delta : [])).join(''),
      }));
    const { numbers } = await eventually(written, ({ text }) => text === words.join(''));
    const rows = await stage.database.query('select 1 from events where conversation_id = $1', [threadId]);
    expect(numbers.length).toBeGreaterThan(rows.length + 10);
    await expectSuffixes([here, there], threadId, numbers, '');

    held.open();
    await post.ended;
    const all = await numbersOf(stage.database, threadId);
    expect(all.map(({ seq }) => seq)).toEqual(
      [...new Set(all.map(({ seq }) => seq))].toSorted((a, b) => a - b),
    );
    await expectSuffixes([here, there], threadId, all, 'until=idle');
    expect(joined(heardOf(post.events()))).toEqual(joined(all));
  });

  it('gets the exact suffix inside a delta that joins several', async () => {
    talk.plan('one long word', [{ text: [...'Donaudampfschifffahrtsgesellschaft'] }]);
    const { threadId } = await say(here.client, 'one long word');
    const numbers = (await numbersOf(stage.database, threadId)).filter(({ part }) => part !== null);
    for (const { seq } of numbers.slice(0, -1)) {
      const stream = await follow(there, threadId, { after: seq, query: 'until=idle' });
      await stream.ended;
      const [first] = stream.events();
      if (first?.type !== 'text-delta') throw new Error('a delta was expected');
      expect(first.data.delta).toBe(
        numbers
          .filter((number) => number.seq > seq && number.seq <= first.seq)
          .map(({ delta }) => delta)
          .join(''),
      );
    }
  });

  it('begins behind Last-Event-ID where a browser comes back to an address with ?after', async () => {
    talk.plan('come back', ['Welcome back.']);
    const { threadId, events } = await say(here.client, 'come back');
    const [first, , third] = events;
    const stream = await follow(here, threadId, {
      after: third?.seq ?? 0,
      query: `until=idle&after=${first?.seq}`,
    });
    await stream.ended;
    expect(stream.events()[0]?.seq).toBeGreaterThan(third?.seq ?? 0);
  });
});

describe('a cursor that makes no sense', () => {
  // Unreadable, or never given away: the stream is from now on.
  it.each([
    ['letters', 'abc'],
    ['a negative number', '-1'],
    ['a fraction', '1.5'],
    ['an exponent', '1e3'],
    ['hexadecimal', '0x10'],
    ['blanks inside', '1 2'],
    ['another statement', "1'; drop table events; --"],
    ['more digits than any number has', '99999999999999999999999'],
    ['a number that was never given', '900000000000000'],
  ])('%s in Last-Event-ID is as if there were none', async (_what, value) => {
    talk.plan('first words', ['First.']);
    const { threadId, events } = await say(here.client, 'first words');
    const stream = await follow(here, threadId, { after: value });
    expect(stream.status).toBe(200);
    const cursor = await stream.frame((frame) => frame.id !== null);
    expect(Number(cursor.id)).toBe(events.at(-1)?.seq);
    talk.plan('second words', ['Second.']);
    const second = await say(here.client, 'second words', { thread_id: threadId });
    await stream.event('run-end');
    stream.close();
    expect(joined(heardOf(stream.events()))).toEqual(joined(heardOf(second.events)));
  });

  it.each(['abc', '-1', '1e3', '9'.repeat(16)])('%s in ?after is refused', async (value) => {
    talk.plan('some words', ['Some.']);
    const { threadId } = await say(here.client, 'some words');
    const response = await fetch(
      `${here.url}/api/v1/agent/conversations/${threadId}/stream?after=${encodeURIComponent(value)}`,
    );
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ detail: 'VALIDATION_ERROR' });
  });

  it('a conversation that is not there is 404, before a stream opens', async () => {
    const stream = await follow(here, '019a0000-0000-7000-8000-000000000001');
    expect(stream.status).toBe(404);
    expect(stream.headers.get('content-type')).toContain('application/json');
    await stream.ended.catch(() => undefined);
  });
});

describe('a reader that follows', () => {
  it('hears of turns that others begin, over one connection, wherever they run', async () => {
    const { thread_id: threadId } = await here.client.request<{ thread_id: string }>(
      'POST',
      '/api/v1/agent/conversations',
      {},
    );
    const tabs = [await follow(here, threadId), await follow(there, threadId)];
    const posts: JournalEvent[] = [];
    for (const [index, service] of [here, there, here].entries()) {
      talk.plan(`turn ${index}`, [`Answer ${index}.`]);
      posts.push(...(await say(service.client, `turn ${index}`, { thread_id: threadId })).events);
    }
    const last = posts.at(-1)?.seq;
    for (const tab of tabs) {
      await tab.event('run-end', (event) => event.seq === last);
      expect(joined(heardOf(tab.events()))).toEqual(joined(heardOf(posts)));
      tab.close();
    }
  });

  it('hears text in another process while the model still speaks', async () => {
    const held = gate();
    talk.plan('slowly', [{ text: ['Once', held.promise, ' upon a time'] }]);
    const post = await openStream(`${here.url}/api/v1/agent/chat`, { body: { message: 'slowly' } });
    const stream = await follow(there, post.headers.get('x-thread-id') ?? '', {
      after: 0,
      query: 'until=idle',
    });
    expect((await stream.event('text-delta')).data.delta).toBe('Once');
    held.open();
    await stream.ended;
    expect((await stream.event('text-end')).data.text).toBe('Once upon a time');
    expect((await stream.event('run-end')).data.status).toBe('completed');
  });

  it('until idle ends at once where no run is live, and after the run where one is', async () => {
    const held = gate();
    talk.plan('until idle', [{ text: ['Wait', held.promise, ' for it'] }]);
    const post = await openStream(`${here.url}/api/v1/agent/chat`, { body: { message: 'until idle' } });
    await post.event('text-delta');
    const threadId = post.headers.get('x-thread-id') ?? '';
    const streams = await Promise.all(
      [here, there].map((one) => follow(one, threadId, { query: 'until=idle' })),
    );
    held.open();
    for (const stream of streams) {
      await stream.ended;
      expect(stream.events().at(-1)?.type).toBe('run-end');
    }
    for (const service of [here, there]) {
      const idle = await follow(service, threadId, { query: 'until=idle' });
      await idle.ended;
      expect(idle.events()).toEqual([]);
      expect(idle.frames.map((frame) => frame.raw)).toEqual([
        'retry: 1000',
        `id: ${(await post.event('run-end')).seq}`,
      ]);
    }
  });

  it('until idle never ends without the run-end, however close to it the reader comes', async () => {
    for (let round = 0; round < 30; round += 1) {
      talk.plan(`short ${round}`, ['Yes.']);
      const sent = await here.client.send({ message: `short ${round}` });
      let last = 0;
      for await (const event of sent.events) {
        last = event.seq;
        if (event.type !== 'text-end') continue;
        // From here on it is a race with the settling.
        const streams = await Promise.all([
          follow(here, sent.threadId, { after: last, query: 'until=idle' }),
          follow(here, sent.threadId, { query: 'until=idle' }),
        ]);
        for (const stream of streams) await stream.ended;
        expect(streams[0]?.events().at(-1)?.type).toBe('run-end');
      }
    }
  });

  it('loses nothing for anybody by leaving', async () => {
    const held = gate();
    talk.plan('readers leave', [{ text: ['Still', held.promise, ' here'] }]);
    const post = await openStream(`${here.url}/api/v1/agent/chat`, { body: { message: 'readers leave' } });
    const threadId = post.headers.get('x-thread-id') ?? '';
    const leaving = await Promise.all([here, here, there].map((one) => follow(one, threadId, { after: 0 })));
    for (const stream of leaving) {
      await stream.event('text-delta');
      stream.close();
    }
    held.open();
    await post.ended;
    expect((await post.event('text-end')).data.text).toBe('Still here');
  });

  it('gets the conversation whole first, where the journal does not go back so far', async () => {
    talk.plan('long ago', ['Old words.']);
    const { threadId } = await say(here.client, 'long ago');
    await stage.database.query(
      `with gone as (delete from events where conversation_id = $1 returning seq)
       update conversations set pruned_seq = (select max(seq) from gone) where id = $1`,
      [threadId],
    );
    const stream = await follow(here, threadId, { after: 1 });
    const snapshot = await stream.event('snapshot');
    expect(snapshot.data.conversation.messages.map((message) => message.content)).toEqual([
      'long ago',
      'Old words.',
    ]);
    talk.plan('today', ['New words.']);
    await say(there.client, 'today', { thread_id: threadId });
    expect((await stream.event('text-end')).data.text).toBe('New words.');
    expect(stream.events().filter(({ seq }) => seq <= snapshot.seq)).toHaveLength(1);
    stream.close();
  });
});

describe('changes from elsewhere', () => {
  const change = (service: ServiceHere, threadId: string, method: string, path = '', body?: unknown) =>
    service.client.request(method, `/api/v1/agent/conversations/${threadId}${path}`, body);

  it('are numbered by the owner of a live run, and every reader hears them in one order', async () => {
    const held = [gate(), gate()];
    talk.plan('renames', [
      { text: ['One', held[0]?.promise ?? '', ' two', held[1]?.promise ?? '', ' three'] },
    ]);
    const post = await openStream(`${here.url}/api/v1/agent/chat`, { body: { message: 'renames' } });
    const threadId = post.headers.get('x-thread-id') ?? '';
    const reader = await follow(there, threadId, { after: 0 });
    await post.event('text-delta');
    await change(there, threadId, 'PATCH', '', { title: 'From there' });
    await post.event('conversation-update', (event) => event.data.title === 'From there');
    await change(here, threadId, 'PATCH', '', { title: 'From here' });
    await change(there, threadId, 'DELETE');
    await post.event('conversation-update', (event) => event.data.archived === true);
    held[0]?.open();
    await post.event('text-delta', (event) => event.data.delta.includes('two'));
    await change(here, threadId, 'POST', '/restore');
    await post.event('conversation-update', (event) => event.data.archived === false);
    held[1]?.open();
    await post.ended;
    await reader.event('run-end');
    reader.close();
    expect(
      post
        .events()
        .flatMap((event) =>
          event.type === 'conversation-update' ? [event.data.title ?? event.data.archived] : [],
        ),
    ).toEqual(['From there', 'From here', true, false]);
    expect((await post.event('text-end')).data.text).toBe('One two three');
    expect(joined(heardOf(reader.events()))).toEqual(joined(heardOf(post.events())));
    expect(joined(heardOf(post.events()))).toEqual(joined(await numbersOf(stage.database, threadId)));
  });

  it('are told once each and in order, also where they come as the run ends', async () => {
    const { thread_id: threadId } = await here.client.request<{ thread_id: string }>(
      'POST',
      '/api/v1/agent/conversations',
      {},
    );
    const reader = await follow(there, threadId, { after: 0 });
    const titles: string[] = [];
    for (let round = 0; round < 25; round += 1) {
      talk.plan(`say ${round}`, [`So ${round}.`]);
      // One of the renames is thrown in at each stage of the turn’s end.
      const turn = say(here.client, `say ${round}`, { thread_id: threadId });
      for (let index = 0; index < 4; index += 1) {
        const title = `title ${round}.${index}`;
        await change(index % 2 === 0 ? here : there, threadId, 'PATCH', '', { title });
        titles.push(title);
      }
      expect((await turn).events.at(-1)?.type).toBe('run-end');
    }
    await reader.event('conversation-update', (event) => event.data.title === titles.at(-1));
    reader.close();
    const numbers = await numbersOf(stage.database, threadId);
    expect(joined(heardOf(reader.events()))).toEqual(joined(numbers));
    const told = reader.events();
    expect(told.flatMap((event) => (event.type === 'conversation-update' ? [event.data.title] : []))).toEqual(
      titles,
    );
    expect(told.filter((event) => event.type === 'run-end')).toHaveLength(25);
    expect(new Set(numbers.map(({ seq }) => seq)).size).toBe(numbers.length);
    expect((await here.client.conversation(threadId)).title).toBe(titles.at(-1));
    const waiting = await stage.database.query<{ inbox_waiting: number; rows: number }>(
      `select inbox_waiting, (select count(*)::int from journal_inbox where conversation_id = c.id) as rows
         from conversations c where id = $1`,
      [threadId],
    );
    expect(waiting).toEqual([{ inbox_waiting: 0, rows: 0 }]);
    expect(here.logged() + there.logged()).not.toContain('nobody else was told of');
  });
});

describe('when the connection that listens is lost', () => {
  it('readers, cancels and the lists go on by themselves, and nothing is missed', async () => {
    const held = gate();
    talk.plan('cut the wire', [{ text: ['Before', held.promise, ' and after'] }]);
    const post = await openStream(`${here.url}/api/v1/agent/chat`, { body: { message: 'cut the wire' } });
    const threadId = post.headers.get('x-thread-id') ?? '';
    const reader = await follow(there, threadId, { after: 0 });
    const lists = await openStream(`${there.url}/api/v1/agent/stream`);
    await reader.event('text-delta');
    await stage.database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'overture_listener' and datname = current_database()`,
    );
    // Nobody hears of this by a wake-up.
    await there.client.request('PATCH', `/api/v1/agent/conversations/${threadId}`, { title: 'Not heard' });
    await there.client.cancel(threadId);
    await reader.event('conversation-update', (event) => event.data.title === 'Not heard');
    expect((await reader.event('run-end')).data.status).toBe('cancelled');
    // Who watches lists is sent away, to read them again.
    await lists.ended;
    expect(lists.frames.at(-1)?.raw).toBe('retry: 500');
    held.open();
    await post.ended;
    reader.close();
    expect(joined(heardOf(reader.events()))).toEqual(joined(await numbersOf(stage.database, threadId)));
  });
});

describe('a silent stream', () => {
  it('beats: a comment every ten seconds of silence', async () => {
    const { thread_id: threadId } = await here.client.request<{ thread_id: string }>(
      'POST',
      '/api/v1/agent/conversations',
      {},
    );
    beats.length = 0;
    const stream = await follow(here, threadId);
    await stream.frame((frame) => frame.id !== null);
    expect(beats).toHaveLength(1);
    for (let count = 1; count <= 3; count += 1) {
      beats.shift()?.();
      await eventually(
        () => stream.frames.filter((frame) => frame.raw === ': ping').length,
        (seen) => seen === count,
      );
    }
    stream.close();
  });
});

describe('a reader that does not read', () => {
  it('holds up neither the turns nor other readers, and hears everything when it reads at last', async () => {
    const piece = 'x'.repeat(16 * 1024);
    const { thread_id: threadId } = await here.client.request<{ thread_id: string }>(
      'POST',
      '/api/v1/agent/conversations',
      {},
    );
    const { port, hostname } = new URL(here.url);
    const sockets = Array.from({ length: 30 }, () => {
      const socket = connect(Number(port), hostname);
      socket.pause();
      socket.on('error', () => undefined);
      socket.write(
        `GET /api/v1/agent/conversations/${threadId}/stream?after=0 HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`,
      );
      return socket;
    });
    // A text is told twice, piece by piece and at its end: 8 MiB for each of them, of which the pipes take some.
    for (let turn = 0; turn < 16; turn += 1) {
      talk.plan(`much text ${turn}`, [{ text: Array.from({ length: 16 }, () => piece) }]);
      const { events } = await say(here.client, `much text ${turn}`, { thread_id: threadId });
      const length = events.reduce(
        (sum, event) => sum + (event.type === 'text-delta' ? event.data.delta.length : 0),
        0,
      );
      expect(length).toBe(16 * piece.length);
    }
    const [late, ...others] = sockets;
    for (const socket of others) socket.destroy();
    let heard = '';
    late?.on('data', (chunk) => {
      heard += chunk.toString();
    });
    late?.resume();
    await eventually(
      () => heard.match(/"status":"completed"/g)?.length ?? 0,
      (count) => count === 16,
    );
    late?.destroy();
    expect(heard.match(/x/g)?.length).toBeGreaterThanOrEqual(2 * 16 * 16 * piece.length);
  });
});

describe('the stream of a caller’s lists', () => {
  it('tells of changes in their conversations and of what waits for them, from every process', async () => {
    const stream = await openStream(`${there.url}/api/v1/agent/stream`);
    expect(stream.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect((await stream.frame(() => true)).raw).toBe('retry: 1000');
    talk.plan('write to somebody', [
      {
        toolCalls: [
          { name: 'send_email', args: { to: 'somebody@example.com', subject: 'Hello', body: 'Hello.' } },
        ],
      },
      'It is kept.',
    ]);
    const told = (name: string) =>
      stream.frames.flatMap((frame) => (frame.event === name ? [JSON.parse(frame.data[0] ?? '')] : []));
    const { threadId } = await say(here.client, 'write to somebody');
    await eventually(
      () => told('conversation').findLast((one) => one.thread_id === threadId),
      (seen) => seen?.status === 'awaiting_approval' && seen.pending_approvals === 1,
    );
    await eventually(
      () => told('approvals').at(-1),
      (seen) => seen?.pending === 1,
    );
    await here.client.cancel(threadId);
    await eventually(
      () => [
        told('conversation').findLast((one) => one.thread_id === threadId)?.status,
        told('approvals').at(-1)?.pending,
      ],
      ([status, pending]) => status === 'idle' && pending === 0,
    );
    await there.client.request('PATCH', `/api/v1/agent/conversations/${threadId}`, {
      title: 'Another title',
    });
    await eventually(
      () => told('conversation').at(-1)?.title,
      (title) => title === 'Another title',
    );
    stream.close();
  });
});

describe('too many streams', () => {
  it('are refused with 429, and there is room again when one leaves', async () => {
    const { thread_id: threadId } = await here.client.request<{ thread_id: string }>(
      'POST',
      '/api/v1/agent/conversations',
      {},
    );
    const streams = await Promise.all(Array.from({ length: 201 }, () => follow(here, threadId)));
    const refused = streams.filter((stream) => stream.status === 429);
    expect(refused.length).toBeGreaterThan(0);
    expect(streams.length - refused.length).toBeGreaterThan(100);
    expect(refused[0]?.headers.get('retry-after')).toBe('5');
    for (const stream of streams) stream.close();
    const again = await eventually(
      async () => {
        const stream = await follow(here, threadId);
        stream.close();
        return stream.status;
      },
      (status) => status === 200,
    );
    expect(again).toBe(200);
    expect(await toldSoFar(here.client, threadId)).toEqual([]);
  });
});
