/** What the model class promises, held against a provider on a real socket. */

import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { BaseCallbackHandler } from '@langchain/core/callbacks/base';
import { FakeListChatModel, FakeStreamingChatModel } from '@langchain/core/utils/testing';
import { Annotation, END, START, StateGraph } from '@langchain/langgraph';
import { ChatOpenAICompletions } from '@langchain/openai';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  createModel,
  type ModelCall,
  type ModelSettings,
  type PlainMessage,
} from '../../src/engine/model.ts';
import { createChatModel } from '../../src/engine/model-chat.ts';
import { createFallbackModel } from '../../src/engine/model-fallback.ts';
import { ServiceError } from '../../src/errors.ts';
import {
  createScriptedModel,
  deltaEvent,
  HTML_ANSWER,
  type ScriptedAnswer,
  type ScriptedModel,
} from '../support/scripted-model.ts';

const API_KEY = 'sk-canary-4f1d9a77c2';
const HELLO: PlainMessage[] = [{ role: 'user', content: 'Hello' }];
const SEARCH = {
  name: 'search_leads',
  description: 'Searches the leads.',
  parameters: { type: 'object', properties: { query: { type: 'string' } }, required: ['query'] },
};

let provider: ScriptedModel;

beforeEach(async () => {
  provider = await createScriptedModel();
});

afterEach(() => provider.close());

function settings(changes: Partial<ModelSettings> = {}): ModelSettings {
  return {
    apiKey: API_KEY,
    baseUrl: provider.url,
    model: 'gpt-4o-mini',
    idleTimeoutMs: 20_000,
    maxRetries: 0,
    ...changes,
  };
}

/** A sink that keeps what it hears, and lets a test wait for a text. */
function createRecorder() {
  const events: unknown[][] = [];
  const waiting: { text: string; resolve: () => void }[] = [];
  const recorder = {
    events,
    text: '',
    /** Settles once the told text is this. */
    heard(text: string): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (recorder.text === text) resolve();
      else waiting.push({ text, resolve });
      return promise;
    },
    sink: {
      text(delta: string) {
        events.push(['text', delta]);
        recorder.text += delta;
        for (const one of waiting) if (one.text === recorder.text) one.resolve();
      },
      reasoning(delta: string) {
        events.push(['reasoning', delta]);
      },
      toolStart(index: number, providerId: string, name: string) {
        events.push(['toolStart', index, providerId, name]);
      },
      toolArgs(index: number, delta: string) {
        events.push(['toolArgs', index, delta]);
      },
    },
  };
  return recorder;
}

function request(changes: Partial<ModelCall> = {}): ModelCall {
  return {
    messages: HELLO,
    tools: [SEARCH],
    sink: createRecorder().sink,
    signal: new AbortController().signal,
    ...changes,
  };
}

/** The error a call ends with. */
async function failure(call: Promise<unknown>): Promise<ServiceError> {
  const error: unknown = await call.then(
    () => new Error('The call succeeded.'),
    (reason: unknown) => reason,
  );
  if (error instanceof ServiceError) return error;
  throw error;
}

