/** What the model is shown of a conversation: a summary of the older part and the newest messages, fenced, repaired and kept to a window. */

import type { ErrorCode } from '../errors.ts';
import type { Past, Summary } from '../resources/turns/summaries.ts';
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
  /** How many messages are neither shown nor summarised. */
  omitted: number;
}

export type IsUntrusted = (tool: string) => boolean;

/** Builds the window: the summary, and of the messages after it the newest that fit, the very newest in any case. */
export function buildHistory({ summary, gap, messages }: Past, isUntrusted: IsUntrusted): History {
  const kept: PlainMessage[][] = [];
  let room = WINDOW_TOKENS;
  let omitted = 0;
  // Also of what falls out of the window: it may live on in what was said of it.
  let tainted = summary?.tainted === true || gap.tainted;
  for (const message of [...messages].reverse()) {
    const group = toPlain(message, isUntrusted);
    const cost = estimateTokens(group);
    tainted ||= isTainted(message, isUntrusted);
    if (omitted > 0 || (kept.length > 0 && cost > room)) {
      omitted += 1;
      continue;
    }
    room -= cost;
    kept.unshift(group);
  }
  omitted += gap.messages;
  const shown = kept.flat();
  if (omitted > 0) {
    const which =
      summary === null
        ? 'earlier messages of this conversation'
        : 'messages between that summary and what follows';
    shown.unshift({ role: 'system', content: `(${omitted} ${which} are not shown.)` });
  }
  if (summary !== null) shown.unshift(toSummaryMessage(summary));
  return { messages: repair(shown), tainted, omitted };
}

/** Whether the messages after the summary have become too many to be shown. */
export function isOutgrown({ gap, messages }: Past, isUntrusted: IsUntrusted): boolean {
  return (
    gap.messages > 0 ||
    messages.reduce((sum, message) => sum + estimateTokens(toPlain(message, isUntrusted)), 0) > WINDOW_TOKENS
  );
}

/** The summary as the model reads it: data in the user's place, as nobody's words may become the system's. */
function toSummaryMessage({ text, messages, tainted }: Summary): PlainMessage {
  const fence = tainted ? { __untrusted_third_party_content: true } : {};
  return {
    role: 'user',
    content: JSON.stringify({ ...fence, source: SUMMARY_SOURCE, messages, content: text }),
  };
}

/** Marks the message that is a summary; prompts/outreach/system.md explains it. */
export const SUMMARY_SOURCE = 'summary_of_earlier_messages';

/** A stored message as the provider's messages; one of an assistant is several. */
export function toPlain(message: Message, isUntrusted: IsUntrusted): PlainMessage[] {
  if (message.role === 'assistant') return fromParts(message.parts, isUntrusted);
  return [{ role: 'user', content: message.content }];
}

/** Whether a message holds text that a stranger may have written. */
export function isTainted(message: Message, isUntrusted: IsUntrusted): boolean {
  // The mark on the message says it all, unless the run that would have set it was lost.
  return (
    message.metadata.tainted === true ||
    message.parts.some((part) => part.type === 'tool' && part.status === 'ok' && isUntrusted(part.name))
  );
}

/** An assistant message of an ended turn, as the provider wants it: one message a model call, each call answered. */
function fromParts(parts: readonly Part[], isUntrusted: IsUntrusted): PlainMessage[] {
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
      const content = shorten(toolContent(end, untrusted), untrusted, OLD_RESULT_CHARS);
      messages.push({ role: 'tool', tool_call_id: tool.tool_call_id, content });
    }
  }
  return messages;
}

/** A result, shortened where it is longer than `most` characters; the fence stands around what is left. */
export function shorten(content: string, untrusted: boolean, most: number): string {
  if (content.length <= most) return content;
  const fence = untrusted ? { __untrusted_third_party_content: true } : {};
  return JSON.stringify({ ...fence, shortened: true, content: content.slice(0, most).toWellFormed() });
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
