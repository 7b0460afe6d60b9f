/** The chat over REST and SSE (contract, tag agent; design.md §4). */

import { z } from 'zod';
import { readIdempotencyKey } from '../../http/idempotency.ts';
import { type Route, route } from '../../http/route.ts';
import { EVENT_STREAM_HEADERS } from '../../http/sse.ts';
import type { Streams } from '../../http/streams.ts';
import { nativeFrame } from '../../wire/native.ts';
import type { Approvals } from '../approvals/approvals.ts';
import {
  approvalParams,
  approvalRecipients,
  approvalShape,
  decisionBody,
  inboxQuery,
  previewBody,
  testMailBody,
} from '../approvals/schema.ts';
import type { TestMails } from '../approvals/test-mails.ts';
import { threadParams } from '../conversations/schema.ts';
import { outboxMail } from '../outbox/schema.ts';
import { type Chat, endsTurnStream } from './chat.ts';
import { acceptedAnswer, cancelBody, chatAnswer, chatBody, streamQuery } from './schema.ts';
import type { Watch } from './watch.ts';

export interface ChatRouteNeeds {
  chat: Chat;
  approvals: Approvals;
  testMails: TestMails;
  watch: Watch;
  streams: Streams;
}

export function createChatRoutes({ chat, approvals, testMails, watch, streams }: ChatRouteNeeds): Route[] {
  return [
    route({
      method: 'POST',
      path: '/api/v1/agent/chat',
      operation: 'agentChat',
      tag: 'agent',
      summary:
        'Chat with the agent: an event stream, or JSON where that is accepted, or 202 with "Prefer: respond-async"',
      access: 'agent:chat',
      body: chatBody,
      ownIdempotency: true,
      answers: { 200: { streamed: true, json: chatAnswer }, 202: acceptedAnswer },
      refusals: [
        'NOT_FOUND',
        'TURN_RUNNING',
        'APPROVAL_PENDING',
        'NOTHING_PENDING',
        'ALREADY_DECIDED',
        'AMBIGUOUS_DECISION',
        'APPROVAL_CHANGED',
        'CONVERSATION_ARCHIVED',
        'APPROVAL_EXPIRED',
      ],
      async handle({ caller, body, header, gone }) {
        const begun = await chat.send(caller, body, readIdempotencyKey(header('idempotency-key')));
        const headers = { 'x-thread-id': begun.threadId, 'x-turn-id': begun.turnId, 'x-run-id': begun.runId };
        const accepted = {
          thread_id: begun.threadId,
          turn_id: begun.turnId,
          run_id: begun.runId,
          status: 'running',
        };
        if (/\brespond-async\b/.test(header('prefer') ?? '')) {
          return {
            status: 202,
            body: accepted,
            headers: { ...headers, 'preference-applied': 'respond-async' },
          };
        }
        if (wantsJson(header('accept'))) {
          const outcome = await chat.outcome(caller, begun, gone);
          // The process leaves and another one goes on with the turn: the same key asks for it there.
          return outcome === null
            ? { status: 202, body: accepted, headers }
            : { status: 200, body: outcome, headers };
        }
        return streams(caller, gone, headers, {
          reader: chat.reader(caller, begun),
          frame: nativeFrame,
          until: (event) => endsTurnStream(event, begun.turnId),
        });
      },
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/conversations/{thread_id}/stream',
      operation: 'followAgentConversation',
      tag: 'agent',
      summary: 'Follow a conversation from Last-Event-ID or ?after=, else from now on',
      access: 'read',
      params: threadParams,
      query: streamQuery,
      answers: { 200: 'event-stream' },
      async handle({ caller, params, query, header, gone }) {
        const after = readCursor(header('last-event-id')) ?? readCursor(query.after);
        const { reader, cursor, live, snapshot } = await chat.follow(caller, params.thread_id, after);
        // The cursor alone, so that a reader who loses the connection before the first event misses nothing.
        const prelude = `${snapshot === null ? '' : nativeFrame(snapshot)}id: ${cursor}\n\n`;
        let running = live;
        return streams(
          caller,
          gone,
          { 'x-thread-id': params.thread_id },
          {
            reader,
            frame: nativeFrame,
            prelude,
            until(event) {
              if (event.type === 'run-start') running = true;
              if (event.turn_id !== null && endsTurnStream(event, event.turn_id)) running = false;
              return false;
            },
            // A run that has ended in the database may still have its last events to tell.
            endWhenRead: () => query.until === 'idle' && !running && !chat.isTelling(params.thread_id),
          },
        );
      },
    }),
    route({
      method: 'POST',
      path: '/api/v1/agent/conversations/{thread_id}/cancel',
      operation: 'cancelAgentTurn',
      tag: 'agent',
      summary: 'Cancel the live turn',
      access: 'agent:chat',
      params: threadParams,
      body: cancelBody,
      optionalBody: true,
      answers: { 202: z.object({ turn_id: z.uuid().nullable(), status: z.string() }) },
      refusals: ['TURN_NOT_LIVE'],
      handle: async ({ caller, params, body }) => ({
        status: 202,
        body: await chat.cancel(caller, params.thread_id, body.turn_id),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/agent/conversations/{thread_id}/approvals/{approval_id}/preview',
      operation: 'previewApprovalEdit',
      tag: 'agent',
      summary: 'The card as it would be with edited arguments: new facts and the hash to echo',
      access: 'approvals:write',
      params: approvalParams,
      body: previewBody,
      answers: { 200: approvalShape },
      refusals: ['ALREADY_DECIDED', 'APPROVAL_EXPIRED'],
      handle: async ({ caller, params, body }) => ({
        status: 200,
        body: await approvals.preview(caller, params.thread_id, params.approval_id, body.args),
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/conversations/{thread_id}/approvals/{approval_id}/recipients',
      operation: 'listApprovalRecipients',
      tag: 'agent',
      summary: 'Everybody whom a card that waits is about, whole: written to, or left out and why',
      access: 'approvals:write',
      params: approvalParams,
      answers: { 200: approvalRecipients },
      refusals: ['ALREADY_DECIDED', 'APPROVAL_EXPIRED'],
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await approvals.recipients(caller, params.thread_id, params.approval_id),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/agent/conversations/{thread_id}/approvals/{approval_id}/test-mail',
      operation: 'sendApprovalTestMail',
      tag: 'agent',
      summary: "Send a mail that the card shows to the caller's own address; no effect of the approval",
      access: 'approvals:write',
      params: approvalParams,
      body: testMailBody,
      answers: { 200: outboxMail },
      refusals: [
        'ALREADY_DECIDED',
        'APPROVAL_CHANGED',
        'APPROVAL_EXPIRED',
        'RECIPIENT_INVALID',
        'RECIPIENT_SUPPRESSED',
        'MAIL_REFUSED',
        'MAIL_UNAVAILABLE',
      ],
      handle: async ({ caller, params, body }) => ({
        status: 200,
        body: await testMails.send(caller, params.thread_id, params.approval_id, body),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/agent/conversations/{thread_id}/approvals/{approval_id}/decision',
      operation: 'decideApproval',
      tag: 'agent',
      summary: 'Approve, edit or reject; the first decision wins',
      access: 'approvals:write',
      params: approvalParams,
      body: decisionBody,
      answers: {
        202: z.object({ approval: approvalShape, thread_id: z.uuid(), turn_id: z.uuid(), run_id: z.uuid() }),
      },
      refusals: ['ALREADY_DECIDED', 'APPROVAL_CHANGED', 'APPROVAL_EXPIRED'],
      handle: async ({ caller, params, body }) => ({
        status: 202,
        body: await chat.decide(caller, params.thread_id, { ...body, approval_id: params.approval_id }),
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/approvals',
      operation: 'listApprovals',
      tag: 'agent',
      summary: 'The inbox: cards of the workspace, newest first',
      access: 'approvals:write',
      query: inboxQuery,
      answers: {
        200: z.object({
          approvals: z.array(approvalShape),
          items: z.array(approvalShape),
          next_cursor: z.string().nullable(),
          has_more: z.boolean(),
        }),
      },
      handle: async ({ caller, query }) => ({ status: 200, body: await approvals.list(caller, query) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/stream',
      operation: 'watchAgent',
      tag: 'agent',
      summary: "What changes in the caller's conversations and approvals, over one connection",
      access: 'read',
      answers: { 200: 'event-stream' },
      async handle({ caller, gone }) {
        streams.admit(caller, gone);
        return { status: 200, stream: watch(caller), headers: { ...EVENT_STREAM_HEADERS } };
      },
    }),
  ];
}

/** Streams are the default; JSON where it is asked for and streams are not. */
function wantsJson(accept: string | undefined): boolean {
  return accept !== undefined && /\bapplication\/json\b/.test(accept) && !/text\/event-stream/.test(accept);
}

/** A cursor from outside: digits or nothing (an unreadable one is as if there were none). */
function readCursor(value: string | undefined): number | null {
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : null;
}