describe('an answer', () => {
  it('is told as it comes and returned whole', async () => {
    const gate = Promise.withResolvers<void>();
    provider.script({ text: ['Grüezi ', gate.promise, '世界 👋🏽'] });
    const recorder = createRecorder();
    const call = createModel(settings()).call(request({ sink: recorder.sink }));
    await recorder.heard('Grüezi ');
    gate.resolve();
    expect(await call).toEqual({
      content: 'Grüezi 世界 👋🏽',
      toolCalls: [],
      finishReason: 'stop',
      usage: { inputTokens: 11, outputTokens: 7 },
    });
    expect(recorder.events).toEqual([
      ['text', 'Grüezi '],
      ['text', '世界 👋🏽'],
    ]);
  });

  it('keeps a character whole that the network cuts in two', async () => {
    const bytes = Buffer.from(`${deltaEvent({ content: 'A👋' })}`);
    const cut = bytes.indexOf('👋') + 2;
    const gate = Promise.withResolvers<void>();
    provider.script({
      raw: [
        deltaEvent({ content: 'Hi ' }),
        bytes.subarray(0, cut),
        gate.promise,
        bytes.subarray(cut),
        deltaEvent({}, 'stop'),
      ],
    });
    const recorder = createRecorder();
    const call = createModel(settings()).call(request({ sink: recorder.sink }));
    await recorder.heard('Hi ');
    gate.resolve();
    expect((await call).content).toBe('Hi A👋');
  });

  it('carries two interleaved tool calls, each start and each piece of arguments in order', async () => {
    provider.script({
      text: 'Looking.',
      deltas: [
        {
          tool_calls: [
            { index: 0, id: 'a', type: 'function', function: { name: 'search_leads', arguments: '' } },
          ],
        },
        {
          tool_calls: [
            { index: 1, id: 'b', type: 'function', function: { name: 'find_email', arguments: '{' } },
          ],
        },
        { tool_calls: [{ index: 0, function: { arguments: '{"query"' } }] },
        { tool_calls: [{ index: 1, function: { arguments: '"lead":7}' } }] },
        { tool_calls: [{ index: 0, function: { arguments: ':"CTO"}' } }] },
      ],
      finishReason: 'tool_calls',
    });
    const recorder = createRecorder();
    const answer = await createModel(settings()).call(request({ sink: recorder.sink }));
    expect(answer.toolCalls).toEqual([
      {
        index: 0,
        providerId: 'a',
        name: 'search_leads',
        argsText: '{"query":"CTO"}',
        args: { query: 'CTO' },
      },
      { index: 1, providerId: 'b', name: 'find_email', argsText: '{"lead":7}', args: { lead: 7 } },
    ]);
    expect(recorder.events).toEqual([
      ['text', 'Looking.'],
      ['toolStart', 0, 'a', 'search_leads'],
      ['toolStart', 1, 'b', 'find_email'],
      ['toolArgs', 1, '{'],
      ['toolArgs', 0, '{"query"'],
      ['toolArgs', 1, '"lead":7}'],
      ['toolArgs', 0, ':"CTO"}'],
    ]);
  });

  it.each([
    [{ reasoning_content: 'Hm.' }],
    [{ reasoning: 'Hm.' }],
    [{ reasoning: 'Hm.', reasoning_content: 'Hm.' }],
  ])('tells reasoning apart from text, whichever name it has: %j', async (delta) => {
    provider.script({ deltas: [delta, { content: 'Yes.' }] });
    const recorder = createRecorder();
    const answer = await createModel(settings()).call(request({ sink: recorder.sink }));
    expect(recorder.events).toEqual([
      ['reasoning', 'Hm.'],
      ['text', 'Yes.'],
    ]);
    expect(answer.content).toBe('Yes.');
  });

  it('tells a refusal as its text', async () => {
    provider.script({ deltas: [{ refusal: 'I cannot help with that.' }] });
    expect((await createModel(settings()).call(request())).content).toBe('I cannot help with that.');
  });

  it('is whole with a finish_reason and no [DONE], and without role or usage', async () => {
    provider.script({ raw: [': ping\n\n', deltaEvent({ content: 'Done and well.' }, 'stop')] });
    const answer = await createModel(settings()).call(request());
    expect(answer.content).toBe('Done and well.');
  });

  it('has its tokens estimated where the provider does not count them', async () => {
    provider.script({ text: 'x'.repeat(400), usage: null });
    const { usage } = await createModel(settings()).call(
      request({ messages: [{ role: 'user', content: 'y'.repeat(4000) }] }),
    );
    expect(usage.outputTokens).toBe(100);
    expect(usage.inputTokens).toBeGreaterThanOrEqual(1000);
    expect(usage.inputTokens).toBeLessThan(1050);
  });

  it('is there at [DONE], though the provider keeps the connection open', async () => {
    provider.script({
      raw: [deltaEvent({ content: 'Hi' }, 'stop'), 'data: [DONE]\n\n', new Promise(() => {})],
    });
    expect((await createModel(settings()).call(request())).content).toBe('Hi');
    expect(await (await provider.called(1)).ended).toBe('client-closed');
  });

  it('reads on to the end of its body after [DONE], so that the connection can serve the next call', async () => {
    const pieces = [`${deltaEvent({ content: 'Hi' }, 'stop')}data: [DONE]\n\n`];
    const ending = Promise.withResolvers<string>();
    const stream = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          const piece = pieces.shift();
          if (piece !== undefined) return controller.enqueue(Buffer.from(piece));
          controller.close();
          ending.resolve('read');
        },
        cancel: () => ending.resolve('cancelled'),
      },
      { highWaterMark: 0 },
    );
    const model = createModel(
      settings({
        fetch: async () => new Response(stream, { headers: { 'content-type': 'text/event-stream' } }),
      }),
    );
    await model.call(request());
    expect(await ending.promise).toBe('read');
  });
});

