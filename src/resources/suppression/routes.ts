/** The do-not-contact list over REST (contract, tag suppression). */

import { z } from 'zod';
import { type Route, route } from '../../http/route.ts';
import { addSuppressionBody, listSuppressionQuery, suppressionEntry, suppressionList } from './schema.ts';
import type { Suppression } from './suppression.ts';

export function createSuppressionRoutes(suppression: Suppression): Route[] {
  return [
    route({
      method: 'GET',
      path: '/api/v1/suppression/',
      operation: 'listSuppression',
      tag: 'suppression',
      summary: 'List suppressed addresses',
      access: 'read',
      query: listSuppressionQuery,
      answers: { 200: suppressionList },
      handle: async ({ caller, query }) => ({ status: 200, body: await suppression.list(caller, query) }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/suppression/',
      operation: 'addSuppression',
      tag: 'suppression',
      summary: 'Suppress an address',
      access: 'write',
      body: addSuppressionBody,
      answers: { 201: suppressionEntry },
      refusals: ['ALREADY_EXISTS'],
      handle: async ({ caller, body }) => ({ status: 201, body: await suppression.add(caller, body) }),
    }),
    route({
      method: 'DELETE',
      path: '/api/v1/suppression/{entry_id}',
      operation: 'deleteSuppression',
      tag: 'suppression',
      summary: 'Lift a suppression',
      access: 'write',
      params: z.object({ entry_id: z.uuid() }),
      answers: { 204: 'empty' },
      handle: async ({ caller, params }) => {
        await suppression.remove(caller, params.entry_id);
        return { status: 204 };
      },
    }),
  ];
}
