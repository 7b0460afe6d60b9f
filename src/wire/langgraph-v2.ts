/** A thread as LangGraph's second stream protocol tells it: numbered events by channel, on a stream that outlives runs. */

import type { JournalEvent, Message, NewEvent } from '../runtime/events.ts';
import { checkpointId, GRAPH, interruptId, langGraphInterrupts, langGraphMessages } from './langgraph.ts';
import { callMessageId, createFold, factOf, pendingIn, toolText } from './parts.ts';

/**
 * Numbers that one event of the journal may take. Text has the highest, alone: whoever has it has all of that event,
 * which is what lets a reader that comes back be given the exact rest.
 */
const STRIDE = 10;
const TEXT = STRIDE - 1;

/** The highest number that an event of the journal can have here. */
export function protocolSeq(seq: number): number {
  return seq * STRIDE + TEXT;
}

/** The last event of the journal of which one who has this number here has all. */
export function journalSeq(seq: number): number {
  return Math.floor((seq + 1) / STRIDE) - 1;
}

export interface ThreadTellerNeeds {
  channels: ReadonlySet<string>;
  /** Events up to this number the client has had. */
  since: number;
  /** As the conversation stood before the first event that is told. */
  messages: readonly Message[];
}

export type ThreadTeller = ReturnType<typeof createThreadTeller>;

type Told = [method: string, data: unknown];