describe('tool calls', () => {
  const piece = (fields: Record<string, unknown>) => ({ tool_calls: [fields] });

  it.each([
    [
      'the same id twice, at two indexes',
      [
        piece({ index: 0, id: 'x', function: { name: 'one', arguments: '{"a":1}' } }),
        piece({ index: 1, id: 'x', function: { name: 'one', arguments: '{"a":2}' } }),
      ],
    ],
    [
      'index 0 always, each call with its id',
      [
        piece({ index: 0, id: 'x', function: { name: 'one', arguments: '{"a"' } }),
        piece({ index: 0, function: { arguments: ':1}' } }),
        piece({ index: 0, id: 'y', function: { name: 'one', arguments: '{"a":2}' } }),
      ],
    ],
    [
      'neither id nor index, each call whole',
      [
        piece({ function: { name: 'one', arguments: '{"a":1}' } }),
        piece({ function: { name: 'one', arguments: '{"a":2}' } }),
      ],
    ],
    [
      'index 0 always and no ids, in pieces',
      [
        piece({ index: 0, function: { name: 'one', arguments: '' } }),
        piece({ index: 0, function: { arguments: '{"a":1}' } }),
        piece({ index: 0, function: { name: 'one', arguments: '{"a"' } }),
        piece({ index: 0, function: { arguments: ':2}' } }),
      ],
    ],
    [
      'ids and no indexes, id and name repeated with every piece',
      [
        piece({ id: 'x', function: { name: 'one', arguments: '{"a"' } }),
        piece({ id: 'x', function: { name: 'one', arguments: ':1}' } }),
        piece({ id: 'y', function: { name: 'one', arguments: '{"a"' } }),
        piece({ id: 'y', function: { name: 'one', arguments: ':2}' } }),
      ],
    ],
    [
      'a fresh id with every piece, the name with the first',
      [
        piece({ index: 0, id: 'x1', function: { name: 'one', arguments: '{"a"' } }),
        piece({ index: 0, id: 'x2', function: { arguments: ':1}' } }),
        piece({ index: 1, id: 'y1', function: { name: 'one', arguments: '{"a"' } }),
        piece({ index: 1, id: 'y2', function: { arguments: ':2}' } }),
      ],
    ],
    [
      'both in one event, the id before the name',
      [
        {
          tool_calls: [
            { index: 0, id: 'x', function: {} },
            { index: 4, id: 'y', function: { name: 'one', arguments: '{"a":2}' } },
          ],
        },
        piece({ index: 0, function: { name: 'one', arguments: '{"a":1}' } }),
      ],
    ],
  ])('are neither merged nor split with %s', async (_name, deltas) => {
    provider.script({ deltas, finishReason: 'tool_calls' });
    const recorder = createRecorder();
    const { toolCalls } = await createModel(settings()).call(request({ sink: recorder.sink }));
    expect(toolCalls.map(({ index, name, args }) => ({ index, name, args }))).toEqual([
      { index: 0, name: 'one', args: { a: 1 } },
      { index: 1, name: 'one', args: { a: 2 } },
    ]);
    for (const call of toolCalls) {
      const told = recorder.events.filter(([kind, index]) => kind === 'toolArgs' && index === call.index);
      expect(told.map(([, , delta]) => delta).join('')).toBe(call.argsText);
      expect(
        recorder.events.filter(([kind, index]) => kind === 'toolStart' && index === call.index),
      ).toHaveLength(1);
    }
  });

  it('are told apart by their names where a provider numbers all of them 0', async () => {
    provider.script({
      deltas: [
        piece({ index: 0, function: { name: 'one', arguments: '' } }),
        piece({ index: 0, function: { name: 'two', arguments: '' } }),
      ],
      finishReason: 'tool_calls',
    });
    const { toolCalls } = await createModel(settings()).call(request());
    expect(toolCalls).toMatchObject([
      { index: 0, providerId: '', name: 'one', args: {} },
      { index: 1, providerId: '', name: 'two', args: {} },
    ]);
  });

  it.each([
    ['{"query": "CTO"', null],
    ['[1]', null],
    ['null', null],
    ['"CTO"', null],
    ['', {}],
    ['{}', {}],
  ])('with the arguments %j give %j', async (argsText, args) => {
    provider.script({ toolCalls: [{ name: 'search_leads', argsText }] });
    const { toolCalls } = await createModel(settings()).call(request());
    expect(toolCalls).toMatchObject([{ name: 'search_leads', argsText, args }]);
  });

  it.each(['length', 'content_filter'])(
    'are not to be executed after finish_reason %s, though their JSON parses',
    async (finishReason) => {
      provider.script({ toolCalls: [{ name: 'search_leads', args: { query: 'CTO' } }], finishReason });
      const answer = await createModel(settings()).call(request());
      expect(answer.finishReason).toBe(finishReason);
      expect(answer.toolCalls).toMatchObject([{ argsText: '{"query":"CTO"}', args: null }]);
    },
  );

  it('without a name break the answer', async () => {
    provider.script({ deltas: [piece({ index: 0, id: 'x', function: { arguments: '{}' } })] });
    expect((await failure(createModel(settings()).call(request()))).code).toBe('MODEL_STREAM_BROKEN');
  });
});

