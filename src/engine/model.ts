/** The model as the engine sees it: one call with plain messages, told to a sink as it streams, answered as plain data. */

import { createChatModel } from './model-chat.ts';
import { toLangChainMessages } from './model-messages.ts';
import { createModelFetch } from './model-transport.ts';

/** Hears an answer as it comes. All calls are synchronous and in stream order; what it throws ends the call. */
export interface ModelSink {
  text(delta: string): void;
  reasoning(delta: string): void;
  /** `index` is ours: 0, 1, … by first appearance. `providerId` is '' where the provider sends none. */
  toolStart(index: number, providerId: string, name: string): void;
  toolArgs(index: number, delta: string): void;
}

export interface ModelSettings {
  apiKey: string;
  /** Default: OpenAI's own. */
  baseUrl?: string;
  model: string;
  /** Answers the HTTP requests in place of our own transport (the offline model does). */
  fetch?: typeof fetch;
  /** Milliseconds without a byte from the provider after which a call is given up and its connection closed. */
  idleTimeoutMs: number;
  /** How often a request is sent again after 429, 5xx or a reset, before its first token. */
  maxRetries: number;
}

export interface ModelTool {
  name: string;
  description: string;
  /** JSON schema of the arguments. */
  parameters: Record<string, unknown>;
}

/** One message in the provider's terms, as plain data: what graph state and history hold. */
export type PlainMessage =
  | { role: 'system'; content: string }
  | { role: 'user'; content: string }
  | { role: 'assistant'; content: string; tool_calls?: { id: string; name: string; args: unknown }[] }
  | { role: 'tool'; tool_call_id: string; content: string };

/** One tool call of an answer. */
export interface ModelToolCall {
  index: number;
  /** '' where the provider sent none; providers also repeat theirs, so it identifies nothing by itself. */
  providerId: string;
  name: string;
  argsText: string;
  /** null: not a JSON object, or the answer was cut short (`finishReason` length, …): never execute it. */
  args: Record<string, unknown> | null;
}

export interface ModelAnswer {
  content: string;
  toolCalls: ModelToolCall[];
  /** The provider's word: stop, tool_calls, length, content_filter, … */
  finishReason: string;
  /** As the provider counts; where it does not say, estimated as characters / 4. */
  usage: { inputTokens: number; outputTokens: number };
}

export interface ModelCall {
  messages: readonly PlainMessage[];
  /** Pass the same array each time: its conversion is kept by identity. Empty: an answer without tools. */
  tools: readonly ModelTool[];
  sink: ModelSink;
  signal: AbortSignal;
  temperature?: number;
  /** Default: the settings' model. */
  model?: string;
  maxOutputTokens?: number;
}

export interface Model {
  readonly name: string;
  /**
   * Asks the model once. What the sink was told before a failure stays told; a failed call yields no tool call.
   *
   * Errors: ServiceError with
   * `MODEL_UNAVAILABLE` (not reached, 5xx, or the connection ended before the first token),
   * `MODEL_RATE_LIMITED` (429 after the retries), `MODEL_REFUSED` (another 4xx),
   * `MODEL_STREAM_BROKEN` (the answer began and was cut, malformed, or carried an error),
   * `MODEL_TIMEOUT` (nothing came for `idleTimeoutMs`). When `signal` aborts: its reason, if that is an Error.
   */
  call(request: ModelCall): Promise<ModelAnswer>;
}

/** A model behind any OpenAI-compatible endpoint (chat completions, streamed). */
export function createModel(settings: ModelSettings): Model {
  type Chat = ReturnType<typeof createChatModel>;
  const chats = new Map<string, Chat>();
  const convertedTools = new WeakMap<readonly ModelTool[], ReturnType<typeof toOpenAITools>>();
  // One for all model names, so that they share its connections.
  const fetch = settings.fetch ?? createModelFetch();

  function chatFor(model: string): Chat {
    let chat = chats.get(model);
    if (chat === undefined) {
      chat = createChatModel({ ...settings, fetch, model });
      chats.set(model, chat);
    }
    return chat;
  }

  function toolsFor(tools: readonly ModelTool[]) {
    let converted = convertedTools.get(tools);
    if (converted === undefined) {
      converted = toOpenAITools(tools);
      convertedTools.set(tools, converted);
    }
    return converted;
  }

  return {
    name: settings.model,
    async call({ messages, tools, sink, signal, temperature, model, maxOutputTokens }) {
      let answer: ModelAnswer | undefined;
      // What bindTools(…).invoke(…) comes down to, without a new Runnable a call.
      await chatFor(model ?? settings.model).invoke(toLangChainMessages(messages), {
        ...toolsFor(tools),
        signal,
        sink,
        temperature,
        maxOutputTokens,
        onAnswer: (value) => {
          answer = value;
        },
      });
      if (answer === undefined) throw new Error('The chat model returned without an answer.');
      return answer;
    },
  };
}

function toOpenAITools(tools: readonly ModelTool[]) {
  const converted = tools.map(({ name, description, parameters }) => ({
    type: 'function' as const,
    function: { name, description, parameters },
  }));
  return { tools: converted, toolsJson: Buffer.from(JSON.stringify(converted)) };
}
