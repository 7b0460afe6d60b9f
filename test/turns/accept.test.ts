/** What a message is answered with: a stream, JSON or 202, and what of it is kept. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Approval, ConversationDetail, Message } from '../../src/client/events.ts';
import type { ServiceHere } from '../support/service.ts';
import { type OpenStream, openStream } from '../support/sse.ts';
import { gate, openStage, type Stage } from '../support/stage.ts';

let stage: Stage;
let service: ServiceHere;
beforeAll(async () => {
  stage = await openStage();
  service = await stage.start();
});
afterAll(() => stage.close());

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function say(message: string, more: Record<string, unknown> = {}): Promise<OpenStream> {
  return openStream(`${service.url}/api/v1/agent/chat`, { body: { message, ...more } });
}

interface Answer {
  thread_id: string;
  turn_id: string;
  status: string;
  messages: Message[];
  approvals: Approval[];
}

async function post(body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`${service.url}/api/v1/agent/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answer };
}

function textOf(stream: OpenStream): string {
  return stream
    .events()
    .map((event) => (event.type === 'text-delta' ? event.data.delta : ''))
    .join('');
}

describe('a message answered as a stream', () => {
  it('has the headers that keep proxies from holding it back, and says which turn it is', async () => {
    stage.model.script('Hello there.');
    const stream = await say('Hi');
    await stream.ended;
    expect(stream.status).toBe(200);
    expect(Object.fromEntries(stream.headers)).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'x-thread-id': expect.stringMatching(UUID),
      'x-turn-id': expect.stringMatching(UUID),
      'x-run-id': expect.stringMatching(UUID),
    });
    expect(stream.headers.has('content-length')).toBe(false);
    expect(stream.headers.has('content-encoding')).toBe(false);
  });

  it('begins with retry and goes on with frames of an id in digits, an event and one line of JSON', async () => {
    stage.model.script('Two\nlines, "quoted", Grüße 👋 and a \r return.');
    const stream = await say('Hi');
    await stream.ended;
    const [first, ...frames] = stream.frames;
    expect(first?.raw).toBe('retry: 1000');
    let last = 0;
    for (const frame of frames) {
      expect(frame.raw).toMatch(/^id: \d+\nevent: [a-z-]+\ndata: \{[^\n]*\}$/);
      expect(Number(frame.id)).toBeGreaterThan(last);
      last = Number(frame.id);
      const data = JSON.parse(frame.data[0] ?? '');
      expect(data.turn_id).toBe(stream.headers.get('x-turn-id'));
      expect(data.run_id).toBe(stream.headers.get('x-run-id'));
      expect('at' in data).toBe(!frame.event?.endsWith('-delta'));
      if ('at' in data) expect(new Date(data.at).toISOString()).toBe(data.at);
    }
    expect(textOf(stream)).toBe('Two\nlines, "quoted", Grüße 👋 and a \r return.');
  });

  it('tells the user’s words, the run, the text, and ends after run-end', async () => {
    stage.model.script('Well, hello.');
    const stream = await say('Hi', { client_message_id: 'tab-1-message-1' });
    await stream.ended;
    const types = stream.events().map((event) => event.type);
    expect(types.filter((type, index) => type !== types[index - 1])).toEqual([
      'user-message',
      'run-start',
      'step-start',
      'text-start',
      'text-delta',
      'text-end',
      'call-end',
      'step-end',
      'run-end',
    ]);
    const said = await stream.event('user-message');
    expect(said.data).toMatchObject({
      client_message_id: 'tab-1-message-1',
      message: { role: 'user', status: 'complete', content: 'Hi', parts: [{ type: 'text', text: 'Hi' }] },
    });
    const begun = await stream.event('run-start');
    expect(begun.data).toMatchObject({
      thread_id: stream.headers.get('x-thread-id'),
      kind: 'message',
      model: 'scripted',
    });
    const end = await stream.event('run-end');
    expect(end.data).toMatchObject({
      status: 'completed',
      message_id: begun.data.message_id,
      usage: { input_tokens: 11, output_tokens: 7, model_calls: 1, tool_calls: 0, credits: 0 },
    });
    expect(end.data).not.toHaveProperty('error');
    expect(stream.frames.at(-1)?.event).toBe('run-end');
  });

  it('makes the message of the deltas: what is kept, what was streamed and what a later reader sees are one text', async () => {
    const text = 'One word at a time, with “quotes”, 🙂🙃 and\n\na second paragraph.';
    stage.model.script({ text: [...text] });
    const stream = await say('Speak');
    await stream.ended;
    const threadId = stream.headers.get('x-thread-id') ?? '';
    expect(textOf(stream)).toBe(text);
    expect((await stream.event('text-end')).data.text).toBe(text);

    const { messages } = await service.client.conversation(threadId);
    const answer = messages.find((message) => message.role === 'assistant');
    expect(answer).toMatchObject({
      id: (await stream.event('run-start')).data.message_id,
      turn_id: stream.headers.get('x-turn-id'),
      status: 'complete',
      content: text,
      parts: [{ type: 'text', call: 1, text }],
    });

    const later = await openStream(
      `${service.url}/api/v1/agent/conversations/${threadId}/stream?after=0&until=idle`,
    );
    await later.ended;
    expect(textOf(later)).toBe(text);
    expect(later.events().filter((event) => event.type !== 'text-delta')).toEqual(
      stream.events().filter((event) => event.type !== 'text-delta'),
    );
  });

  it('puts no half of a surrogate pair and no NUL on the wire, however the model cuts its text', async () => {
    stage.model.script({ text: ['a\ud83d', '\ude42b', 'c\u0000d'] });
    const stream = await say('Speak');
    await stream.ended;
    expect(textOf(stream)).toBe('a🙂bc\ufffdd');
    const { messages } = await service.client.conversation(stream.headers.get('x-thread-id') ?? '');
    expect(messages.at(-1)?.content).toBe('a🙂bc\ufffdd');
  });

  it('comes to its end whatever the model puts into its words and its calls', async () => {
    stage.model.script(
      {
        text: ['Half a pair: \ud83d'],
        toolCalls: [
          { name: 'suppress_email', argsText: '{"em\\u0000ail": "a\\u0000b", "\\ud800": "\\udfff"}' },
        ],
      },
      'No harm done.',
    );
    const stream = await say('Call it oddly');
    await stream.ended;
    expect((await stream.event('run-end')).data.status).toBe('completed');
    expect(textOf(stream)).toBe('Half a pair: \ufffdNo harm done.');
    const { messages } = await service.client.conversation(stream.headers.get('x-thread-id') ?? '');
    expect(messages.at(-1)?.content).toBe('Half a pair: \ufffd\n\nNo harm done.');
    expect(service.logged()).not.toContain('it is tried again');
  });

  it('keeps the user’s words before the model says anything, and the answer before run-end is told', async () => {
    const held = gate();
    stage.model.script({ text: ['Half', held.promise, ' and half'] });
    const stream = await say('Keep this');
    const threadId = stream.headers.get('x-thread-id') ?? '';
    await stream.event('text-delta');
    const during = await service.client.conversation(threadId);
    expect(during.status).toBe('running');
    expect(during.messages.map((message) => [message.role, message.content])).toEqual([
      ['user', 'Keep this'],
    ]);
    expect(during.active_run).toMatchObject({
      turn_id: stream.headers.get('x-turn-id'),
      run_id: stream.headers.get('x-run-id'),
    });

    held.open();
    await stream.event('run-end');
    const after: ConversationDetail = await service.client.conversation(threadId);
    expect(after.status).toBe('idle');
    expect(after.active_run).toBeNull();
    expect(after.messages.map((message) => [message.role, message.status, message.content])).toEqual([
      ['user', 'complete', 'Keep this'],
      ['assistant', 'complete', 'Half and half'],
    ]);
    await stream.ended;
  });

  it('goes on when the reader leaves in the middle', async () => {
    const held = gate();
    stage.model.script({ text: ['Half', held.promise, ' and half'] });
    const stream = await say('Go on without me');
    await stream.event('text-delta');
    stream.close();
    await expect(stream.ended).rejects.toThrow();
    held.open();
    const follower = await openStream(
      `${service.url}/api/v1/agent/conversations/${stream.headers.get('x-thread-id')}/stream?after=0&until=idle`,
    );
    await follower.ended;
    expect(textOf(follower)).toBe('Half and half');
    expect((await follower.event('run-end')).data.status).toBe('completed');
  });
});

describe('a message answered as JSON', () => {
  it('waits for the end and answers the turn’s messages, approvals and usage', async () => {
    stage.model.script(
      { text: 'Let me look.', toolCalls: [{ name: 'get_credit_balance' }] },
      'There is your balance.',
    );
    const { status, headers, body } = await post({ message: 'Balance?' }, { accept: 'application/json' });
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(body).toEqual({
      thread_id: headers.get('x-thread-id'),
      turn_id: headers.get('x-turn-id'),
      run_id: headers.get('x-run-id'),
      status: 'completed',
      messages: [
        expect.objectContaining({ role: 'user', content: 'Balance?' }),
        expect.objectContaining({
          role: 'assistant',
          status: 'complete',
          content: 'Let me look.\n\nThere is your balance.',
        }),
      ],
      approvals: [],
      usage: { input_tokens: 22, output_tokens: 14, model_calls: 2, tool_calls: 1, credits: 0 },
      error: null,
    });
    expect(body.messages[1]?.parts).toMatchObject([
      { type: 'text', call: 1, text: 'Let me look.' },
      { type: 'tool', call: 1, name: 'get_credit_balance', args: {}, status: 'ok' },
      { type: 'text', call: 2, text: 'There is your balance.' },
    ]);
  });

  it('goes on when the client does not wait, and that is no error', async () => {
    const held = gate();
    stage.model.script({ text: ['Half', held.promise, ' and half'] });
    const leave = new AbortController();
    const waiting = fetch(`${service.url}/api/v1/agent/chat`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify({ message: 'I am off' }),
      signal: leave.signal,
    });
    await stage.model.called(stage.model.calls.length + 1);
    leave.abort();
    await expect(waiting).rejects.toThrow();
    held.open();
    const [conversation] = (await service.client.conversations({ search: 'I am off' })).conversations;
    const stream = await openStream(
      `${service.url}/api/v1/agent/conversations/${conversation?.thread_id}/stream?after=0&until=idle`,
    );
    await stream.ended;
    expect(textOf(stream)).toBe('Half and half');
    expect(service.logged()).not.toContain('a request failed');
  });

  it('answers the approvals for which the turn waits', async () => {
    stage.model.script({
      toolCalls: [{ name: 'send_email', args: { to: 'ann@example.com', subject: 'Hi', body: 'Hello Ann' } }],
    });
    const { body } = await post({ message: 'Write to ann@example.com' }, { accept: 'application/json' });
    expect(body).toMatchObject({
      status: 'awaiting_approval',
      approvals: [{ tool: 'send_email', status: 'pending', turn_id: body.turn_id }],
    });
    expect(body.messages[1]?.parts).toMatchObject([
      { type: 'tool', name: 'send_email', status: 'running' },
      { type: 'approval', approval: { approval_id: body.approvals[0]?.approval_id } },
    ]);
  });

  it('is a stream where the client takes both', async () => {
    stage.model.script('Hello.');
    const stream = await openStream(`${service.url}/api/v1/agent/chat`, {
      body: { message: 'Hi' },
      headers: { accept: 'application/json, text/event-stream' },
    });
    await stream.ended;
    expect(stream.headers.get('content-type')).toContain('text/event-stream');
  });
});

describe('a message answered at once', () => {
  it('answers 202 with "Prefer: respond-async" and the turn goes on', async () => {
    const held = gate();
    stage.model.script({ text: ['Later', held.promise, ' on'] });
    const { status, headers, body } = await post({ message: 'Hi' }, { prefer: 'respond-async' });
    expect(status).toBe(202);
    expect(headers.get('preference-applied')).toBe('respond-async');
    expect(body).toEqual({
      thread_id: headers.get('x-thread-id'),
      turn_id: headers.get('x-turn-id'),
      run_id: headers.get('x-run-id'),
      status: 'running',
    });
    const stream = await openStream(
      `${service.url}/api/v1/agent/conversations/${body.thread_id}/stream?after=0&until=idle`,
    );
    held.open();
    await stream.ended;
    expect(textOf(stream)).toBe('Later on');
  });
});

describe('what is refused before a stream opens', () => {
  const refused: [string, unknown, number, string][] = [
    ['neither a message nor a resume', {}, 422, 'VALIDATION_ERROR'],
    ['a message of blanks', { message: '  \n ' }, 422, 'VALIDATION_ERROR'],
    ['a message of 10,001 characters', { message: 'x'.repeat(10_001) }, 422, 'VALIDATION_ERROR'],
    ['a field that is not known', { message: 'Hi', model: 'other' }, 422, 'VALIDATION_ERROR'],
    [
      'a message and a resume together',
      { message: 'Hi', thread_id: '019a0000-0000-7000-8000-000000000001', resume: { confirmed: true } },
      422,
      'VALIDATION_ERROR',
    ],
    ['a resume without its thread', { resume: { confirmed: true } }, 422, 'VALIDATION_ERROR'],
    [
      'an unknown thread',
      { message: 'Hi', thread_id: '019a0000-0000-7000-8000-000000000001' },
      404,
      'NOT_FOUND',
    ],
    [
      'a resume in an unknown thread',
      { thread_id: '019a0000-0000-7000-8000-000000000001', resume: { confirmed: true } },
      404,
      'NOT_FOUND',
    ],
  ];
  it.each(refused)('%s', async (_what, body, status, detail) => {
    const answer = await post(body);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(answer.body).toMatchObject({ detail });
  });

  it('takes a message of 10,000 characters whole', async () => {
    stage.model.script((request) => `You sent ${request.messages.at(-1)?.content?.length}.`);
    const { body } = await post({ message: 'x'.repeat(10_000) }, { accept: 'application/json' });
    expect(body.messages[1]?.content).toBe('You sent 10000.');
  });
});
