/** What becomes of a turn whose model fails, and of the conversation after it. */

import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Message } from '../../src/client/events.ts';
import { endOf, lastAnswer, say } from '../support/mailing.ts';
import { expectValid } from '../support/provider-rules.ts';
import type { ChatRequest } from '../support/scripted-model.ts';
import { deltaEvent, HTML_ANSWER, type Scripted, type ScriptedAnswer } from '../support/scripted-model.ts';
import type { ServiceHere } from '../support/service.ts';
import { openStream } from '../support/sse.ts';
import { gate, openStage, type Stage } from '../support/stage.ts';

let stage: Stage;
let service: ServiceHere;
beforeAll(async () => {
  stage = await openStage();
  service = await stage.start();
});
afterAll(() => stage.close());

/** The client does not try these again: `x-should-retry` is the provider’s own word for it. */
const AT_ONCE = { 'x-should-retry': 'false' };

/** Says something after a failed turn; the history that the model is shown must be valid. */
async function expectGoesOn(threadId: string): Promise<ChatRequest> {
  stage.model.script('I am back.');
  const before = stage.model.calls.length;
  const { events } = await say(service.client, 'Are you there?', { thread_id: threadId });
  expect(endOf(events)).toBe('completed');
  const request = stage.model.calls[before]?.request;
  if (request === undefined) throw new Error('the model was not asked');
  expectValid(request);
  expect(request.messages.at(-1)).toMatchObject({ role: 'user', content: 'Are you there?' });
  return request;
}

interface Fault {
  what: string;
  answers: Scripted[];
  code: string;
  retryable: boolean;
  /** Of the assistant’s message. */
  content: string;
}

const saying = (answer: ScriptedAnswer): ScriptedAnswer => ({ text: ['So ', 'far'], ...answer });
const callingATool: ScriptedAnswer = { text: 'A look.', toolCalls: [{ name: 'get_credit_balance' }] };
const halfACall: ScriptedAnswer['deltas'] = [
  {
    tool_calls: [
      { index: 0, id: 'call_1', type: 'function', function: { name: 'suppress_email', arguments: '' } },
    ],
  },
  { tool_calls: [{ index: 0, function: { arguments: '{"email": "half@exa' } }] },
];

const faults: Fault[] = [
  {
    what: 'a status of 429',
    answers: [{ status: 429, headers: AT_ONCE }],
    code: 'MODEL_RATE_LIMITED',
    retryable: true,
    content: '',
  },
  {
    what: 'a status of 500',
    answers: [{ status: 500, headers: AT_ONCE }],
    code: 'MODEL_UNAVAILABLE',
    retryable: true,
    content: '',
  },
  {
    what: 'a status of 401',
    answers: [{ status: 401 }],
    code: 'MODEL_REFUSED',
    retryable: false,
    content: '',
  },
  {
    what: 'a web page',
    answers: [HTML_ANSWER],
    code: 'MODEL_UNAVAILABLE',
    retryable: true,
    content: '',
  },
  {
    what: 'a connection that ends in the middle',
    answers: [saying({ fault: 'close' })],
    code: 'MODEL_STREAM_BROKEN',
    retryable: true,
    content: 'So far',
  },
  {
    what: 'a body that ends too early',
    answers: [saying({ fault: 'end' })],
    code: 'MODEL_STREAM_BROKEN',
    retryable: true,
    content: 'So far',
  },
  {
    what: 'an event that is not JSON',
    answers: [saying({ fault: 'malformed-event' })],
    code: 'MODEL_STREAM_BROKEN',
    retryable: true,
    content: 'So far',
  },
  {
    what: 'an error in the stream',
    answers: [saying({ fault: 'error-event', error: { message: 'overloaded' } })],
    code: 'MODEL_STREAM_BROKEN',
    retryable: true,
    content: 'So far',
  },
  {
    what: 'a content filter',
    answers: [saying({ finishReason: 'content_filter' })],
    code: 'MODEL_REFUSED',
    retryable: true,
    content: 'So far',
  },
  {
    what: 'an answer that is cut for its length',
    answers: [saying({ finishReason: 'length' })],
    code: 'MODEL_STREAM_BROKEN',
    retryable: true,
    content: 'So far',
  },
  {
    what: 'a cut in the middle of a call',
    answers: [saying({ deltas: halfACall, fault: 'close' })],
    code: 'MODEL_STREAM_BROKEN',
    retryable: true,
    content: 'So far',
  },
  {
    what: 'a failure after a tool was called',
    answers: [callingATool, { status: 500, headers: AT_ONCE }],
    code: 'MODEL_UNAVAILABLE',
    retryable: true,
    content: 'A look.',
  },
  {
    what: 'a cut in the middle of the answer to a tool',
    answers: [callingATool, saying({ fault: 'close' })],
    code: 'MODEL_STREAM_BROKEN',
    retryable: true,
    content: 'A look.\n\nSo far',
  },
];

