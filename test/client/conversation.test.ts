import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  applyEvent,
  type ConversationState,
  createConversationState,
  pendingApprovals,
} from '../../src/client/conversation.ts';
import type { EventData, EventType, JournalEvent, Message, Told } from '../../src/client/events.ts';
import type { NewEvent } from '../../src/runtime/events.ts';
import { applyEvent as applyAtServer } from '../../src/runtime/reply.ts';
import { MESSAGE, makeApproval, makeDetail, RUN, THREAD, TURN, USAGE } from './scripted-server.ts';

const USER_MESSAGE: Message = {
  id: 'user-1',
  thread_id: THREAD,
  turn_id: TURN,
  role: 'user',
  status: 'complete',
  content: 'hello',
  parts: [{ type: 'text', call: 0, text: 'hello' }],
  metadata: {},
  created_at: '2026-11-21T10:00:00.000Z',
};

/** Numbers facts as a journal does. */
function createScript() {
  const events: JournalEvent[] = [];
  let seq = 0;
  function tell<T extends EventType>(type: T, data: EventData[T] & Told, step = 1): void {
    seq += step;
    events.push({ seq, type, data: { turn_id: TURN, run_id: RUN, ...data } } as JournalEvent);
  }
  return { events, tell };
}

function fold(events: readonly JournalEvent[], from = createConversationState()): ConversationState {
  return events.reduce(applyEvent, from);
}

const step = fc.record({
  action: fc.constantFrom(
    'text',
    'reasoning',
    'tool',
    'tool-end',
    'progress',
    'approval',
    'approval-end',
    'notice',
    'reset',
    'rename',
    'pause',
    'takeover',
  ),
  pick: fc.nat({ max: 20 }),
  words: fc.array(fc.string({ maxLength: 5 }), { minLength: 1, maxLength: 4 }),
});

/** A turn as a run may tell it: any order of parts, pauses, resets and takeovers that the service can come to. */
const turnEvents = fc.array(step, { maxLength: 30 }).map((steps) => {
  const { events, tell } = createScript();
  let parts: { kind: 'plain' | 'tool' | 'approval'; id: string; open: boolean }[] = [];
  let made = 0;
  const start = (kind: 'message' | 'resume' | 'recovery'): void =>
    tell('run-start', { thread_id: THREAD, kind, message_id: MESSAGE, model: 'scripted' });
  const opened = (kind: string, pick: number) => {
    const fitting = parts.filter((part) => part.kind === kind && part.open);
    return fitting[pick % Math.max(1, fitting.length)];
  };
  tell('user-message', { message: USER_MESSAGE });
  start('message');
  for (const { action, pick, words } of steps) {
    made += 1;
    const id = `${action}-${made}`;
    const place = { message_id: MESSAGE, call: made, part: parts.length };
    if (action === 'text' || action === 'reasoning') {
      tell(`${action}-start`, place);
      for (const delta of words) tell(`${action}-delta`, { ...place, delta }, 1 + (pick % 3));
      tell(`${action}-end`, { ...place, text: words.join('') });
      parts.push({ kind: 'plain', id, open: false });
    } else if (action === 'tool') {
      tell('tool-start', { ...place, tool_call_id: id, name: 'find_leads' });
      for (const delta of words) tell('tool-args-delta', { ...place, tool_call_id: id, delta });
      tell('tool-args', { ...place, tool_call_id: id, name: 'find_leads', args: { words } });
      parts.push({ kind: 'tool', id, open: true });
    } else if (action === 'tool-end') {
      const tool = opened('tool', pick);
      if (tool === undefined) continue;
      tool.open = false;
      if (pick % 2 === 0) tell('tool-end', { tool_call_id: tool.id, status: 'ok', result: words });
      else {
        const error = { code: 'TOOL_FAILED', message: 'No.', retryable: false };
        tell('tool-end', { tool_call_id: tool.id, status: 'error', error });
      }
    } else if (action === 'progress') {
      const tool = opened('tool', pick);
      if (tool) tell('tool-progress', { tool_call_id: tool.id, done: pick, total: 20, note: 'rows' });
    } else if (action === 'approval') {
      const approval = makeApproval({ approval_id: id, tool_call_id: opened('tool', pick)?.id ?? 'none' });
      tell('approval-request', { approval });
      parts.push({ kind: 'approval', id, open: true });
    } else if (action === 'approval-end') {
      const approval = opened('approval', pick);
      if (approval === undefined) continue;
      approval.open = false;
      const status = (['approved', 'rejected', 'expired', 'superseded'] as const)[pick % 4] ?? 'approved';
      const executed = status === 'approved' ? { args: { pick }, args_hash: 'executed' } : {};
      tell('approval-end', { approval_id: approval.id, status, decided_by: 'dana', ...executed });
    } else if (action === 'notice') {
      tell('notice', { code: 'SUMMARY', message: words.join(' ') });
      parts.push({ kind: 'plain', id, open: false });
    } else if (action === 'rename') {
      tell('conversation-update', { title: words.join(' '), turn_id: null, run_id: null });
    } else {
      if (action === 'pause') {
        tell('run-end', { status: 'awaiting_approval', message_id: MESSAGE, usage: USAGE });
        start('resume');
        continue;
      }
      if (action === 'takeover') {
        tell('run-end', { status: 'lost', message_id: MESSAGE, usage: USAGE });
        start('recovery');
      }
      const keep = pick % (parts.length + 1);
      tell('message-reset', { message_id: MESSAGE, keep_parts: keep });
      parts = parts.slice(0, keep);
    }
  }
  tell('run-end', { status: 'completed', message_id: MESSAGE, usage: USAGE });
  return events;
});