describe('a broken answer', () => {
  it.each<[string, ScriptedAnswer]>([
    ['an error event', { text: 'Hel', fault: 'error-event' }],
    ['a malformed event', { text: 'Hel', fault: 'malformed-event' }],
    ['an event that is no object', { raw: [deltaEvent({ content: 'Hel' }), 'data: 7\n\n'] }],
    [
      'an end in the middle of an event',
      { raw: [deltaEvent({ content: 'Hel' }), 'data: {"choices":[{"delta"'] },
    ],
    ['a connection closed in the middle of the body', { text: 'Hel', fault: 'close' }],
    ['a proper end without finish_reason', { text: 'Hel', fault: 'end' }],
    ['[DONE] without finish_reason', { text: 'Hel', finishReason: null }],
    ['the finish_reason error', { text: 'Hel', finishReason: 'error' }],
    ['a line without an end', { text: 'Hel', fault: 'endless-line' }],
    ['content that is not text', { text: 'Hel', deltas: [{ content: [{ type: 'image' }] }] }],
  ])('raises MODEL_STREAM_BROKEN and keeps what was told: %s', async (_name, answer) => {
    provider.script(answer);
    const recorder = createRecorder();
    const error = await failure(createModel(settings()).call(request({ sink: recorder.sink })));
    expect(error.code).toBe('MODEL_STREAM_BROKEN');
    expect(recorder.text).toBe('Hel');
    await provider.calls[0]?.ended;
  });

  it('raises MODEL_STREAM_BROKEN after a reset', async () => {
    const gate = Promise.withResolvers<void>();
    provider.script({ text: ['Hel', gate.promise], fault: 'reset' });
    const recorder = createRecorder();
    const call = failure(createModel(settings()).call(request({ sink: recorder.sink })));
    await recorder.heard('Hel');
    gate.resolve();
    expect((await call).code).toBe('MODEL_STREAM_BROKEN');
  });

  it('is given up after 1 MiB of a line without an end', async () => {
    const piece = Buffer.from(`data: ${'x'.repeat(64 * 1024)}`);
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += piece.length;
        controller.enqueue(piece);
      },
    });
    const model = createModel(
      settings({
        fetch: async () => new Response(endless, { headers: { 'content-type': 'text/event-stream' } }),
      }),
    );
    expect((await failure(model.call(request()))).message).toContain('1 MiB');
    expect(sent).toBeLessThan(1.3 * 1024 * 1024);
  });

  it('yields no tool call, wherever it is cut', async () => {
    const start = {
      index: 0,
      id: 'call_1',
      type: 'function',
      function: { name: 'search_leads', arguments: '' },
    };
    const untilFinish = [
      deltaEvent({ role: 'assistant', content: '' }),
      deltaEvent({ content: 'Looking.' }),
      deltaEvent({ tool_calls: [start] }),
      deltaEvent({ tool_calls: [{ index: 0, function: { arguments: '{"query":' } }] }),
      deltaEvent({ tool_calls: [{ index: 0, function: { arguments: '"CTO"}' } }] }),
      deltaEvent({}, 'tool_calls'),
    ].join('');
    const whole = `${untilFinish}data: [DONE]\n\n`;
    const model = createModel(settings());
    const outcomes = new Map<string, number>();
    // A body that ends properly after finish_reason is whole; a connection that breaks never is before [DONE].
    for (const [fault, end] of [
      ['end', untilFinish.length - 1] as const,
      ['close', whole.length - 1] as const,
    ]) {
      for (let cutAfter = end; cutAfter > 0; cutAfter -= 15) {
        provider.script({ raw: [whole], cutAfter, fault });
        const outcome = await model.call(request()).then(
          ({ finishReason }) => `${finishReason} at ${cutAfter}`,
          (error: unknown) => (error instanceof ServiceError ? error.code : String(error)),
        );
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
    }
    expect([...outcomes.keys()].sort()).toEqual(['MODEL_STREAM_BROKEN', 'MODEL_UNAVAILABLE']);
    expect(outcomes.get('MODEL_STREAM_BROKEN')).toBeGreaterThan(60);
  });

  it('raises MODEL_UNAVAILABLE for a web page', async () => {
    provider.script(HTML_ANSWER);
    const error = await failure(createModel(settings()).call(request()));
    expect(error.code).toBe('MODEL_UNAVAILABLE');
    expect(error.message).toContain('text/html');
    expect(error.message).toContain('OPENAI_BASE_URL');
  });

  it.each<[string, ScriptedAnswer]>([
    ['a page that says it is plain text', { ...HTML_ANSWER, headers: { 'content-type': 'text/plain' } }],
    ['an empty body', { raw: [] }],
    ['a connection closed before the first token', { fault: 'close' }],
    ['no content', { status: 204, body: '' }],
  ])('raises MODEL_UNAVAILABLE if nothing was told yet: %s', async (_name, answer) => {
    provider.script(answer);
    expect((await failure(createModel(settings()).call(request()))).code).toBe('MODEL_UNAVAILABLE');
  });

  it('passes on what the sink throws, and closes the connection', async () => {
    provider.script({ text: 'Hello you', fault: 'hold' });
    const full = new Error('The journal is full.');
    const sink = {
      ...createRecorder().sink,
      text: () => {
        throw full;
      },
    };
    await expect(createModel(settings()).call(request({ sink }))).rejects.toBe(full);
    expect(await (await provider.called(1)).ended).toBe('client-closed');
  });
});

