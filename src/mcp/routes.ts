/** The MCP door: Streamable HTTP without sessions, so any process answers any request. */

import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js';
import { z } from 'zod';
import { type Answer, type Route, route } from '../http/route.ts';
import type { Streams } from '../http/streams.ts';
import type { McpCalls, McpRequest } from './calls.ts';
import { createMcpServer } from './server.ts';

export interface McpRouteNeeds {
  calls: McpCalls;
  /** Counts the streams of a caller. */
  streams: Pick<Streams, 'admit'>;
  version: string;
  /** Where the page is; without it, where the request came to. */
  publicUrl: string | null;
}

/** One JSON-RPC message, or several. */
const mcpBody = z.union([z.looseObject({}), z.array(z.looseObject({})).min(1).max(50)]);

const mcpAnswer = z.object({ jsonrpc: z.literal('2.0') });
/** A body that is no JSON is refused before MCP sees it. */
const errorBody = z.object({ detail: z.string(), message: z.string(), request_id: z.string() });

/** A call whose client wants to be told its progress (MCP, utilities/progress). */
const progressCall = z.object({
  method: z.literal('tools/call'),
  params: z.object({ _meta: z.object({ progressToken: z.union([z.string(), z.number()]) }) }),
});

export function createMcpRoutes({ calls, streams, version, publicUrl }: McpRouteNeeds): Route[] {
  /** JSON, or an event stream where a call's progress comes before its result. */
  async function serve(request: McpRequest, headers: Headers, body: unknown): Promise<Answer> {
    const streamed = [body].flat().some((message) => progressCall.safeParse(message).success);
    if (streamed) streams.admit(request.caller, request.gone);
    const transport = new WebStandardStreamableHTTPServerTransport({ enableJsonResponse: !streamed });
    const server = createMcpServer(calls, request, version);
    await server.connect(transport);
    let open = false;
    try {
      const sent = new Request(`${request.pageUrl}/mcp`, { method: 'POST', headers });
      const answer = await transport.handleRequest(sent, { parsedBody: body });
      const shared = { status: answer.status, headers: Object.fromEntries(answer.headers) };
      if (answer.body !== null && shared.headers['content-type'] === 'text/event-stream') {
        open = true;
        const stream = Readable.fromWeb(answer.body as ReadableStream);
        stream.once('close', () => void server.close());
        return { ...shared, stream };
      }
      const text = await answer.text();
      return { ...shared, ...(text === '' ? {} : { body: text }) };
    } finally {
      if (!open) await server.close();
    }
  }

  return [
    route({
      method: 'POST',
      path: '/mcp',
      operation: 'mcp',
      tag: 'mcp',
      summary:
        "The agent's tools as an MCP server (Streamable HTTP); what needs a decision answers with a link to it",
      access: 'agent:chat',
      body: mcpBody,
      ownIdempotency: true,
      answers: {
        200: { streamed: true, json: z.union([mcpAnswer, z.array(mcpAnswer)]) },
        202: 'empty',
        400: z.union([mcpAnswer, errorBody]),
      },
      handle({ caller, body, header, incoming, gone, requestId }) {
        const headers = new Headers();
        for (const name of ['accept', 'content-type', 'mcp-protocol-version', 'mcp-session-id']) {
          const value = header(name);
          if (value !== undefined) headers.set(name, value);
        }
        const pageUrl = (publicUrl ?? `http://${incoming.headers.host ?? 'localhost'}`).replace(/\/$/, '');
        return serve({ caller, requestId, gone, pageUrl }, headers, body);
      },
    }),
  ];
}
