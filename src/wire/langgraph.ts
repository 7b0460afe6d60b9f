/** A conversation in LangGraph's words: messages, state, and LangChain's human-in-the-loop payloads in both casings. */

import type { Approval, Message } from '../runtime/events.ts';
import { callMessageId, callsOf, createUserNames, resultMessageId, toolText } from './parts.ts';

/** The one graph that is told of, and the id that it has as an assistant. */
export const GRAPH = 'outreach';
export const ASSISTANT_ID = '6f757472-6561-7368-8000-000000000001';

export interface LangGraphMessage {
  type: 'human' | 'ai' | 'tool';
  id: string;
  content: string;
  additional_kwargs: Record<string, unknown>;
  response_metadata: Record<string, unknown>;
  tool_calls?: { id: string; name: string; args: Record<string, unknown>; type: 'tool_call' }[];
  invalid_tool_calls?: never[];
  tool_call_id?: string;
  name?: string;
  status?: 'success' | 'error';
}

export interface LangGraphInterrupt {
  id: string;
  value: Record<string, unknown>;
}

/** Our messages as LangChain's; `idOf` names what a call of the model said. */
export function langGraphMessages(
  messages: readonly Message[],
  idOf: (messageId: string, call: number) => string = callMessageId,
): LangGraphMessage[] {
  const nameOf = createUserNames();
  return messages.flatMap((message): LangGraphMessage[] => {
    if (message.role === 'assistant') return answerMessages(message, idOf);
    if (message.role !== 'user') return [];
    const words = { content: message.content, additional_kwargs: {}, response_metadata: {} };
    return [{ type: 'human', id: nameOf(message), ...words }];
  });
}

function answerMessages(
  message: Message,
  idOf: (messageId: string, call: number) => string,
): LangGraphMessage[] {
  return callsOf(message).flatMap(({ call, reasoning, text, tools }): LangGraphMessage[] => {
    const thoughts = reasoning.map((thought) => thought.text).join('\n');
    const said: LangGraphMessage = {
      type: 'ai',
      id: idOf(message.id, call),
      content: text,
      tool_calls: tools.map((tool) => ({
        id: tool.tool_call_id,
        name: tool.name,
        args: tool.args,
        type: 'tool_call',
      })),
      invalid_tool_calls: [],
      additional_kwargs: thoughts === '' ? {} : { reasoning_content: thoughts },
      response_metadata: {},
    };
    const results = tools
      .filter((tool) => tool.status !== 'running')
      .map(
        (tool): LangGraphMessage => ({
          type: 'tool',
          id: resultMessageId(tool.tool_call_id),
          tool_call_id: tool.tool_call_id,
          name: tool.name,
          content: toolText(tool),
          status: tool.status === 'ok' ? 'success' : 'error',
          additional_kwargs: {},
          response_metadata: {},
        }),
      );
    return [said, ...results];
  });
}

/**
 * The cards that wait as one interrupt, as LangChain's middleware makes them: an action and its review for each card, in
 * order. Its id is made of theirs, so an answer names exactly what was shown.
 */
export function langGraphInterrupts(pending: readonly Approval[]): LangGraphInterrupt[] {
  if (pending.length === 0) return [];
  const actions = pending.map(({ tool, args, title, consequence }) => ({
    name: tool,
    args,
    description: `${title}\n\n${consequence}`,
  }));
  const reviews = pending.map(({ tool, args_schema, allowed_decisions }) => ({
    actionName: tool,
    action_name: tool,
    allowedDecisions: allowed_decisions,
    allowed_decisions,
    argsSchema: args_schema,
    args_schema,
  }));
  return [
    {
      id: interruptId(pending.map(({ approval_id }) => approval_id)),
      value: {
        actionRequests: actions,
        action_requests: actions,
        reviewConfigs: reviews,
        review_configs: reviews,
        approvals: pending,
      },
    },
  ];
}

export function interruptId(approvalIds: readonly string[]): string {
  return approvalIds.join('.');
}

/** How a thread stands, as `GET …/state` answers it. */
export interface ThreadView {
  /** As the client names it. */
  threadId: string;
  messages: readonly Message[];
  pending: readonly Approval[];
  /** What is being done: a run, or nothing. */
  running: boolean;
  /** The journal's number up to which this holds. */
  seq: number;
  createdAt: string;
}

export function checkpointId(seq: number): string {
  return `00000000-0000-6000-8000-${seq.toString(16).padStart(12, '0')}`;
}

export function threadState(view: ThreadView) {
  const interrupts = langGraphInterrupts(view.pending);
  const waits = interrupts.length > 0;
  return {
    values: { messages: langGraphMessages(view.messages) },
    next: waits ? ['call'] : view.running ? ['model'] : [],
    tasks: waits
      ? [
          {
            id: interrupts[0]?.id ?? '',
            name: 'call',
            path: [],
            error: null,
            interrupts,
            checkpoint: null,
            state: null,
            result: null,
          },
        ]
      : [],
    metadata: { source: 'loop', step: view.seq, graph_id: GRAPH, assistant_id: ASSISTANT_ID },
    created_at: view.createdAt,
    checkpoint: {
      thread_id: view.threadId,
      checkpoint_id: checkpointId(view.seq),
      checkpoint_ns: '',
      checkpoint_map: null,
    },
    parent_checkpoint: null,
  };
}

export type ThreadStatus = 'idle' | 'busy' | 'interrupted';

/** A thread as the lists and `GET …/threads/{id}` answer it. */
export function threadOf(thread: {
  threadId: string;
  createdAt: string;
  updatedAt: string;
  status: ThreadStatus;
  values: Record<string, unknown>;
  interrupts: readonly LangGraphInterrupt[];
}) {
  const { interrupts } = thread;
  return {
    thread_id: thread.threadId,
    created_at: thread.createdAt,
    updated_at: thread.updatedAt,
    metadata: { graph_id: GRAPH, assistant_id: ASSISTANT_ID },
    status: thread.status,
    config: {},
    values: thread.values,
    interrupts: interrupts[0] === undefined ? {} : { [interrupts[0].id]: interrupts },
  };
}