describe('a refusal', () => {
  it.each([
    [401, 'MODEL_REFUSED'],
    [400, 'MODEL_REFUSED'],
    [404, 'MODEL_REFUSED'],
    [429, 'MODEL_RATE_LIMITED'],
    [408, 'MODEL_UNAVAILABLE'],
    [500, 'MODEL_UNAVAILABLE'],
    [503, 'MODEL_UNAVAILABLE'],
  ])('with status %i is %s, and names the status', async (status, code) => {
    provider.script({ status });
    const error = await failure(createModel(settings()).call(request()));
    expect(error.code).toBe(code);
    expect(error.message).toContain(`${status}`);
    expect(error.retryable).toBe(code !== 'MODEL_REFUSED');
  });

  it('says what to check, in short, and never a key', async () => {
    const message = `Incorrect API key provided: ${API_KEY}, sk-proj-abc***xyz. ${'Read the manual. '.repeat(50)}`;
    provider.script({ status: 401, body: JSON.stringify({ error: { message } }) });
    const error = await failure(createModel(settings()).call(request()));
    expect(error.message).toContain('OPENAI_API_KEY and OPENAI_MODEL');
    expect(error.message).toContain('Incorrect API key provided');
    expect(error.message.length).toBeLessThan(400);
    const everything = `${error.message} ${error.stack} ${String(error.cause)} ${JSON.stringify(error)}`;
    expect(everything).not.toMatch(/canary|sk-proj/);
  });

  it('never repeats a page, nor a key from an error event', async () => {
    provider.script({ ...HTML_ANSWER, status: 502 });
    expect((await failure(createModel(settings()).call(request()))).message).not.toContain('<');
    provider.script({ fault: 'error-event', error: { message: `Bad key ${API_KEY}` } });
    const error = await failure(createModel(settings()).call(request()));
    expect(error.message).toContain('Bad key ***');
  });

  it('cannot hold a call with a body that never ends', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write('HTTP/1.1 400 Bad Request\r\ncontent-length: 100\r\n\r\n{');
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    try {
      const model = createModel(settings({ baseUrl: `http://127.0.0.1:${port}`, idleTimeoutMs: 150 }));
      expect((await failure(model.call(request()))).code).toBe('MODEL_TIMEOUT');
    } finally {
      server.close();
    }
  });
});

