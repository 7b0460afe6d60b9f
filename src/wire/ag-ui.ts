/** A conversation as AG-UI tells it (protocol 1.0, and 0.0.5x for clients that say no version): one run in one stream. */

import type { Approval, JournalEvent, Message, Usage } from '../runtime/events.ts';
import {
  callMessageId,
  callsOf,
  createFold,
  createUserNames,
  factOf,
  pendingIn,
  resultMessageId,
  toolText,
} from './parts.ts';

export type AgUiMessage =
  | { id: string; role: 'user'; content: string }
  | { id: string; role: 'reasoning'; content: string }
  | {
      id: string;
      role: 'assistant';
      content?: string;
      toolCalls?: { id: string; type: 'function'; function: { name: string; arguments: string } }[];
    }
  | { id: string; role: 'tool'; toolCallId: string; content: string; error?: string };

/** A card as AG-UI's interrupt; `metadata.approval` is the whole card. */
export interface AgUiInterrupt {
  id: string;
  reason: string;
  message: string;
  toolCallId: string;
  responseSchema: Record<string, unknown>;
  expiresAt: string;
  metadata: { approval: Approval };
}

/** What a page may answer to a proposal: its form is one that assistant-ui makes a card of. */
const PROPOSAL_ANSWER = {
  type: 'object',
  properties: {
    approved: { type: 'boolean' },
    reason: { type: 'string' },
    edited_args: {
      type: 'object',
      description: 'The arguments as they shall be, instead of those proposed.',
    },
  },
  required: ['approved'],
};

function outcomeAnswer(approval: Approval): Record<string, unknown> {
  return {
    type: 'object',
    properties: { decision: { type: 'string', enum: approval.allowed_decisions } },
    required: ['decision'],
  };
}

export function agUiInterrupt(approval: Approval): AgUiInterrupt {
  const proposal = approval.kind === 'proposal';
  return {
    id: approval.approval_id,
    // Clients make cards of calls that wait for a yes or no; what became of a call is another question.
    reason: proposal ? 'tool_call' : 'outcome',
    message: `${approval.title}. ${approval.consequence}`,
    toolCallId: approval.tool_call_id,
    responseSchema: proposal ? PROPOSAL_ANSWER : outcomeAnswer(approval),
    expiresAt: approval.expires_at,
    metadata: { approval },
  };
}

/** Our messages as AG-UI's: an assistant message for each call of the model, a tool message for each result. */
export function agUiMessages(
  messages: readonly Message[],
  argsOpen: ReadonlySet<string> = new Set(),
): AgUiMessage[] {
  const nameOf = createUserNames();
  return messages.flatMap((message): AgUiMessage[] => {
    if (message.role === 'assistant') return assistantMessages(message, argsOpen);
    if (message.role !== 'user') return [];
    return [{ id: nameOf(message), role: 'user', content: message.content }];
  });
}

function assistantMessages(message: Message, argsOpen: ReadonlySet<string>): AgUiMessage[] {
  return callsOf(message).flatMap(({ call, reasoning, text, tools }): AgUiMessage[] => {
    const thoughts = reasoning.map((thought) => ({
      id: reasoningId(message.id, thought.part),
      role: 'reasoning' as const,
      content: thought.text,
    }));
    if (text === '' && tools.length === 0) return thoughts;
    const calls = tools.map((tool) => ({
      id: tool.tool_call_id,
      type: 'function' as const,
      function: {
        name: tool.name,
        arguments: argsOpen.has(tool.tool_call_id) ? '' : JSON.stringify(tool.args),
      },
    }));
    const results = tools
      .filter((tool) => tool.status !== 'running')
      .map((tool) => ({
        id: resultMessageId(tool.tool_call_id),
        role: 'tool' as const,
        toolCallId: tool.tool_call_id,
        content: toolText(tool),
        ...(tool.error === undefined ? {} : { error: tool.error.message }),
      }));
    const said = {
      id: callMessageId(message.id, call),
      role: 'assistant' as const,
      ...(text === '' ? {} : { content: text }),
      ...(calls.length === 0 ? {} : { toolCalls: calls }),
    };
    return [...thoughts, said, ...results];
  });
}

