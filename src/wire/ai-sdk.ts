/** A turn as the AI SDK tells it (UI message stream v1, read by versions 6 and 7), and its messages as UI messages. */

import type { Approval, JournalEvent, Message, NewEvent } from '../runtime/events.ts';
import { createUserNames, factOf, type ToolPart } from './parts.ts';

/** Marks the stream for readers that tell protocols apart by it. */
export const AI_SDK_HEADERS = { 'x-vercel-ai-ui-message-stream': 'v1' } as const;

export interface UiMessage {
  id: string;
  role: 'user' | 'assistant';
  metadata?: { thread_id: string; turn_id: string };
  parts: Record<string, unknown>[];
}

/** Our messages as the SDK keeps them; a card that waits is a part in state `approval-requested`. */
export function uiMessages(messages: readonly Message[]): UiMessage[] {
  const nameOf = createUserNames();
  return messages.flatMap((message): UiMessage[] => {
    if (message.role === 'system') return [];
    if (message.role === 'user')
      return [{ id: nameOf(message), role: 'user', parts: [{ type: 'text', text: message.content }] }];
    const metadata = { thread_id: message.thread_id, turn_id: message.turn_id };
    return [{ id: message.id, role: 'assistant', metadata, parts: uiParts(message) }];
  });
}

function uiParts(message: Message): Record<string, unknown>[] {
  const cards = new Map<string, Approval>();
  for (const part of message.parts) {
    if (part.type === 'approval') cards.set(part.approval.tool_call_id, part.approval);
  }
  const parts: Record<string, unknown>[] = [];
  let call: number | null = null;
  for (const part of message.parts) {
    const begins = part.type === 'text' || part.type === 'reasoning' || part.type === 'tool';
    if (begins && part.call !== call) {
      parts.push({ type: 'step-start' });
      call = part.call;
    }
    if (part.type === 'text' || part.type === 'reasoning') {
      parts.push({ type: part.type, text: part.text, state: 'done' });
    } else if (part.type === 'tool') parts.push(uiTool(part, cards.get(part.tool_call_id) ?? null));
    else if (part.type === 'approval') parts.push(cardPart(part.approval));
    else if (part.type === 'notice') parts.push(noticePart(part));
  }
  return parts;
}

function uiTool(tool: ToolPart, card: Approval | null): Record<string, unknown> {
  const part = { type: 'dynamic-tool', toolName: tool.name, toolCallId: tool.tool_call_id, input: tool.args };
  const approved = card?.status === 'approved' ? { approval: { id: card.approval_id, approved: true } } : {};
  if (tool.status === 'ok')
    return { ...part, ...approved, state: 'output-available', output: tool.result ?? null };
  if (tool.status === 'running') {
    if (card === null) return { ...part, state: 'input-available' };
    if (card.kind === 'outcome' && card.status === 'pending') {
      return { ...part, state: 'output-error', errorText: card.reason };
    }
    if (card.status === 'pending')
      return { ...part, state: 'approval-requested', approval: { id: card.approval_id } };
    return {
      ...part,
      ...approved,
      state: card.status === 'approved' ? 'approval-responded' : 'input-available',
    };
  }
  if (tool.status === 'rejected' && card?.status === 'rejected') {
    const reason = card.decision_reason === undefined ? {} : { reason: card.decision_reason };
    return {
      ...part,
      state: 'output-denied',
      approval: { id: card.approval_id, approved: false, ...reason },
    };
  }
  return { ...part, ...approved, state: 'output-error', errorText: errorText(tool) };
}

function errorText(end: Pick<ToolPart, 'status' | 'error'>): string {
  return end.error?.message ?? `This call ended as "${end.status}".`;
}

/** The whole card, for a page that shows more than a yes and a no; a later one with the same id takes its place. */
function cardPart(approval: Approval): Record<string, unknown> {
  return { type: 'data-approval', id: approval.approval_id, data: approval };
}

function noticePart({ code, message }: { code: string; message: string }): Record<string, unknown> {
  return { type: 'data-notice', data: { code, message } };
}

