/** LangChain's chat model for OpenAI-compatible endpoints, with a token path of its own. */

import { AIMessage, type BaseMessage } from '@langchain/core/messages';
import type { ChatResult } from '@langchain/core/outputs';
import {
  ChatOpenAICompletions,
  type ChatOpenAICompletionsCallOptions,
  convertMessagesToCompletionsMessageParams,
} from '@langchain/openai';
import { ServiceError } from '../errors.ts';
import type { ModelAnswer, ModelSettings, ModelSink } from './model.ts';
import { type AnswerBody, bodyOf } from './model-body.ts';
import { abortError, refusalError } from './model-errors.ts';
import { createIdleTimer, createWatchedFetch, type IdleTimer, type WatchedOptions } from './model-fetch.ts';
import { readAnswer } from './model-stream.ts';
import { createModelFetch } from './model-transport.ts';

const OPENAI_URL = 'https://api.openai.com/v1';

const SILENT_SINK: ModelSink = { text() {}, reasoning() {}, toolStart() {}, toolArgs() {} };

/** What a call may carry beyond LangChain's own options. */
export interface ChatCallOptions extends ChatOpenAICompletionsCallOptions {
  /** Hears the answer as it comes. LangChain's handleLLMNewToken callbacks do not fire. */
  sink?: ModelSink;
  /** Receives the answer as plain data before the call returns its message. */
  onAnswer?: (answer: ModelAnswer) => void;
  temperature?: number;
  maxOutputTokens?: number;
  /** `tools` in JSON, as they stand in the request. They are most of it and the same each time: whoever can keeps them. */
  toolsJson?: Buffer<ArrayBuffer>;
}

/** The chat model for one model name; see `createModel` for what its settings mean and which errors it raises. */
export function createChatModel(settings: ModelSettings): SinkChatModel {
  return new SinkChatModel(settings);
}

/**
 * Request shape, URL, headers, status errors and retries stay LangChain's and the SDK's; the body is read here, because
 * their token stream costs about ten times as much and takes a cut answer for a whole one.
 */
class SinkChatModel extends ChatOpenAICompletions<ChatCallOptions> {
  // Callbacks are handed a serialized model each call: ours would cost time and could tell its settings.
  override lc_serializable = false;
  readonly #settings: ModelSettings;

  constructor(settings: ModelSettings) {
    super({
      model: settings.model,
      // The SDK refuses an empty key; endpoints without one ignore what they get.
      apiKey: settings.apiKey || 'none',
      // LangChain's retries ignore Retry-After; the SDK's, asked for with each request, do not.
      maxRetries: 0,
      configuration: {
        baseURL: settings.baseUrl ?? OPENAI_URL,
        fetch: createWatchedFetch(settings.fetch ?? createModelFetch()),
        logLevel: 'off',
      },
    });
    this.#settings = settings;
    // Every way in (stream, streamEvents v1 and v2, streamMode messages) then ends in _generate. Set after the
    // constructor, which would also turn the counting of usage off.
    this.disableStreaming = true;
  }

