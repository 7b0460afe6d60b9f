/**
 * A model provider on a real socket that says what a test scripts: `POST /v1/chat/completions`, streamed.
 *
 * ```ts
 * const provider = await createScriptedModel();
 * provider.script(
 *   { toolCalls: [{ name: 'search_leads', args: { query: 'CTO' } }] }, // first model call
 *   'I found three.', //                                                  second: text, finish_reason stop
 *   (request) => `You sent ${request.messages.length} messages.`, //      third: made from the request
 * );
 * provider.otherwise(() => 'Whatever.'); // every call after the script; without it: status 400
 * // point OPENAI_BASE_URL, or createModel's baseUrl, at provider.url
 * provider.calls[0].request.tools; // what was asked
 * await (await provider.called(2)).ended; // the second call came, and how it ended
 * await provider.close();
 * ```
 *
 * A stream goes on when the test says so, never after a time: a promise among the pieces of a text is a gate.
 *
 * ```ts
 * const gate = Promise.withResolvers<void>();
 * provider.script({ text: ['Hel', gate.promise, 'lo'] });
 * // … 'Hel' was told; look around; then
 * gate.resolve();
 * ```
 *
 * Faults strike after the content: `{ text: 'Hel', fault: 'reset' }`, or at a byte: `{ text: 'Hello', cutAfter: 120 }`.
 * A reset may overtake text that the client has not read yet: where a test counts on that text, let it come to a gate
 * first.
 */

import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The stream waits here until the promise is settled. */
export type Gate = Promise<unknown>;

/** A tool call, streamed as a start and several pieces of arguments. */
export interface ScriptedToolCall {
  name: string;
  /** Default `{}`. */
  args?: unknown;
  /** The arguments as they are, for text that is no JSON. */
  argsText?: string;
  /** Default: one of its own. */
  id?: string;
}

/**
 * - `close`: the connection ends without the end of the body
 * - `end`: the body ends properly, without finish_reason and [DONE]
 * - `reset`: TCP reset
 * - `hold`: silence; held open until the client leaves
 * - `error-event`: `{"error": …}` (see `error`)
 * - `malformed-event`: an event that is not JSON
 * - `endless-line`: one line without an end, until the client leaves
 */
export type Fault = 'close' | 'end' | 'reset' | 'hold' | 'error-event' | 'malformed-event' | 'endless-line';

/** One answer. Content comes in this order: reasoning, text, toolCalls, deltas. */
export interface ScriptedAnswer {
  /** Nothing, headers included, is sent before this gate. */
  before?: Gate;
  reasoning?: string | readonly (string | Gate)[];
  /** A string comes word by word, a list piece by piece. */
  text?: string | readonly (string | Gate)[];
  toolCalls?: readonly ScriptedToolCall[];
  /** `delta` objects as they are: interleaved calls, repeated ids, gates in the middle of arguments. */
  deltas?: readonly (Record<string, unknown> | Gate)[];
  /** Default: `tool_calls` if toolCalls are given, else `stop`. null: none is sent. */
  finishReason?: string | null;
  /** Default: 11 and 7 tokens, if the request asks for it. null: none is sent. */
  usage?: { prompt_tokens: number; completion_tokens: number } | null;
  /** false: the body ends without [DONE]. */
  done?: boolean;
  /** Strikes after the content, in place of finish_reason, usage and [DONE]. */
  fault?: Fault;
  /** Lets the fault (default `close`) strike after so many bytes of the whole body instead. */
  cutAfter?: number;
  /** What the error event says. */
  error?: unknown;
  /** The body's bytes in place of all of the above content. */
  raw?: readonly (string | Uint8Array | Gate)[];
  /** Not even headers come: the connection is reset, or held open in silence. */
  noResponse?: 'reset' | 'hold';
  /** A plain response in place of a stream; the body defaults to an error object. */
  status?: number;
  body?: string;
  headers?: Record<string, string>;
}

/** A web page where an API should be. */
export const HTML_ANSWER: ScriptedAnswer = {
  status: 200,
  headers: { 'content-type': 'text/html; charset=utf-8' },
  body: '<!doctype html><title>Sign in</title><p>Please sign in to the network.</p>',
};

