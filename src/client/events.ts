/** What the service tells over the wire, as types that stand alone: journal events, messages, approvals. */

export type RunKind = 'message' | 'resume' | 'recovery';
export type RunEndStatus = 'completed' | 'awaiting_approval' | 'cancelled' | 'failed' | 'lost';
export type ToolEndStatus = 'ok' | 'error' | 'rejected' | 'cancelled' | 'unknown';
export type ApprovalStatus = 'pending' | 'approved' | 'rejected' | 'expired' | 'superseded';
/** The last three answer an approval of kind `outcome`. */
export type DecisionKind = 'approve' | 'reject' | 'edit' | 'mark_done' | 'mark_failed' | 'retry';

/** `credits` are whole credits. */
export interface Usage {
  input_tokens: number;
  output_tokens: number;
  model_calls: number;
  tool_calls: number;
  credits: number;
}

export interface ErrorFact {
  code: string;
  message: string;
  retryable: boolean;
}

export interface Fact {
  label: string;
  value: string;
}

export interface Warning {
  code: string;
  message: string;
  severity: 'high' | 'medium' | 'low';
}

export interface Preview {
  from?: string;
  to?: string;
  subject?: string;
  body?: string;
}

export interface Approval {
  approval_id: string;
  thread_id: string;
  turn_id: string;
  tool_call_id: string;
  tool: string;
  kind: 'proposal' | 'outcome';
  title: string;
  reason: string;
  asked_for?: { user_id: string; email: string | null; kind: string };
  args: Record<string, unknown>;
  args_hash: string;
  args_schema: Record<string, unknown>;
  facts: Fact[];
  warnings: Warning[];
  preview: Preview[];
  consequence: string;
  allowed_decisions: DecisionKind[];
  status: ApprovalStatus;
  created_at: string;
  expires_at: string;
  decided_by?: string;
  decided_at?: string;
  decision?: DecisionKind;
  decision_reason?: string;
  executed_args?: Record<string, unknown>;
  executed_hash?: string;
  effect?: { state: 'intended' | 'done' | 'failed' | 'unknown'; provider_ref?: string | null };
}

/** What changes of an approval when other arguments are proposed: the new facts and the hash to decide with. */
export type ProposalPreview = Pick<Approval, 'args_hash'> &
  Partial<Pick<Approval, 'args' | 'title' | 'facts' | 'warnings' | 'preview' | 'consequence'>>;

export interface ToolPart {
  type: 'tool';
  call: number;
  tool_call_id: string;
  name: string;
  args: Record<string, unknown>;
  status: 'running' | ToolEndStatus;
  result?: unknown;
  error?: ErrorFact;
}

export type Part =
  | { type: 'text'; call: number; text: string }
  | { type: 'reasoning'; call: number; text: string }
  | ToolPart
  | { type: 'approval'; call: number; approval: Approval }
  | { type: 'file'; call: number; name: string; dataset_id: string }
  | { type: 'notice'; call: number; code: string; message: string };

export interface Message {
  id: string;
  thread_id: string;
  turn_id: string;
  role: 'user' | 'assistant' | 'system';
  status: 'complete' | 'partial';
  /** The plain text. */
  content: string;
  /** The whole, in order. */
  parts: Part[];
  metadata: Record<string, unknown>;
  created_at: string;
}

export type ConversationStatus = 'idle' | 'running' | 'awaiting_approval';

export interface ConversationSummary {
  thread_id: string;
  title: string | null;
  created_at: string;
  updated_at?: string;
  archived_at?: string | null;
  status: ConversationStatus;
  pending_approvals?: number;
  last_message_preview?: string | null;
  last_seq: number;
}

export interface ConversationDetail extends ConversationSummary {
  active_run: { turn_id: string; run_id: string; message_id?: string; model?: string } | null;
  /** One page, ascending in time. */
  messages: Message[];
  /** Reads the page before this one (`before_cursor`). */
  next_cursor: string | null;
  has_more: boolean;
}

export interface ConversationPage {
  conversations: ConversationSummary[];
  next_cursor: string | null;
  has_more: boolean;
}

export interface InterruptState {
  thread_id: string;
  pending: boolean;
  /** The oldest pending approval. */
  interrupt: Approval | null;
  interrupts: Approval[];
}

interface PartPlace {
  message_id: string;
  call: number;
  /** Index in the message's `parts`. */
  part: number;
}

/** Data of each event type, without what all events carry (`Told`). */
export interface EventData {
  'user-message': { message: Message; client_message_id?: string };
  'run-start': { thread_id: string; kind: RunKind; message_id: string; model: string };
  'step-start': { step: string };
  'step-end': { step: string };
  'text-start': PartPlace;
  'text-delta': PartPlace & { delta: string };
  'text-end': PartPlace & { text: string };
  'reasoning-start': PartPlace;
  'reasoning-delta': PartPlace & { delta: string };
  'reasoning-end': PartPlace & { text: string };
  'call-end': { call: number; finish_reason: string; usage: { input_tokens: number; output_tokens: number } };
  /** Parts from index `keep_parts` on are dropped; they come again. */
  'message-reset': { message_id: string; keep_parts: number };
  'tool-start': PartPlace & { tool_call_id: string; name: string };
  'tool-args-delta': PartPlace & { tool_call_id: string; delta: string };
  'tool-args': PartPlace & { tool_call_id: string; name: string; args: Record<string, unknown> };
  'tool-progress': { tool_call_id: string; done: number; total: number; note: string };
  'tool-end': { tool_call_id: string; status: ToolEndStatus; result?: unknown; error?: ErrorFact };
  'approval-request': { approval: Approval };
  'approval-end': {
    approval_id: string;
    status: Exclude<ApprovalStatus, 'pending'>;
    decision?: DecisionKind;
    decided_by?: string;
    decided_at?: string;
    reason?: string;
    /** As executed. */
    args?: Record<string, unknown>;
    args_hash?: string;
  };
  notice: { code: string; message: string };
  /** Sent first where a cursor is older than the journal. */
  snapshot: { conversation: ConversationDetail };
  'conversation-update': { title?: string | null; archived?: boolean };
  'run-end': { status: RunEndStatus; message_id: string; usage: Usage; error?: ErrorFact };
}

/** What the data of every event carries; null (or absent) on facts of the conversation itself. `at` is absent on deltas. */
export interface Told {
  turn_id?: string | null;
  run_id?: string | null;
  at?: string;
}

export type EventType = keyof EventData;

/** One event of type `T`. */
export type EventOf<T extends EventType> = { seq: number; type: T; data: EventData[T] & Told };

/** One numbered fact of a conversation; `seq` ascends but is not dense. A newer service may tell types not listed here. */
export type JournalEvent = { [T in EventType]: EventOf<T> }[EventType];

/** A change somewhere in the caller's conversations or approvals. A newer service may tell types not listed here. */
export type CallerEvent =
  | { type: 'conversation'; data: ConversationSummary }
  /** How many cards wait in the workspace. */
  | { type: 'approvals'; data: { pending: number } };

/** One decision of a `resume`, or the body of the decision request. */
export interface Decision {
  decision: DecisionKind;
  /** The hash of what was seen: of the approval, or of the preview for an `edit`. */
  args_hash: string;
  args?: Record<string, unknown>;
  reason?: string;
}

export type Resume =
  | { decisions: (Decision & { approval_id: string })[] }
  | { confirmed: boolean; reason?: string };