  override async _generate(messages: BaseMessage[], options: this['ParsedCallOptions']): Promise<ChatResult> {
    const { signal } = options;
    if (signal?.aborted) throw abortError(signal);
    const upstream = new AbortController();
    let body: AnswerBody | null = null;
    // The client keeps a signal only as long as it waits itself.
    const abort = () => {
      upstream.abort();
      body?.close();
    };
    let timedOut = false;
    const idle = createIdleTimer(this.#settings.idleTimeoutMs, () => {
      timedOut = true;
      abort();
    });
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const { response, requestLength } = await this.#ask(messages, options, {
        signal: upstream.signal,
        idle,
      });
      body = bodyOf(response);
      const answer = await readAnswer(body, response.headers.get('content-type') ?? '', {
        sink: options.sink ?? SILENT_SINK,
        touch: idle.touch,
        apiKey: this.#settings.apiKey,
        requestLength,
      });
      options.onAnswer?.(answer);
      return toChatResult(answer, this.model);
    } catch (error) {
      abort();
      if (signal?.aborted) throw abortError(signal);
      if (timedOut) {
        throw new ServiceError(
          'MODEL_TIMEOUT',
          `The model sent nothing for ${this.#settings.idleTimeoutMs / 1000} seconds. Try again.`,
        );
      }
      throw error;
    } finally {
      idle.stop();
      signal?.removeEventListener('abort', abort);
    }
  }

  /**
   * Sends a request, again where that may help, and answers the head of a success, and how many characters the messages had.
   * The body, most of what a call needs, goes with this frame: a caller that waits for the answer holds on to all it has.
   */
  async #ask(
    messages: BaseMessage[],
    options: this['ParsedCallOptions'],
    { signal, idle }: { signal: AbortSignal; idle: IdleTimer },
  ): Promise<{ response: Response; requestLength: number }> {
    const { body, length } = this.#request(messages, options);
    const fetchOptions: WatchedOptions = { idle };
    this._getClientOptions(undefined);
    try {
      const response = await this.client
        .post('/chat/completions', {
          body,
          headers: { 'content-type': 'application/json' },
          stream: true,
          signal,
          maxRetries: this.#settings.maxRetries,
          fetchOptions,
        })
        .asResponse();
      return { response, requestLength: length };
    } catch (error) {
      throw refusalError(error, this.#settings.apiKey);
    }
  }

  /** The body of a request, and how many characters of it are its messages. */
  #request(
    messages: BaseMessage[],
    options: this['ParsedCallOptions'],
  ): { body: Buffer<ArrayBuffer>; length: number } {
    const { tools, ...params } = this.invocationParams(options, { streaming: true });
    // LangChain names the limit so for the models that reason; those refuse a temperature.
    const reasons = 'max_completion_tokens' in params;
    if (options.maxOutputTokens !== undefined) {
      params[reasons ? 'max_completion_tokens' : 'max_tokens'] = options.maxOutputTokens;
    }
    if (options.temperature !== undefined && !reasons) params.temperature = options.temperature;
    const told = JSON.stringify(convertMessagesToCompletionsMessageParams({ messages, model: this.model }));
    const rest = JSON.stringify({ ...params, stream: true });
    const parts = [Buffer.from(`${rest.slice(0, -1)},"messages":${told}`)];
    if (tools !== undefined) {
      parts.push(Buffer.from(',"tools":'), options.toolsJson ?? Buffer.from(JSON.stringify(tools)));
    }
    return {
      body: Buffer.concat([...parts, Buffer.from('}')]),
      length: told.length,
    };
  }
}

/** The answer in LangChain's terms: calls that must not run are `invalid_tool_calls`. */
function toChatResult(answer: ModelAnswer, model: string): ChatResult {
  const { content, finishReason, usage } = answer;
  const toolCalls = [];
  const invalidToolCalls = [];
  for (const { providerId, name, args, argsText } of answer.toolCalls) {
    const id = providerId || undefined;
    if (args === null) {
      invalidToolCalls.push({ type: 'invalid_tool_call' as const, id, name, args: argsText });
    } else {
      toolCalls.push({ type: 'tool_call' as const, id, name, args });
    }
  }
  const totalTokens = usage.inputTokens + usage.outputTokens;
  const message = new AIMessage({
    content,
    tool_calls: toolCalls,
    invalid_tool_calls: invalidToolCalls,
    usage_metadata: {
      input_tokens: usage.inputTokens,
      output_tokens: usage.outputTokens,
      total_tokens: totalTokens,
    },
    response_metadata: { finish_reason: finishReason, model_name: model },
  });
  return {
    generations: [{ text: content, message }],
    llmOutput: {
      tokenUsage: { promptTokens: usage.inputTokens, completionTokens: usage.outputTokens, totalTokens },
    },
  };
}
