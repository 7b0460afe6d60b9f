/** Mails that came back over REST: the door by which they come in, and how they are read. */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { readRawBody } from '../../http/body.ts';
import { type Route, route } from '../../http/route.ts';
import type { Replies } from './replies.ts';
import { listRepliesQuery, MAIL_LIMIT, reply, replyList } from './schema.ts';

const TYPE = 'message/rfc822';

export function createReplyRoutes(replies: Replies): Route[] {
  return [
    route({
      method: 'POST',
      path: '/api/v1/replies/inbound',
      operation: 'receiveReply',
      tag: 'replies',
      summary:
        'Take in one raw mail as it was received: a reply, an automatic answer or a bounce; 200 where it is there already',
      // Of its own: a key that lies beside a mail server should do nothing else.
      access: 'replies:write',
      raw: TYPE,
      answers: { 200: reply, 201: reply },
      refusals: ['INVALID_MAIL'],
      async handle({ caller, incoming, once }) {
        const raw = await readRawBody(incoming, { type: TYPE, limit: MAIL_LIMIT });
        return once({ sha256: createHash('sha256').update(raw).digest('hex') }, async () => {
          const { reply: kept, again } = await replies.receive(caller, raw);
          return { status: again ? 200 : 201, body: kept };
        });
      },
    }),
    route({
      method: 'GET',
      path: '/api/v1/replies',
      operation: 'listReplies',
      tag: 'replies',
      summary: 'List mails that came back, newest first',
      access: 'read',
      query: listRepliesQuery,
      answers: { 200: replyList },
      handle: async ({ caller, query }) => ({ status: 200, body: await replies.list(caller, query) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/replies/{reply_id}',
      operation: 'getReply',
      tag: 'replies',
      summary: 'Read one',
      access: 'read',
      params: z.object({ reply_id: z.uuid() }),
      answers: { 200: reply },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await replies.get(caller, params.reply_id),
      }),
    }),
  ];
}