describe('retries', () => {
  it('wait as long as Retry-After says', async () => {
    provider.script({ status: 429, headers: { 'retry-after': '1' } }, 'Hi');
    // The idle time is shorter than the wait: waiting as told is not silence.
    const answer = await createModel(settings({ maxRetries: 2, idleTimeoutMs: 800 })).call(request());
    expect(answer.content).toBe('Hi');
    const [first, second] = provider.calls;
    expect((second?.arrivedAt ?? 0) - (first?.arrivedAt ?? 0)).toBeGreaterThanOrEqual(990);
  });

  it.each<[string, ScriptedAnswer]>([
    ['500', { status: 500, headers: { 'retry-after-ms': '1' } }],
    ['a reset before the headers', { noResponse: 'reset' }],
  ])('follow %s', async (_name, fault) => {
    provider.script(fault, 'Hi');
    expect((await createModel(settings({ maxRetries: 1 })).call(request())).content).toBe('Hi');
    expect(provider.calls).toHaveLength(2);
  });

  it.each([
    [429, 'MODEL_RATE_LIMITED'],
    [503, 'MODEL_UNAVAILABLE'],
  ])('of status %i end with %s after maxRetries', async (status, code) => {
    provider.otherwise({ status, headers: { 'retry-after-ms': '1' } });
    expect((await failure(createModel(settings({ maxRetries: 2 })).call(request()))).code).toBe(code);
    expect(provider.calls).toHaveLength(3);
  });

  it('do not follow a 4xx, nor an answer that has begun', async () => {
    const model = createModel(settings({ maxRetries: 2 }));
    provider.script({ status: 401 });
    await failure(model.call(request()));
    provider.script({ text: 'Hel', fault: 'close' });
    await failure(model.call(request()));
    expect(provider.calls).toHaveLength(2);
  });

  it('give up on a provider that nobody can reach', async () => {
    const model = createModel(settings({ baseUrl: provider.url }));
    await provider.close();
    const error = await failure(model.call(request()));
    expect(error.code).toBe('MODEL_UNAVAILABLE');
    provider = await createScriptedModel();
  });
});

describe('silence', () => {
  it.each<[string, ScriptedAnswer]>([
    ['before the headers', { noResponse: 'hold' }],
    ['before the first token', { fault: 'hold' }],
    ['in the middle of the answer', { text: 'Hel', fault: 'hold' }],
  ])(
    '%s ends the call with MODEL_TIMEOUT and closes the connection, without a retry',
    async (_name, answer) => {
      provider.script(answer);
      const error = await failure(
        createModel(settings({ idleTimeoutMs: 200, maxRetries: 2 })).call(request()),
      );
      expect(error.code).toBe('MODEL_TIMEOUT');
      expect(error.status).toBe(504);
      expect(await provider.calls[0]?.ended).toBe('client-closed');
      expect(provider.calls).toHaveLength(1);
    },
  );

  it('is counted from the last byte, a comment included', async () => {
    const gates = [delay(600), delay(1200), delay(1800)];
    provider.script({
      raw: [
        ...gates.flatMap((gate) => [': still thinking\n\n', gate]),
        deltaEvent({ content: 'Hi' }, 'stop'),
      ],
    });
    const answer = await createModel(settings({ idleTimeoutMs: 1500 })).call(request());
    expect(answer.content).toBe('Hi');
  });
});

describe('an abort', () => {
  it('before the call rejects with its reason and sends nothing', async () => {
    const reason = new Error('Cancelled by the user.');
    const call = createModel(settings()).call(request({ signal: AbortSignal.abort(reason) }));
    await expect(call).rejects.toBe(reason);
    expect(provider.calls).toHaveLength(0);
  });

  it.each<[string, ScriptedAnswer]>([
    ['before the headers', { noResponse: 'hold' }],
    ['in the body', { text: 'Hel', fault: 'hold' }],
  ])('%s rejects with its reason and closes the connection at once', async (_name, answer) => {
    provider.script(answer);
    const controller = new AbortController();
    const recorder = createRecorder();
    const call = createModel(settings({ maxRetries: 2 })).call(
      request({ sink: recorder.sink, signal: controller.signal }),
    );
    call.catch(() => undefined);
    await provider.called(1);
    if (answer.text === 'Hel') await recorder.heard('Hel');
    const reason = new Error('Cancelled by the user.');
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    expect(await provider.calls[0]?.ended).toBe('client-closed');
    expect(provider.calls).toHaveLength(1);
  });

  it('while a retry is waited for rejects at once', async () => {
    provider.script({ status: 429, headers: { 'retry-after': '30' } });
    const controller = new AbortController();
    const call = createModel(settings({ maxRetries: 2 })).call(request({ signal: controller.signal }));
    call.catch(() => undefined);
    await (await provider.called(1)).ended;
    const reason = new Error('Cancelled by the user.');
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
  });

  it('without an Error as its reason rejects with an AbortError', async () => {
    const call = createModel(settings()).call(request({ signal: AbortSignal.abort('just so') }));
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
  });
});

