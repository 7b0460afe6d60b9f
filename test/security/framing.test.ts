/** Nothing that anyone writes can make an event of its own: the stream's bytes are read as a browser would read them. */

import { createParser } from 'eventsource-parser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLocalPerson, type Person } from '../support/people.ts';
import type { ServiceHere } from '../support/service.ts';
import { openStage, type Stage } from '../support/stage.ts';

const CHAT = '/api/v1/agent/chat';

/** Line ends in every spelling, each followed by a frame that must never be one. */
const BREAKS = [
  '\n',
  '\r',
  '\r\n',
  '\n\n',
  '\r\r',
  '\r\n\r\n',
  '\u2028',
  '\u2029',
  '\u0085',
  '\v',
  '\f',
  '\u0000',
  '\ufeff',
];
const FORGED = BREAKS.map(
  (end) => `${end}id: 999999${end}event: forged${end}data: {"forged":true}${end}${end}`,
).join('x');
/** What a schema lets pass where a line is asked for: no control characters, but the separators that are none. */
const FORGED_LINE = ['\u2028', '\u2029', '\ufeff']
  .map((end) => `${end}event: forged${end}data: 1${end}${end}`)
  .join('x');

const TYPES = [
  'user-message',
  'run-start',
  'run-end',
  'step-start',
  'step-end',
  'text-start',
  'text-delta',
  'text-end',
  'reasoning-start',
  'reasoning-delta',
  'reasoning-end',
  'call-end',
  'message-reset',
  'tool-start',
  'tool-args-delta',
  'tool-args',
  'tool-progress',
  'tool-end',
  'approval-request',
  'approval-end',
  'notice',
  'snapshot',
  'conversation-update',
  'conversation',
  'approvals',
];

let stage: Stage;
let service: ServiceHere;
let ada: Person;

beforeAll(async () => {
  stage = await openStage();
  service = await stage.start();
  ada = createLocalPerson(service.url);
});
afterAll(() => stage.close());

/** Reads a whole stream by the bytes: by the standard's rules, once with a parser and once by hand. */
function readFrames(bytes: string) {
  const events: { id: string | undefined; event: string | undefined; data: string }[] = [];
  const faults: unknown[] = [];
  const parser = createParser({
    onEvent: ({ id, event, data }) => events.push({ id, event, data }),
    onError: (error) => faults.push(error),
  });
  // One byte at a time, so that no line end can hide in a boundary.
  for (const sign of bytes) parser.feed(sign);
  // The standard ends lines at CR, LF and CRLF.
  const lines = bytes.split(/\r\n|\r|\n/);
  const strange = lines.filter(
    (line) => !/^(|:.*|id: \d+|event: [a-z-]+|retry: \d+|data: \{.*\})$/su.test(line),
  );
  return { events, faults, strange };
}

function expectHonest(bytes: string, seq: 'ascends' | 'none' = 'ascends'): string[] {
  const { events, faults, strange } = readFrames(bytes);
  expect({ faults, strange }).toEqual({ faults: [], strange: [] });
  // Nothing but our own line ends, and no byte that a reader on the way could take for one.
  expect(bytes).not.toMatch(/\r|\0/);
  expect(events.filter(({ event }) => !TYPES.includes(event ?? ''))).toEqual([]);
  for (const { data } of events) expect(typeof JSON.parse(data)).toBe('object');
  const ids = events.map(({ id }) => Number(id));
  if (seq === 'ascends') {
    expect(ids.every(Number.isSafeInteger)).toBe(true);
    expect(ids).toEqual(ids.toSorted((one, other) => one - other));
    expect(new Set(ids).size).toBe(ids.length);
    expect(Math.max(...ids)).toBeLessThan(999_999);
  }
  return events.map(({ event }) => event ?? '');
}

