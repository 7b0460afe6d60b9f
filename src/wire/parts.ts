/** A message's parts as most protocols want them: one message for each call of the model, with the results apart. */

import type { Approval, JournalEvent, Message, NewEvent, Part } from '../runtime/events.ts';
import { applyEvent } from '../runtime/reply.ts';

export type ToolPart = Extract<Part, { type: 'tool' }>;

/** What one call of the model said. */
export interface ToldCall {
  call: number;
  /** `part` is the index in the message. */
  reasoning: { part: number; text: string }[];
  text: string;
  tools: ToolPart[];
}

/** Groups the parts by the call that made them, in order. */
export function callsOf(message: Message): ToldCall[] {
  const calls = new Map<number, ToldCall>();
  for (const [index, part] of message.parts.entries()) {
    if (part.type !== 'text' && part.type !== 'reasoning' && part.type !== 'tool') continue;
    const told = calls.get(part.call) ?? { call: part.call, reasoning: [], text: '', tools: [] };
    calls.set(part.call, told);
    if (part.type === 'text') told.text += part.text;
    else if (part.type === 'reasoning') told.reasoning.push({ part: index, text: part.text });
    else told.tools.push(part);
  }
  return [...calls.values()];
}

/** How a call ended, as JSON text: its result, or its status and why. */
export function toolText(end: Pick<ToolPart, 'status' | 'result' | 'error'>): string {
  if (end.status === 'ok') return JSON.stringify(end.result ?? null);
  return JSON.stringify({ status: end.status, error: end.error ?? null });
}

/** The event with its type and data held together, so that a look at the type narrows the data. */
export function factOf(event: JournalEvent): NewEvent {
  return { type: event.type, data: event.data } as NewEvent;
}

/** Names users' messages: by the client's own name where it gave one, and no name twice, as two tabs may count alike. */
export function createUserNames(): (message: Message) => string {
  const taken = new Set<string>();
  return (message) => {
    const { client_message_id: own } = message.metadata;
    const name = typeof own === 'string' && own !== '' && !taken.has(own) ? own : message.id;
    taken.add(name);
    return name;
  };
}

/** The id of what one call of the model said, for protocols in which each call is a message. */
export function callMessageId(messageId: string, call: number): string {
  return `${messageId}-${call}`;
}

/** The id of a call's result as a message. */
export function resultMessageId(toolCallId: string): string {
  return `${toolCallId}-result`;
}

/**
 * A message told again as the events that would make it: calls, cards and results in an order in which they can have
 * come. `live` says what is still being told, and is left open.
 */
export function retell(
  message: Message,
  live: { open: number | null; argsOpen: ReadonlySet<string> } = { open: null, argsOpen: new Set() },
): NewEvent[] {
  const events: NewEvent[] = [];
  let ends: NewEvent[] = [];
  let current = 0;
  for (const [index, part] of message.parts.entries()) {
    if (part.call !== current) {
      events.push(...ends);
      ends = [];
      current = part.call;
    }
    const place = { message_id: message.id, call: part.call, part: index };
    if (part.type === 'text' || part.type === 'reasoning') {
      events.push({ type: `${part.type}-start`, data: place });
      if (part.text !== '') events.push({ type: `${part.type}-delta`, data: { ...place, delta: part.text } });
      if (live.open !== index) events.push({ type: `${part.type}-end`, data: { ...place, text: part.text } });
    } else if (part.type === 'tool') {
      const { tool_call_id, name, args } = part;
      events.push({ type: 'tool-start', data: { ...place, tool_call_id, name } });
      if (!live.argsOpen.has(tool_call_id)) {
        events.push({ type: 'tool-args', data: { ...place, tool_call_id, name, args } });
      }
      if (part.status !== 'running') {
        const { status, result, error } = part;
        ends.push({ type: 'tool-end', data: { tool_call_id, status, result, error } });
      }
    } else if (part.type === 'approval') {
      events.push(...retellCard(part.approval));
    } else if (part.type === 'notice') {
      events.push({ type: 'notice', data: { code: part.code, message: part.message } });
    }
  }
  return [...events, ...ends];
}

function retellCard(approval: Approval): NewEvent[] {
  const request: NewEvent = { type: 'approval-request', data: { approval } };
  const { approval_id, status, decision, decided_by, decided_at, decision_reason } = approval;
  if (status === 'pending') return [request];
  const data = { approval_id, status, decision, decided_by, decided_at, reason: decision_reason };
  return [request, { type: 'approval-end', data }];
}

/** Messages that grow with the events of their turns, from wherever they stood. */
export interface Fold {
  readonly messages: Message[];
  /** The assistant's message of the turn that was told last. */
  readonly current: Message | null;
  take(event: JournalEvent): void;
}

export function createFold(standing: readonly Message[], turnId: string | null): Fold {
  const messages = [...standing];
  let current =
    messages.findLast((message) => message.role === 'assistant' && message.turn_id === turnId) ?? null;
  return {
    messages,
    get current() {
      return current;
    },
    take(event) {
      const fact = factOf(event);
      if (fact.type === 'user-message') {
        if (!messages.some(({ id }) => id === fact.data.message.id)) messages.push(fact.data.message);
        return;
      }
      if (fact.type === 'run-start' && event.turn_id !== null) {
        const { message_id: id, thread_id } = fact.data;
        current = messages.find((message) => message.id === id) ?? null;
        if (current === null) {
          current = emptyAnswer({ id, thread_id, turn_id: event.turn_id, created_at: event.at });
          messages.push(current);
        }
      }
      if (current !== null && current.turn_id === event.turn_id) {
        current.parts = applyEvent(current.parts, fact);
      }
    },
  };
}

/** The assistant's message of a turn that has said nothing yet. */
export function emptyAnswer(place: Pick<Message, 'id' | 'thread_id' | 'turn_id' | 'created_at'>): Message {
  return { ...place, role: 'assistant', status: 'partial', content: '', parts: [], metadata: {} };
}

/** The cards that wait in these messages, oldest first. */
export function pendingIn(messages: readonly Message[]): Approval[] {
  return messages
    .flatMap((message) => message.parts)
    .flatMap((part) =>
      part.type === 'approval' && part.approval.status === 'pending' ? [part.approval] : [],
    );
}
