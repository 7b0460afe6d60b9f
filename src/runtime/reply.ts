/** The assistant's message as it is made: each step is told to the journal, and the same events make the parts. */

import type { ErrorFact } from '../errors.ts';
import type { Approval, NewEvent, Part, Usage } from './events.ts';
import { type LiveRun, storable } from './journal.ts';
import type { InboxFact, LeasedTurn, Reply } from './ports.ts';

/** The reply as turn.ts sees it: what an engine may do, and what begins and ends a run. */
export interface OpenReply extends Reply {
  /** Drops the parts of model calls above `calls`: they will be told again. */
  resetTo(calls: number): void;
  /** Commits a fact that somebody else left for this run. */
  pass(fact: InboxFact): Promise<void>;
  /** The events that ask for these approvals; those already told are left out. */
  requests(approvals: readonly Approval[]): NewEvent[];
  /** The events that answer what is still open: calls, and approvals that nobody will decide any more. */
  closing(how: 'cancelled' | 'failed'): NewEvent[];
  /** The message as it will be after events that are told by a settle. */
  after(events: readonly NewEvent[]): { parts: Part[]; content: string };
}

export function createReply({ turn, run }: { turn: LeasedTurn; run: LiveRun }): OpenReply {
  let parts: Part[] = turn.parts;
  const usage: Usage = { ...turn.usage };
  /** The text or reasoning part that is being told. */
  let open: { index: number; type: 'text' | 'reasoning'; call: number } | null = null;
  /** Half a surrogate pair at the end of a delta: its other half is still to come. */
  let half = '';
  const ends = new Map<string, Promise<void>>();

  function tell(event: NewEvent): void {
    parts = applyEvent(parts, event);
    run.tell(event);
  }

  function closePart(): void {
    if (open === null) return;
    if (half !== '') write(open, storable(half));
    half = '';
    const { index, type, call } = open;
    open = null;
    const part = parts[index];
    const text = part?.type === 'text' || part?.type === 'reasoning' ? part.text : '';
    tell({ type: `${type}-end`, data: { message_id: turn.messageId, call, part: index, text } });
  }

  function stream(type: 'text' | 'reasoning', call: number, delta: string): void {
    if (delta === '') return;
    if (open === null || open.type !== type || open.call !== call) {
      closePart();
      open = { index: parts.length, type, call };
      tell({ type: `${type}-start`, data: { message_id: turn.messageId, call, part: open.index } });
    }
    const text = half + delta;
    const last = text.charCodeAt(text.length - 1);
    half = last >= 0xd800 && last <= 0xdbff ? text.slice(-1) : '';
    write(open, storable(half === '' ? text : text.slice(0, -1)));
  }

  /** What is kept and what is told are the same text: the one that the database can hold. */
  function write({ index, type, call }: NonNullable<typeof open>, delta: string): void {
    if (delta === '') return;
    const part = parts[index];
    if (part?.type === type) part.text += delta;
    run.delta({ type: `${type}-delta`, data: { message_id: turn.messageId, call, part: index, delta } });
  }

  function toolIndex(toolCallId: string): number {
    return parts.findIndex((part) => part.type === 'tool' && part.tool_call_id === toolCallId);
  }

  return {
    get parts() {
      return parts;
    },
    usage,
    // What a page sends along may be a stranger's, whatever becomes of the run.
    tainted: turn.tainted || turn.input.page_context !== undefined,
    text: (call, delta) => stream('text', call, delta),
    reasoning: (call, delta) => stream('reasoning', call, delta),
    toolStart(call, toolCallId, name) {
      closePart();
      tell({
        type: 'tool-start',
        data: { message_id: turn.messageId, call, part: parts.length, tool_call_id: toolCallId, name },
      });
    },
    toolArgsDelta(toolCallId, delta) {
      const index = toolIndex(toolCallId);
      const part = parts[index];
      if (part?.type !== 'tool' || delta === '') return;
      run.delta({
        type: 'tool-args-delta',
        data: { message_id: turn.messageId, call: part.call, part: index, tool_call_id: toolCallId, delta },
      });
    },
    toolArgs(toolCallId, args) {
      const index = toolIndex(toolCallId);
      const part = parts[index];
      if (part?.type !== 'tool') return;
      tell({
        type: 'tool-args',
        data: {
          message_id: turn.messageId,
          call: part.call,
          part: index,
          tool_call_id: toolCallId,
          name: part.name,
          args,
        },
      });
    },
    toolProgress(toolCallId, done, total, note) {
      tell({ type: 'tool-progress', data: { tool_call_id: toolCallId, done, total, note } });
    },
    toolEnd(toolCallId, end) {
      const before = ends.get(toolCallId);
      if (before !== undefined) return before;
      const part = parts[toolIndex(toolCallId)];
      if (part?.type !== 'tool' || part.status !== 'running') return Promise.resolve();
      const event: NewEvent = { type: 'tool-end', data: { tool_call_id: toolCallId, ...end } };
      const told = run.commit(event).then(() => {
        parts = applyEvent(parts, event);
      });
      ends.set(toolCallId, told);
      return told;
    },
    callEnd(call, finishReason, callUsage) {
      closePart();
      usage.input_tokens += callUsage.input_tokens;
      usage.output_tokens += callUsage.output_tokens;
      usage.model_calls += 1;
      tell({ type: 'call-end', data: { call, finish_reason: finishReason, usage: callUsage } });
    },
    stepStart: (step) => run.tell({ type: 'step-start', data: { step } }),
    stepEnd: (step) => run.tell({ type: 'step-end', data: { step } }),
    notice(code, message) {
      closePart();
      tell({ type: 'notice', data: { code, message } });
    },
    stored: () => run.flushed(),
    resetTo(calls) {
      open = null;
      half = '';
      const kept = parts.findIndex((part) => part.call > calls);
      tell({
        type: 'message-reset',
        data: { message_id: turn.messageId, keep_parts: kept < 0 ? parts.length : kept },
      });
    },
    async pass(fact) {
      await run.commit(fact.event, fact);
      parts = applyEvent(parts, fact.event);
    },
    requests(approvals) {
      const told = new Set(parts.map((part) => (part.type === 'approval' ? part.approval.approval_id : '')));
      return approvals
        .filter((approval) => !told.has(approval.approval_id))
        .map((approval) => ({ type: 'approval-request', data: { approval } }));
    },
    closing(how) {
      closePart();
      return closingEvents(parts, how);
    },
    after(events) {
      closePart();
      const last = events.reduce<Part[]>(applyEvent, parts);
      return { parts: last, content: contentOf(last) };
    },
  };
}

