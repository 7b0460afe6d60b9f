/** What the model is shown of a conversation: stored messages as the provider's, fenced, repaired and cut to a window. */

import type { ErrorCode } from '../errors.ts';
import type { Message, Part } from '../runtime/events.ts';
import type { ToolEnd } from '../runtime/ports.ts';
import type { PlainMessage } from './model.ts';

/** Tokens that history may take, estimated as characters / 4. */
const WINDOW_TOKENS = 24_000;
/** A tool result of an earlier turn is shown up to this many characters. */
const OLD_RESULT_CHARS = 4_000;

export interface History {
  messages: PlainMessage[];
  /** Whether any of it holds text that a stranger may have written. */
  tainted: boolean;
  /** How many stored messages did not fit. */
  omitted: number;
}

/** Builds the window from stored messages, ascending; the newest always fit. */
export function buildHistory(stored: readonly Message[], isUntrusted: (tool: string) => boolean): History {
  const kept: PlainMessage[][] = [];
  let room = WINDOW_TOKENS;
  let omitted = 0;
  let tainted = false;
  // The mark on the message says it all, unless the run that would have set it was lost.
  const holdsStrangers = (part: Part) =>
    part.type === 'tool' && part.status === 'ok' && isUntrusted(part.name);
  for (const message of [...stored].reverse()) {
    const group =
      message.role === 'assistant'
        ? fromParts(message.parts, isUntrusted)
        : [{ role: 'user' as const, content: message.content }];
    const cost = estimateTokens(group);
    // Also of what falls out of the window: it may live on in what was said of it.
    tainted ||= message.metadata.tainted === true || message.parts.some(holdsStrangers);
    if (omitted > 0 || (kept.length > 0 && cost > room)) {
      omitted += 1;
      continue;
    }
    room -= cost;
    kept.unshift(group);
  }
  const messages = kept.flat();
  if (omitted > 0) {
    messages.unshift({
      role: 'system',
      content: `(${omitted} earlier messages of this conversation are not shown.)`,
    });
  }
  return { messages: repair(messages), tainted, omitted };
}

/** An assistant message of an ended turn, as the provider wants it: one message a model call, each call answered. */
function fromParts(parts: readonly Part[], isUntrusted: (tool: string) => boolean): PlainMessage[] {
  const calls = new Map<number, { text: string; tools: Extract<Part, { type: 'tool' }>[] }>();
  for (const part of parts) {
    if (part.type !== 'text' && part.type !== 'tool') continue;
    const call = calls.get(part.call) ?? { text: '', tools: [] };
    calls.set(part.call, call);
    if (part.type === 'text') call.text += part.text;
    else call.tools.push(part);
  }
  // Of an edited call what was carried out is shown, as nothing else happened.
  const edited = new Map(
    parts.flatMap((part) =>
      part.type === 'approval' &&
      part.approval.decision === 'edit' &&
      part.approval.executed_args !== undefined
        ? [[part.approval.tool_call_id, part.approval.executed_args] as const]
        : [],
    ),
  );
  const messages: PlainMessage[] = [];
  for (const { text, tools } of calls.values()) {
    if (tools.length === 0) {
      if (text !== '') messages.push({ role: 'assistant', content: text });
      continue;
    }
    messages.push({
      role: 'assistant',
      content: text,
      tool_calls: tools.map((tool) => ({
        id: tool.tool_call_id,
        name: tool.name,
        args: edited.get(tool.tool_call_id) ?? tool.args,
      })),
    });
    for (const tool of tools) {
      const end: ToolEnd =
        tool.status === 'ok'
          ? { status: 'ok', result: tool.result }
          : {
              status: tool.status === 'running' ? 'unknown' : tool.status,
              error: tool.error ?? {
                code: 'EFFECT_UNKNOWN',
                message: 'How this call ended is not known.',
                retryable: false,
              },
            };
      const untrusted = end.status === 'ok' ? isUntrusted(tool.name) : quotesStrangers(end);
      const content = cut(toolContent(end, untrusted), untrusted);
      messages.push({ role: 'tool', tool_call_id: tool.tool_call_id, content });
    }
  }
  return messages;
}

/** Too much of an earlier turn, shortened; the fence stands around what is left. */
function cut(content: string, untrusted: boolean): string {
  if (content.length <= OLD_RESULT_CHARS) return content;
  const fence = untrusted ? { __untrusted_third_party_content: true } : {};
  return JSON.stringify({
    ...fence,
    shortened: true,
    content: content.slice(0, OLD_RESULT_CHARS).toWellFormed(),
  });
}

/** A call's end as the model reads it: JSON text; what a stranger may have written stands inside a fence. */
export function toolContent(end: ToolEnd, untrusted: boolean, editedArgs?: Record<string, unknown>): string {
  if (end.status === 'ok') {
    const result = end.result ?? null;
    const told = untrusted ? { __untrusted_third_party_content: true, content: result } : result;
    return JSON.stringify(
      editedArgs === undefined ? told : { changed_by_the_user_before_approval: editedArgs, result: told },
    );
  }
  const { code, message } = end.error;
  if (end.status === 'rejected') return JSON.stringify({ status: 'rejected', reason: message });
  const failure = { status: end.status, error: { code, message } };
  return JSON.stringify(
    quotesStrangers(end) ? { __untrusted_third_party_content: true, content: failure } : failure,
  );
}

/** Codes whose sentence may repeat what a mail server, a model provider or a lead's field says. */
const QUOTING: readonly ErrorCode[] = [
  'MAIL_REFUSED',
  'MODEL_REFUSED',
  'MODEL_RATE_LIMITED',
  'MODEL_UNAVAILABLE',
  'MODEL_STREAM_BROKEN',
  'TOOL_FAILED',
];

/** Whether a call that failed says so in words that a stranger may have written. */
export function quotesStrangers(end: ToolEnd): boolean {
  return end.status !== 'ok' && QUOTING.includes(end.error.code);
}

/** Adds a truthful result for every call that lacks one, and drops results without a call, so that a provider accepts the rest. */
export function repair(messages: readonly PlainMessage[]): PlainMessage[] {
  const repaired: PlainMessage[] = [];
  let open = new Set<string>();
  const close = () => {
    for (const id of open) {
      repaired.push({
        role: 'tool',
        tool_call_id: id,
        content: JSON.stringify({
          status: 'unknown',
          error: { code: 'EFFECT_UNKNOWN', message: 'This call was interrupted; its result is not known.' },
        }),
      });
    }
    open = new Set();
  };
  for (const message of messages) {
    if (message.role === 'tool') {
      if (open.delete(message.tool_call_id)) repaired.push(message);
      continue;
    }
    close();
    repaired.push(message);
    if (message.role === 'assistant') open = new Set((message.tool_calls ?? []).map((call) => call.id));
  }
  close();
  return repaired;
}

/** Characters / 4: good enough to keep a window, not to bill. */
export function estimateTokens(messages: readonly PlainMessage[]): number {
  return Math.ceil(JSON.stringify(messages).length / 4);
}
