/** One step told in OpenAI's chat-completions protocol, streamed or whole. */

import type { Step } from './intent.ts';

/** What an answer carries besides its step. Token counts are estimates (four characters a token). */
export interface Telling {
  model: string;
  includeUsage: boolean;
  promptTokens: number;
}

interface WireCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
}

/** The whole answer as one `chat.completion` object. */
export function completion(step: Step, telling: Telling): object {
  const { head, text, calls, usage, finishReason } = wire(step, telling);
  const message = {
    role: 'assistant',
    content: text || null,
    ...(calls.length > 0 && { tool_calls: calls }),
  };
  return {
    ...head,
    object: 'chat.completion',
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishReason }],
    usage,
  };
}

/** The frames of the streamed answer, in order, the closing `[DONE]` included. */
export function* completionFrames(step: Step, telling: Telling): Generator<string> {
  const { head, text, calls, usage, finishReason } = wire(step, telling);
  const chunk = (choices: object[], more: object = {}) =>
    frame({ ...head, object: 'chat.completion.chunk', choices, ...more });
  const delta = (delta: object, finish_reason: string | null = null) =>
    chunk([{ index: 0, delta, logprobs: null, finish_reason }], telling.includeUsage ? { usage: null } : {});

  yield delta({ role: 'assistant', content: text === '' ? null : '' });
  for (const piece of text.match(/\s*\S+\s*/g) ?? []) yield delta({ content: piece });
  for (const [index, call] of calls.entries()) {
    yield delta({ tool_calls: [{ index, ...call, function: { name: call.function.name, arguments: '' } }] });
    for (const piece of call.function.arguments.match(/.{1,24}/gsu) ?? []) {
      yield delta({ tool_calls: [{ index, function: { arguments: piece } }] });
    }
  }
  yield delta({}, finishReason);
  if (telling.includeUsage) yield chunk([], { usage });
  yield frame('[DONE]');
}

function wire(step: Step, telling: Telling) {
  const text = step.text ?? '';
  const calls = (step.toolCalls ?? []).map(
    (call): WireCall => ({
      id: `call_${crypto.randomUUID().replaceAll('-', '')}`,
      type: 'function',
      function: { name: call.name, arguments: JSON.stringify(call.args) },
    }),
  );
  const said = calls.reduce(
    (sum, call) => sum + call.function.name.length + call.function.arguments.length,
    text.length,
  );
  const completionTokens = tokens(said);
  return {
    head: {
      id: `chatcmpl-${crypto.randomUUID().replaceAll('-', '')}`,
      created: Math.floor(Date.now() / 1000),
      model: telling.model,
    },
    text,
    calls,
    finishReason: calls.length > 0 ? 'tool_calls' : 'stop',
    usage: {
      prompt_tokens: telling.promptTokens,
      completion_tokens: completionTokens,
      total_tokens: telling.promptTokens + completionTokens,
    },
  };
}

/** How many tokens so many characters are taken for. */
export function tokens(characters: number): number {
  return Math.ceil(characters / 4);
}

function frame(data: unknown): string {
  return `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
}
