/** What is said of conversations and their messages. */

import { z } from 'zod';
import { queryBoolean } from '../../http/validation.ts';
import { approvalShape } from '../approvals/schema.ts';
import { line } from '../text.ts';

export const createConversationBody = z.strictObject({ title: line.max(255).nullish() });
export const patchConversationBody = z.strictObject({ title: line.trim().min(1).max(255) });
export const threadParams = z.object({ thread_id: z.uuid() });

export const listConversationsQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(50),
  offset: z.coerce.number().int().min(0).max(100_000).default(0),
  cursor: z.string().max(500).optional(),
  search: line.max(200).optional(),
  archived: queryBoolean.default(false),
});

export const getConversationQuery = z.object({
  before_cursor: z.string().max(500).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

export const conversationShape = z.object({
  thread_id: z.uuid(),
  title: z.string().nullable(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
  archived_at: z.iso.datetime().nullable(),
  status: z.enum(['idle', 'running', 'awaiting_approval']),
  pending_approvals: z.int(),
  last_message_preview: z.string().nullable(),
  last_seq: z.int(),
});
export type Conversation = z.output<typeof conversationShape>;

export const messageShape = z.object({
  id: z.uuid(),
  thread_id: z.uuid(),
  turn_id: z.uuid(),
  role: z.enum(['user', 'assistant', 'system']),
  status: z.enum(['complete', 'partial']),
  content: z.string(),
  parts: z.array(z.looseObject({ type: z.string() })),
  metadata: z.record(z.string(), z.unknown()),
  created_at: z.iso.datetime(),
});

export const conversationDetail = conversationShape.extend({
  messages: z.array(messageShape),
  next_cursor: z.string().nullable(),
  has_more: z.boolean(),
  active_run: z
    .object({ turn_id: z.uuid(), run_id: z.uuid(), message_id: z.uuid(), status: z.string() })
    .nullable(),
});

export const conversationList = z.object({
  conversations: z.array(conversationShape),
  items: z.array(conversationShape),
  total: z.int(),
  next_cursor: z.string().nullable(),
  has_more: z.boolean(),
});

/** A card that waits, with the contract's names beside ours. */
const interrupt = approvalShape.extend({
  interrupt_id: z.uuid(),
  action: z.string(),
  summary: z.string(),
  arguments: z.record(z.string(), z.unknown()),
});

export const interruptState = z.object({
  thread_id: z.uuid(),
  pending: z.boolean(),
  interrupt: interrupt.nullable(),
  interrupts: z.array(interrupt),
});
