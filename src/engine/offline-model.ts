/** The model that answers when none is configured: deterministic rules behind the OpenAI client's own `fetch`. */

import { nextStep } from './offline/next-step.ts';
import { completion, completionFrames, type Telling, tokens } from './offline/protocol.ts';
import { type ChatRequest, chatRequestSchema } from './offline/scene.ts';
import { summaryStep } from './offline/summary.ts';

/**
 * A `fetch` that answers `POST …/chat/completions` itself, streamed or whole, and nothing else (404). No request leaves
 * the process. A request that is not in OpenAI's form gets 400 in OpenAI's error shape. An aborted `init.signal`
 * rejects the call, and breaks a stream that is being read, with the signal's reason.
 */
export function createOfflineFetch(): typeof fetch {
  return async (input, init) => {
    const given = input instanceof Request ? input : undefined;
    const signal = init?.signal ?? given?.signal;
    signal?.throwIfAborted();
    const address = given?.url ?? String(input);
    if (
      !new URL(address).pathname.endsWith('/chat/completions') ||
      (init?.method ?? given?.method) !== 'POST'
    ) {
      return refusal(404, 'The offline model answers POST …/chat/completions only.');
    }
    const body = await new Response(init?.body ?? given?.body).text();
    signal?.throwIfAborted();
    const request = readRequest(body);
    if (!request) return refusal(400, 'The body is not a chat-completions request.');

    const step = summaryStep(request) ?? nextStep(request);
    const telling: Telling = {
      model: request.model ?? 'offline',
      includeUsage: request.stream_options?.include_usage === true,
      promptTokens: tokens(body.length),
    };
    if (!request.stream) return Response.json(completion(step, telling));
    return new Response(streamOf(completionFrames(step, telling), signal), {
      headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' },
    });
  };
}

function readRequest(body: string): ChatRequest | undefined {
  try {
    return chatRequestSchema.safeParse(JSON.parse(body)).data;
  } catch {
    return undefined;
  }
}

/** Frames as bytes, one a read: nothing is made ahead of its reader, so an abort takes effect at the next read. */
function streamOf(
  frames: Iterator<string>,
  signal: AbortSignal | null | undefined,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (signal?.aborted) return controller.error(signal.reason);
        const next = frames.next();
        if (next.done) controller.close();
        else controller.enqueue(encoder.encode(next.value));
      },
    },
    { highWaterMark: 0 },
  );
}

function refusal(status: number, message: string): Response {
  const error = { message, type: 'invalid_request_error', param: null, code: null };
  return Response.json({ error }, { status });
}
