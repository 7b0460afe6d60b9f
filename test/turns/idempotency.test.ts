/** The same Idempotency-Key and body are one turn, or one decision, however often and wherever they are sent. */

import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import {
  cardOf,
  collect,
  endOf,
  eventually,
  lastAnswer,
  type Mailing,
  openMailing,
  say,
  sendEmail,
} from '../support/mailing.ts';
import { JWT_SECRET, type ServiceHere } from '../support/service.ts';
import { type OpenStream, openStream } from '../support/sse.ts';
import { gate } from '../support/stage.ts';

let mailing: Mailing;
let here: ServiceHere;
let there: ServiceHere;
beforeAll(async () => {
  mailing = await openMailing();
  here = await mailing.start();
  there = await mailing.start();
});
afterAll(() => mailing.close());

function post(
  service: { url: string },
  key: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<OpenStream> {
  return openStream(`${service.url}/api/v1/agent/chat`, {
    body,
    headers: { 'idempotency-key': key, ...headers },
  });
}

async function refused(service: { url: string }, key: string, body: unknown) {
  const response = await fetch(`${service.url}/api/v1/agent/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

function idsOf(stream: OpenStream) {
  return ['x-thread-id', 'x-turn-id', 'x-run-id'].map((name) => stream.headers.get(name));
}

async function turnsOf(words: string): Promise<number> {
  const rows = await mailing.database.query<{ turns: number }>(
    `select count(*)::int as turns from turns where input->>'message' = $1`,
    [words],
  );
  return rows[0]?.turns ?? 0;
}

describe('a message sent again under the same key', () => {
  it('joins the turn and streams it from its first event, after its end too', async () => {
    mailing.talk.plan('once only', ['Only once.']);
    const first = await post(here, 'key-1', { message: 'once only' });
    await first.ended;
    for (const service of [here, there, here]) {
      const again = await post(service, 'key-1', { message: 'once only' });
      await again.ended;
      expect(idsOf(again)).toEqual(idsOf(first));
      expect(again.events().filter(({ type }) => type !== 'text-delta')).toEqual(
        first.events().filter(({ type }) => type !== 'text-delta'),
      );
    }
    expect(await turnsOf('once only')).toBe(1);
    expect(mailing.talk.requests('once only')).toHaveLength(1);
  });

  it('joins while the turn runs, and hears it from its first event to its end', async () => {
    const held = gate();
    mailing.talk.plan('join me', [{ text: ['Half', held.promise, ' and half'] }]);
    const first = await post(here, 'key-2', { message: 'join me' });
    await first.event('text-delta');
    const joined = await Promise.all([here, there].map((one) => post(one, 'key-2', { message: 'join me' })));
    for (const stream of joined) {
      expect((await stream.event('text-delta')).data.delta).toBe('Half');
      expect(stream.events()[0]?.type).toBe('user-message');
    }
    held.open();
    for (const stream of [first, ...joined]) {
      await stream.ended;
      expect((await stream.event('text-end')).data.text).toBe('Half and half');
      expect(stream.events().at(-1)?.type).toBe('run-end');
    }
  });

  it('makes one turn of twenty at once, over two processes', async () => {
    mailing.talk.plan('all at once', ['One of us.']);
    const streams = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        post(index % 2 === 0 ? here : there, 'key-3', { message: 'all at once' }),
      ),
    );
    for (const stream of streams) {
      expect(stream.status).toBe(200);
      await stream.ended;
      expect(idsOf(stream)).toEqual(idsOf(streams[0] as OpenStream));
      expect((await stream.event('text-end')).data.text).toBe('One of us.');
    }
    expect(await turnsOf('all at once')).toBe(1);
    expect(mailing.talk.requests('all at once')).toHaveLength(1);
  });

  it('makes one turn of ten at once in a conversation, also where they supersede', async () => {
    const lead = await mailing.addLead('superseded@acme.example');
    mailing.talk.plan('a mail first', [{ toolCalls: [sendEmail(lead)] }]);
    const { threadId } = await say(here.client, 'a mail first');
    mailing.talk.plan('now this', ['Now that.']);
    const body = { message: 'now this', thread_id: threadId, on_pending: 'supersede' };
    const streams = await Promise.all(
      Array.from({ length: 10 }, (_, index) => post(index % 2 === 0 ? here : there, 'key-4', body)),
    );
    for (const stream of streams) {
      expect(stream.status).toBe(200);
      await stream.ended;
      expect(idsOf(stream)).toEqual(idsOf(streams[0] as OpenStream));
    }
    expect(await turnsOf('now this')).toBe(1);
  });

  it('joins after the service was started anew', async () => {
    mailing.talk.plan('before the start', ['From before.']);
    const before = await mailing.start();
    const first = await post(before, 'key-5', { message: 'before the start' });
    await first.ended;
    await before.close();
    const after = await mailing.start();
    const again = await post(after, 'key-5', { message: 'before the start' });
    await again.ended;
    expect(idsOf(again)).toEqual(idsOf(first));
    expect((await again.event('text-end')).data.text).toBe('From before.');
    await after.close();
  });

  it('answers the same turn as JSON, and as 202', async () => {
    mailing.talk.plan('in other forms', ['The same.']);
    const first = await post(here, 'key-6', { message: 'in other forms' });
    await first.ended;
    for (const headers of [{ accept: 'application/json' }, { prefer: 'respond-async' }]) {
      const response = await fetch(`${here.url}/api/v1/agent/chat`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': 'key-6', ...headers },
        body: JSON.stringify({ message: 'in other forms' }),
      });
      expect(await response.json()).toMatchObject({ turn_id: first.headers.get('x-turn-id') });
    }
    expect(await turnsOf('in other forms')).toBe(1);
  });

  it('is refused with another body', async () => {
    mailing.talk.plan('these words', ['Yes.']);
    const first = await post(here, 'key-7', { message: 'these words' });
    await first.ended;
    const threadId = first.headers.get('x-thread-id');
    for (const body of [
      { message: 'other words' },
      { message: 'these words', thread_id: threadId },
      { message: 'these words', page_context: { page: 1 } },
    ]) {
      expect(await refused(there, 'key-7', body)).toMatchObject({
        status: 422,
        body: { detail: 'IDEMPOTENCY_MISMATCH' },
      });
    }
    expect(await turnsOf('other words')).toBe(0);
  });

  it.each([
    ['blanks', 'two words'],
    ['letters beyond ASCII', 'schlüssel'],
    ['a control character', 'tab\there'],
    ['nothing', ''],
    ['more than 255 characters', 'k'.repeat(256)],
  ])('is refused where the key is made of %s', async (_what, key) => {
    expect(await refused(here, key, { message: 'bad key' })).toMatchObject({
      status: 422,
      body: { detail: 'VALIDATION_ERROR', details: [{ loc: ['header', 'Idempotency-Key'] }] },
    });
    expect(await turnsOf('bad key')).toBe(0);
  });

  it('may be tried again after a refusal: what was not accepted did not use the key', async () => {
    const held = gate();
    mailing.talk.plan('busy', [{ text: ['Busy', held.promise] }]);
    const busy = await post(here, 'key-8', { message: 'busy' });
    await busy.event('text-delta');
    const body = { message: 'when you are free', thread_id: busy.headers.get('x-thread-id') };
    mailing.talk.plan('when you are free', ['Now.']);
    expect(await refused(here, 'key-9', body)).toMatchObject({
      status: 409,
      body: { detail: 'TURN_RUNNING' },
    });
    held.open();
    await busy.ended;
    const again = await post(here, 'key-9', body);
    await again.ended;
    expect(again.status).toBe(200);
    expect((await again.event('run-end')).data.status).toBe('completed');
  });

  it('belongs to who sent it: another user’s same key is another turn', async () => {
    const secured = await mailing.start({ environment: { AUTH_MODE: 'jwt', JWT_SECRET } });
    const workspace = '019a0000-0000-7000-8000-0000000000aa';
    const token = (user: string) =>
      new SignJWT({ app_metadata: { workspace_id: workspace } })
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject(user)
        .setExpirationTime('5 minutes')
        .sign(new TextEncoder().encode(JWT_SECRET));
    mailing.talk.plan('mine', ['Yours.']);
    const streams = [];
    for (const user of ['ann', 'bob', 'ann']) {
      const stream = await post(
        secured,
        'the-same-key',
        { message: 'mine' },
        { authorization: `Bearer ${await token(user)}` },
      );
      await stream.ended;
      streams.push(stream.headers.get('x-turn-id'));
    }
    expect(streams[2]).toBe(streams[0]);
    expect(streams[1]).not.toBe(streams[0]);
    await secured.close();
  });
});

describe('a decision sent again under the same key', () => {
  async function waiting(words: string) {
    const address = `${words.replaceAll(/[^a-z]+/g, '-')}@acme.example`;
    const lead = await mailing.addLead(address);
    mailing.talk.plan(words, [{ text: 'I will write.', toolCalls: [sendEmail(lead)] }, 'It is sent.']);
    const { threadId, events } = await say(here.client, words);
    return { threadId, address, card: await cardOf(here.client, threadId), before: events.at(-1)?.seq ?? 0 };
  }

  it('joins the run that it began, from its first event', async () => {
    const { threadId, address, before } = await waiting('a decision, again');
    const body = { thread_id: threadId, resume: { confirmed: true } };
    const first = await post(here, 'yes-1', body);
    await first.ended;
    expect(first.events()[0]?.type).toBe('approval-end');
    for (const service of [there, here]) {
      const again = await post(service, 'yes-1', body);
      expect(again.status).toBe(200);
      await again.ended;
      expect(idsOf(again)).toEqual(idsOf(first));
      expect(again.events().map(({ seq }) => seq)).toEqual(first.events().map(({ seq }) => seq));
      expect(again.events()[0]?.seq).toBeGreaterThan(before);
    }
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
  });

  it('makes one decision of twenty at once, in both spellings, over two processes', async () => {
    for (const spelling of ['confirmed', 'decisions']) {
      const { threadId, address, card } = await waiting(`all decide ${spelling}`);
      const decisions = [{ approval_id: card.approval_id, args_hash: card.args_hash, decision: 'approve' }];
      const resume = spelling === 'confirmed' ? { confirmed: true } : { decisions };
      const streams = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          post(index % 2 === 0 ? here : there, `yes-2-${spelling}`, { thread_id: threadId, resume }),
        ),
      );
      for (const stream of streams) {
        expect(stream.status).toBe(200);
        await stream.ended;
        expect(idsOf(stream)).toEqual(idsOf(streams[0] as OpenStream));
        expect((await stream.event('run-end')).data.status).toBe('completed');
      }
      expect(mailing.smtp.takenFor(address)).toHaveLength(1);
    }
  });

  it('is refused with another body, and a message’s key is no decision’s', async () => {
    const { threadId, card } = await waiting('a decision, another body');
    const body = { thread_id: threadId, resume: { confirmed: false, reason: 'Not now' } };
    const first = await post(here, 'no-1', body);
    await first.ended;
    const other = await refused(here, 'no-1', { thread_id: threadId, resume: { confirmed: true } });
    expect(other).toMatchObject({ status: 422, body: { detail: 'IDEMPOTENCY_MISMATCH' } });
    const message = await refused(here, 'no-1', { thread_id: threadId, message: 'Hello' });
    expect(message).toMatchObject({ status: 422, body: { detail: 'IDEMPOTENCY_MISMATCH' } });
    const late = await refused(here, 'no-2', body);
    expect(late).toMatchObject({ status: 409, body: { detail: 'ALREADY_DECIDED' } });
    expect(late.body.winner).toMatchObject({ approval_id: card.approval_id, status: 'rejected' });
  });

  it('brings a client back whose connection broke before it heard anything', async () => {
    const { threadId, address } = await waiting('a broken connection');
    let breaks = 2;
    const client = createClient({
      baseUrl: here.url,
      async fetch(input, init) {
        const response = await fetch(input, init);
        if (init?.method !== 'POST' || breaks === 0) return response;
        breaks -= 1;
        await response.body?.cancel();
        throw new TypeError('fetch failed');
      },
    });
    const sent = await client.send({ thread_id: threadId, resume: { confirmed: true } });
    const events = await collect(sent.events);
    expect(endOf(events)).toBe('completed');
    expect(events[0]?.type).toBe('approval-end');
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
    await eventually(
      () => lastAnswer(here.client, threadId),
      (answer) => answer.status === 'complete',
    );
  });
});
