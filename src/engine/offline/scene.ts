/** Reads a chat-completions request into what the rules look at: the words, the tools, what was called, what came back. */

import { z } from 'zod';
import { tidy } from './words.ts';

const contentSchema = z.union([
  z.string(),
  z.array(z.object({ type: z.string(), text: z.string().optional() })),
  z.null(),
]);

/** Requests are short. Longer words are not read, so that no pattern can take long: nothing is understood of them. */
const LONGEST = 2_000;

/** The part of an OpenAI chat-completions request that the offline model reads; the rest is ignored. */
export const chatRequestSchema = z.object({
  model: z.string().default('offline'),
  messages: z.array(
    z.object({
      role: z.string(),
      content: contentSchema.optional(),
      tool_calls: z
        .array(z.object({ id: z.string(), function: z.object({ name: z.string(), arguments: z.string() }) }))
        .nullish(),
      tool_call_id: z.string().nullish(),
    }),
  ),
  tools: z.array(z.object({ function: z.object({ name: z.string() }).optional() })).nullish(),
  tool_choice: z.unknown().optional(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().optional() }).nullish(),
});

export type ChatRequest = z.input<typeof chatRequestSchema>;
type ChatMessage = ChatRequest['messages'][number];

/** Plain data of a tool call or result; nothing about its fields is taken for granted. */
export type Row = Readonly<Record<string, unknown>>;

/** What became of one tool call. */
export type Outcome =
  | { status: 'ok'; result: Row }
  | { status: 'error'; code: string; message: string }
  | { status: 'refused'; how: string; reason: string };

/** One tool call with its outcome. */
export interface Exchange {
  name: string;
  args: Row;
  outcome: Outcome;
}

/** A turn as the messages tell it: the user's words and the tool calls that followed, in the order they were made. */
export interface Turn {
  raw: string;
  said: string;
  exchanges: Exchange[];
}

/** All a rule may look at. */
export interface Scene {
  tools: ReadonlySet<string>;
  /** The current user message as it was typed. */
  raw: string;
  /** The same without politeness and closing punctuation; empty where it is too long to be a request. */
  said: string;
  turn: Turn;
  earlier: readonly Turn[];
  /** The outcomes of this turn's calls of one tool, in the order they were made. */
  outcomes(tool: string): Outcome[];
}

/** Reads the request; messages before the first user message are no one's turn and are left out. */
export function readScene(request: ChatRequest): Scene {
  const turns = readTurns(request.messages);
  const turn = turns.pop() ?? { raw: '', said: '', exchanges: [] };
  const tools = request.tool_choice === 'none' ? [] : (request.tools ?? []);
  return {
    tools: new Set(tools.flatMap((tool) => (tool.function ? [tool.function.name] : []))),
    raw: turn.raw,
    said: turn.said,
    turn,
    earlier: turns,
    outcomes: (tool) => outcomesOf(turn, tool),
  };
}

/** The turns that messages tell, in their order. */
export function readTurns(messages: readonly ChatMessage[]): Turn[] {
  const answers = new Map(
    messages
      .filter((message) => message.role === 'tool')
      .map((message) => [message.tool_call_id, readOutcome(plainText(message.content))]),
  );
  const turns: Turn[] = [];
  for (const message of messages) {
    if (message.role === 'user') {
      const raw = plainText(message.content);
      turns.push({ raw, said: raw.length > LONGEST ? '' : tidy(raw), exchanges: [] });
    }
    for (const call of message.tool_calls ?? []) {
      turns.at(-1)?.exchanges.push({
        name: call.function.name,
        args: asRow(parseJson(call.function.arguments)),
        outcome: answers.get(call.id) ?? {
          status: 'error',
          code: 'NO_RESULT',
          message: 'It gave no result.',
        },
      });
    }
  }
  return turns;
}

/** The outcomes of a turn's calls of one tool, in the order they were made. */
export function outcomesOf(turn: Turn, tool: string): Outcome[] {
  return turn.exchanges.filter((exchange) => exchange.name === tool).map((exchange) => exchange.outcome);
}

/** The value as plain data; anything that is not an object becomes an empty row. */
export function asRow(value: unknown): Row {
  return isRow(value) ? value : {};
}

/** The rows under `key`; none where there is no list. */
export function rowsAt(row: Row, key: string): Row[] {
  const value = row[key];
  return Array.isArray(value) ? value.filter(isRow) : [];
}

/** The string or number under `key` as text; empty where there is neither. */
export function textAt(row: Row, key: string): string {
  const value = row[key];
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/** The number under `key`, or `otherwise`. */
export function numberAt(row: Row, key: string, otherwise: number): number {
  const value = row[key];
  return typeof value === 'number' ? value : otherwise;
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A message's text, whichever way it is spelled. */
export function plainText(content: ChatMessage['content']): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => part.text ?? '').join('');
}

/** The value; undefined where the text is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const REFUSALS = new Set(['rejected', 'cancelled', 'expired', 'superseded']);

function readOutcome(content: string): Outcome {
  const parsed = asRow(parseJson(content));
  // Of a call that a person edited the result stands beside what they changed.
  const whole = 'changed_by_the_user_before_approval' in parsed ? asRow(parsed.result) : parsed;
  const fenced = whole.__untrusted_third_party_content === true;
  const inner = typeof whole.content === 'string' ? parseJson(whole.content) : whole.content;
  const result = fenced ? asRow(inner) : whole;
  if (isRow(result.error)) {
    return { status: 'error', code: textAt(result.error, 'code'), message: textAt(result.error, 'message') };
  }
  const how = textAt(result, 'status');
  if (REFUSALS.has(how)) return { status: 'refused', how, reason: textAt(result, 'reason') };
  return { status: 'ok', result };
}