describe('a request', () => {
  it('carries history, tools, model and limits in the terms of the protocol', async () => {
    provider.script('Hi');
    await createModel(settings()).call(
      request({
        messages: [
          { role: 'system', content: 'You sell.' },
          { role: 'user', content: 'Find CTOs.' },
          {
            role: 'assistant',
            content: '',
            tool_calls: [
              { id: 't1', name: 'search_leads', args: { query: 'CTO' } },
              { id: 't2', name: 'search_leads', args: null },
            ],
          },
          { role: 'tool', tool_call_id: 't1', content: '[]' },
          { role: 'tool', tool_call_id: 't2', content: 'The arguments were no JSON.' },
        ],
        model: 'other-model',
        temperature: 0.2,
        maxOutputTokens: 300,
      }),
    );
    const { request: body, headers } = await provider.called(1);
    expect(headers.authorization).toBe(`Bearer ${API_KEY}`);
    expect(body).toEqual({
      model: 'other-model',
      temperature: 0.2,
      max_tokens: 300,
      stream: true,
      stream_options: { include_usage: true },
      tools: [{ type: 'function', function: SEARCH }],
      messages: [
        { role: 'system', content: 'You sell.' },
        { role: 'user', content: 'Find CTOs.' },
        {
          role: 'assistant',
          content: '',
          tool_calls: [
            { id: 't1', type: 'function', function: { name: 'search_leads', arguments: '{"query":"CTO"}' } },
            { id: 't2', type: 'function', function: { name: 'search_leads', arguments: '{}' } },
          ],
        },
        { role: 'tool', tool_call_id: 't1', content: '[]' },
        { role: 'tool', tool_call_id: 't2', content: 'The arguments were no JSON.' },
      ],
    });
  });

  it('without tools names none, and for a reasoning model has no temperature', async () => {
    provider.script('Hi');
    await createModel(settings({ model: 'gpt-5-mini' })).call(
      request({ tools: [], temperature: 0.2, maxOutputTokens: 300 }),
    );
    const { request: body } = await provider.called(1);
    expect(body).not.toHaveProperty('tools');
    expect(body).not.toHaveProperty('temperature');
    expect(body.max_completion_tokens).toBe(300);
  });

  it('goes through the given fetch, to OpenAI where no base URL is given, and needs no key there', async () => {
    const asked: unknown[] = [];
    const model = createModel({
      ...settings({ apiKey: '', baseUrl: undefined }),
      fetch: async (input) => {
        asked.push(input);
        return new Response(deltaEvent({ content: 'Offline.' }, 'stop'), {
          headers: { 'content-type': 'text/event-stream' },
        });
      },
    });
    expect((await model.call(request())).content).toBe('Offline.');
    expect(asked).toEqual(['https://api.openai.com/v1/chat/completions']);
  });
});

describe('the LangChain contract', () => {
  const State = Annotation.Root({ answer: Annotation<string> });

  it.each(['updates', 'messages'] as const)(
    'holds inside a graph streamed as %s: callbacks fire, the sink hears all',
    async (streamMode) => {
      provider.script('Hello out there');
      const model = createModel(settings());
      const recorder = createRecorder();
      const heard: string[] = [];
      const graph = new StateGraph(State)
        .addNode('model', async () => ({
          answer: (await model.call(request({ sink: recorder.sink }))).content,
        }))
        .addEdge(START, 'model')
        .addEdge('model', END)
        .compile();
      const handler = BaseCallbackHandler.fromMethods({
        handleChatModelStart(_model, messages) {
          heard.push(`start ${messages[0]?.[0]?.text}`);
        },
        handleLLMEnd(output) {
          heard.push(`end ${output.generations[0]?.[0]?.text}`);
        },
      });
      handler.awaitHandlers = true;
      for await (const _ of await graph.stream({ answer: '' }, { streamMode, callbacks: [handler] }));
      expect(recorder.text).toBe('Hello out there');
      expect(recorder.events).toHaveLength(3);
      expect(heard).toEqual(['start Hello', 'end Hello out there']);
    },
  );

  it('holds for the chat model itself: bindTools, invoke, stream, and a message with its calls and usage', async () => {
    provider.otherwise({
      toolCalls: [
        { id: 'a', name: 'search_leads', args: { query: 'CTO' } },
        { id: 'b', name: 'search_leads', argsText: '{"que' },
      ],
    });
    const chat = createChatModel(settings()).bindTools([{ type: 'function', function: SEARCH }]);
    const message = await chat.invoke('Find CTOs.');
    expect(message.tool_calls).toEqual([
      { type: 'tool_call', id: 'a', name: 'search_leads', args: { query: 'CTO' } },
    ]);
    expect(message.invalid_tool_calls).toMatchObject([{ id: 'b', args: '{"que' }]);
    expect(message.usage_metadata).toEqual({ input_tokens: 11, output_tokens: 7, total_tokens: 18 });
    expect(message.response_metadata.finish_reason).toBe('tool_calls');
    const streamed = [];
    for await (const chunk of await chat.stream('Find CTOs.')) streamed.push(...(chunk.tool_calls ?? []));
    expect(streamed).toEqual(message.tool_calls);

    provider.otherwise({ text: 'Hel', fault: 'close' });
    expect((await failure(chat.invoke('Hi'))).code).toBe('MODEL_STREAM_BROKEN');
    expect((await failure(chat.stream('Hi'))).code).toBe('MODEL_STREAM_BROKEN');
  });
});

