/** LangGraph's clients of its second protocol, as they are published, against the service: React's hook and the SDK's controller. */

import { useStream } from '@langchain/react';
import { Client } from 'langgraph-sdk-1';
import { ProtocolSseTransportAdapter } from 'langgraph-sdk-1/client';
import { StreamController } from 'langgraph-sdk-1/stream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  createAda,
  eventually,
  type ForeignStage,
  freePort,
  MAIL,
  MORTAL,
  openForeignStage,
  SEND,
  sampled,
  sorted,
} from '../support/foreign.ts';
import { openWindow, type Page, renderHook } from '../support/page.ts';
import { JWT_ENVIRONMENT, type Person } from '../support/people.ts';
import type { ServiceHere } from '../support/service.ts';
import { gate } from '../support/stage.ts';
import { createTap, type Tap } from '../support/tap.ts';

interface Message {
  id?: string | undefined;
  type: string;
  content: unknown;
  tool_calls?: { name: string; args: unknown }[];
}
interface Action {
  name: string;
  args: Record<string, unknown>;
}
interface Interrupt {
  id?: string | undefined;
  value?: { actionRequests: Action[]; action_requests: Action[] };
}

/** As much of both clients as a page uses. */
interface Thread {
  messages: Message[];
  toolCalls: unknown[];
  interrupts: Interrupt[];
  isLoading: boolean;
  isThreadLoading: boolean;
  error: unknown;
  threadId: string | null;
  submit(input: unknown, options?: object): Promise<void>;
  respond(response: unknown, options?: object): Promise<void>;
  stop(): Promise<void>;
  /** What the client knows without showing it. */
  getThread(): { interrupts: unknown[] } | undefined;
}

interface ThreadOptions {
  apiUrl: string;
  apiKey: string;
  threadId: string | null;
}

interface Sdk {
  name: string;
  open(options: ThreadOptions): Page<Thread>;
}

/** How both find out that a stream is broken, and how soon they try again. */
const PATIENCE = { maxReconnectAttempts: 400, reconnectDelayMs: () => 250 };
const CALLER = { maxRetries: 0 };

const SDKS: Sdk[] = [
  {
    name: '@langchain/react 1.1.0',
    open: ({ apiUrl, apiKey, threadId }) =>
      renderHook(
        () =>
          useStream({
            assistantId: 'agent',
            apiUrl,
            apiKey,
            threadId,
            callerOptions: CALLER,
            ...PATIENCE,
          }) as Thread,
      ),
  },
  {
    name: '@langchain/langgraph-sdk 1.15.0 stream',
    open: openController,
  },
];

/** The SDK's own controller, which bindings for pages are made of. */
function openController({ apiUrl, apiKey, threadId }: ThreadOptions): Page<Thread> {
  const client = new Client({ apiUrl, apiKey, callerOptions: CALLER });
  const controller = new StreamController({ assistantId: 'agent', client, threadId, ...PATIENCE });
  const close = controller.activate();
  const now = (): Thread => {
    const snapshot = controller.rootStore.getSnapshot();
    return {
      ...(snapshot as Pick<Thread, keyof typeof snapshot & keyof Thread>),
      submit: (input, options) => controller.submit(input, options),
      respond: (response, options) => controller.respond(response, options),
      stop: () => controller.stop(),
      getThread: () => controller.getThread(),
    };
  };
  return {
    get value() {
      return now();
    },
    async until(what, fits) {
      await eventually(() => expect([what, fits(now())]).toEqual([what, true]));
      return now();
    },
    close,
  };
}

let stage: ForeignStage;
let service: ServiceHere;
let ada: Person;
let key: string;
beforeAll(async () => {
  openWindow();
  stage = await openForeignStage(JWT_ENVIRONMENT);
  service = await stage.start();
  ({ ada, key } = await createAda(service.url));
});
afterAll(() => stage.close());

const human = (content: string) => ({ messages: [{ type: 'human', content }] });
const approve = { decisions: [{ type: 'approve' }] };

