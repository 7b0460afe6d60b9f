/** Every field of every event, at every door: whatever stands in it, readers are handed the frames that were told, whole. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Approval, EventData, EventType, JournalEvent, Message } from '../../src/runtime/events.ts';
import { createAgUiTeller } from '../../src/wire/ag-ui.ts';
import { createAiSdkTeller } from '../../src/wire/ai-sdk.ts';
import { createLangGraphTeller, STREAM_MODES } from '../../src/wire/langgraph-v1.ts';
import { createThreadTeller } from '../../src/wire/langgraph-v2.ts';
import { nativeFrame } from '../../src/wire/native.ts';
import { type Dispatched, readByParser, readByStandard } from '../support/event-stream.ts';
import { hostileText, longLine } from '../support/hostile-text.ts';

const TURN = '019a0000-0000-7000-8000-000000000001';
const RUN = '019a0000-0000-7000-8000-000000000002';
const MESSAGE = '019a0000-0000-7000-8000-000000000003';
const CARD = '019a0000-0000-7000-8000-000000000004';
const AT = '2026-11-28T10:00:00.000Z';
const USAGE = { input_tokens: 1, output_tokens: 1, model_calls: 1, tool_calls: 1, credits: 0 };

/** A whole turn in which each field that anybody can fill holds what `say` gives, which gives something else each time. */
function turnOf(say: () => string): JournalEvent[] {
  const events: JournalEvent[] = [];
  const tell = <Type extends EventType>(type: Type, data: EventData[Type], ofTurn = true) =>
    events.push({
      seq: events.length + 1,
      type,
      turn_id: ofTurn ? TURN : null,
      run_id: ofTurn ? RUN : null,
      at: AT,
      data,
    } as JournalEvent);
  const message = (role: Message['role'], content: string): Message => ({
    id: say(),
    thread_id: say(),
    turn_id: TURN,
    role,
    status: 'complete',
    content,
    parts: [
      { type: 'text', call: 1, text: content },
      { type: 'file', call: 1, name: say(), dataset_id: say() },
      { type: 'notice', call: 1, code: say(), message: say() },
    ],
    metadata: { client_message_id: say(), page_context: { [say()]: say() } },
    created_at: AT,
  });
  const error = () => ({ code: 'TOOL_FAILED' as const, message: say(), retryable: false });
  const place = (part: number) => ({ message_id: MESSAGE, call: 1, part });
  const approval: Approval = {
    approval_id: CARD,
    thread_id: say(),
    turn_id: TURN,
    tool_call_id: 'call-2',
    tool: say(),
    kind: 'proposal',
    title: say(),
    reason: say(),
    args: { [say()]: say(), list: [say(), { [say()]: say() }] },
    args_hash: say(),
    args_schema: { description: say() },
    facts: [{ label: say(), value: say() }],
    warnings: [{ code: say(), message: say(), severity: 'high' }],
    preview: [{ from: say(), to: say(), subject: say(), body: say() }],
    consequence: say(),
    allowed_decisions: ['approve', 'reject', 'edit'],
    status: 'pending',
    created_at: AT,
    expires_at: AT,
  };
  tell('user-message', { message: message('user', say()), client_message_id: say() });
  tell('run-start', { thread_id: say(), kind: 'message', message_id: MESSAGE, model: say() });
  const step = say();
  tell('step-start', { step });
  tell('reasoning-start', place(0));
  tell('reasoning-delta', { ...place(0), delta: say() });
  tell('reasoning-end', { ...place(0), text: say() });
  tell('text-start', place(1));
  tell('text-delta', { ...place(1), delta: say() });
  tell('text-delta', { ...place(1), delta: say() });
  tell('text-end', { ...place(1), text: say() });
  for (const [index, id] of ['call-1', 'call-2', 'call-3'].entries()) {
    const call = { ...place(2 + index), tool_call_id: id, name: say() };
    tell('tool-start', call);
    tell('tool-args-delta', { ...place(2 + index), tool_call_id: id, delta: say() });
    tell('tool-args', { ...call, args: { [say()]: say() } });
  }
  tell('call-end', { call: 1, finish_reason: say(), usage: { input_tokens: 1, output_tokens: 1 } });
  tell('tool-progress', { tool_call_id: 'call-1', done: 1, total: 2, note: say() });
  tell('tool-end', { tool_call_id: 'call-1', status: 'ok', result: { [say()]: [say()] } });
  tell('tool-end', { tool_call_id: 'call-3', status: 'error', error: error() });
  tell('approval-request', { approval });
  tell('notice', { code: say(), message: say() });
  tell('conversation-update', { title: say() }, false);
  tell('snapshot', { conversation: { title: say(), messages: [message('assistant', say())] } }, false);
  tell('approval-end', {
    approval_id: CARD,
    status: 'rejected',
    decision: 'reject',
    decided_by: say(),
    reason: say(),
    args: { [say()]: say() },
    args_hash: say(),
  });
  tell('tool-end', { tool_call_id: 'call-2', status: 'rejected', error: error() });
  tell('step-end', { step });
  tell('run-end', { status: 'failed', message_id: MESSAGE, usage: USAGE, error: error() });
  return events;
}