describe('a model that fails', () => {
  it.each(faults)(
    '$what fails the turn, keeps what was told, and the next message goes on',
    async (fault) => {
      stage.model.script(...fault.answers);
      const { events, threadId, turnId } = await say(service.client, `Try: ${fault.what}`);
      const end = events.at(-1);
      if (end?.type !== 'run-end') throw new Error('a run-end was expected');
      expect(end.data).toMatchObject({
        status: 'failed',
        error: { code: fault.code, retryable: fault.retryable, message: expect.stringMatching(/\w.*\./) },
      });
      expect(end.data.error?.message).not.toContain('sk-scripted');

      const answer: Message = await lastAnswer(service.client, threadId);
      expect(answer).toMatchObject({ status: 'partial', content: fault.content, turn_id: turnId });
      const told = events.map((event) => (event.type === 'text-delta' ? event.data.delta : '')).join('');
      expect(told).toBe(fault.content.replaceAll('\n\n', ''));
      for (const part of answer.parts) if (part.type === 'tool') expect(part.status).not.toBe('running');
      expect((await service.client.conversation(threadId)).status).toBe('idle');

      const request = await expectGoesOn(threadId);
      const shown = request.messages.filter(({ role }) => role === 'assistant').map(({ content }) => content);
      expect(shown.join('\n\n')).toBe(fault.content);
      expect(JSON.stringify(await service.client.request('GET', '/api/v1/suppression'))).not.toContain(
        'half@',
      );
    },
  );

  it('is asked again after a 429 and a 500, and the turn knows nothing of it', async () => {
    stage.model.script(
      { status: 429, headers: { 'retry-after-ms': '1' } },
      { status: 500, headers: { 'retry-after-ms': '1' } },
      'The third time.',
    );
    const { events, threadId } = await say(service.client, 'Try three times');
    expect(endOf(events)).toBe('completed');
    expect((await lastAnswer(service.client, threadId)).content).toBe('The third time.');
    expect(events.at(-1)?.data).toMatchObject({ usage: { model_calls: 1 } });
  });

  it('is not asked again once it has begun to speak: nothing is told twice', async () => {
    const before = stage.model.calls.length;
    const held = gate();
    stage.model.script({ text: ['So far', held.promise], fault: 'reset' });
    const stream = await openStream(`${service.url}/api/v1/agent/chat`, { body: { message: 'Break off' } });
    await stream.event('text-delta');
    held.open();
    await stream.ended;
    expect(stream.events().at(-1)?.data).toMatchObject({
      status: 'failed',
      error: { code: 'MODEL_STREAM_BROKEN' },
    });
    expect(stage.model.calls.length - before).toBe(1);
  });

  it('that is not there at all fails the turn, and the message is kept', async () => {
    const port = await new Promise<number>((resolve) => {
      const server = createServer().listen(0, '127.0.0.1', () => {
        const address = server.address();
        server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
      });
    });
    const alone = await stage.start({ environment: { OPENAI_BASE_URL: `http://127.0.0.1:${port}/v1` } });
    const { events, threadId } = await say(alone.client, 'Anybody there?');
    expect(events.at(-1)?.data).toMatchObject({
      status: 'failed',
      error: { code: 'MODEL_UNAVAILABLE', retryable: true },
    });
    expect((await alone.client.conversation(threadId)).messages[0]?.content).toBe('Anybody there?');
    await alone.close();
    await expectGoesOn(threadId);
  });
});

describe('an answer that was cut at any byte', () => {
  it('never completes and never carries out a call', async () => {
    const answer: ScriptedAnswer = {
      text: 'Off.',
      toolCalls: [{ name: 'suppress_email', args: { email: 'cut@example.com' }, id: 'call_1' }],
    };
    // The bytes before the finish reason: what comes after it may be missing.
    const whole = [
      deltaEvent({ role: 'assistant', content: '' }),
      deltaEvent({ content: 'Off.' }),
      deltaEvent({
        tool_calls: [
          { index: 0, id: 'call_1', type: 'function', function: { name: 'suppress_email', arguments: '' } },
        ],
      }),
    ].join('').length;
    const { thread_id } = await service.client.request<{ thread_id: string }>(
      'POST',
      '/api/v1/agent/conversations',
      {},
    );
    for (let cut = 1; cut < whole + 300; cut += 37) {
      // Before the first token the client may ask again; then it gets the same.
      stage.model.otherwise({ ...answer, cutAfter: cut });
      const { events } = await say(service.client, `Cut at ${cut}`, { thread_id });
      expect(endOf(events), `cut at ${cut}`).toBe('failed');
    }
    stage.model.otherwise('Whole again.');
    const { events } = await say(service.client, 'Whole?', { thread_id });
    expect(endOf(events)).toBe('completed');
    const last = stage.model.calls.at(-1);
    if (last !== undefined) expectValid(last.request);
    const effects = await stage.database.query(`select 1 from effects where tool = 'suppress_email'`);
    expect(effects).toEqual([]);
    expect(JSON.stringify(await service.client.request('GET', '/api/v1/suppression'))).not.toContain('cut@');
  });
});