export interface AiSdkTellerNeeds {
  threadId: string;
  turnId: string;
  /** The client says that it knows the chunks that version 7 added. */
  v7: boolean;
  /** What the client's copy of the turn's message holds already; null where it is told from its beginning. */
  known: Message | null;
}

export type AiSdkTeller = ReturnType<typeof createAiSdkTeller>;

/** Tells one response message, or the rest of one. It holds what has been told, so each stream has its own. */
export function createAiSdkTeller({ threadId, turnId, v7, known }: AiSdkTellerNeeds) {
  const cards = new Map<string, Approval>();
  for (const part of known?.parts ?? []) {
    if (part.type === 'approval') cards.set(part.approval.approval_id, part.approval);
  }
  let begun = false;
  let over = false;
  let stepOpen = false;
  let call = known?.parts.findLast((part) => part.type === 'tool' || part.type === 'text')?.call ?? 0;
  /** Index of the first part of the step that is open. */
  let stepFrom = 0;
  let openPart: { id: string; kind: 'text' | 'reasoning' } | null = null;
  /** Calls whose arguments are told as they come. */
  const openArgs = new Set<string>();

  const one = (type: string, fields: object = {}): string =>
    `data: ${JSON.stringify({ type, ...fields })}\n\n`;
  const done = 'data: [DONE]\n\n';

  function begin(messageId: string): string {
    if (begun) return '';
    begun = true;
    return one('start', { messageId, messageMetadata: { thread_id: threadId, turn_id: turnId } });
  }

  /** Each call of the model is a step. */
  function step(data: { call: number; part: number }): string {
    if (data.call === call) return '';
    const text = closeStep() + one('start-step');
    call = data.call;
    stepOpen = true;
    stepFrom = data.part;
    return text;
  }

  function closePart(): string {
    if (openPart === null) return '';
    const { id, kind } = openPart;
    openPart = null;
    return one(`${kind}-end`, { id });
  }

  function closeStep(): string {
    const text = closePart() + (stepOpen ? one('finish-step') : '');
    stepOpen = false;
    return text;
  }

  function told(fact: NewEvent): string {
    switch (fact.type) {
      case 'run-start':
        return begin(fact.data.message_id);
      case 'text-start':
      case 'reasoning-start': {
        const kind = fact.type === 'text-start' ? 'text' : 'reasoning';
        const id = `${fact.data.part}`;
        const before = step(fact.data) + closePart();
        openPart = { id, kind };
        return before + one(`${kind}-start`, { id });
      }
      case 'text-delta':
      case 'reasoning-delta':
        if (openPart === null) return '';
        return one(`${openPart.kind}-delta`, { id: openPart.id, delta: fact.data.delta });
      case 'text-end':
      case 'reasoning-end':
        return closePart();
      case 'tool-start': {
        const { tool_call_id: toolCallId, name: toolName } = fact.data;
        openArgs.add(toolCallId);
        return (
          step(fact.data) + closePart() + one('tool-input-start', { toolCallId, toolName, dynamic: true })
        );
      }
      case 'tool-args-delta': {
        const { tool_call_id: toolCallId, delta: inputTextDelta } = fact.data;
        return openArgs.has(toolCallId) ? one('tool-input-delta', { toolCallId, inputTextDelta }) : '';
      }
      case 'tool-args': {
        const { tool_call_id: toolCallId, name: toolName, args: input } = fact.data;
        openArgs.delete(toolCallId);
        return one('tool-input-available', { toolCallId, toolName, input, dynamic: true });
      }
      case 'tool-progress':
        return one('data-tool-progress', { id: fact.data.tool_call_id, data: fact.data, transient: true });
      case 'tool-end':
        return output(fact.data);
      case 'approval-request':
        return request(fact.data.approval);
      case 'approval-end':
        return decision(fact.data);
      case 'notice': {
        const { type, ...fields } = noticePart(fact.data);
        return one(String(type), fields);
      }
      case 'message-reset':
        return reset(fact.data.keep_parts);
      case 'run-end':
        return end(fact.data);
      default:
        return '';
    }
  }

  function output(end: Pick<ToolPart, 'tool_call_id' | 'status' | 'result' | 'error'>): string {
    const toolCallId = end.tool_call_id;
    if (end.status === 'ok') {
      return one('tool-output-available', { toolCallId, output: end.result ?? null, dynamic: true });
    }
    if (end.status === 'rejected') return one('tool-output-denied', { toolCallId });
    return one('tool-output-error', { toolCallId, errorText: errorText(end), dynamic: true });
  }

  function card(approval: Approval): string {
    cards.set(approval.approval_id, approval);
    const { type, ...fields } = cardPart(approval);
    return one(String(type), fields);
  }

  function request(approval: Approval): string {
    const toolCallId = approval.tool_call_id;
    const ask =
      approval.kind === 'proposal'
        ? one('tool-approval-request', { approvalId: approval.approval_id, toolCallId })
        : // Yes and no do not answer what became of a call; and a part that stays answered is sent again for ever.
          one('tool-output-error', { toolCallId, errorText: approval.reason, dynamic: true });
    return card(approval) + ask;
  }

  function decision(data: Extract<NewEvent, { type: 'approval-end' }>['data']): string {
    const asked = cards.get(data.approval_id);
    if (asked === undefined) return '';
    const { approval_id: approvalId, status, reason, decided_by, decided_at } = data;
    const words = reason === undefined ? {} : { reason };
    const text = card({
      ...asked,
      status,
      decided_by,
      decided_at,
      decision: data.decision,
      decision_reason: reason,
    });
    if (!v7 || asked.kind !== 'proposal') return text;
    if (status !== 'approved' && status !== 'rejected') return text;
    return text + one('tool-approval-response', { approvalId, approved: status === 'approved', ...words });
  }

  /** What was told of a call that is made again is taken back; version 6 has no word for that. */
  function reset(keepParts: number): string {
    openPart = null;
    openArgs.clear();
    if (v7 && stepOpen && keepParts >= stepFrom) return one('reset-step');
    over = true;
    return farewell();
  }

  function end({ status, error }: Extract<NewEvent, { type: 'run-end' }>['data']): string {
    if (status === 'lost') return '';
    over = true;
    if (status === 'failed') {
      return closeStep() + one('error', { errorText: error?.message ?? 'The turn failed.' }) + done;
    }
    const finishReason =
      status === 'completed' ? 'stop' : status === 'awaiting_approval' ? 'tool-calls' : 'other';
    const aborted = status === 'cancelled' ? one('abort', { reason: 'The turn was cancelled.' }) : '';
    return closeStep() + aborted + one('finish', { finishReason }) + done;
  }

  const farewell = (): string =>
    one('error', {
      errorText: 'This connection ends here; the agent goes on. Resume the stream to follow it.',
    }) + done;

  return {
    begin,

    /** The frames of an event of the turn; none for other turns, and after the end. */
    frame: (event: JournalEvent): string => (event.turn_id === turnId && !over ? told(factOf(event)) : ''),

    /** The frames of events that are told again, which have no numbers. */
    retell: (events: readonly NewEvent[]): string => events.map(told).join(''),

    /** How the calls that had a card ended, for a client whose copy may not know yet. */
    outcomes(message: Message): string {
      const asked = new Set(
        message.parts.flatMap((part) => (part.type === 'approval' ? [part.approval.tool_call_id] : [])),
      );
      return message.parts
        .flatMap((part) =>
          part.type === 'tool' && part.status !== 'running' && asked.has(part.tool_call_id)
            ? [output(part)]
            : [],
        )
        .join('');
    },

    /** Ends the message here. */
    finish: (status: 'completed' | 'awaiting_approval' | 'cancelled'): string => {
      over = true;
      const reasons = { completed: 'stop', awaiting_approval: 'tool-calls', cancelled: 'other' };
      return closeStep() + one('finish', { finishReason: reasons[status] }) + done;
    },

    /** Whether the stream has told its last frame. */
    isOver: () => over,

    farewell,
  };
}