/** The body of a request, as far as tests look at it. */
export interface ChatRequest {
  model: string;
  messages: {
    role: string;
    content: string | null;
    tool_call_id?: string;
    tool_calls?: { id: string; type: string; function: { name: string; arguments: string } }[];
  }[];
  tools?: {
    type: string;
    function: { name: string; description: string; parameters: Record<string, unknown> };
  }[];
  stream?: boolean;
  stream_options?: { include_usage?: boolean };
  temperature?: number;
  max_tokens?: number;
  max_completion_tokens?: number;
}

/** `sent`: the whole answer; `client-closed`: the client left before; `fault`: the script closed or reset it. */
export type Ending = 'sent' | 'client-closed' | 'fault';

export interface RecordedCall {
  request: ChatRequest;
  headers: IncomingHttpHeaders;
  /** Tells connections apart. */
  clientPort: number | undefined;
  /** Milliseconds of performance.now(). */
  arrivedAt: number;
  endedAt: number | undefined;
  ending: Ending | undefined;
  /** Settles when the answer was sent, or the connection ended. */
  ended: Promise<Ending>;
}

/** An answer, its text alone, or a function that makes it from the request. */
export type Scripted = string | ScriptedAnswer | ((request: ChatRequest) => string | ScriptedAnswer);

export interface ScriptedModel {
  /** The base URL, `/v1` included. */
  url: string;
  /** Every request that came, retries included. */
  calls: RecordedCall[];
  /** Queues answers, one a request. */
  script(...answers: Scripted[]): void;
  /** Answers what comes after the script. */
  otherwise(answer: Scripted): void;
  /** The call with this ordinal (from 1), once it has come. */
  called(ordinal: number): Promise<RecordedCall>;
  /** Ends every connection. */
  close(): Promise<void>;
}