describe('LangGraph, protocol v2', () => {
  describe.each(sampled(SDKS))('$name', (sdk) => {
    let tap: Tap;
    const pages: Page<Thread>[] = [];
    beforeEach(() => {
      tap = createTap();
      vi.spyOn(globalThis, 'fetch').mockImplementation(tap.fetch);
    });
    afterEach(() => {
      for (const page of pages.splice(0)) page.close();
      vi.restoreAllMocks();
    });

    function open(threadId: string | null = null, url = service.url): Page<Thread> {
      const page = sdk.open({ apiUrl: `${url}/api/v1/agent/langgraph`, apiKey: key, threadId });
      pages.push(page);
      return page;
    }

    /** Says something in a page, and waits until it was answered. */
    async function say(page: Page<Thread>, words: string): Promise<Thread> {
      const ready = await page.until('the thread', ({ isThreadLoading }) => !isThreadLoading);
      await ready.submit(human(words));
      return page.until('the end of the run', ({ isLoading }) => !isLoading);
    }

    /** A page has two streams; until it has heard an end on both, it takes the late one for the next run's. */
    async function bothStreamsTold(end: string): Promise<void> {
      const ends = () => tap.frames.filter((frame) => lifecycleOf(frame) === end);
      await eventually(() => expect(ends().length).toBeGreaterThanOrEqual(2));
      // What was read is taken in within this turn of the event loop, and what that puts off in the next.
      for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0));
    }

    const card = (page: Page<Thread>): Promise<Thread> =>
      page.until('the card', ({ interrupts, isLoading }) => interrupts.length === 1 && !isLoading);

    const answered = (page: Page<Thread>, last: string): Promise<Thread> =>
      page.until(last, (thread) => !thread.isLoading && lines(thread).at(-1) === last);

    it('streams a turn of text, word by word', async () => {
      const page = open();
      const middle = gate();
      stage.plan({ text: ['Hello there,', middle.promise, ' how are you?'] });
      const ready = await page.until('the page', () => true);
      const said = ready.submit(human('Hi'));
      await page.until('the first words', (thread) => lines(thread).at(-1) === 'ai: Hello there,');
      middle.open();
      await said;
      const done = await answered(page, 'ai: Hello there, how are you?');
      expect(lines(done)).toEqual(['human: Hi', 'ai: Hello there, how are you?']);
      expect(done.error).toBeUndefined();
    });

    it('shows the calls of tools with their arguments and results', async () => {
      const page = open();
      const look = { name: 'get_credit_balance', args: {} };
      stage.plan({ reasoning: 'Hm.', text: 'I look. ', toolCalls: [look] }, 'Enough.');
      await say(page, 'How many credits?');
      const done = await answered(page, 'ai: Enough.');
      expect(lines(done)).toEqual([
        'human: How many credits?',
        'ai: I look.  + get_credit_balance({})',
        expect.stringMatching(/^tool: \{.*"available_credits"/),
        'ai: Enough.',
      ]);
      expect(done.toolCalls).toMatchObject([{ name: 'get_credit_balance' }]);
    });

    it('stops for an approval and goes on when it is given', async () => {
      const page = open();
      stage.plan({ text: 'I write. ', ...SEND }, 'Done.');
      await say(page, 'Write to Ada');
      const asked = await card(page);
      expect(asked.interrupts[0]?.value?.actionRequests).toMatchObject([{ name: 'send_email', args: MAIL }]);
      await asked.respond(approve);
      const done = await answered(page, 'ai: Done.');
      expect(done.interrupts).toEqual([]);
      expect(lines(done)).toHaveLength(4);
      expect(await stage.mails(done.threadId ?? '')).toEqual(['Hello Ada']);
    });

    it('does not carry out what is rejected, and tells the model why', async () => {
      const page = open();
      stage.plan(SEND, 'I leave it.');
      await say(page, 'Write to Ada');
      const asked = await card(page);
      await asked.respond({ decisions: [{ type: 'reject', message: 'Not today' }] });
      const done = await answered(page, 'ai: I leave it.');
      expect(lines(done).at(-2)).toContain('Not today');
      expect(await stage.mails(done.threadId ?? '')).toEqual([]);
    });

    it('carries out what was edited', async () => {
      const page = open();
      stage.plan(SEND, 'Sent as you wished.');
      await say(page, 'Write to Ada');
      const asked = await card(page);
      const editedAction = { name: 'send_email', args: { ...MAIL, subject: 'Dear Ada' } };
      await asked.respond({ decisions: [{ type: 'edit', editedAction }] });
      const done = await answered(page, 'ai: Sent as you wished.');
      expect(await stage.mails(done.threadId ?? '')).toEqual(['Dear Ada']);
    });

    it('asks a second time in the same turn, and shows each card once', async () => {
      const page = open();
      const second = { toolCalls: [{ name: 'send_email', args: { ...MAIL, subject: 'Second' } }] };
      stage.plan(SEND, second, 'Both done.');
      await say(page, 'Write twice');
      const first = await card(page);
      await first.respond(approve);
      const again = await page.until(
        'the second card',
        ({ interrupts }) => interrupts.length === 1 && interrupts[0]?.id !== first.interrupts[0]?.id,
      );
      expect(again.interrupts[0]?.value?.actionRequests).toMatchObject([{ args: { subject: 'Second' } }]);
      await again.respond(approve);
      const done = await answered(page, 'ai: Both done.');
      expect(await stage.mails(done.threadId ?? '')).toEqual(['Hello Ada', 'Second']);
    });

    it('is strict: an answer to what does not wait is refused', async () => {
      const page = open();
      stage.plan(SEND, 'Done.');
      await say(page, 'Write to Ada');
      const asked = await card(page);
      const wrong = asked.respond(approve, { interruptId: 'no-such-interrupt' });
      await expect(wrong).rejects.toThrow(/NOTHING_PENDING/);
      expect(await stage.mails(asked.threadId ?? '')).toEqual([]);
      const id = asked.interrupts[0]?.id ?? '';
      await asked.respond(approve, { interruptId: id });
      await answered(page, 'ai: Done.');
      await expect(page.value.respond(approve, { interruptId: id })).rejects.toThrow(/NOTHING_PENDING/);
      expect(await stage.mails(asked.threadId ?? '')).toEqual(['Hello Ada']);
    });

    it('refuses a message while a card waits, and the card stays', async () => {
      const page = open();
      stage.plan(SEND);
      await say(page, 'Write to Ada');
      const asked = await card(page);
      await asked.submit(human('And another thing'));
      const command = {
        id: 1,
        method: 'run.start',
        params: { assistant_id: 'agent', input: human('And this') },
      };
      const path = `/api/v1/agent/langgraph/threads/${asked.threadId}/commands`;
      expect(await ada.post(path, command)).toMatchObject({
        type: 'error',
        message: expect.stringContaining('APPROVAL_PENDING'),
      });
      const reopened = open(asked.threadId);
      const shown = await card(reopened);
      expect(lines(shown)).not.toContain('human: And another thing');
    });

    it('shows a reopened page what waits, and lets it decide', async () => {
      const before = open();
      stage.plan({ text: 'I write. ', ...SEND }, 'Done.');
      const { threadId } = await say(before, 'Write to Ada');
      await card(before);
      before.close();
      const after = open(threadId);
      await after.until('the call', (thread) =>
        /^ai: I write\. {2}\+ send_email/.test(lines(thread)[1] ?? ''),
      );
      const asked = await card(after);
      // Without naming the interrupt: the client finds it in what the stream tells again.
      await eventually(() => expect(after.value.getThread()?.interrupts).toHaveLength(1));
      await asked.respond(approve);
      await answered(after, 'ai: Done.');
      expect(await stage.mails(threadId ?? '')).toEqual(['Hello Ada']);
    });

    it('tells another tab that a card was answered, and a late one nothing of it', async () => {
      const one = open();
      stage.plan(SEND, 'Done.');
      const { threadId } = await say(one, 'Write to Ada');
      await card(one);
      const other = open(threadId);
      await card(other);
      await one.value.respond(approve);
      await tap.frame((frame) => methodOf(frame) === 'input.answered');
      await answered(one, 'ai: Done.');
      await answered(other, 'ai: Done.');
      const late = open(threadId);
      const shown = await answered(late, 'ai: Done.');
      expect(shown.interrupts).toEqual([]);
    });

    it('decides after the server was restarted', async () => {
      const first = await stage.start();
      const before = open(null, first.url);
      stage.plan(SEND, 'Sent after the restart.');
      const { threadId } = await say(before, 'Write to Ada');
      await card(before);
      before.close();
      await first.close();
      const second = await stage.start();
      const after = open(threadId, second.url);
      const asked = await card(after);
      await asked.respond(approve, { interruptId: asked.interrupts[0]?.id });
      await answered(after, 'ai: Sent after the restart.');
      expect(await stage.mails(threadId ?? '')).toEqual(['Hello Ada']);
      await second.close();
    });

    it('takes up a broken stream by itself, and tells nothing twice', async () => {
      const page = open();
      const [first, second] = [gate(), gate()];
      stage.plan({ text: ['One', first.promise, ' two', second.promise, ' three.'] });
      const ready = await page.until('the page', () => true);
      const said = ready.submit(human('Count'));
      await page.until('the first word', (thread) => lines(thread).at(-1) === 'ai: One');
      tap.cut();
      first.open();
      await page.until('the second word', (thread) => lines(thread).at(-1) === 'ai: One two');
      second.open();
      await said;
      const done = await answered(page, 'ai: One two three.');
      expect(done.error).toBeUndefined();
      expect(lines(done)).toHaveLength(2);
    });

    it('joins a run in its middle, in a page that is opened meanwhile', async () => {
      const one = open();
      const middle = gate();
      stage.plan({ text: ['The first half', middle.promise, ' and the rest.'] });
      const ready = await one.until('the page', () => true);
      const said = ready.submit(human('Tell me'));
      const { threadId } = await one.until(
        'words',
        (thread) => lines(thread).at(-1) === 'ai: The first half',
      );
      const other = open(threadId);
      await other.until('the words', (thread) => lines(thread).at(-1) === 'ai: The first half');
      middle.open();
      await said;
      const done = await answered(other, 'ai: The first half and the rest.');
      expect(lines(done)).toEqual(['human: Tell me', 'ai: The first half and the rest.']);
    });

    it('goes on after the process died in mid-stream and came back', async () => {
      const PORT = await freePort();
      const first = await stage.startProcess({ ...MORTAL, PORT });
      const page = open(null, first.url);
      const never = gate();
      stage.plan({ text: ['Lost words', never.promise] }, 'The whole answer.');
      const ready = await page.until('the page', () => true);
      void ready.submit(human('Tell me'));
      await page.until('the words', (thread) => lines(thread).at(-1) === 'ai: Lost words');
      await first.kill();
      const second = await stage.startProcess({ PORT });
      const done = await answered(page, 'ai: The whole answer.');
      expect(lines(done)).toEqual(['human: Tell me', 'ai: The whole answer.']);
      expect(done.error).toBeUndefined();
      never.open();
      await second.kill();
    }, 120_000);

    it('cancels a run where it is asked to, and not because its reader left', async () => {
      const one = open();
      const middle = gate();
      stage.plan({ text: ['Some words', middle.promise, ' never said'] });
      const ready = await one.until('the page', () => true);
      void ready.submit(human('Tell me'));
      const { threadId } = await one.until(
        'the words',
        (thread) => lines(thread).at(-1) === 'ai: Some words',
      );
      const other = open(threadId);
      await other.until('the words', (thread) => lines(thread).at(-1) === 'ai: Some words');
      other.close();
      expect(await statusOf(threadId)).toBe('busy');
      await one.value.stop();
      await eventually(async () => expect(await statusOf(threadId)).toBe('idle'));
      const reopened = open(threadId);
      const shown = await answered(reopened, 'ai: Some words');
      expect(lines(shown)).toEqual(['human: Tell me', 'ai: Some words']);
      middle.open();
    });

    it('never cancels an approved run because the tab was closed', async () => {
      const page = open();
      const middle = gate();
      stage.plan(SEND, { text: ['Going', middle.promise, ' on.'] });
      const { threadId } = await say(page, 'Write to Ada');
      const asked = await card(page);
      await asked.respond(approve);
      await page.until('the words', (thread) => lines(thread).at(-1) === 'ai: Going');
      page.close();
      middle.open();
      const reopened = open(threadId);
      await answered(reopened, 'ai: Going on.');
      expect(await stage.mails(threadId ?? '')).toEqual(['Hello Ada']);
    });

    it('tells how a run failed, and takes the next message', async () => {
      const page = open();
      stage.plan({ status: 400 });
      const failed = await say(page, 'Hi');
      expect(String(failed.error)).toContain('model');
      await bothStreamsTold('failed');
      stage.plan('Now it works.');
      await say(page, 'Again');
      await answered(page, 'ai: Now it works.');
    });
  });

  it('numbers what it tells, and gives exactly what comes behind a number', async () => {
    const transport = new ProtocolSseTransportAdapter({
      apiUrl: `${service.url}/api/v1/agent/langgraph`,
      threadId: crypto.randomUUID(),
      defaultHeaders: { 'x-api-key': key },
    });
    stage.plan({ reasoning: 'Hm.', text: 'I write. ', ...SEND }, 'Done.');
    const started = await transport.send({
      id: 1,
      method: 'run.start',
      params: { assistant_id: 'agent', input: human('Write to Ada') },
    });
    expect(started).toMatchObject({
      type: 'success',
      id: 1,
      meta: { applied_through_seq: expect.any(Number) },
    });
    await told(transport, 'interrupted');
    const all = await told(transport, 'interrupted');
    const numbers = all.map(({ seq }) => seq);
    expect(numbers).toEqual([...new Set(numbers)].sort((one, other) => one - other));
    for (const since of numbers.slice(0, -1)) {
      expect(await told(transport, 'interrupted', since)).toEqual(all.filter(({ seq }) => seq > since));
    }
    const asked = all.find(({ method }) => method === 'input.requested');
    const interrupt_id = asked?.params.data.interrupt_id ?? '';
    const answer = { namespace: [], interrupt_id, response: approve };
    const answered = await transport.send({ id: 2, method: 'input.respond', params: answer });
    expect(answered).toMatchObject({ type: 'success', id: 2 });
    await told(transport, 'completed');
    const after = await told(transport, 'completed');
    expect(after.filter(({ method }) => method === 'input.requested')).toEqual([]);
    const again = await transport.send({ id: 3, method: 'input.respond', params: answer });
    expect(again).toMatchObject({
      type: 'error',
      id: 3,
      error: 'no_such_interrupt',
      meta: { request_id: expect.any(String) },
    });
    await transport.close();
  });
});

