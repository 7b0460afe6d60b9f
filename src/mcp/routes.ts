/** The MCP door: Streamable HTTP without sessions, so any process answers any request. */

import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js';
import { z } from 'zod';
import { type Answer, type Route, route } from '../http/route.ts';
import type { McpCalls, McpRequest } from './calls.ts';
import { createMcpServer } from './server.ts';

export interface McpRouteNeeds {
  calls: McpCalls;
  version: string;
  /** Where the page is; without it, where the request came to. */
  publicUrl: string | null;
}

/** One JSON-RPC message, or several. */
const mcpBody = z.union([z.looseObject({}), z.array(z.looseObject({})).min(1).max(50)]);

const mcpAnswer = z.object({ jsonrpc: z.literal('2.0') });
/** A body that is no JSON is refused before MCP sees it. */
const errorBody = z.object({ detail: z.string(), message: z.string(), request_id: z.string() });

export function createMcpRoutes({ calls, version, publicUrl }: McpRouteNeeds): Route[] {
  async function serve(request: McpRequest, headers: Headers, body: unknown): Promise<Answer> {
    const transport = new WebStandardStreamableHTTPServerTransport({ enableJsonResponse: true });
    const server = createMcpServer(calls, request, version);
    await server.connect(transport);
    try {
      const sent = new Request(`${request.pageUrl}/mcp`, { method: 'POST', headers });
      const answer = await transport.handleRequest(sent, { parsedBody: body });
      const text = await answer.text();
      return {
        status: answer.status,
        ...(text === '' ? {} : { body: text }),
        headers: Object.fromEntries(answer.headers),
      };
    } finally {
      await server.close();
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
        200: z.union([mcpAnswer, z.array(mcpAnswer)]),
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