describe('another LangChain model', () => {
  function integration() {
    return new ChatOpenAICompletions({
      model: 'other',
      apiKey: API_KEY,
      maxRetries: 0,
      configuration: { baseURL: provider.url },
    });
  }

  it('tells tokens as they come and answers the same', async () => {
    const model = createFallbackModel(new FakeStreamingChatModel({ responses: [], sleep: 0 }));
    const recorder = createRecorder();
    const answer = await model.call(request({ tools: [], sink: recorder.sink }));
    expect(answer).toMatchObject({ content: 'Hello', toolCalls: [] });
    expect(recorder.events).toEqual(['H', 'e', 'l', 'l', 'o'].map((letter) => ['text', letter]));
    expect(answer.usage).toEqual({ inputTokens: 2, outputTokens: 2 });
  });

  it('tells the whole text at once if it does not stream', async () => {
    const chat = new FakeListChatModel({ responses: ['All of it.'] });
    chat.disableStreaming = true;
    const recorder = createRecorder();
    await createFallbackModel(chat).call(request({ tools: [], sink: recorder.sink }));
    expect(recorder.events).toEqual([['text', 'All of it.']]);
  });

  it('carries tool calls, finish reason and usage', async () => {
    provider.script({
      text: 'Looking.',
      toolCalls: [{ id: 'a', name: 'search_leads', args: { query: 'CTO' } }],
    });
    const recorder = createRecorder();
    const answer = await createFallbackModel(integration()).call(request({ sink: recorder.sink }));
    expect(answer).toEqual({
      content: 'Looking.',
      toolCalls: [
        {
          index: 0,
          providerId: 'a',
          name: 'search_leads',
          argsText: '{"query":"CTO"}',
          args: { query: 'CTO' },
        },
      ],
      finishReason: 'tool_calls',
      usage: { inputTokens: 11, outputTokens: 7 },
    });
    expect(recorder.events.slice(0, 2)).toEqual([
      ['text', 'Looking.'],
      ['toolStart', 0, 'a', 'search_leads'],
    ]);
    expect((await provider.called(1)).request.tools).toMatchObject([{ function: SEARCH }]);
  });

  it.each<[string, ScriptedAnswer, string]>([
    [
      'a cut tool call',
      { toolCalls: [{ name: 'search_leads', args: {} }], fault: 'end' },
      'MODEL_STREAM_BROKEN',
    ],
    ['status 401', { status: 401 }, 'MODEL_REFUSED'],
    ['status 429', { status: 429 }, 'MODEL_RATE_LIMITED'],
    ['a break after the first token', { text: 'Hel', fault: 'error-event' }, 'MODEL_STREAM_BROKEN'],
  ])('raises our errors: %s', async (_name, answer, code) => {
    provider.script(answer);
    const error = await failure(createFallbackModel(integration()).call(request()));
    expect(error.code).toBe(code);
    expect(error.message).not.toContain('canary');
  });

  it('rejects with the reason of an abort', async () => {
    provider.script({ text: 'Hel', fault: 'hold' });
    const controller = new AbortController();
    const recorder = createRecorder();
    const call = createFallbackModel(integration()).call(
      request({ sink: recorder.sink, signal: controller.signal }),
    );
    call.catch(() => undefined);
    await recorder.heard('Hel');
    const reason = new Error('Cancelled by the user.');
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    expect(await provider.calls[0]?.ended).toBe('client-closed');
  });
});
