/** Calls of tools by an MCP client: a read is done at once, anything else is a turn of its own behind the gate. */

import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { errorFact, ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Approvals } from '../resources/approvals/approvals.ts';
import type { Chat } from '../resources/chat/chat.ts';
import type { Conversations } from '../resources/conversations/conversations.ts';
import type { ExternalThreads } from '../resources/external-threads/external-threads.ts';
import { type Caller, mayDo, principalOf } from '../runtime/caller.ts';
import type { Approval, EventData, Message } from '../runtime/events.ts';
import type { Begun } from '../runtime/turn.ts';
import type { ReadTool, Tool } from '../tools/tool.ts';
import type { TellProgress } from './progress.ts';
import { failed, fenced, parseArguments, succeeded } from './tools.ts';

export interface McpCallNeeds {
  tools: readonly Tool[];
  chat: Chat;
  approvals: Approvals;
  conversations: Conversations;
  threads: ExternalThreads;
  log: Log;
}

/** Where and for whom a call is made. */
export interface McpRequest {
  caller: Caller;
  requestId: string;
  /** Aborts when the client has gone. */
  gone: AbortSignal;
  /** The address of the page, for the links in answers. */
  pageUrl: string;
}

/** Told the progress of what a request waits for; null where the client did not ask for it. */
type Told = TellProgress | null;

/** How many conversations a call tries before it is told that others were faster. */
const ATTEMPTS = 8;

export type McpCalls = ReturnType<typeof createMcpCalls>;