export interface AgUiTellerNeeds {
  /** As the client named them. */
  threadId: string;
  runId: string;
  /** The client says no protocol version: it knows no cancelled outcome. */
  legacy: boolean;
  /** The turn that is told; null where only the conversation's state is asked for. */
  turnId: string | null;
  /** As the conversation stood when the stream was opened; the teller goes on from there. */
  messages: readonly Message[];
}

export type AgUiTeller = ReturnType<typeof createAgUiTeller>;

/** Tells one AG-UI run. It holds what has been told, so each stream has its own. */
export function createAgUiTeller(needs: AgUiTellerNeeds) {
  const { threadId, runId, legacy, turnId } = needs;
  const fold = createFold(needs.messages, turnId);
  const { messages } = fold;
  let open: { kind: 'TEXT' | 'REASONING'; id: string } | null = null;
  const openSteps = new Set<string>();
  /** Calls whose arguments are being told, and whether any of them were. */
  const openCalls = new Map<string, boolean>();

  const one = (type: string, fields: object): string => `data: ${JSON.stringify({ type, ...fields })}\n\n`;

  function openPart(kind: 'TEXT' | 'REASONING', id: string): string {
    open = { kind, id };
    if (kind === 'TEXT') return one('TEXT_MESSAGE_START', { messageId: id, role: 'assistant' });
    return (
      one('REASONING_START', { messageId: id }) +
      one('REASONING_MESSAGE_START', { messageId: id, role: 'reasoning' })
    );
  }

  function closePart(): string {
    if (open === null) return '';
    const { kind, id } = open;
    open = null;
    if (kind === 'TEXT') return one('TEXT_MESSAGE_END', { messageId: id });
    return one('REASONING_MESSAGE_END', { messageId: id }) + one('REASONING_END', { messageId: id });
  }

  function closeAll(): string {
    let text = closePart();
    for (const toolCallId of openCalls.keys()) text += one('TOOL_CALL_END', { toolCallId });
    openCalls.clear();
    for (const stepName of openSteps) text += one('STEP_FINISHED', { stepName });
    openSteps.clear();
    return text;
  }

  function snapshot(): string {
    return one('MESSAGES_SNAPSHOT', { messages: agUiMessages(messages, new Set(openCalls.keys())) });
  }

  function finish(outcome: object, usage: Usage): string {
    const spent = { inputTokens: usage.input_tokens, outputTokens: usage.output_tokens };
    return one('RUN_FINISHED', { threadId, runId, outcome, ...(legacy ? {} : { usage: [spent] }) });
  }

  /** The frames of one event; none for what AG-UI has no word for and for other turns. */
  function frame(event: JournalEvent): string {
    if (event.turn_id !== turnId || event.turn_id === null) return '';
    const fact = factOf(event);
    const before = fold.current?.parts.length ?? 0;
    fold.take(event);
    switch (fact.type) {
      case 'step-start':
        if (openSteps.has(fact.data.step)) return '';
        openSteps.add(fact.data.step);
        return one('STEP_STARTED', { stepName: fact.data.step });
      case 'step-end':
        return openSteps.delete(fact.data.step) ? one('STEP_FINISHED', { stepName: fact.data.step }) : '';
      case 'text-start':
        return openPart('TEXT', callMessageId(fact.data.message_id, fact.data.call));
      case 'reasoning-start':
        return openPart('REASONING', reasoningId(fact.data.message_id, fact.data.part));
      case 'text-delta':
      case 'reasoning-delta': {
        const type = fact.type === 'text-delta' ? 'TEXT_MESSAGE_CONTENT' : 'REASONING_MESSAGE_CONTENT';
        return open === null ? '' : one(type, { messageId: open.id, delta: fact.data.delta });
      }
      case 'text-end':
      case 'reasoning-end':
        return closePart();
      case 'tool-start':
        openCalls.set(fact.data.tool_call_id, false);
        return startCall(fact.data);
      case 'tool-args-delta': {
        const toolCallId = fact.data.tool_call_id;
        // Who came in the middle of the arguments gets them whole at their end.
        if (!openCalls.has(toolCallId)) return '';
        openCalls.set(toolCallId, true);
        return one('TOOL_CALL_ARGS', { toolCallId, delta: fact.data.delta });
      }
      case 'tool-args': {
        const toolCallId = fact.data.tool_call_id;
        const told = openCalls.get(toolCallId);
        openCalls.delete(toolCallId);
        const start = told === undefined ? startCall(fact.data) : '';
        const args =
          told === true ? '' : one('TOOL_CALL_ARGS', { toolCallId, delta: JSON.stringify(fact.data.args) });
        return start + args + one('TOOL_CALL_END', { toolCallId });
      }
      case 'tool-end': {
        const toolCallId = fact.data.tool_call_id;
        const end = openCalls.delete(toolCallId) ? one('TOOL_CALL_END', { toolCallId }) : '';
        const result = {
          messageId: resultMessageId(toolCallId),
          toolCallId,
          content: toolText(fact.data),
          role: 'tool',
        };
        return end + one('TOOL_CALL_RESULT', result);
      }
      case 'tool-progress':
      case 'notice':
      case 'approval-end':
        return one('CUSTOM', { name: fact.type, value: fact.data });
      case 'message-reset':
        return fact.data.keep_parts >= before ? '' : closeAll() + snapshot();
      case 'run-end':
        return closeAll() + endOf(fact.data);
      default:
        return '';
    }
  }

  function startCall(call: { message_id: string; call: number; tool_call_id: string; name: string }): string {
    return one('TOOL_CALL_START', {
      toolCallId: call.tool_call_id,
      toolCallName: call.name,
      parentMessageId: callMessageId(call.message_id, call.call),
    });
  }

  function endOf(end: { status: string; usage: Usage; error?: { code: string; message: string } }): string {
    switch (end.status) {
      case 'completed':
        return finish({ type: 'success' }, end.usage);
      case 'awaiting_approval':
        return finish({ type: 'interrupt', interrupts: pendingIn(messages).map(agUiInterrupt) }, end.usage);
      case 'cancelled':
        if (!legacy) return finish({ type: 'cancelled' }, end.usage);
        return one('RUN_ERROR', { message: 'The turn was cancelled.', code: 'CANCELLED' });
      case 'failed':
        return one('RUN_ERROR', {
          message: end.error?.message ?? 'The turn failed.',
          code: end.error?.code ?? 'INTERNAL_ERROR',
        });
      default:
        // A lost run is followed by the one that takes it over.
        return '';
    }
  }

  return {
    /** Begins the run. */
    begin: (): string => one('RUN_STARTED', { threadId, runId }),

    /** Begins the run of a client that comes in its middle: what was told so far, then the part that is open goes on. */
    join(live: { open: number | null; argsOpen: ReadonlySet<string> }): string {
      const said = one('MESSAGES_SNAPSHOT', { messages: agUiMessages(messages, live.argsOpen) });
      const begun = one('RUN_STARTED', { threadId, runId }) + said;
      const { current } = fold;
      const part = live.open === null ? undefined : current?.parts[live.open];
      if (current === null || part === undefined || live.open === null) return begun;
      if (part.type === 'text') return begun + openPart('TEXT', callMessageId(current.id, part.call));
      if (part.type === 'reasoning') return begun + openPart('REASONING', reasoningId(current.id, live.open));
      return begun;
    },

    /** A whole run that tells how the conversation stands, and the cards that wait in it. */
    sync(): string {
      const interrupts = pendingIn(messages).map(agUiInterrupt);
      const outcome = interrupts.length === 0 ? { type: 'success' } : { type: 'interrupt', interrupts };
      return (
        one('RUN_STARTED', { threadId, runId }) +
        snapshot() +
        one('RUN_FINISHED', { threadId, runId, outcome })
      );
    },

    frame,
    /** The run's end where the stream ends before it: the client is told to run again, which joins. */
    farewell: (): string =>
      one('RUN_ERROR', {
        message: 'This connection ends here; the agent goes on. Run again to follow it.',
        code: 'STREAM_ENDED',
      }),
  };
}

function reasoningId(messageId: string, part: number): string {
  return `${messageId}-r${part}`;
}
