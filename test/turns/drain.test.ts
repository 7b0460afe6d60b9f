/** A process that is asked to leave: it ends its streams in good order, gives its turns to the next one, and is gone. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import { applyEvent, createConversationState } from '../../src/client/conversation.ts';
import type { JournalEvent } from '../../src/client/events.ts';
import { endOf, eventually, say } from '../support/mailing.ts';
import { realClock, type ServiceHere } from '../support/service.ts';
import { openStream } from '../support/sse.ts';
import { gate, openStage, type Stage } from '../support/stage.ts';
import { createTalk, type Talk } from '../support/talk.ts';

let stage: Stage;
let talk: Talk;
/** The one that goes on. */
let there: ServiceHere;
beforeAll(async () => {
  stage = await openStage();
  talk = createTalk(stage.model);
  there = await stage.start();
});
afterAll(() => stage.close());

function post(service: { url: string }, body: unknown, headers: Record<string, string> = {}) {
  return fetch(`${service.url}/api/v1/agent/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

/** A turn whose model call is held; when it is let go it calls a tool, and then speaks. */
async function begin(service: { url: string; client: ServiceHere['client'] }, words: string) {
  const held = gate();
  talk.plan(words, [
    { text: ['Let me look.', held.promise], toolCalls: [{ name: 'get_credit_balance' }] },
    'That is what you have.',
  ]);
  const client = createClient({
    baseUrl: service.url,
    // As a load balancer would: who is gone is not asked again.
    fetch: (input, init) =>
      fetch(input, init).catch((error: unknown) => {
        if (init?.signal?.aborted) throw error;
        return fetch(String(input).replace(service.url, there.url), init);
      }),
  });
  const sent = await client.send({ message: words });
  const events: JournalEvent[] = [];
  const spoke = Promise.withResolvers<void>();
  const ended = (async () => {
    for await (const event of sent.events) {
      events.push(event);
      if (event.type === 'text-delta') spoke.resolve();
    }
    return events;
  })();
  await spoke.promise;
  return { threadId: sent.threadId, held, ended };
}

/** Whether what a client heard makes the conversation that is kept. */
async function expectInStep(threadId: string, events: readonly JournalEvent[]): Promise<void> {
  const { messages } = await there.client.conversation(threadId);
  const heard = events.reduce(applyEvent, createConversationState()).messages;
  const seen = ({ id, role, status, content, parts }: (typeof messages)[number]) => ({
    id,
    role,
    status,
    content,
    parts,
  });
  expect(heard.map(seen)).toEqual(messages.map(seen));
}

describe('a service that drains', () => {
  it('ends its streams with a time to come back, refuses turns, and hands a running one on at its next checkpoint', async () => {
    const service = await stage.start();
    const { threadId, held, ended } = await begin(service, 'hand me on');
    const streams = await Promise.all(
      [`conversations/${threadId}/stream?after=0`, `conversations/${threadId}/stream`, 'stream'].map((path) =>
        openStream(`${service.url}/api/v1/agent/${path}`),
      ),
    );
    const waitsForJson = post(
      service,
      { message: 'hand me on, as JSON' },
      { accept: 'application/json', 'idempotency-key': 'drained' },
    );
    const jsonHeld = gate();
    talk.plan('hand me on, as JSON', [
      { text: ['One moment.', jsonHeld.promise], toolCalls: [{ name: 'get_credit_balance' }] },
      'Done.',
    ]);
    await eventually(
      () => talk.requests('hand me on, as JSON').length,
      (calls) => calls === 1,
    );

    const leaving = service.app.drain();
    for (const stream of streams) {
      await stream.ended;
      expect(stream.frames.at(-1)?.raw).toBe('retry: 500');
    }
    const ready = await fetch(`${service.url}/api/v1/ready`);
    expect(ready.status).toBe(503);
    const refused = await post(service, { message: 'Too late' });
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toMatchObject({ detail: 'DRAINING' });
    // What only reads is still answered.
    expect((await service.client.conversation(threadId)).status).toBe('running');

    held.open();
    jsonHeld.open();
    await leaving;
    // Who waits for JSON is told that the turn goes on, and asks again with the same key.
    const answer = await waitsForJson;
    expect(answer.status).toBe(202);
    expect(await answer.json()).toMatchObject({
      status: 'running',
      turn_id: answer.headers.get('x-turn-id'),
    });
    await service.close();

    const events = await ended;
    expect(endOf(events)).toBe('completed');
    expect(events.filter((event) => event.type === 'run-start').map((event) => event.data)).toMatchObject([
      { kind: 'message' },
      { kind: 'recovery' },
    ]);
    await expectInStep(threadId, events);
    expect(talk.requests('hand me on')).toHaveLength(2);
    const again = await post(
      there,
      { message: 'hand me on, as JSON' },
      { accept: 'application/json', 'idempotency-key': 'drained' },
    );
    expect(await again.json()).toMatchObject({
      turn_id: answer.headers.get('x-turn-id'),
      status: 'completed',
      messages: [{}, { content: 'One moment.\n\nDone.' }],
    });
  });

  it('ends its streams properly also where nothing else is left to do', async () => {
    const service = await stage.start();
    talk.plan('nothing left', ['Nothing.']);
    const { threadId } = await say(service.client, 'nothing left');
    const streams = await Promise.all(
      Array.from({ length: 20 }, () =>
        openStream(`${service.url}/api/v1/agent/conversations/${threadId}/stream?after=0`),
      ),
    );
    for (const stream of streams) await stream.event('run-end');
    await service.close();
    for (const stream of streams) {
      await stream.ended;
      expect(stream.frames.at(-1)?.raw).toBe('retry: 500');
    }
  });
});

describe('a service that drains while a model is silent', () => {
  it('waits for it no longer than it may, and the lease runs out', async () => {
    const fires: (() => void)[] = [];
    const service = await stage.start({
      environment: { LEASE_SECONDS: '2' },
      clock: {
        now: realClock.now,
        after(ms, callback) {
          if (ms !== 20_000) return realClock.after(ms, callback);
          fires.push(callback);
          return () => undefined;
        },
      },
    });
    const { threadId, held, ended } = await begin(service, 'silent at the end');
    const leaving = service.close();
    let gone = false;
    void leaving.then(() => {
      gone = true;
    });
    expect((await fetch(`${service.url}/api/v1/ready`)).status).toBe(503);
    expect(gone).toBe(false);
    for (const fire of fires) fire();
    await leaving;
    held.open();
    const events = await ended;
    expect(endOf(events)).toBe('completed');
    expect(events.filter((event) => event.type === 'run-end').map((event) => event.data.status)).toEqual([
      'lost',
      'completed',
    ]);
    await expectInStep(threadId, events);
  });
});

describe('a process that is sent SIGTERM', () => {
  it('is gone with exit code 0 when its turns are handed on, and the next process finishes them', async () => {
    const service = await stage.startProcess();
    const turns = await Promise.all(['one', 'two', 'three'].map((name) => begin(service, `deploy ${name}`)));
    const stream = await openStream(`${service.url}/api/v1/agent/stream`);
    service.process.kill('SIGTERM');
    await stream.ended;
    expect(stream.frames.at(-1)?.raw).toBe('retry: 500');
    const at = Date.now();
    for (const { held } of turns) held.open();
    expect(await service.exited).toBe(0);
    expect(Date.now() - at).toBeLessThan(10_000);
    for (const { threadId, ended } of turns) {
      const events = await ended;
      expect(endOf(events)).toBe('completed');
      await expectInStep(threadId, events);
    }
  });

  it('leaves at once when it is asked twice, and its turn goes on all the same', async () => {
    const service = await stage.startProcess({ LEASE_SECONDS: '2' });
    const { threadId, held, ended } = await begin(service, 'asked twice');
    service.process.kill('SIGTERM');
    await eventually(
      () => service.logged().includes('leaving'),
      (said) => said,
    );
    const at = Date.now();
    service.process.kill('SIGTERM');
    expect(await service.exited).toBe(1);
    expect(Date.now() - at).toBeLessThan(5_000);
    held.open();
    const events = await ended;
    expect(endOf(events)).toBe('completed');
    await expectInStep(threadId, events);
  });
});
