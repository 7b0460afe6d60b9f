/** What the stories of a turn must agree in: rows, readers and what the model was shown. Each finding is a sentence; none is good. */

import { applyEvent, createConversationState } from '../../src/client/conversation.ts';
import type { JournalEvent, Message } from '../../src/client/events.ts';
import type { ChatRequest } from '../support/scripted-model.ts';

/** The assistant's message as a reader makes it of these events. */
export function reduced(events: readonly JournalEvent[]): Message | undefined {
  const state = events.reduce(applyEvent, createConversationState());
  return state.messages.find((message) => message.role === 'assistant');
}

/** Alike in all that a reader shows; `effect` and the card's own status of a card are told by other requests. */
export function sameMessage(one: Message | undefined, other: Message | undefined): boolean {
  const shown = (message: Message | undefined) =>
    JSON.stringify({
      id: message?.id,
      status: message?.status,
      content: message?.content,
      parts: sorted(message?.parts),
    });
  return shown(one) === shown(other);
}

/** The same value with sorted keys, so that its JSON can be compared. */
export function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}

/** All messages of the conversation as a reader makes them of these events. */
export function messagesOf(events: readonly JournalEvent[]): readonly Message[] {
  return events.reduce(applyEvent, createConversationState()).messages;
}

/** An assistant's message's text by its deltas alone. */
export function textOf(events: readonly JournalEvent[], turnId?: string): string {
  let texts = new Map<number, string>();
  for (const event of events) {
    if (turnId !== undefined && event.data.turn_id !== turnId) continue;
    if (event.type === 'text-start') texts.set(event.data.part, '');
    if (event.type === 'text-delta')
      texts.set(event.data.part, (texts.get(event.data.part) ?? '') + event.data.delta);
    if (event.type === 'message-reset') {
      const keep = event.data.keep_parts;
      texts = new Map([...texts].filter(([part]) => part < keep));
    }
  }
  return [...texts]
    .sort(([one], [other]) => one - other)
    .map(([, text]) => text)
    .join('\n\n');
}

/** What a reader must be told exactly once, and in pairs; the last run must have ended so. */
export function oddEvents(events: readonly JournalEvent[], end = 'completed'): string[] {
  const counts = new Map<string, number>();
  const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
  let runs = 0;
  for (const event of events) {
    if (event.type === 'run-start') runs += 1;
    if (event.type === 'run-end') runs -= 1;
    if (event.type === 'user-message') count(`user-message ${event.data.message.id}`);
    if (event.type === 'tool-end') count(`tool-end ${event.data.tool_call_id}`);
    if (event.type === 'approval-request') count(`approval-request ${event.data.approval.approval_id}`);
    if (event.type === 'approval-end') count(`approval-end ${event.data.approval_id}`);
  }
  const faults = [...counts]
    .filter(([, times]) => times !== 1)
    .map(([what, times]) => `${what} was told ${times} times`);
  const ends = events.filter((event) => event.type === 'approval-end').length;
  const requests = events.filter((event) => event.type === 'approval-request').length;
  if (ends !== requests) faults.push(`${requests} cards were asked and ${ends} ended`);
  if (runs !== 0) faults.push(`${runs} runs have no end`);
  const last = events.findLast((event) => event.type === 'run-end');
  if (last?.type !== 'run-end' || last.data.status !== end)
    faults.push(`the last run's end is ${JSON.stringify(last)}`);
  const numbers = events.map(({ seq }) => seq);
  if (numbers.some((seq, index) => index > 0 && seq <= (numbers[index - 1] ?? 0)))
    faults.push('the numbers do not ascend');
  return faults;
}

/** Calls without exactly one result, results without a call, in what the model was shown. */
export function oddHistory({ messages }: ChatRequest): string[] {
  const faults: string[] = [];
  let open = new Set<string>();
  const close = () => {
    for (const id of open) faults.push(`the model was shown call ${id} without its result`);
    open = new Set();
  };
  for (const message of messages) {
    if (message.role === 'tool') {
      if (!open.delete(message.tool_call_id ?? ''))
        faults.push(`the model was shown a result too many: ${message.tool_call_id}`);
      continue;
    }
    close();
    open = new Set((message.tool_calls ?? []).map((call) => call.id));
  }
  close();
  return faults;
}
