/** The model of the benchmark: an OpenAI-compatible endpoint in a process of its own that says what a turn's message asks for. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type ModelStatus, serveChild } from './processes.ts';
import { type Script, tokenAt } from './script.ts';

interface ChatRequest {
  messages: { role: string; content: string | { text?: string }[] | null }[];
  tools?: unknown[];
}

/** Answers that were asked to wait. */
const held = new Set<() => void>();
let lastRequest: ChatRequest | null = null;

const server = createServer((request, response) => {
  void answer(request, response);
});
server.on('connection', (socket) => socket.setNoDelay(true));

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = '';
  request.setEncoding('utf8');
  for await (const piece of request) body += piece;
  const chat: ChatRequest = JSON.parse(body);
  if (chat.tools !== undefined) lastRequest = chat;
  const script = scriptOf(chat);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  if (script.hold === true) {
    response.flushHeaders();
    await new Promise<void>((resolve) => {
      const release = () => {
        held.delete(release);
        resolve();
      };
      held.add(release);
      response.once('close', release);
    });
  }
  response.write(frameOf({ role: 'assistant', content: '' }, null));
  if (script.tool !== undefined && chat.messages.at(-1)?.role === 'user') callTool(response, script.tool);
  else if (script.everyMs === 0) sayAtFullSpeed(response, script.tokens);
  else sayInTime(response, script);
}

/** Of the last user message: it may have become a list of parts on its way. */
function scriptOf({ messages }: ChatRequest): Script {
  const content = messages.findLast((message) => message.role === 'user')?.content ?? '';
  const text = typeof content === 'string' ? content : content.map((part) => part.text ?? '').join('');
  const asked: Script | { task: string } = JSON.parse(text);
  return 'task' in asked ? SUMMARY : asked;
}

/** What a long conversation's older part is summed up with. */
const SUMMARY: Script = { tokens: 60, everyMs: 0 };

const frames = new Map<string, Buffer>();

/** One chunk, as OpenAI writes it. */
function frameOf(delta: Record<string, unknown>, finishReason: string | null): Buffer {
  const key = `${JSON.stringify(delta)} ${finishReason}`;
  let frame = frames.get(key);
  if (frame === undefined) {
    const chunk = {
      id: 'chatcmpl-bench',
      object: 'chat.completion.chunk',
      created: 1_763_000_000,
      model: 'bench',
      choices: [{ index: 0, delta, finish_reason: finishReason }],
    };
    frame = Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`);
    frames.set(key, frame);
  }
  return frame;
}

const USAGE = { prompt_tokens: 100, completion_tokens: 100, total_tokens: 200 };
const END = `data: ${JSON.stringify({ id: 'chatcmpl-bench', object: 'chat.completion.chunk', created: 1_763_000_000, model: 'bench', choices: [], usage: USAGE })}\n\ndata: [DONE]\n\n`;

function finish(response: ServerResponse, reason: string): void {
  response.write(frameOf({}, reason));
  response.end(END);
}

function tokenFrame(index: number): Buffer {
  return frameOf({ content: tokenAt(index) }, null);
}

/** One write a token, as a provider does it, and the other answers have their turn between two. */
function sayAtFullSpeed(response: ServerResponse, tokens: number): void {
  let index = 0;
  const step = () => {
    if (response.destroyed) return;
    if (index === tokens) return finish(response, 'stop');
    const room = response.write(tokenFrame(index));
    index += 1;
    if (room) setImmediate(step);
    else response.once('drain', step);
  };
  step();
}

/** Each token at its own time from the start, so that a late one does not move those behind it. */
function sayInTime(response: ServerResponse, { tokens, everyMs }: Script): void {
  const began = performance.now();
  let index = 0;
  const step = () => {
    if (response.destroyed) return;
    if (index === tokens) return finish(response, 'stop');
    response.write(tokenFrame(index));
    index += 1;
    setTimeout(step, Math.max(0, began + index * everyMs - performance.now()));
  };
  step();
}

function callTool(response: ServerResponse, name: string): void {
  const call = { index: 0, id: 'call_bench', type: 'function', function: { name, arguments: '' } };
  response.write(frameOf({ tool_calls: [call] }, null));
  response.write(frameOf({ tool_calls: [{ index: 0, function: { arguments: '{}' } }] }, null));
  finish(response, 'tool_calls');
}

serveChild(server, {
  status: (): ModelStatus => ({ held: held.size, lastRequest }),
  release: () => {
    for (const release of [...held]) release();
    return null;
  },
});