const CHANNELS = ['values', 'messages', 'tools', 'lifecycle', 'custom', 'input', 'checkpoints', 'updates'];

/** The doors, each as what it tells of events. Made anew for each turn, as for each stream. */
const DOORS: Record<string, (say: () => string) => (event: JournalEvent) => string> = {
  native: () => nativeFrame,
  'AG-UI': (say) =>
    createAgUiTeller({ threadId: say(), runId: say(), legacy: false, turnId: TURN, messages: [] }).frame,
  'AI SDK 7': (say) => createAiSdkTeller({ threadId: say(), turnId: TURN, v7: true, known: null }).frame,
  'AI SDK 6': (say) => createAiSdkTeller({ threadId: say(), turnId: TURN, v7: false, known: null }).frame,
  'LangGraph, its first protocol': (say) =>
    createLangGraphTeller({
      threadId: say(),
      runId: RUN,
      turnId: TURN,
      modes: new Set(STREAM_MODES),
      messages: [],
    }).frame,
  'LangGraph, its second protocol': () =>
    createThreadTeller({ channels: new Set(CHANNELS), since: -1, messages: [] }).frame,
};

/** What a frame says, whatever the order of its lines: our frames have one line each. */
function framesOf(text: string): Dispatched[] {
  return text
    .split('\n\n')
    .slice(0, -1)
    .map((frame) => {
      const lines = frame.split('\n').map((line) => /^(id|event|data): (.*)$/s.exec(line));
      const fieldOf = (name: string) => lines.find((line) => line?.[1] === name)?.[2];
      expect(lines.filter((line) => line === null)).toEqual([]);
      expect(lines.filter((line) => line?.[1] === 'data')).toHaveLength(1);
      return { id: fieldOf('id'), event: fieldOf('event'), data: fieldOf('data') ?? '' };
    });
}

function expectWhole(text: string, cuts: readonly number[]): Dispatched[] {
  expect(text).not.toMatch(/[\r\0]/);
  // As bytes: half a surrogate pair would come out as another sign.
  expect(Buffer.from(text).toString()).toBe(text);
  const told = framesOf(text);
  expect(readByStandard(text)).toEqual(told);
  expect(readByParser(text, cuts)).toEqual(told);
  for (const { data } of told) if (data !== '[DONE]') expect(typeof JSON.parse(data)).toBe('object');
  return told;
}

/** Gives the texts in turn. */
function teller(texts: readonly string[]): () => string {
  let next = 0;
  return () => {
    next += 1;
    return texts[next % texts.length] ?? '';
  };
}

describe.each(Object.keys(DOORS))('a stream of %s', (door) => {
  const frameOf = (say: () => string) => DOORS[door]?.(say) ?? (() => '');

  it('holds the same frames for both readers, whatever stands in any field', () => {
    fc.assert(
      fc.property(
        fc.array(hostileText, { minLength: 1, maxLength: 7 }),
        fc.array(fc.nat(100_000), { maxLength: 12 }),
        (texts, cuts) => {
          const tell = frameOf(teller(texts));
          const harmless = frameOf(() => 'x');
          const plain = turnOf(() => 'x').map(harmless);
          const told = turnOf(teller(texts)).map((event, index) => {
            const text = tell(event);
            const frames = expectWhole(text, cuts);
            // Hostile words make neither more nor fewer events than others.
            expect(frames.map(({ id, event: type }) => [id, type])).toEqual(
              framesOf(plain[index] ?? '').map(({ id, event: type }) => [id, type]),
            );
            return text;
          });
          expectWhole(told.join(''), cuts);
        },
      ),
      { seed: 20261128, numRuns: 60 },
    );
  });

  it('holds a line as long as it comes', () => {
    const say = teller([longLine, 'short', 'x', '', 'y']);
    const text = turnOf(say).map(frameOf(say)).join('');
    expect(text.length).toBeGreaterThan(longLine.length);
    expectWhole(text, [1, 70_000, 700_001]);
  });
});

it('a native frame gives back every field as it was told', () => {
  fc.assert(
    fc.property(fc.array(hostileText, { minLength: 1, maxLength: 7 }), (texts) => {
      for (const event of turnOf(teller(texts))) {
        const [frame] = expectWhole(nativeFrame(event), []);
        const { turn_id, run_id, at: _at, ...data } = JSON.parse(frame?.data ?? '');
        expect({ seq: Number(frame?.id), type: frame?.event, turn_id, run_id, data }).toEqual({
          seq: event.seq,
          type: event.type,
          turn_id: event.turn_id,
          run_id: event.run_id,
          data: event.data,
        });
      }
    }),
    { seed: 20261128, numRuns: 60 },
  );
});
