/** A run as LangGraph's first stream protocol tells it: frames by stream mode, numbered so that a reader can come back. */

import type { JournalEvent, Message, NewEvent } from '../runtime/events.ts';
import { GRAPH, type LangGraphMessage, langGraphInterrupts, langGraphMessages } from './langgraph.ts';
import { callMessageId, createFold, factOf, pendingIn } from './parts.ts';

/** The stream modes that are told. */
export const STREAM_MODES = ['values', 'updates', 'messages-tuple', 'messages', 'custom'] as const;
export type StreamMode = (typeof STREAM_MODES)[number];

export interface LangGraphTellerNeeds {
  threadId: string;
  runId: string;
  turnId: string;
  modes: ReadonlySet<StreamMode>;
  /** As the conversation stood when the first event is told or taken. */
  messages: readonly Message[];
}

type Frame = readonly [mode: StreamMode, event: string, data: unknown];

export type LangGraphTeller = ReturnType<typeof createLangGraphTeller>;

/** Tells one run. It holds what has been told, so each stream has its own. */
export function createLangGraphTeller({ threadId, runId, turnId, modes, messages }: LangGraphTellerNeeds) {
  const fold = createFold(messages, turnId);
  /** How often a call was taken back; clients add up the chunks of an id, so what comes again needs another. */
  const again = new Map<number, number>();
  /** Messages of which the older mode has told the metadata. */
  const begun = new Set<string>();
  const metadataOf = (node: 'model' | 'call') => ({
    langgraph_node: node,
    graph_id: GRAPH,
    run_id: runId,
    thread_id: threadId,
    checkpoint_ns: '',
  });

  const frame = (name: string, data: unknown): string => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;

  /** The frames of one event; the last carries its number, so that a reader who has it has all of them. */
  function numbered(seq: number, frames: readonly Frame[]): string {
    const wanted = frames.filter(([mode]) => modes.has(mode));
    return wanted
      .map(([, name, data], index) => (index === wanted.length - 1 ? `id: ${seq}\n` : '') + frame(name, data))
      .join('');
  }

  function idOf(messageId: string, call: number): string {
    const times = messageId === fold.current?.id ? (again.get(call) ?? 0) : 0;
    return times === 0 ? callMessageId(messageId, call) : `${callMessageId(messageId, call)}-${times}`;
  }

  /** The messages of the turn's answer so far. */
  const answered = (): LangGraphMessage[] =>
    fold.current === null ? [] : langGraphMessages([fold.current], idOf);

  const values = () => ['values', 'values', { messages: langGraphMessages(fold.messages, idOf) }] as const;

  const chunk = (message: object, node: 'model' | 'call' = 'model'): Frame => [
    'messages-tuple',
    'messages',
    [message, metadataOf(node)],
  ];

  /** The frames of the older mode, in which a message comes whole each time. */
  function whole(kind: 'partial' | 'complete', message: LangGraphMessage | undefined): Frame[] {
    if (message === undefined || !modes.has('messages')) return [];
    const told: Frame = ['messages', `messages/${kind}`, [message]];
    if (begun.has(message.id)) return [told];
    begun.add(message.id);
    const metadata = metadataOf(message.type === 'tool' ? 'call' : 'model');
    return [['messages', 'messages/metadata', { [message.id]: { metadata } }], told];
  }

  /** What the model says at the moment. */
  function saying(): LangGraphMessage | undefined {
    return modes.has('messages') ? answered().findLast(({ type }) => type === 'ai') : undefined;
  }

  function said(place: { message_id: string; call: number }, fields: Record<string, unknown>) {
    return chunk({
      type: 'AIMessageChunk',
      id: idOf(place.message_id, place.call),
      content: '',
      additional_kwargs: {},
      response_metadata: {},
      tool_calls: [],
      invalid_tool_calls: [],
      tool_call_chunks: [],
      ...fields,
    });
  }

  /** Which of its call's tools this one is. */
  function toolIndex(toolCallId: string): number {
    const tools = fold.current?.parts.filter((part) => part.type === 'tool') ?? [];
    const call = tools.find((part) => part.tool_call_id === toolCallId)?.call;
    return tools
      .filter((part) => part.call === call)
      .map((part) => part.tool_call_id)
      .indexOf(toolCallId);
  }

  function take(event: JournalEvent): NewEvent | null {
    if (event.turn_id !== turnId) return null;
    const fact = factOf(event);
    if (fact.type === 'message-reset') {
      const dropped = fold.current?.parts.slice(fact.data.keep_parts) ?? [];
      for (const call of new Set(dropped.map((part) => part.call)))
        again.set(call, (again.get(call) ?? 0) + 1);
    }
    fold.take(event);
    return fact;
  }

  function tell(event: JournalEvent): string {
    const fact = take(event);
    if (fact === null) return '';
    const { seq } = event;
    switch (fact.type) {
      case 'user-message':
        return numbered(seq, [values()]);
      case 'text-delta':
        return spoken(seq, said(fact.data, { content: fact.data.delta }));
      case 'reasoning-delta': {
        const additional_kwargs = { reasoning_content: fact.data.delta };
        return spoken(seq, said(fact.data, { additional_kwargs }));
      }
      case 'tool-start': {
        const { tool_call_id: id, name } = fact.data;
        const piece = { type: 'tool_call_chunk', index: toolIndex(id), id, name, args: '' };
        return spoken(seq, said(fact.data, { tool_call_chunks: [piece] }));
      }
      case 'tool-args-delta': {
        const { tool_call_id: id, delta: args } = fact.data;
        const piece = { type: 'tool_call_chunk', index: toolIndex(id), args };
        return spoken(seq, said(fact.data, { tool_call_chunks: [piece] }));
      }
      case 'call-end': {
        const ai = answered().findLast(({ type }) => type === 'ai');
        return numbered(seq, [
          ...whole('complete', ai),
          ['updates', 'updates', { model: { messages: ai === undefined ? [] : [ai] } }],
          values(),
        ]);
      }
      case 'tool-end': {
        const tool = answered().find((message) => message.tool_call_id === fact.data.tool_call_id);
        if (tool === undefined) return '';
        return numbered(seq, [
          chunk(tool, 'call'),
          ...whole('complete', tool),
          ['updates', 'updates', { call: { messages: [tool] } }],
          values(),
        ]);
      }
      case 'message-reset':
        return numbered(seq, [values()]);
      case 'notice':
      case 'tool-progress':
      case 'approval-end':
        return numbered(seq, [['custom', 'custom', { type: fact.type, ...fact.data }]]);
      case 'run-end':
        return end(seq, fact.data);
      default:
        return '';
    }
  }

  /** A piece of what the model says, in both modes. */
  const spoken = (seq: number, piece: Frame): string => numbered(seq, [piece, ...whole('partial', saying())]);

  function end(seq: number, { status, error }: Extract<NewEvent, { type: 'run-end' }>['data']): string {
    if (status === 'lost') return '';
    if (status === 'awaiting_approval') {
      const asked = { __interrupt__: langGraphInterrupts(pendingIn(fold.messages)) };
      // Clients merge a frame with an interrupt into what they have, so it comes last and by itself.
      return numbered(seq, [values(), ['values', 'values', asked], ['updates', 'updates', asked]]);
    }
    const last = numbered(seq, [values()]);
    if (status !== 'failed') return last;
    const fault = { error: error?.code ?? 'INTERNAL_ERROR', message: error?.message ?? 'The run failed.' };
    return `${last}${frame('error', fault)}`;
  }

  return {
    /** What comes first, on every connection. */
    begin: (): string => frame('metadata', { run_id: runId, attempt: 1 }),

    /** Takes an event without telling it: the client has had it. */
    take: (event: JournalEvent): void => void take(event),

    frame: tell,

    /** The state, and what waits, for a run of which nothing is left to tell. */
    state(): string {
      const interrupts = langGraphInterrupts(pendingIn(fold.messages));
      const asked = interrupts.length === 0 ? '' : frame('values', { __interrupt__: interrupts });
      return frame('values', { messages: langGraphMessages(fold.messages, idOf) }) + asked;
    },
  };
}
