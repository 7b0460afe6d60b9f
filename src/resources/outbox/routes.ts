/** The outbox over REST (design.md §5). */

import { type Route, route } from '../../http/route.ts';
import type { Outbox } from './outbox.ts';
import { listOutboxQuery, outboxList } from './schema.ts';

export function createOutboxRoutes(outbox: Outbox): Route[] {
  return [
    route({
      method: 'GET',
      path: '/api/v1/outbox',
      operation: 'listOutbox',
      tag: 'outbox',
      summary: 'List mails, newest first; status "sandbox" means kept here and never sent',
      access: 'read',
      query: listOutboxQuery,
      answers: { 200: outboxList },
      handle: async ({ caller, query }) => ({ status: 200, body: await outbox.list(caller, query) }),
    }),
  ];
}
