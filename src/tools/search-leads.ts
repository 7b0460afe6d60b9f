/** The tool that finds leads in the workspace's own data. */

import { z } from 'zod';
import type { Leads } from '../resources/leads/leads.ts';
import { leadFilters } from '../resources/leads/schema.ts';
import { visibleText } from '../resources/leads/visible-text.ts';
import { type Tool, tool } from './tool.ts';

export function createSearchLeadsTool({ leads }: { leads: Pick<Leads, 'search'> }): Tool {
  return tool({
    name: 'search_leads',
    description:
      'Find leads (people with an e-mail address) in the imported datasets, best match first. All arguments that are given must hold; without any it lists leads. Answers `total` (all matches) and `leads` (at most `limit`), each with its lead_id; suppressed leads must not be written to.',
    schema: z.strictObject({
      ...leadFilters,
      lead_id: z.uuid().optional(),
      limit: z.int().min(1).max(25).default(10),
    }),
    effect: 'none',
    untrusted: true,
    async run({ caller }, args) {
      const { total, leads: found } = await leads.search(caller, args);
      return {
        total,
        leads: found.map((lead) => ({
          lead_id: lead.lead_id,
          // It was validated at import, and half an address would be another one.
          email: lead.email,
          first_name: shown(lead.first_name),
          last_name: shown(lead.last_name),
          name: shown(lead.name),
          company: shown(lead.company),
          title: shown(lead.title),
          city: shown(lead.city),
          country: shown(lead.country),
          dataset_id: lead.dataset_id,
          suppressed: lead.suppressed,
        })),
      };
    },
  });
}

function shown(value: string | null): string | null {
  return value === null ? null : visibleText(value);
}