interface Told {
  seq: number;
  method: string;
  params: { data: { event?: string; interrupt_id?: string } };
}

/** What a subscription to everything is told, until a run has come to this end. */
async function told(
  transport: ProtocolSseTransportAdapter,
  end: 'interrupted' | 'completed',
  since?: number,
): Promise<Told[]> {
  const stream = transport.openEventStream({
    channels: ['lifecycle', 'messages', 'values', 'tools', 'input', 'checkpoints', 'custom'],
    ...(since === undefined ? {} : { since }),
  });
  const events: Told[] = [];
  for await (const message of stream.events) {
    events.push(message as Told);
    const { method, params } = message as Told;
    if (method === 'lifecycle' && params.data.event === end) break;
  }
  stream.close();
  return events;
}

/** Messages, a line each. */
function lines({ messages }: Pick<Thread, 'messages'>): string[] {
  return messages.map(({ type, content, tool_calls }) => {
    const text = typeof content === 'string' ? sorted(content) : textOf(content);
    const calls = (tool_calls ?? []).map(({ name, args }) => ` + ${name}(${sorted(JSON.stringify(args))})`);
    return `${type}: ${text}${calls.join('')}`.replace(':  +', ': +');
  });
}

function textOf(content: unknown): string {
  const blocks = Array.isArray(content) ? (content as { type: string; text?: string }[]) : [];
  return blocks.map(({ type, text }) => (type === 'text' ? (text ?? '') : '')).join('');
}

function methodOf(frame: unknown): string {
  return String((frame as { method?: unknown }).method);
}

function lifecycleOf(frame: unknown): string | undefined {
  const { method, params } = frame as { method?: string; params?: { data?: { event?: string } } };
  return method === 'lifecycle' ? params?.data?.event : undefined;
}

async function statusOf(threadId: string | null): Promise<unknown> {
  return (await ada.get(`/api/v1/agent/langgraph/threads/${threadId}`)).status;
}