/** The plain text of a message: its text parts, a blank line between them. */
export function contentOf(parts: readonly Part[]): string {
  return parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n\n');
}

/** The events that answer, truthfully, every call and approval that is still open in these parts. */
export function closingEvents(
  parts: readonly Part[],
  how: 'cancelled' | 'failed' | 'superseded' | 'expired',
): NewEvent[] {
  const events: NewEvent[] = [];
  const inDoubt = new Set(
    parts.flatMap((part) =>
      part.type === 'approval' && part.approval.kind === 'outcome' ? [part.approval.tool_call_id] : [],
    ),
  );
  for (const part of parts) {
    if (part.type === 'approval' && part.approval.status === 'pending') {
      const status = how === 'expired' ? 'expired' : 'superseded';
      events.push({ type: 'approval-end', data: { approval_id: part.approval.approval_id, status } });
    }
    if (part.type === 'tool' && part.status === 'running') {
      events.push({
        type: 'tool-end',
        data: inDoubt.has(part.tool_call_id)
          ? { tool_call_id: part.tool_call_id, status: 'unknown', error: IN_DOUBT }
          : {
              tool_call_id: part.tool_call_id,
              status: how === 'failed' ? 'error' : 'cancelled',
              error: { code: 'TURN_NOT_LIVE', message: CLOSED_BECAUSE[how], retryable: false },
            },
      });
    }
  }
  return events;
}

const IN_DOUBT: ErrorFact = {
  code: 'EFFECT_UNKNOWN',
  message: 'Nobody said how it ended, so it may have happened or not.',
  retryable: false,
};

const CLOSED_BECAUSE = {
  cancelled: 'Cancelled before it was carried out. Nothing was done.',
  failed: 'The turn failed before this was carried out. Nothing was done.',
  superseded: 'A new message came instead of a decision. Nothing was done.',
  expired: 'Nobody decided in time. Nothing was done.',
} as const;

/** The parts after an event. Deltas are for readers that saw the start; `Reply` keeps their text itself. */
export function applyEvent(parts: readonly Part[], event: NewEvent): Part[] {
  switch (event.type) {
    case 'text-start':
      return [...parts, { type: 'text', call: event.data.call, text: '' }];
    case 'reasoning-start':
      return [...parts, { type: 'reasoning', call: event.data.call, text: '' }];
    case 'text-delta':
    case 'reasoning-delta': {
      const { part, delta } = event.data;
      return parts.map((one, index) =>
        index === part && (one.type === 'text' || one.type === 'reasoning')
          ? { ...one, text: one.text + delta }
          : one,
      );
    }
    case 'tool-start': {
      const { call, tool_call_id, name } = event.data;
      return [...parts, { type: 'tool', call, tool_call_id, name, args: {}, status: 'running' }];
    }
    case 'tool-args':
      return changeTool(parts, event.data.tool_call_id, { args: event.data.args });
    case 'tool-end': {
      const { tool_call_id, status, result, error } = event.data;
      return changeTool(parts, tool_call_id, {
        status,
        ...(result === undefined ? {} : { result }),
        ...(error === undefined ? {} : { error }),
      });
    }
    case 'approval-request': {
      const call = parts.find(
        (part) => part.type === 'tool' && part.tool_call_id === event.data.approval.tool_call_id,
      )?.call;
      return [
        ...parts,
        { type: 'approval', call: call ?? parts.at(-1)?.call ?? 0, approval: event.data.approval },
      ];
    }
    case 'approval-end': {
      const { approval_id, args, args_hash, reason, ...decided } = event.data;
      return parts.map((part) =>
        part.type === 'approval' && part.approval.approval_id === approval_id
          ? {
              ...part,
              approval: {
                ...part.approval,
                ...decided,
                ...(reason === undefined ? {} : { decision_reason: reason }),
                ...(args === undefined ? {} : { executed_args: args }),
                ...(args_hash === undefined ? {} : { executed_hash: args_hash }),
              },
            }
          : part,
      );
    }
    case 'notice':
      return [...parts, { type: 'notice', call: parts.at(-1)?.call ?? 0, ...event.data }];
    case 'message-reset':
      return parts.slice(0, event.data.keep_parts);
    default:
      return [...parts];
  }
}

function changeTool(
  parts: readonly Part[],
  toolCallId: string,
  change: Partial<Extract<Part, { type: 'tool' }>>,
): Part[] {
  return parts.map((part) =>
    part.type === 'tool' && part.tool_call_id === toolCallId ? { ...part, ...change } : part,
  );
}
