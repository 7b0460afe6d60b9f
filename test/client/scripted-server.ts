/** A server on a real socket that answers as its script says, and keeps what it was asked. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Approval, ConversationDetail, EventData, EventType, Told } from '../../src/client/events.ts';

export interface Asked {
  method: string;
  /** Path with the query. */
  url: string;
  headers: IncomingMessage['headers'];
  body: unknown;
}

export interface Exchange extends Asked {
  response: ServerResponse;
}

export interface ScriptedServer extends AsyncDisposable {
  baseUrl: string;
  asked: Asked[];
}

export const THREAD = '019a0000-0000-7000-8000-000000000001';
export const TURN = '019a0000-0000-7000-8000-000000000002';
export const RUN = '019a0000-0000-7000-8000-000000000003';
export const MESSAGE = '019a0000-0000-7000-8000-000000000004';

/** Listens on a free port; `script` answers each exchange. */
export async function startScriptedServer(
  script: (exchange: Exchange) => void | Promise<void>,
): Promise<ScriptedServer> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const entry: Asked = {
      method: request.method ?? '',
      url: request.url ?? '',
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
    asked.push(entry);
    await script({ ...entry, response });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The head of an event stream, as the service sends it. */
export function beginStream(response: ServerResponse): void {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-thread-id': THREAD,
    'x-turn-id': TURN,
    'x-run-id': RUN,
  });
  response.flushHeaders();
}

export function answerJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

/** One frame of the native stream. */
export function frame<T extends EventType>(seq: number, type: T, data: EventData[T] & Told): string {
  const told = { turn_id: TURN, run_id: RUN, ...data };
  return `id: ${seq}\nevent: ${type}\ndata: ${JSON.stringify(told)}\n\n`;
}

export const USAGE = { input_tokens: 10, output_tokens: 5, model_calls: 1, tool_calls: 0, credits: 0 };

/** The frames of a short turn, numbered from `from` in steps of `step`. */
export function turnFrames(words: string[], from = 1, step = 1): string[] {
  const place = { message_id: MESSAGE, call: 0, part: 0 };
  const makers = [
    (seq: number) =>
      frame(seq, 'run-start', { thread_id: THREAD, kind: 'message', message_id: MESSAGE, model: 'scripted' }),
    (seq: number) => frame(seq, 'text-start', place),
    ...words.map((delta) => (seq: number) => frame(seq, 'text-delta', { ...place, delta })),
    (seq: number) => frame(seq, 'text-end', { ...place, text: words.join('') }),
    (seq: number) => frame(seq, 'run-end', { status: 'completed', message_id: MESSAGE, usage: USAGE }),
  ];
  return makers.map((make, index) => make(from + index * step));
}

export function makeApproval(changes: Partial<Approval> = {}): Approval {
  return {
    approval_id: 'approval-1',
    thread_id: THREAD,
    turn_id: TURN,
    tool_call_id: 'tool-1',
    tool: 'launch_campaign',
    kind: 'proposal',
    title: 'Launch "Q4 Fintech CFO" to 228 leads',
    reason: 'It sends mail.',
    args: { campaign_id: 'c-1', daily_limit: 50 },
    args_hash: 'hash-1',
    args_schema: { type: 'object', properties: { campaign_id: {}, daily_limit: {} } },
    facts: [{ label: 'Recipients', value: '228' }],
    warnings: [{ code: 'DMARC', message: 'The sender has no DMARC record.', severity: 'high' }],
    preview: [{ to: 'ines@example.com', subject: 'Hello Ines', body: 'Dear Ines,\nshort question.' }],
    consequence: 'Mails go out from tomorrow on; sent mails cannot be recalled.',
    allowed_decisions: ['approve', 'reject', 'edit'],
    status: 'pending',
    created_at: '2026-11-21T10:00:00.000Z',
    expires_at: '2126-11-22T10:00:00.000Z',
    ...changes,
  };
}

export function makeDetail(changes: Partial<ConversationDetail> = {}): ConversationDetail {
  return {
    thread_id: THREAD,
    title: 'Fintech',
    created_at: '2026-11-21T10:00:00.000Z',
    status: 'idle',
    last_seq: 0,
    active_run: null,
    messages: [],
    next_cursor: null,
    has_more: false,
    ...changes,
  };
}
