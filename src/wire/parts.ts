/** A message's parts as most protocols want them: one message for each call of the model, with the results apart. */

import type { JournalEvent, Message, NewEvent, Part } from '../runtime/events.ts';

export type ToolPart = Extract<Part, { type: 'tool' }>;
export type ApprovalPart = Extract<Part, { type: 'approval' }>;

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

/** The id of a user's message: the client's own where it gave one. */
export function userMessageId(message: Message): string {
  const { client_message_id: own } = message.metadata;
  return typeof own === 'string' && own !== '' ? own : message.id;
}
