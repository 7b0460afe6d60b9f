/** A conversation as its events tell it: a pure reducer, for pages, terminals and tests. */

import type {
  Approval,
  ConversationDetail,
  ErrorFact,
  EventOf,
  JournalEvent,
  Message,
  Part,
  RunEndStatus,
  ToolPart,
  Usage,
} from './events.ts';

export interface RunState {
  /** `recovering`: the run was lost and another process takes its turn over. */
  status: 'idle' | 'running' | 'recovering' | 'awaiting_approval';
  turnId: string | null;
  runId: string | null;
  model: string | null;
  /** The graph node at work. */
  step: string | null;
  /** How the last run ended, while none is live. */
  end: RunEndStatus | null;
  error: ErrorFact | null;
}

export interface ConversationState {
  readonly threadId: string | null;
  readonly title: string | null;
  readonly archived: boolean;
  /** The last event that is in; where to follow on from. */
  readonly lastSeq: number;
  /** Ascending in time; older pages are not in. */
  readonly messages: readonly Message[];
  readonly run: Readonly<RunState>;
  /** Of the last run that ended. */
  readonly usage: Readonly<Usage> | null;
  /** How far the tool calls at work have come, by `tool_call_id`. */
  readonly progress: Readonly<Record<string, { done: number; total: number; note: string }>>;
}

/** The state that a `GET` of the conversation shows, or that of a conversation of which nothing is known. */
export function createConversationState(detail?: ConversationDetail): ConversationState {
  return {
    threadId: detail?.thread_id ?? null,
    title: detail?.title ?? null,
    archived: (detail?.archived_at ?? null) !== null,
    lastSeq: detail?.last_seq ?? -1,
    messages: detail?.messages ?? [],
    run: {
      status: detail?.status ?? 'idle',
      turnId: detail?.active_run?.turn_id ?? null,
      runId: detail?.active_run?.run_id ?? null,
      model: detail?.active_run?.model ?? null,
      step: null,
      end: null,
      error: null,
    },
    usage: null,
    progress: {},
  };
}

/** The approvals that wait for a person, oldest first. */
export function pendingApprovals(state: ConversationState): Approval[] {
  return state.messages
    .flatMap((message) => message.parts)
    .flatMap((part) =>
      part.type === 'approval' && part.approval.status === 'pending' ? [part.approval] : [],
    );
}

/**
 * The state after an event. The given state is not changed and what the event does not touch is shared. An event that is
 * already in (`seq` not above `lastSeq`) changes nothing; a type that is not known only moves `lastSeq`.
 */
export function applyEvent(state: ConversationState, event: JournalEvent): ConversationState {
  if (event.seq <= state.lastSeq) return state;
  return { ...reduce(state, event), lastSeq: event.seq };
}