export function createMcpCalls({ tools, chat, approvals, conversations, threads, log }: McpCallNeeds) {
  const byName = new Map(tools.map((tool) => [tool.name, tool]));

  /** Never throws for what the tool refuses: that is its result. */
  async function call(request: McpRequest, tool: Tool, args: unknown, told: Told): Promise<CallToolResult> {
    // An MCP client never decides, whoever holds its key (design.md §6).
    const caller: Caller = { ...request.caller, kind: 'mcp' };
    const parsed = parseArguments(tool, args);
    if ('fault' in parsed) return failed('error', parsed.fault, request.requestId);
    try {
      if (tool.effect === 'none')
        return await read({ ...request, caller }, tool as ReadTool<unknown>, parsed.args, told);
      const begun = await begin(caller, { name: tool.name, args: args as Record<string, unknown> });
      return await follow({ ...request, caller }, tool, begun, told);
    } catch (error) {
      return failedWith(request, error);
    }
  }

  /** What the service refuses the caller's model may read; a fault of ours is told to nobody but the log. */
  function failedWith({ requestId }: McpRequest, error: unknown): CallToolResult {
    if (!(error instanceof ServiceError))
      log.error({ err: error, request_id: requestId }, 'an MCP call failed');
    return failed('error', errorFact(error), requestId);
  }

  async function read(
    { caller, gone }: McpRequest,
    tool: ReadTool<unknown>,
    args: unknown,
    told: Told,
  ): Promise<CallToolResult> {
    if (!mayDo(caller, 'read')) throw new ServiceError('FORBIDDEN', 'This key lacks the scope read.');
    const context = {
      caller,
      turnId: '',
      toolCallId: '',
      tainted: true,
      spent: () => {},
      signal: gone,
      providerKey: '',
      progress: told ?? (() => {}),
    };
    return succeeded(await tool.run(context, args), tool.untrusted);
  }

  /** Waits for the end of a turn's run, and answers what became of its call. */
  async function follow(request: McpRequest, tool: Tool, begun: Begun, told: Told): Promise<CallToolResult> {
    const outcome = await chat.outcome(request.caller, begun, request.gone, (event) => {
      if (event.type !== 'tool-progress' || event.turn_id !== begun.turnId) return;
      const { done, total, note } = event.data as EventData['tool-progress'];
      told?.(done, total, note);
    });
    if (outcome === null) {
      const place = { status: 'running', thread_id: begun.threadId, turn_id: begun.turnId };
      return succeeded(place, false);
    }
    const [card] = outcome.approvals;
    if (outcome.status === 'awaiting_approval' && card !== undefined) return asked(request, card);
    const error = outcome.error ?? {
      code: 'TOOL_FAILED',
      message: 'It was not carried out.',
      retryable: false,
    };
    return endOf(request, tool, outcome.messages) ?? failed(outcome.status, error, request.requestId);
  }

  /** Begins a turn in a conversation of the key's user, which shows what was done and holds the card that may be asked. */
  async function begin(
    caller: Caller,
    made: { name: string; args: Record<string, unknown> },
  ): Promise<Begun> {
    const name = `mcp ${principalOf(caller)}`;
    const words = `An MCP client calls ${made.name}.`;
    let threadId = await threads.open(caller, name);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await chat.callTool(caller, threadId, made, words);
      } catch (error) {
        // A call that waits for a person keeps its conversation; the next one gets its own. Several may come at once.
        const busy = ['TURN_RUNNING', 'APPROVAL_PENDING', 'CONVERSATION_ARCHIVED'];
        if (attempt >= ATTEMPTS || !(error instanceof ServiceError) || !busy.includes(error.code))
          throw error;
        threadId = await threads.renew(caller, name);
      }
    }
  }

  function asked({ pageUrl }: McpRequest, card: Approval): CallToolResult {
    return succeeded(
      {
        status: 'pending_approval',
        approval_id: card.approval_id,
        thread_id: card.thread_id,
        // It may name a lead, a campaign or a file.
        title: fenced(card.title),
        reason: card.reason,
        expires_at: card.expires_at,
        url: `${pageUrl}/t/${card.thread_id}#approval-${card.approval_id}`,
        note: 'Nothing was done yet. A person decides at the url; ask get_approval for the outcome.',
      },
      false,
    );
  }

  function endOf({ requestId }: McpRequest, tool: Tool, messages: readonly Message[]): CallToolResult | null {
    const part = messages.flatMap((message) => message.parts).findLast((one) => one.type === 'tool');
    if (part?.type !== 'tool' || part.status === 'running') return null;
    if (part.status === 'ok') return succeeded(part.result, tool.untrusted);
    const error = part.error ?? { code: 'TOOL_FAILED', message: 'It failed.', retryable: false };
    return failed(part.status, error, requestId);
  }

  return {
    tools,
    get: (name: string) => byName.get(name),
    call,

    /**
     * What became of a card that an earlier call led to; in the caller's own conversations only. Who wants to be told the
     * progress of what is being carried out waits for its end, anybody else is answered at once.
     */
    async outcomeOf(
      request: McpRequest,
      threadId: string,
      approvalId: string,
      told: Told,
    ): Promise<CallToolResult> {
      const caller: Caller = { ...request.caller, kind: 'mcp' };
      try {
        const conversation = await conversations.get(caller, threadId, { limit: 50 });
        const card = await approvals.get(caller, threadId, approvalId);
        if (card.status === 'pending') return asked(request, card);
        const messages = conversation.messages.filter((message) => message.turn_id === card.turn_id);
        const tool = byName.get(card.tool);
        const end = tool === undefined ? null : endOf(request, tool, messages);
        if (end !== null) return end;
        const run = conversation.active_run;
        if (
          told !== null &&
          tool !== undefined &&
          run?.turn_id === card.turn_id &&
          run.status === 'running'
        ) {
          // What was told since the messages were kept.
          const begun = {
            threadId,
            turnId: run.turn_id,
            runId: run.run_id,
            firstSeq: conversation.last_seq + 1,
          };
          return await follow({ ...request, caller }, tool, begun, told);
        }
        return succeeded({ status: conversation.status === 'idle' ? card.status : 'running' }, false);
      } catch (error) {
        return failedWith(request, error);
      }
    },
  };
}
