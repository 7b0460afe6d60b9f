/** Leads over REST: find them and read one. */

import { z } from 'zod';
import { type Route, route } from '../../http/route.ts';
import type { Leads } from './leads.ts';
import { lead, leadList, listLeadsQuery } from './schema.ts';

export function createLeadRoutes(leads: Leads): Route[] {
  return [
    route({
      method: 'GET',
      path: '/api/v1/leads',
      operation: 'listLeads',
      tag: 'leads',
      summary: 'Find leads outside the archive, best match first',
      access: 'read',
      query: listLeadsQuery,
      answers: { 200: leadList },
      handle: async ({ caller, query }) => {
        const found = await leads.search(caller, query);
        return { status: 200, body: { ...found, items: found.leads } };
      },
    }),
    route({
      method: 'GET',
      path: '/api/v1/leads/{lead_id}',
      operation: 'getLead',
      tag: 'leads',
      summary: 'Read a lead with all columns of its file',
      access: 'read',
      params: z.object({ lead_id: z.uuid() }),
      answers: { 200: lead },
      handle: async ({ caller, params }) => ({ status: 200, body: await leads.get(caller, params.lead_id) }),
    }),
  ];
}
