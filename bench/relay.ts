/** The least that a server can do: bare node:http that parses the model's stream, writes each token anew and keeps nothing. */

import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { serveChild } from './processes.ts';

const [modelUrl = ''] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true });
const PING_MS = 10_000;

const server = createServer((incoming, response) => {
  if (incoming.method === 'GET') beat(response);
  else void relay(incoming, response);
});
server.on('connection', (socket) => socket.setNoDelay(true));

const STREAM_HEADERS = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' };

/** A stream on which nothing happens. */
function beat(response: ServerResponse): void {
  response.writeHead(200, STREAM_HEADERS);
  response.write(': ping\n\n');
  const timer = setInterval(() => response.write(': ping\n\n'), PING_MS);
  response.once('close', () => clearInterval(timer));
}

async function relay(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = '';
  incoming.setEncoding('utf8');
  for await (const piece of incoming) body += piece;
  const { message }: { message: string } = JSON.parse(body);
  response.writeHead(200, STREAM_HEADERS);
  response.flushHeaders();
  const upstream = request(
    `${modelUrl}/v1/chat/completions`,
    { method: 'POST', agent, headers: { 'content-type': 'application/json' } },
    (answer) => {
      let rest = '';
      answer.setEncoding('utf8');
      answer.on('data', (piece: string) => {
        const events = (rest + piece).split('\n\n');
        rest = events.pop() ?? '';
        const text = events.map(retell).join('');
        if (text !== '') response.write(text);
      });
      answer.on('end', () => response.end('event: run-end\ndata: {"status":"completed"}\n\n'));
    },
  );
  upstream.setNoDelay(true);
  upstream.on('error', () => response.destroy());
  upstream.end(
    JSON.stringify({ model: 'bench', stream: true, messages: [{ role: 'user', content: message }] }),
  );
}

function retell(event: string): string {
  const data = event.slice('data: '.length);
  if (data === '[DONE]') return '';
  const delta: unknown = JSON.parse(data).choices[0]?.delta.content;
  return typeof delta === 'string' && delta !== ''
    ? `event: text-delta\ndata: ${JSON.stringify({ delta })}\n\n`
    : '';
}

serveChild(server, {});