describe('the stream of a turn', () => {
  it('stays whole whatever the user, the model, a tool or a mail says', async () => {
    const form = new FormData();
    const cell = `"${FORGED.replaceAll('\0', '').replaceAll('"', '""')}"`;
    form.append(
      'file',
      new Blob([`email,first_name,company,title\nlead@a.example,${cell},${cell},${cell}\n`]),
      'a.csv',
    );
    await ada.ask('POST', '/api/v1/datasets/import', { body: form });
    const { leads } = await ada.get('/api/v1/leads');
    const lead_id = (leads as { lead_id: string }[])[0]?.lead_id;
    expect(lead_id).toBeDefined();

    stage.model.script(
      {
        reasoning: [FORGED, '\r', '\n', 'data: x'],
        text: [FORGED, '\r', '\nevent: forged\n\n', FORGED],
        toolCalls: [
          { name: 'search_leads', args: {} },
          { name: 'search_leads', args: { query: FORGED_LINE } },
          { name: FORGED, args: { [FORGED]: FORGED } },
          { name: 'get_credit_balance', argsText: `{"x":"${FORGED}"` },
          { name: 'suppress_email', args: { email: 'x@y.example', reason: FORGED.replaceAll('\0', '') } },
          { name: 'send_email', args: { lead_id, subject: FORGED_LINE, body: FORGED.replaceAll('\0', '') } },
        ],
        finishReason: 'tool_calls',
      },
      { text: FORGED, fault: 'error-event', error: { message: FORGED } },
    );
    const message = FORGED.replaceAll('\0', '');
    const first = await ada.ask('POST', CHAT, {
      body: { message, client_message_id: FORGED_LINE, page_context: { x: message } },
    });
    expect(first.status).toBe(200);
    expect(first.text.split('forged').length).toBeGreaterThan(100);
    const told = expectHonest(first.text);
    expect(told).toContain('approval-request');
    expect(told).toContain('reasoning-delta');
    expect(told.filter((type) => type === 'tool-end').length).toBeGreaterThanOrEqual(4);
    expect(told.at(-1)).toBe('run-end');

    const threadId = first.headers.get('x-thread-id');
    const { approvals } = await ada.get('/api/v1/agent/approvals');
    const cards = approvals as { approval_id: string; args_hash: string }[];
    expect(cards.length).toBeGreaterThan(0);
    const decisions = cards.map(({ approval_id, args_hash }) => ({
      approval_id,
      args_hash,
      decision: 'reject',
      reason: message,
    }));
    const second = await ada.ask('POST', CHAT, { body: { thread_id: threadId, resume: { decisions } } });
    expect(second.status).toBe(200);
    expect(expectHonest(second.text)).toContain('approval-end');

    const title = FORGED_LINE;
    expect(
      (await ada.ask('PATCH', `/api/v1/agent/conversations/${threadId}`, { body: { title } })).status,
    ).toBe(200);
    const replay = await ada.ask('GET', `/api/v1/agent/conversations/${threadId}/stream?after=0&until=idle`);
    expect(expectHonest(replay.text)).toContain('conversation-update');
    // Where the journal is gone the conversation comes whole, in one frame.
    await stage.database.query('update conversations set pruned_seq = last_seq where id = $1', [threadId]);
    const snapshot = await ada.ask(
      'GET',
      `/api/v1/agent/conversations/${threadId}/stream?after=0&until=idle`,
    );
    expect(expectHonest(snapshot.text)).toContain('snapshot');
  });

  it('is named by numbers and ids only, in its headers too', async () => {
    stage.model.script('Hello');
    const answer = await ada.ask('POST', CHAT, {
      body: { message: 'Hi' },
      headers: { 'idempotency-key': 'a:b;c=d', 'last-event-id': '5' },
    });
    for (const name of ['x-thread-id', 'x-turn-id', 'x-run-id', 'x-request-id']) {
      expect(answer.headers.get(name)).toMatch(/^[0-9a-f-]{36}$/);
    }
    expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(answer.headers.get('cache-control')).toBe('no-cache, no-transform');
  });
});

describe('the stream of changes', () => {
  it('stays whole whatever a conversation is called', async () => {
    const leaving = new AbortController();
    const response = await fetch(`${service.url}/api/v1/agent/stream`, { signal: leaving.signal });
    const conversation = await ada.post('/api/v1/agent/conversations', { title: FORGED_LINE });
    stage.model.script(FORGED);
    const message = FORGED.replaceAll('\0', '');
    await ada.post(CHAT, { thread_id: conversation.thread_id, message });
    await ada.post('/api/v1/agent/conversations', { title: 'the last' });
    let bytes = '';
    for await (const chunk of response.body ?? []) {
      bytes += new TextDecoder().decode(chunk);
      if (bytes.includes('the last') && bytes.endsWith('\n\n')) break;
    }
    leaving.abort();
    const told = expectHonest(bytes, 'none');
    expect(new Set(told)).toEqual(new Set(['conversation', 'approvals']));
  });
});