function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  Object.values(value).forEach(deepFreeze);
}

describe('applyEvent', () => {
  it('counts each event once, however often a prefix is told again', () => {
    fc.assert(
      fc.property(turnEvents, fc.nat(), fc.nat(), (events, cut, back) => {
        const end = cut % (events.length + 1);
        const begin = back % (end + 1);
        const replayed = [...events.slice(0, end), ...events.slice(begin)];
        expect(fold(replayed)).toEqual(fold(events));
        const state = fold(events);
        for (const event of events) expect(applyEvent(state, event)).toBe(state);
      }),
    );
  });

  it('changes no state that was given out', () => {
    fc.assert(
      fc.property(turnEvents, (events) => {
        let state = createConversationState();
        for (const event of events) {
          deepFreeze(state);
          deepFreeze(event);
          state = applyEvent(state, event);
        }
      }),
    );
  });

  it('comes to the same conversation when deltas that waited together travel as one', () => {
    fc.assert(
      fc.property(turnEvents, (events) => {
        const merged: JournalEvent[] = [];
        for (const event of events) {
          const last = merged.at(-1);
          if (event.type === 'text-delta' && last?.type === 'text-delta') {
            const delta = last.data.delta + event.data.delta;
            merged[merged.length - 1] = { ...event, data: { ...event.data, delta } };
          } else merged.push(event);
        }
        expect(fold(merged)).toEqual(fold(events));
      }),
    );
  });

  it('keeps the parts and the text that the service keeps', () => {
    fc.assert(
      fc.property(turnEvents, (events) => {
        let parts: ReturnType<typeof applyAtServer> = [];
        let state = createConversationState();
        for (const event of events) {
          const { turn_id: _turn, run_id: _run, ...own } = event.data;
          parts = applyAtServer(parts, { type: event.type, data: own } as NewEvent);
          state = applyEvent(state, event);
          expect(state.messages[1]?.parts ?? []).toEqual(parts);
        }
      }),
    );
  });

  it('goes on from a GET of the conversation as from the events before it', () => {
    fc.assert(
      fc.property(turnEvents, fc.nat(), (events, cut) => {
        const at = cut % (events.length + 1);
        const before = fold(events.slice(0, at));
        const detail = makeDetail({ last_seq: before.lastSeq, messages: [...before.messages] });
        const after = fold(events, createConversationState(detail));
        expect(after.messages).toEqual(fold(events).messages);
      }),
    );
  });

  it('shows a turn that pauses for a person and goes on', () => {
    const { events, tell } = createScript();
    const place = { message_id: MESSAGE, call: 1, part: 0 };
    tell('user-message', { message: USER_MESSAGE });
    tell('run-start', { thread_id: THREAD, kind: 'message', message_id: MESSAGE, model: 'gpt' });
    tell('step-start', { step: 'model' });
    expect(fold(events).run).toMatchObject({
      status: 'running',
      turnId: TURN,
      runId: RUN,
      model: 'gpt',
      step: 'model',
    });
    tell('tool-start', { ...place, tool_call_id: 'tool-1', name: 'launch_campaign' });
    tell('tool-args', { ...place, tool_call_id: 'tool-1', name: 'launch_campaign', args: { id: 1 } });
    tell('step-end', { step: 'model' });
    tell('approval-request', { approval: makeApproval() });
    tell('run-end', { status: 'awaiting_approval', message_id: MESSAGE, usage: USAGE });
    const waiting = fold(events);
    expect(waiting.run).toMatchObject({ status: 'awaiting_approval', step: null, end: 'awaiting_approval' });
    expect(pendingApprovals(waiting)).toEqual([makeApproval()]);
    tell('approval-end', {
      approval_id: 'approval-1',
      status: 'approved',
      decision: 'edit',
      decided_by: 'dana',
      args: { id: 2 },
      args_hash: 'hash-2',
    });
    tell('run-start', { thread_id: THREAD, kind: 'resume', message_id: MESSAGE, model: 'gpt' });
    tell('tool-progress', { tool_call_id: 'tool-1', done: 1, total: 2, note: 'mails' });
    expect(fold(events).progress).toEqual({ 'tool-1': { done: 1, total: 2, note: 'mails' } });
    tell('tool-end', { tool_call_id: 'tool-1', status: 'ok', result: { launched: true } });
    tell('text-start', { ...place, call: 2, part: 2 });
    tell('text-delta', { ...place, call: 2, part: 2, delta: 'Launched.' });
    tell('text-end', { ...place, call: 2, part: 2, text: 'Launched.' });
    tell('run-end', { status: 'completed', message_id: MESSAGE, usage: { ...USAGE, credits: 3 } });
    const done = fold(events);
    expect(pendingApprovals(done)).toEqual([]);
    expect(done.run).toMatchObject({ status: 'idle', end: 'completed' });
    expect(done.usage?.credits).toBe(3);
    expect(done.progress).toEqual({});
    expect(done.messages).toEqual([
      USER_MESSAGE,
      expect.objectContaining({
        id: MESSAGE,
        status: 'complete',
        content: 'Launched.',
        parts: [
          expect.objectContaining({
            type: 'tool',
            status: 'ok',
            args: { id: 1 },
            result: { launched: true },
          }),
          {
            type: 'approval',
            call: 1,
            approval: {
              ...makeApproval({ status: 'approved', decision: 'edit', decided_by: 'dana' }),
              executed_args: { id: 2 },
              executed_hash: 'hash-2',
            },
          },
          { type: 'text', call: 2, text: 'Launched.' },
        ],
      }),
    ]);
  });

  it('keeps what was told before a run was lost until the message is reset', () => {
    const { events, tell } = createScript();
    const place = { message_id: MESSAGE, call: 1, part: 0 };
    tell('run-start', { thread_id: THREAD, kind: 'message', message_id: MESSAGE, model: 'gpt' });
    tell('text-start', place);
    tell('text-delta', { ...place, delta: 'Half a ' });
    tell('text-delta', { ...place, delta: 'sen' });
    tell('run-end', { status: 'lost', message_id: MESSAGE, usage: USAGE });
    expect(fold(events).run.status).toBe('recovering');
    expect(fold(events).messages[0]?.parts).toEqual([{ type: 'text', call: 1, text: 'Half a sen' }]);
    tell('run-start', {
      thread_id: THREAD,
      kind: 'recovery',
      message_id: MESSAGE,
      model: 'gpt',
      run_id: 'run-2',
    });
    tell('message-reset', { message_id: MESSAGE, keep_parts: 0 });
    expect(fold(events).run).toMatchObject({ status: 'running', runId: 'run-2', end: null });
    expect(fold(events).messages[0]?.parts).toEqual([]);
  });

  it('says why a run failed, and that a turn is over when its last approval lapsed', () => {
    const failed = createScript();
    failed.tell('run-start', { thread_id: THREAD, kind: 'message', message_id: MESSAGE, model: 'gpt' });
    const error = { code: 'MODEL_TIMEOUT', message: 'Too slow.', retryable: true };
    failed.tell('run-end', { status: 'failed', message_id: MESSAGE, usage: USAGE, error });
    expect(fold(failed.events).run).toMatchObject({ status: 'idle', end: 'failed', error });
    expect(fold(failed.events).messages[0]?.status).toBe('partial');

    const { events, tell } = createScript();
    for (const id of ['a', 'b']) tell('approval-request', { approval: makeApproval({ approval_id: id }) });
    tell('run-end', { status: 'awaiting_approval', message_id: MESSAGE, usage: USAGE });
    tell('approval-end', { approval_id: 'a', status: 'expired' });
    expect(fold(events).run.status).toBe('awaiting_approval');
    tell('approval-end', { approval_id: 'b', status: 'expired' });
    expect(fold(events).run.status).toBe('idle');
    expect(fold(events).messages).toHaveLength(1);
  });

  it('takes a snapshot for the whole truth, and a reader in the middle of a turn misses only what was before', () => {
    const { events, tell } = createScript();
    tell('text-delta', { message_id: MESSAGE, call: 2, part: 2, delta: 'the end' });
    expect(fold(events).messages[0]?.parts).toEqual([
      { type: 'text', call: 2, text: '' },
      { type: 'text', call: 2, text: '' },
      { type: 'text', call: 2, text: 'the end' },
    ]);
    const conversation = makeDetail({ title: 'Whole', messages: [USER_MESSAGE], last_seq: 1 });
    tell('snapshot', { conversation });
    expect(fold(events)).toEqual({ ...createConversationState(conversation), lastSeq: 2 });
    tell('conversation-update', { archived: true });
    expect(fold(events)).toMatchObject({ title: 'Whole', archived: true });
  });

  it('passes over types of a newer service', () => {
    const unknown: JournalEvent = JSON.parse('{"seq":9,"type":"brand-new","data":{}}');
    expect(fold([unknown])).toEqual({ ...createConversationState(), lastSeq: 9 });
  });
});