function reduce(state: ConversationState, event: JournalEvent): ConversationState {
  switch (event.type) {
    case 'user-message':
      return putMessage(state, event.data.message);
    case 'run-start':
      return startRun(state, event);
    case 'step-start':
      return { ...state, run: { ...state.run, step: event.data.step } };
    case 'step-end':
      return { ...state, run: { ...state.run, step: null } };
    case 'text-start':
    case 'reasoning-start': {
      const type = event.type === 'text-start' ? 'text' : 'reasoning';
      return putPart(state, event, () => ({ type, call: event.data.call, text: '' }));
    }
    case 'text-delta':
    case 'reasoning-delta': {
      const type = event.type === 'text-delta' ? 'text' : 'reasoning';
      const { call, delta } = event.data;
      return putPart(state, event, (before) => ({
        type,
        call,
        text: before?.type === type ? before.text + delta : delta,
      }));
    }
    case 'text-end':
    case 'reasoning-end': {
      const type = event.type === 'text-end' ? 'text' : 'reasoning';
      return putPart(state, event, () => ({ type, call: event.data.call, text: event.data.text }));
    }
    case 'message-reset':
      return changeAssistant(state, event, event.data.message_id, (message) => ({
        ...message,
        parts: message.parts.slice(0, event.data.keep_parts),
      }));
    case 'tool-start':
    case 'tool-args':
      return putPart(state, event, () => ({
        type: 'tool',
        call: event.data.call,
        tool_call_id: event.data.tool_call_id,
        name: event.data.name,
        args: event.type === 'tool-args' ? event.data.args : {},
        status: 'running',
      }));
    case 'tool-progress': {
      const { tool_call_id, done, total, note } = event.data;
      return { ...state, progress: { ...state.progress, [tool_call_id]: { done, total, note } } };
    }
    case 'tool-end':
      return endTool(state, event);
    case 'approval-request':
      return requestApproval(state, event);
    case 'approval-end':
      return endApproval(state, event);
    case 'notice': {
      const { code, message } = event.data;
      if (typeof event.data.turn_id !== 'string') return state;
      return appendPart(state, event, (call) => ({ type: 'notice', call, code, message }));
    }
    case 'snapshot':
      return createConversationState(event.data.conversation);
    case 'conversation-update': {
      const { title = state.title, archived = state.archived } = event.data;
      return { ...state, title, archived };
    }
    case 'run-end':
      return endRun(state, event);
    default:
      return state;
  }
}

function startRun(state: ConversationState, event: EventOf<'run-start'>): ConversationState {
  const { thread_id, turn_id = null, run_id = null, model, message_id } = event.data;
  const run = {
    status: 'running',
    turnId: turn_id,
    runId: run_id,
    model,
    step: null,
    end: null,
    error: null,
  } as const;
  return changeAssistant({ ...state, threadId: thread_id, run }, event, message_id, (message) => ({
    ...message,
    status: 'partial',
  }));
}

function endRun(state: ConversationState, event: EventOf<'run-end'>): ConversationState {
  const { status, usage, error = null, message_id } = event.data;
  const next: ConversationState = {
    ...state,
    usage,
    progress: status === 'lost' ? state.progress : {},
    run: {
      ...state.run,
      status: status === 'lost' ? 'recovering' : status === 'awaiting_approval' ? status : 'idle',
      step: null,
      end: status,
      error,
    },
  };
  return changeAssistant(next, event, message_id, (message) => ({
    ...message,
    status: status === 'completed' ? 'complete' : 'partial',
    metadata: { ...message.metadata, ended: status, usage, ...(error === null ? {} : { error }) },
    content: message.parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n\n'),
  }));
}

function endTool(state: ConversationState, event: EventOf<'tool-end'>): ConversationState {
  const { tool_call_id, status, result, error } = event.data;
  const { [tool_call_id]: _ended, ...progress } = state.progress;
  return changeParts({ ...state, progress }, isTool(tool_call_id), (part) => ({
    ...part,
    status,
    ...(result === undefined ? {} : { result }),
    ...(error === undefined ? {} : { error }),
  }));
}

function requestApproval(state: ConversationState, event: EventOf<'approval-request'>): ConversationState {
  const { approval } = event.data;
  const known = isApproval(approval.approval_id);
  if (state.messages.some((message) => message.parts.some(known))) {
    return changeParts(state, known, (part) => ({ ...part, approval }));
  }
  return appendPart(state, event, (call, parts) => ({
    type: 'approval',
    call: parts.find(isTool(approval.tool_call_id))?.call ?? call,
    approval,
  }));
}

