/** The lead finder over REST (contract, tag lead-finder). */

import { z } from 'zod';
import { type Route, route } from '../../http/route.ts';
import type { LeadFinder } from './lead-finder.ts';
import { batch, batchBody, batchStatus, batchStatusQuery } from './schema.ts';

const tag = 'lead-finder';

export function createLeadFinderRoutes(leadFinder: LeadFinder): Route[] {
  return [
    route({
      method: 'POST',
      path: '/api/v1/lead-finder/batch',
      operation: 'submitLeadFinderBatch',
      tag,
      summary: 'Find profiles for names, or leads for criteria; the work goes on after the answer',
      access: 'write',
      body: batchBody,
      answers: { 202: batch },
      refusals: ['NOT_ENOUGH_CREDITS'],
      handle: async ({ caller, body }) => ({ status: 202, body: await leadFinder.submit(caller, body) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/lead-finder/batch/{session_id}/status',
      operation: 'getLeadFinderBatchStatus',
      tag,
      summary: 'Progress of a batch, and what it found so far',
      access: 'read',
      params: z.object({ session_id: z.uuid() }),
      query: batchStatusQuery,
      answers: { 200: batchStatus },
      handle: async ({ caller, params, query }) => ({
        status: 200,
        body: await leadFinder.status(caller, params.session_id, query.include_results),
      }),
    }),
  ];
}
