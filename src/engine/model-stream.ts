/** Reads the body of a streamed chat completion into a sink, and trusts none of it. */

import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { ServiceError } from '../errors.ts';
import type { ModelAnswer, ModelSink } from './model.ts';
import { type AnswerBody, LostBody } from './model-body.ts';
import { createToolCallAssembly } from './model-calls.ts';
import { providerMessage } from './model-errors.ts';

/** Characters that one line or event may have. */
const LONGEST_EVENT = 1024 * 1024;

/** Characters that a whole answer may have: far more than any model says, far less than the process can hold. */
const LONGEST_ANSWER = 8 * 1024 * 1024;

/** finish_reason values after which an answer is not whole. */
const CUT_SHORT = new Set(['length', 'max_tokens', 'content_filter']);

const STREAM = { stream: true };

/** A chunk as far as it is read here. Providers leave any of it out, or send null. */
interface Chunk {
  error?: unknown;
  usage?: { prompt_tokens?: unknown; completion_tokens?: unknown } | null;
  choices?:
    | {
        delta?: {
          content?: unknown;
          refusal?: unknown;
          reasoning_content?: unknown;
          reasoning?: unknown;
          tool_calls?: ToolCallEntry[] | null;
        } | null;
        finish_reason?: string | null;
      }[]
    | null;
}

interface ToolCallEntry {
  index?: number | null;
  id?: string | null;
  function?: { name?: string | null; arguments?: string | null } | null;
}

export interface StreamNeeds {
  sink: ModelSink;
  /** Called for every piece that arrives. */
  touch(): void;
  /** Never repeated in an error. */
  apiKey: string;
  /** Characters of the request's messages, for the estimate where a provider counts nothing. */
  requestLength: number;
}

/**
 * Reads one answer to its end: `finish_reason` is what makes it whole, `[DONE]` is optional after it. `type` is the
 * response's content-type.
 *
 * Errors: `MODEL_STREAM_BROKEN` for an error event, a malformed or oversized event, an answer without measure, and an end
 * without `finish_reason`; `MODEL_UNAVAILABLE` if the connection or the body ends before anything was told, or the body is no
 * event stream. What the sink throws passes through.
 */
export async function readAnswer(
  body: AnswerBody | null,
  type: string,
  needs: StreamNeeds,
): Promise<ModelAnswer> {
  if (/\b(?:html|json)\b/i.test(type) || body === null) {
    throw new ServiceError(
      'MODEL_UNAVAILABLE',
      `The model endpoint answered with ${type.split(';')[0] || 'no body'} and not with an event stream. Check OPENAI_BASE_URL.`,
    );
  }
  const assembly = createAssembly(needs);
  const parser = createParser({
    maxBufferSize: LONGEST_EVENT,
    onEvent: assembly.event,
    onError(error) {
      if (error.type === 'max-buffer-size-exceeded') {
        throw broken('The model sent an event that is longer than 1 MiB.');
      }
    },
  });
  const decoder = new TextDecoder();
  try {
    await body.read((piece) => {
      needs.touch();
      parser.feed(decoder.decode(piece, STREAM));
      return assembly.done ? 'enough' : 'more';
    });
  } catch (error) {
    throw error instanceof LostBody ? assembly.lost(error.cause) : error;
  }
  return assembly.finish();
}

function createAssembly({ sink, apiKey, requestLength }: StreamNeeds) {
  const calls = createToolCallAssembly(sink);
  let content = '';
  let reasoningLength = 0;
  let finishReason = '';
  let inputTokens: number | undefined;
  let outputTokens: number | undefined;
  let told = false;
  let done = false;

  /** The connection ended too early. Where nothing was told yet, nobody has to know that an answer had begun. */
  function lost(cause?: unknown): ServiceError {
    if (told) return broken('The model stopped in the middle of its answer.', cause);
    return new ServiceError(
      'MODEL_UNAVAILABLE',
      'The model closed the connection without an answer. Try again.',
      {
        cause,
      },
    );
  }

  function takeDelta(delta: NonNullable<NonNullable<Chunk['choices']>[number]['delta']>): void {
    const text = delta.content ?? delta.refusal;
    if (typeof text === 'string') {
      if (text !== '') {
        told = true;
        content += text;
        sink.text(text);
        refuseWithoutMeasure();
      }
    } else if (text != null) {
      throw broken('The model sent content that is not text.');
    }
    const reasoning = delta.reasoning_content ?? delta.reasoning;
    if (typeof reasoning === 'string' && reasoning !== '') {
      told = true;
      reasoningLength += reasoning.length;
      sink.reasoning(reasoning);
      refuseWithoutMeasure();
    }
    if (delta.tool_calls == null) return;
    told = true;
    for (const { index, id, function: called } of delta.tool_calls) {
      calls.add({ index, id, name: called?.name, args: called?.arguments });
    }
    refuseWithoutMeasure();
  }

  function lengthSoFar(): number {
    return content.length + reasoningLength + calls.length;
  }

  function refuseWithoutMeasure(): void {
    if (lengthSoFar() > LONGEST_ANSWER)
      throw broken('The model said more than 8 Mi characters in one answer.');
  }

  return {
    get done() {
      return done;
    },
    lost,
    event(event: EventSourceMessage): void {
      if (done) return;
      if (event.data.startsWith('[DONE]')) {
        done = true;
        return;
      }
      const chunk = parseChunk(event.data);
      if (chunk.error != null || event.event === 'error') {
        const message = providerMessage(chunk.error ?? chunk, apiKey);
        throw broken(
          `The model ended its answer with an error.${message === '' ? '' : ` It says: ${message}`}`,
        );
      }
      if (chunk.usage != null) {
        const { prompt_tokens, completion_tokens } = chunk.usage;
        if (typeof prompt_tokens === 'number') inputTokens = prompt_tokens;
        if (typeof completion_tokens === 'number') outputTokens = completion_tokens;
      }
      const choice = chunk.choices?.[0];
      if (choice === undefined) return;
      if (choice.delta != null) takeDelta(choice.delta);
      if (choice.finish_reason) finishReason = choice.finish_reason;
    },
    finish(): ModelAnswer {
      if (finishReason === '') throw lost();
      if (finishReason === 'error') throw broken('The model ended its answer with an error.');
      return {
        content,
        toolCalls: calls.finish(isWhole(finishReason)),
        finishReason,
        usage: {
          inputTokens: inputTokens ?? estimateTokens(requestLength),
          outputTokens: outputTokens ?? estimateTokens(lengthSoFar()),
        },
      };
    },
  };
}

/** Whether a finish reason leaves the answer, and so its tool calls, complete. */
export function isWhole(finishReason: string): boolean {
  return !CUT_SHORT.has(finishReason.toLowerCase());
}

/** Tokens of a text of this many characters, roughly. */
export function estimateTokens(characters: number): number {
  return Math.ceil(characters / 4);
}

function parseChunk(data: string): Chunk {
  let chunk: Chunk | null;
  try {
    chunk = JSON.parse(data);
  } catch {
    throw broken('The model sent an event that is not JSON.');
  }
  if (typeof chunk !== 'object' || chunk === null)
    throw broken('The model sent an event that is not an object.');
  return chunk;
}

function broken(what: string, cause?: unknown): ServiceError {
  return new ServiceError('MODEL_STREAM_BROKEN', `${what} Try again.`, { cause });
}