function endApproval(state: ConversationState, event: EventOf<'approval-end'>): ConversationState {
  const { approval_id, status, decision, decided_by, decided_at, reason, args, args_hash } = event.data;
  const next = changeParts(state, isApproval(approval_id), (part) => ({
    ...part,
    approval: {
      ...part.approval,
      status,
      ...(decision === undefined ? {} : { decision }),
      ...(decided_by === undefined ? {} : { decided_by }),
      ...(decided_at === undefined ? {} : { decided_at }),
      ...(reason === undefined ? {} : { decision_reason: reason }),
      ...(args === undefined ? {} : { executed_args: args }),
      ...(args_hash === undefined ? {} : { executed_hash: args_hash }),
    },
  }));
  // A turn whose approvals all lapsed has ended; after a decision the next run says how it goes on.
  const lapsed = status === 'expired' || status === 'superseded';
  if (!lapsed || next.run.status !== 'awaiting_approval' || pendingApprovals(next).length > 0) return next;
  return { ...next, run: { ...next.run, status: 'idle' } };
}

type ApprovalPart = Extract<Part, { type: 'approval' }>;

function isTool(toolCallId: string): (part: Part) => part is ToolPart {
  return (part): part is ToolPart => part.type === 'tool' && part.tool_call_id === toolCallId;
}

function isApproval(approvalId: string): (part: Part) => part is ApprovalPart {
  return (part): part is ApprovalPart => part.type === 'approval' && part.approval.approval_id === approvalId;
}

function putMessage(state: ConversationState, message: Message): ConversationState {
  const at = state.messages.findIndex((known) => known.id === message.id);
  const messages = at === -1 ? [...state.messages, message] : state.messages.with(at, message);
  return { ...state, threadId: message.thread_id, messages };
}

type PartEvent = Extract<JournalEvent, { data: { message_id: string; part: number } }>;

function putPart(
  state: ConversationState,
  event: PartEvent,
  make: (before: Part | undefined) => Part,
): ConversationState {
  const { part: index, call, message_id } = event.data;
  return changeAssistant(state, event, message_id, (message) => {
    const parts = [...message.parts];
    // A reader that came in the middle of a turn has not seen the parts before.
    while (parts.length < index) parts.push({ type: 'text', call, text: '' });
    parts[index] = make(parts[index]);
    return { ...message, parts };
  });
}

/** Appends to the turn's assistant message a part that its event does not place: it follows what is there. */
function appendPart(
  state: ConversationState,
  event: EventOf<'approval-request'> | EventOf<'notice'>,
  make: (call: number, parts: readonly Part[]) => Part,
): ConversationState {
  return changeAssistant(state, event, null, (message) => ({
    ...message,
    parts: [...message.parts, make(message.parts.at(-1)?.call ?? 0, message.parts)],
  }));
}

/** Changes the first part that fits, looking from the newest message backwards. */
function changeParts<P extends Part>(
  state: ConversationState,
  fits: (part: Part) => part is P,
  change: (part: P) => Part,
): ConversationState {
  const at = state.messages.findLastIndex((message) => message.parts.some(fits));
  const message = state.messages[at];
  if (message === undefined) return state;
  const parts = message.parts.map((part) => (fits(part) ? change(part) : part));
  return { ...state, messages: state.messages.with(at, { ...message, parts }) };
}

/** Changes the one assistant message of the event's turn, which is made where it is not known yet. */
function changeAssistant(
  state: ConversationState,
  event: JournalEvent,
  messageId: string | null,
  change: (message: Message) => Message,
): ConversationState {
  const turnId = event.data.turn_id ?? null;
  const at = state.messages.findLastIndex(
    (message) =>
      message.role === 'assistant' &&
      (message.id === messageId || (turnId !== null && message.turn_id === turnId)),
  );
  const known = state.messages[at];
  if (known !== undefined) {
    const changed = change(messageId === null ? known : { ...known, id: messageId });
    return { ...state, messages: state.messages.with(at, changed) };
  }
  const made: Message = {
    id: messageId ?? `assistant-${turnId}`,
    thread_id: state.threadId ?? '',
    turn_id: turnId ?? '',
    role: 'assistant',
    status: 'partial',
    content: '',
    parts: [],
    metadata: {},
    created_at: event.data.at ?? '',
  };
  return { ...state, messages: [...state.messages, change(made)] };
}
