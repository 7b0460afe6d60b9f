/** Lets any other LangChain chat model serve as our model, through one awaited callback handler. */

import { BaseCallbackHandler, type HandleLLMNewTokenCallbackFields } from '@langchain/core/callbacks/base';
import type { BaseChatModel } from '@langchain/core/language_models/chat_models';
import { AIMessageChunk, type BaseMessage, isAIMessage } from '@langchain/core/messages';
import { ServiceError } from '../errors.ts';
import type { Model, ModelAnswer, ModelSink, ModelTool } from './model.ts';
import { createToolCallAssembly } from './model-calls.ts';
import { abortError, refusalError } from './model-errors.ts';
import { toLangChainMessages } from './model-messages.ts';
import { estimateTokens, isWhole } from './model-stream.ts';

type Chunk = HandleLLMNewTokenCallbackFields['chunk'];

/** Where the integrations put the provider's finish reason. */
const FINISH_REASON_KEYS = ['finish_reason', 'stop_reason', 'finishReason', 'stopReason'];

/**
 * A model behind another LangChain integration. Its retries, time-outs, limits and temperature are its own:
 * `temperature`, `model` and `maxOutputTokens` of a call are not passed on.
 *
 * Errors: those of `Model.call`, as far as the integration's errors carry an HTTP status; `MODEL_STREAM_BROKEN` also
 * for tool calls in an answer without a finish reason, for most integrations take a cut stream for a whole one.
 */
export function createFallbackModel(chatModel: BaseChatModel): Model {
  return {
    name: chatModel.getName(),
    async call({ messages, tools, sink, signal }) {
      const hearing = createHearing(sink);
      const handler = Object.assign(
        BaseCallbackHandler.fromMethods({
          handleLLMNewToken(token, _index, _runId, _parentRunId, _tags, fields) {
            hearing.token(token, fields?.chunk);
          },
        }),
        // A handler that is not awaited waits in one queue for the whole process. lc_prefer_streaming makes `invoke` stream.
        { awaitHandlers: true, raiseError: true, lc_prefer_streaming: true },
      );
      const input = toLangChainMessages(messages);
      const runnable = tools.length === 0 ? chatModel : bindTools(chatModel, tools);
      try {
        const message = await runnable.invoke(input, { signal, callbacks: [handler] });
        signal.throwIfAborted();
        return hearing.finish(message, input);
      } catch (error) {
        if (signal.aborted) throw abortError(signal);
        throw hearing.failure(error);
      }
    },
  };
}

function bindTools(chatModel: BaseChatModel, tools: readonly ModelTool[]) {
  if (chatModel.bindTools === undefined) {
    throw new Error(`The chat model ${chatModel.getName()} cannot call tools.`);
  }
  return chatModel.bindTools(
    tools.map(({ name, description, parameters }) => ({ name, description, schema: parameters })),
  );
}

/** Gathers an answer from the callbacks of one call. */
function createHearing(sink: ModelSink) {
  const calls = createToolCallAssembly(sink);
  let content = '';
  let finishReason = '';
  let told = false;
  let sinkError: unknown;

  function tell(text: string, message: BaseMessage | undefined): void {
    if (text !== '') {
      content += text;
      sink.text(text);
    }
    if (message === undefined || !AIMessageChunk.isInstance(message)) return;
    const { reasoning_content: reasoning } = message.additional_kwargs;
    if (typeof reasoning === 'string' && reasoning !== '') sink.reasoning(reasoning);
    for (const call of message.tool_call_chunks ?? []) calls.add(call);
  }

  return {
    token(token: unknown, chunk: Chunk): void {
      told = true;
      const message = chunk !== undefined && 'message' in chunk ? chunk.message : undefined;
      finishReason ||= finishReasonOf(chunk?.generationInfo, message);
      try {
        tell(typeof token === 'string' ? token : '', message);
      } catch (error) {
        sinkError = error;
        throw error;
      }
    },
    failure(error: unknown): unknown {
      if (sinkError !== undefined) return sinkError;
      if (error instanceof ServiceError || !told) return refusalError(error, '');
      return new ServiceError(
        'MODEL_STREAM_BROKEN',
        'The model stopped in the middle of its answer. Try again.',
      );
    },
    finish(message: BaseMessage, input: readonly BaseMessage[]): ModelAnswer {
      finishReason ||= finishReasonOf(undefined, message);
      // An integration that does not stream has told nothing so far.
      if (content === '' && message.text !== '') tell(message.text, undefined);
      if (calls.size === 0 && isAIMessage(message)) {
        for (const [index, { id, name, args }] of (message.tool_calls ?? []).entries()) {
          calls.add({ index, id, name, args: JSON.stringify(args) });
        }
      }
      if (calls.size > 0 && finishReason === '') {
        throw new ServiceError(
          'MODEL_STREAM_BROKEN',
          'The model gave no finish reason, so its tool calls may not be whole. Try again.',
        );
      }
      const usage = isAIMessage(message) ? message.usage_metadata : undefined;
      const inputLength = input.reduce((sum, { text }) => sum + text.length, 0);
      return {
        content,
        toolCalls: calls.finish(isWhole(finishReason)),
        finishReason: finishReason || 'stop',
        usage: {
          inputTokens: usage?.input_tokens ?? estimateTokens(inputLength),
          outputTokens: usage?.output_tokens ?? estimateTokens(content.length + calls.length),
        },
      };
    },
  };
}

function finishReasonOf(info: Record<string, unknown> | undefined, message: BaseMessage | undefined): string {
  const places: (Record<string, unknown> | undefined)[] = [
    info,
    message?.response_metadata,
    message?.additional_kwargs,
  ];
  for (const place of places) {
    for (const key of FINISH_REASON_KEYS) {
      const value = place?.[key];
      if (typeof value === 'string' && value !== '') return value;
    }
  }
  return '';
}
