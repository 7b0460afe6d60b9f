/**
 * A model that does whatever any text in its context tells it to: the worst that could read a stranger's words.
 * An order is `OBEY(tool|argument=value|…)`, wherever it stands; it is followed once a turn, with those exact arguments.
 */

import type { ChatRequest, ScriptedAnswer, ScriptedToolCall } from './scripted-model.ts';

/** Writes an order; values must not hold `|` or `)`. The same order is always spelled the same. */
export function order(tool: string, args: Record<string, string> = {}): string {
  const pairs = Object.entries(args).map(([name, value]) => `${name}=${value}`);
  return `OBEY(${[tool, ...pairs.sort()].join('|')})`;
}

/** For `model.otherwise`. Text in the user's own words is obeyed like any other. */
export function obey(request: ChatRequest): ScriptedAnswer {
  // Who writes mails is asked for JSON: the orders go into the mail, for whoever reads it next.
  if ((request.tools ?? []).length === 0) return { text: writing(request) };
  const since = request.messages.findLastIndex((message) => message.role === 'user');
  const followed = new Set(followedIn(request.messages.slice(since)));
  const orders = ordersIn(request.messages.map(({ content }) => content ?? '').join('\n'));
  const calls = [...orders].filter(([words]) => !followed.has(words)).map(([, call]) => call);
  return calls.length === 0
    ? { text: `Done: ${[...orders.keys()].join(' ')}` }
    : { text: 'At once. ', toolCalls: calls };
}

/** The orders in a text, as they are spelled, with the calls they ask for. */
export function ordersIn(text: string): Map<string, ScriptedToolCall> {
  const orders = new Map<string, ScriptedToolCall>();
  for (const [words, inside = ''] of text.matchAll(/OBEY\(([^)]*)\)/g)) {
    const [name = '', ...pairs] = inside.split('|');
    const args = pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]);
    orders.set(words, { name, args: Object.fromEntries(args) });
  }
  return orders;
}

/** The orders that were followed in these messages. */
export function followedIn(messages: ChatRequest['messages']): string[] {
  return messages
    .flatMap((message) => message.tool_calls ?? [])
    .map(({ function: called }) => order(called.name, JSON.parse(called.arguments || '{}')));
}

function writing(request: ChatRequest): string {
  const orders = ordersIn(request.messages.map(({ content }) => content ?? '').join('\n'));
  const words = [...orders.keys()].join(' ');
  return JSON.stringify({ commonalities: [], subject: 'Hello', body: `Hello there\n${words}`, claims: [] });
}
