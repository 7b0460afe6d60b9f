/** Conversations over REST (contract, tag agent). */

import { z } from 'zod';
import { type Route, route } from '../../http/route.ts';
import type { Conversations } from './conversations.ts';
import {
  conversationDetail,
  conversationList,
  conversationShape,
  createConversationBody,
  getConversationQuery,
  interruptState,
  listConversationsQuery,
  patchConversationBody,
  threadParams,
} from './schema.ts';

export function createConversationRoutes(conversations: Conversations): Route[] {
  return [
    route({
      method: 'POST',
      path: '/api/v1/agent/conversations',
      operation: 'createAgentConversation',
      tag: 'agent',
      summary: 'Start a conversation',
      access: 'agent:chat',
      body: createConversationBody,
      optionalBody: true,
      answers: { 201: conversationShape },
      handle: async ({ caller, body }) => ({ status: 201, body: await conversations.create(caller, body) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/conversations',
      operation: 'listAgentConversations',
      tag: 'agent',
      summary: 'List own conversations, the last changed first',
      access: 'read',
      query: listConversationsQuery,
      answers: { 200: conversationList },
      handle: async ({ caller, query }) => ({ status: 200, body: await conversations.list(caller, query) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/conversations/{thread_id}',
      operation: 'getAgentConversation',
      tag: 'agent',
      summary: 'Read a conversation and a page of its messages',
      access: 'read',
      params: threadParams,
      query: getConversationQuery,
      answers: { 200: conversationDetail },
      handle: async ({ caller, params, query }) => ({
        status: 200,
        body: await conversations.get(caller, params.thread_id, query),
      }),
    }),
    route({
      method: 'PATCH',
      path: '/api/v1/agent/conversations/{thread_id}',
      operation: 'renameAgentConversation',
      tag: 'agent',
      summary: 'Rename a conversation',
      access: 'agent:chat',
      params: threadParams,
      body: patchConversationBody,
      answers: { 200: conversationShape },
      handle: async ({ caller, params, body }) => ({
        status: 200,
        body: await conversations.rename(caller, params.thread_id, body.title),
      }),
    }),
    route({
      method: 'DELETE',
      path: '/api/v1/agent/conversations/{thread_id}',
      operation: 'archiveAgentConversation',
      tag: 'agent',
      summary: 'Archive a conversation (soft delete)',
      access: 'agent:chat',
      params: threadParams,
      answers: { 200: z.object({ thread_id: z.uuid(), archived: z.boolean() }) },
      async handle({ caller, params }) {
        const conversation = await conversations.archive(caller, params.thread_id);
        return { status: 200, body: { thread_id: conversation.thread_id, archived: true } };
      },
    }),
    route({
      method: 'POST',
      path: '/api/v1/agent/conversations/{thread_id}/restore',
      operation: 'restoreAgentConversation',
      tag: 'agent',
      summary: 'Restore an archived conversation',
      access: 'agent:chat',
      params: threadParams,
      answers: { 200: conversationShape },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await conversations.restore(caller, params.thread_id),
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/agent/conversations/{thread_id}/interrupt',
      operation: 'getAgentPendingInterrupt',
      tag: 'agent',
      summary: 'Whether the conversation waits for a decision, and which',
      access: 'read',
      params: threadParams,
      answers: { 200: interruptState },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await conversations.interrupt(caller, params.thread_id),
      }),
    }),
  ];
}
