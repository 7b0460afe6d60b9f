/** The words of the journal: every event a conversation can tell, and the parts a message is made of (design.md §4, §5). */

import type { ErrorFact } from '../errors.ts';
import type { PrincipalKind } from './caller.ts';

export type TurnStatus = 'running' | 'awaiting_approval' | 'completed' | 'failed' | 'cancelled';
export type RunKind = 'message' | 'resume' | 'recovery';
export type RunEndStatus = 'completed' | 'awaiting_approval' | 'cancelled' | 'failed' | 'lost';
export type ToolEndStatus = 'ok' | 'error' | 'rejected' | 'cancelled' | 'unknown';
export type ApprovalStatus = 'pending' | 'approved' | 'rejected' | 'expired' | 'superseded';
export type ApprovalKind = 'proposal' | 'outcome';
export type EffectState = 'intended' | 'done' | 'failed' | 'unknown';
export type EffectClass = 'read' | 'write' | 'spend' | 'send' | 'launch';

/** The decisions a person may take; the last three answer an approval of kind `outcome`. */
export const DECISIONS = ['approve', 'reject', 'edit', 'mark_done', 'mark_failed', 'retry'] as const;
export type Decision = (typeof DECISIONS)[number];

/** What a turn has used; `credits` are whole credits. */
export interface Usage {
  input_tokens: number;
  output_tokens: number;
  model_calls: number;
  tool_calls: number;
  credits: number;
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

/** What will be sent, rendered as text. */
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
  kind: ApprovalKind;
  title: string;
  /** Why a person is asked. */
  reason: string;
  /** Whose turn asks; absent from cards of versions before 0.3. */
  asked_for?: { user_id: string; email: string | null; kind: PrincipalKind };
  args: Record<string, unknown>;
  /** SHA-256 (hex) over the canonical manifest: tool, arguments and everything they stand for. */
  args_hash: string;
  /** JSON schema of the arguments, for an editor. */
  args_schema: Record<string, unknown>;
  facts: Fact[];
  /** Worst first. */
  warnings: Warning[];
  preview: Preview[];
  consequence: string;
  allowed_decisions: Decision[];
  status: ApprovalStatus;
  created_at: string;
  expires_at: string;
  decided_by?: string;
  decided_at?: string;
  decision?: Decision;
  decision_reason?: string;
  executed_args?: Record<string, unknown>;
  executed_hash?: string;
  effect?: { state: EffectState; provider_ref?: string | null };
}

export type PartStatus = 'running' | ToolEndStatus;

export type Part =
  | { type: 'text'; call: number; text: string }
  | { type: 'reasoning'; call: number; text: string }
  | {
      type: 'tool';
      call: number;
      tool_call_id: string;
      name: string;
      args: Record<string, unknown>;
      status: PartStatus;
      result?: unknown;
      error?: ErrorFact;
    }
  | { type: 'approval'; call: number; approval: Approval }
  | { type: 'file'; call: number; name: string; dataset_id: string }
  | { type: 'notice'; call: number; code: string; message: string };

export interface Message {
  id: string;
  thread_id: string;
  turn_id: string;
  role: 'user' | 'assistant' | 'system';
  status: 'complete' | 'partial';
  content: string;
  parts: Part[];
  metadata: Record<string, unknown>;
  created_at: string;
}

/** Data of each event type, without the `turn_id`, `run_id` and `at` that all of them carry. */
export interface EventData {
  'user-message': { message: Message; client_message_id?: string };
  'run-start': { thread_id: string; kind: RunKind; message_id: string; model: string };
  'step-start': { step: string };
  'step-end': { step: string };
  'text-start': { message_id: string; call: number; part: number };
  'text-delta': { message_id: string; call: number; part: number; delta: string };
  'text-end': { message_id: string; call: number; part: number; text: string };
  'reasoning-start': { message_id: string; call: number; part: number };
  'reasoning-delta': { message_id: string; call: number; part: number; delta: string };
  'reasoning-end': { message_id: string; call: number; part: number; text: string };
  'call-end': { call: number; finish_reason: string; usage: { input_tokens: number; output_tokens: number } };
  'message-reset': { message_id: string; keep_parts: number };
  'tool-start': { message_id: string; call: number; part: number; tool_call_id: string; name: string };
  'tool-args-delta': { message_id: string; call: number; part: number; tool_call_id: string; delta: string };
  'tool-args': {
    message_id: string;
    call: number;
    part: number;
    tool_call_id: string;
    name: string;
    args: Record<string, unknown>;
  };
  'tool-progress': { tool_call_id: string; done: number; total: number; note: string };
  'tool-end': { tool_call_id: string; status: ToolEndStatus; result?: unknown; error?: ErrorFact };
  'approval-request': { approval: Approval };
  'approval-end': {
    approval_id: string;
    status: Exclude<ApprovalStatus, 'pending'>;
    decision?: Decision;
    decided_by?: string;
    decided_at?: string;
    reason?: string;
    args?: Record<string, unknown>;
    args_hash?: string;
  };
  notice: { code: string; message: string };
  snapshot: { conversation: unknown };
  'conversation-update': { title?: string | null; archived?: boolean };
  'run-end': { status: RunEndStatus; message_id: string; usage: Usage; error?: ErrorFact };
}

export type EventType = keyof EventData;

/** The deltas: told at once, merged when they wait together, stored merged, and without `at`. */
export const DELTA_TYPES = ['text-delta', 'reasoning-delta', 'tool-args-delta'] as const;
export type DeltaType = (typeof DELTA_TYPES)[number];

export function isDelta(type: EventType): type is DeltaType {
  return type === 'text-delta' || type === 'reasoning-delta' || type === 'tool-args-delta';
}

/** What no reader is told before it is stored, wherever its run lives (design.md §4). */
export function isStoredFirst(type: EventType): boolean {
  return STORED_FIRST.has(type);
}

const STORED_FIRST: ReadonlySet<EventType> = new Set([
  'user-message',
  'run-start',
  'tool-end',
  'approval-request',
  'approval-end',
  'run-end',
]);

/** One numbered fact of a conversation, as readers get it. `turn_id` and `run_id` are null on facts of the conversation itself. */
export interface JournalEvent<T extends EventType = EventType> {
  seq: number;
  type: T;
  turn_id: string | null;
  run_id: string | null;
  at: string;
  data: EventData[T];
}

/** An event before it has its number. */
export type NewEvent = { [T in EventType]: { type: T; data: EventData[T] } }[EventType];

export const NO_USAGE: Usage = {
  input_tokens: 0,
  output_tokens: 0,
  model_calls: 0,
  tool_calls: 0,
  credits: 0,
};
