/** The agent's tools as MCP tells them: schema, hints, and results in which a stranger's words are marked. */

import type { CallToolResult, Tool as McpTool } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import type { ErrorFact } from '../errors.ts';
import type { Tool } from '../tools/tool.ts';

/** Hints of writes that a repeat does not do again (contract, x-planned-agent-tools). */
const IDEMPOTENT = new Set([
  'launch_campaign',
  'resume_campaign',
  'pause_campaign',
  'update_campaign',
  'suppress_email',
  'find_email',
  'verify_email',
  'save_prompt',
]);

/** It may cost a credit, but changes nothing that anybody sees (contract). */
const READ_ONLY = new Set(['verify_email']);

export function mcpTool(tool: Tool): McpTool {
  const reads = tool.effect === 'none' || READ_ONLY.has(tool.name);
  return {
    name: tool.name,
    description: tool.description,
    inputSchema: inputSchemaOf(tool),
    annotations: {
      readOnlyHint: reads,
      // Whatever cannot be taken back waits for a person, and nothing that is kept is deleted.
      destructiveHint: false,
      idempotentHint: reads || IDEMPOTENT.has(tool.name),
      openWorldHint: tool.effect === 'outside' || tool.untrusted,
    },
  };
}

function inputSchemaOf(tool: Tool): McpTool['inputSchema'] {
  const { $schema: _dialect, ...schema }: Record<string, unknown> = z.toJSONSchema(tool.schema, {
    io: 'input',
  });
  return { ...schema, type: 'object' };
}

/** What a stranger may have written, so marked that no model takes it for its own orders. */
export function fenced(content: unknown) {
  return { __untrusted_third_party_content: true, content };
}

/** A result as text and as data; what a stranger may have written stands inside a fence. */
export function succeeded(result: unknown, untrusted: boolean): CallToolResult {
  const value = untrusted ? fenced(result ?? null) : (result ?? null);
  const structured = typeof value === 'object' && value !== null && !Array.isArray(value);
  return {
    content: [{ type: 'text', text: JSON.stringify(value) }],
    structuredContent: structured ? { ...value } : { result: value },
  };
}

/** A failure of the tool itself, which the caller's model shall read; the request's id finds it in the log. */
export function failed(status: string, error: ErrorFact, requestId: string): CallToolResult {
  const value = { status, error, request_id: requestId };
  return {
    content: [{ type: 'text', text: JSON.stringify(value) }],
    structuredContent: value,
    isError: true,
  };
}

/** The arguments as the tool takes them, or words for the caller's model on what does not fit. */
export function parseArguments(tool: Tool, args: unknown): { args: never } | { fault: ErrorFact } {
  const parsed = tool.schema.safeParse(args);
  if (parsed.success) return { args: parsed.data };
  const message = `The arguments do not fit ${tool.name}: ${z.prettifyError(parsed.error)}`;
  return { fault: { code: 'INVALID_ARGUMENTS', message, retryable: false } };
}