/** Tells one subscription. It holds what has been told, so each stream has its own. */
export function createThreadTeller({ channels, since, messages }: ThreadTellerNeeds) {
  const fold = createFold(messages, null);
  let openMessage: string | null = null;
  /** The interrupt that was told last, and is not answered. */
  let asked: string[] = [];
  let running = false;
  /** The cards that wait after all of the past: of its interrupts only theirs are told again. */
  let pending: ReadonlySet<string> = new Set();

  /** The frames of what one event tells; the order of `told` gives the numbers. */
  function frames(event: { seq: number; at: string }, told: readonly Told[], first = 0): string {
    return told
      .map(([method, data], index): string => {
        const seq = event.seq * STRIDE + first + index;
        if (seq <= since || !channelsOf(method, data).some((channel) => channels.has(channel))) return '';
        const params = { namespace: [], timestamp: Date.parse(event.at), data };
        const body = { type: 'event', event_id: String(seq), seq, method, params };
        return `event: ${method}\nid: ${seq}\ndata: ${JSON.stringify(body)}\n\n`;
      })
      .join('');
  }

  function values(seq: number, source: 'input' | 'loop'): Told[] {
    return [
      ['checkpoints', { id: checkpointId(seq), step: seq, source }],
      ['values', { messages: langGraphMessages(fold.messages) }],
    ];
  }

  /** Which content block of its message a part is. */
  function blockIndex(place: { call: number; part: number }): number {
    const before = fold.current?.parts.slice(0, place.part) ?? [];
    return before.filter(
      (part) =>
        part.call === place.call &&
        (part.type === 'text' || part.type === 'reasoning' || part.type === 'tool'),
    ).length;
  }

  /** Opens the message of a call with its first block. */
  function opening(place: { message_id: string; call: number }): Told[] {
    const id = callMessageId(place.message_id, place.call);
    if (openMessage === id) return [];
    openMessage = id;
    return [['messages', { event: 'message-start', role: 'ai', id }]];
  }

  function block(event: 'start' | 'finish', index: number, content: object): Told {
    return ['messages', { event: `content-block-${event}`, index, content }];
  }

  function told(seq: number, fact: NewEvent, replayed: boolean): Told[] {
    switch (fact.type) {
      case 'user-message':
        return values(seq, 'input');
      case 'run-start':
        running = true;
        // For a reader nothing has ended; what a call had said begins anew, under the id that it had.
        if (fact.data.kind === 'recovery') return [];
        return [['lifecycle', { event: 'running', graph_name: GRAPH }]];
      case 'text-start':
      case 'reasoning-start':
        return [...opening(fact.data), block('start', blockIndex(fact.data), content(fact.type, ''))];
      case 'text-end':
      case 'reasoning-end':
        return [block('finish', blockIndex(fact.data), content(fact.type, fact.data.text))];
      case 'tool-args': {
        const { tool_call_id: id, name, args } = fact.data;
        const index = blockIndex(fact.data);
        return [
          ...opening(fact.data),
          block('start', index, { type: 'tool_call_chunk', id, name, args: JSON.stringify(args) }),
          block('finish', index, { type: 'tool_call', id, name, args }),
        ];
      }
      case 'call-end':
        return [...closing(fact.data.usage), ...values(seq, 'loop')];
      case 'tool-progress':
        return [
          [
            'tools',
            { event: 'tool-output-delta', tool_call_id: fact.data.tool_call_id, delta: fact.data.note },
          ],
        ];
      case 'tool-end':
        return [...toolEnded(fact.data), ...values(seq, 'loop')];
      case 'notice':
        return [['custom', { name: 'notice', payload: fact.data }]];
      case 'approval-end':
        return answered(fact.data.approval_id, replayed);
      case 'message-reset':
        openMessage = null;
        return values(seq, 'loop');
      case 'run-end':
        return ended(seq, fact.data, replayed);
      default:
        return [];
    }
  }

  function closing(usage: { input_tokens: number; output_tokens: number }): Told[] {
    if (openMessage === null) return [];
    openMessage = null;
    const total_tokens = usage.input_tokens + usage.output_tokens;
    return [['messages', { event: 'message-finish', usage: { ...usage, total_tokens } }]];
  }

  function toolEnded(end: Extract<NewEvent, { type: 'tool-end' }>['data']): Told[] {
    const { tool_call_id, status } = end;
    const part = fold.current?.parts.find((one) => one.type === 'tool' && one.tool_call_id === tool_call_id);
    const tool = part?.type === 'tool' ? part : null;
    const started = { event: 'tool-started', tool_call_id, tool_name: tool?.name ?? '', input: tool?.args };
    const output = toolText(end);
    const finished =
      status === 'ok'
        ? { event: 'tool-finished', tool_call_id, output }
        : { event: 'tool-error', tool_call_id, message: end.error?.message ?? output };
    return [
      ['tools', started],
      ['tools', finished],
    ];
  }

  /** The interrupt is told again without what was decided, where the turn goes on waiting. */
  function answered(approvalId: string, replayed: boolean): Told[] {
    if (!asked.includes(approvalId)) return [];
    const answer: Told = ['input.answered', { interrupt_ids: [interruptId(asked)] }];
    asked = [];
    return running ? [answer] : [answer, ...asking(replayed)];
  }

  /** Of the past only what still waits is told: an answered card must not come back. */
  function asking(replayed: boolean): Told[] {
    const cards = pendingIn(fold.messages);
    if (replayed && cards.some(({ approval_id }) => !pending.has(approval_id))) return [];
    asked = cards.map(({ approval_id }) => approval_id);
    return langGraphInterrupts(cards).map(
      ({ id, value }): Told => ['input.requested', { interrupt_id: id, payload: value }],
    );
  }

  function ended(
    seq: number,
    end: Extract<NewEvent, { type: 'run-end' }>['data'],
    replayed: boolean,
  ): Told[] {
    // A lost run is followed by the one that takes it over: nothing ends for a reader.
    if (end.status === 'lost') return [];
    running = false;
    const broken: Told[] =
      openMessage === null ? [] : [['messages', { event: 'error', message: 'The answer was cut off.' }]];
    openMessage = null;
    const last = [...broken, ...values(seq, 'loop')];
    switch (end.status) {
      case 'completed':
        return [...last, ['lifecycle', { event: 'completed', graph_name: GRAPH }]];
      case 'failed':
        return [
          ...last,
          [
            'lifecycle',
            { event: 'failed', graph_name: GRAPH, error: end.error?.message ?? 'The run failed.' },
          ],
        ];
      default:
        return [...last, ...asking(replayed), ['lifecycle', { event: 'interrupted', graph_name: GRAPH }]];
    }
  }

  /** The text that is still being told after these events. */
  function openBlock(events: readonly JournalEvent[]): Told[] {
    const fact = events.map(factOf).findLast(({ type }) => /^(text|reasoning)-(start|end)$|^run-/.test(type));
    if (fact?.type !== 'text-start' && fact?.type !== 'reasoning-start') return [];
    const part = fold.current?.parts[fact.data.part];
    if (part?.type !== 'text' && part?.type !== 'reasoning') return [];
    return [block('start', blockIndex(fact.data), content(fact.type, part.text))];
  }

  function take(event: JournalEvent): NewEvent {
    fold.take(event);
    return factOf(event);
  }

  return {
    /** Tells the past. Text comes whole with its end, or as far as it is, so that hearing it twice changes nothing. */
    replay(events: readonly JournalEvent[]): string {
      const last = events.at(-1);
      if (last === undefined) return '';
      const after = createFold(messages, null);
      for (const event of events) after.take(event);
      pending = new Set(pendingIn(after.messages).map(({ approval_id }) => approval_id));
      const past = events.map((event) => frames(event, told(event.seq, take(event), true))).join('');
      return past + frames(last, openBlock(events), TEXT);
    },

    /** The frames of an event as it comes. */
    frame(event: JournalEvent): string {
      const fact = take(event);
      if (fact.type !== 'text-delta' && fact.type !== 'reasoning-delta') {
        return frames(event, told(event.seq, fact, false));
      }
      const delta =
        fact.type === 'text-delta'
          ? { type: 'text-delta', text: fact.data.delta }
          : { type: 'reasoning-delta', reasoning: fact.data.delta };
      const data = { event: 'content-block-delta', index: blockIndex(fact.data), delta };
      return frames(event, [['messages', data]], TEXT);
    },
  };
}

/** The channels on which something is told; a custom event has one of its own too. */
function channelsOf(method: string, data: unknown): string[] {
  if (method !== 'custom') return [method.split('.')[0] ?? method];
  return ['custom', `custom:${(data as { name: string }).name}`];
}

function content(
  type: 'text-start' | 'text-end' | 'reasoning-start' | 'reasoning-end',
  text: string,
): object {
  return type.startsWith('text') ? { type: 'text', text } : { type: 'reasoning', reasoning: text };
}