/** Starts a provider on a free port of the loopback. */
export async function createScriptedModel(): Promise<ScriptedModel> {
  const calls: RecordedCall[] = [];
  const queue: Scripted[] = [];
  const arrivals: PromiseWithResolvers<RecordedCall>[] = [];
  let fallback: Scripted = { status: 400, body: errorBody('The script has no answer left.') };

  function arrival(ordinal: number): PromiseWithResolvers<RecordedCall> {
    while (arrivals.length < ordinal) arrivals.push(Promise.withResolvers());
    const found = arrivals[ordinal - 1];
    if (found === undefined) throw new RangeError('Calls are counted from 1.');
    return found;
  }

  async function serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    if (message.method !== 'POST' || message.url !== '/v1/chat/completions') {
      response.writeHead(404).end();
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk);
    const request: ChatRequest = JSON.parse(Buffer.concat(chunks).toString());
    const ended = Promise.withResolvers<Ending>();
    const call: RecordedCall = {
      request,
      headers: message.headers,
      clientPort: message.socket.remotePort,
      arrivedAt: performance.now(),
      endedAt: undefined,
      ending: undefined,
      ended: ended.promise,
    };
    let struck = false;
    response.on('close', () => {
      call.endedAt = performance.now();
      call.ending = response.writableFinished ? 'sent' : struck ? 'fault' : 'client-closed';
      ended.resolve(call.ending);
    });
    calls.push(call);
    arrival(calls.length).resolve(call);
    const scripted = queue.shift() ?? fallback;
    const answer = typeof scripted === 'function' ? scripted(request) : scripted;
    await play(typeof answer === 'string' ? { text: answer } : answer, request, response, () => {
      struck = true;
    });
  }

  const server = createServer((message, response) => {
    serve(message, response).catch((error: unknown) => {
      response.destroy();
      queueMicrotask(() => {
        throw error;
      });
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}/v1`,
    calls,
    script(...answers) {
      queue.push(...answers);
    },
    otherwise(answer) {
      fallback = answer;
    },
    called: (ordinal) => arrival(ordinal).promise,
    close() {
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

/** One event of a stream with this `delta`. */
export function deltaEvent(delta: Record<string, unknown>, finishReason: string | null = null): string {
  return chunkEvent({ choices: [{ index: 0, delta, finish_reason: finishReason }] });
}

function chunkEvent(fields: Record<string, unknown>): string {
  return event(
    JSON.stringify({
      id: 'chatcmpl-1',
      object: 'chat.completion.chunk',
      created: 0,
      model: 'scripted',
      ...fields,
    }),
  );
}

function event(data: string): string {
  return `data: ${data}\n\n`;
}

function errorBody(message: string): string {
  return JSON.stringify({ error: { message, type: 'scripted_error', code: null } });
}

async function play(
  answer: ScriptedAnswer,
  request: ChatRequest,
  response: ServerResponse,
  onStrike: () => void,
): Promise<void> {
  const gone = new Promise<void>((resolve) => {
    response.on('close', resolve);
  });
  if (answer.before !== undefined) await Promise.race([answer.before, gone]);
  if (answer.noResponse === 'hold') return gone;
  if (answer.noResponse === 'reset') return strike('reset');
  const { status, fault, cutAfter } = answer;
  if (status !== undefined) {
    response.writeHead(status, { 'content-type': 'application/json', ...answer.headers });
    response.end(answer.body ?? errorBody(`Scripted status ${status}.`));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream', ...answer.headers });
  response.flushHeaders();
  let left = cutAfter ?? Number.POSITIVE_INFINITY;
  for (const piece of body(answer, request)) {
    if (response.destroyed) return;
    if (left === 0) break;
    if (piece instanceof Promise) {
      await Promise.race([piece, gone]);
    } else {
      const bytes = Buffer.from(piece).subarray(0, left);
      left -= bytes.length;
      await write(bytes);
    }
  }
  if (left === 0) return strike(fault ?? 'close');
  if (fault !== undefined && cutAfter === undefined) return strike(fault);
  response.end();

  function write(bytes: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      response.write(bytes, () => resolve());
    });
  }

  async function strike(kind: Fault): Promise<void> {
    switch (kind) {
      case 'hold':
        return gone;
      case 'endless-line':
        await write('data: ');
        while (!response.destroyed) await Promise.race([write('x'.repeat(64 * 1024)), gone]);
        return;
      case 'error-event':
        await write(
          event(JSON.stringify({ error: answer.error ?? { message: 'The scripted model broke.' } })),
        );
        return strike('end');
      case 'malformed-event':
        await write(event('{"choices": [{'));
        return strike('end');
    }
    onStrike();
    if (kind === 'end') response.end();
    else if (kind === 'close') response.socket?.destroy();
    else response.socket?.resetAndDestroy();
  }
}

function* body(answer: ScriptedAnswer, request: ChatRequest): Generator<string | Uint8Array | Gate> {
  if (answer.raw !== undefined) {
    yield* answer.raw;
    return;
  }
  yield deltaEvent({ role: 'assistant', content: '' });
  for (const piece of pieces(answer.reasoning)) {
    yield piece instanceof Promise ? piece : deltaEvent({ reasoning_content: piece });
  }
  for (const piece of pieces(answer.text)) {
    yield piece instanceof Promise ? piece : deltaEvent({ content: piece });
  }
  for (const [index, call] of (answer.toolCalls ?? []).entries()) yield* toolCallEvents(index, call);
  for (const delta of answer.deltas ?? []) yield delta instanceof Promise ? delta : deltaEvent(delta);
  if (answer.fault !== undefined && answer.cutAfter === undefined) return;
  const { finishReason = answer.toolCalls === undefined ? 'stop' : 'tool_calls' } = answer;
  if (finishReason !== null) yield deltaEvent({}, finishReason);
  const { usage = { prompt_tokens: 11, completion_tokens: 7 } } = answer;
  if (usage !== null && request.stream_options?.include_usage === true)
    yield chunkEvent({ choices: [], usage });
  if (answer.done !== false) yield event('[DONE]');
}

function pieces(content: string | readonly (string | Gate)[] | undefined): readonly (string | Gate)[] {
  if (typeof content !== 'string') return content ?? [];
  return content.match(/\S+\s*|\s+/g) ?? [];
}

function* toolCallEvents(index: number, call: ScriptedToolCall): Generator<string> {
  const id = call.id ?? `call_${crypto.randomUUID()}`;
  const start = { index, id, type: 'function', function: { name: call.name, arguments: '' } };
  yield deltaEvent({ tool_calls: [start] });
  for (const piece of (call.argsText ?? JSON.stringify(call.args ?? {})).match(/.{1,8}/gs) ?? []) {
    yield deltaEvent({ tool_calls: [{ index, function: { arguments: piece } }] });
  }
}
