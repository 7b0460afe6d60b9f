/** The tool that adds leads to a campaign; once it was launched, that is sending to them. */

import { z } from 'zod';
import type { Database } from '../db/database.ts';
import { type Launches, requireReady } from '../resources/campaigns/launch/launches.ts';
import { statusOf } from '../resources/campaigns/rows.ts';
import { isPastDraft } from '../resources/campaigns/status.ts';
import type { Credits } from '../resources/credits/credits.ts';
import { visibleText } from '../resources/leads/visible-text.ts';
import { campaignCard, recipientsOf } from './campaign-card.ts';
import { type Proposal, type Tool, tool } from './tool.ts';

export interface AddLeadsToCampaignNeeds {
  database: Database;
  launches: Pick<Launches, 'prepareLeadsWithin' | 'addLeadsWithin'>;
  credits: Pick<Credits, 'balance'>;
}

const schema = z
  .strictObject({
    campaign_id: z.uuid(),
    lead_ids: z.array(z.uuid()).min(1).max(1000).optional().describe('Leads, by their ids.'),
    dataset_id: z.uuid().optional().describe('All leads of this dataset instead.'),
  })
  .refine((args) => (args.lead_ids === undefined) !== (args.dataset_id === undefined), {
    error: 'Give exactly one of lead_ids and dataset_id.',
    path: ['lead_ids'],
  });

/** Addresses that the card lists. */
const LISTED = 20;

export function createAddLeadsToCampaignTool({ database, launches, credits }: AddLeadsToCampaignNeeds): Tool {
  return tool<z.output<typeof schema>>({
    name: 'add_leads_to_campaign',
    description:
      'Adds leads to a campaign: to a draft freely; to a launched one a person approves it first, and the new leads then get its first mail. Answers how many were added, and how many were in it already.',
    schema,
    untrusted: false,
    effect: 'inside',

    async propose({ caller }, args): Promise<Proposal> {
      const { campaign_id: campaignId, ...add } = args;
      const found = await database.within(caller.workspaceId, (tx) =>
        launches.prepareLeadsWithin(tx, caller, campaignId, add),
      );
      const { campaign } = found;
      const title = `Add leads to the campaign "${campaign.name}"`;
      if ('prepared' in found) {
        const { prepared } = found;
        requireReady(prepared);
        const { available_credits: available } = await credits.balance(caller);
        return {
          args,
          stands: prepared.stands,
          effectClass: 'send',
          credits: 0,
          title,
          ...campaignCard(prepared, { price: 0, available }),
          recipients: () => recipientsOf(prepared),
        };
      }
      const { emails, stands } = found.noted;
      const shown = emails.slice(0, LISTED).map((email) => visibleText(email));
      const more = emails.length - shown.length;
      return {
        args,
        stands,
        effectClass: isPastDraft(statusOf(campaign)) ? 'send' : 'write',
        credits: 0,
        title,
        facts: [
          { label: 'Campaign', value: `${campaign.name} (${campaign.status})` },
          { label: 'New leads', value: String(emails.length) },
          ...(shown.length === 0
            ? []
            : [{ label: 'Who', value: `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}` }]),
        ],
        warnings: [],
        preview: [],
        recipients: () =>
          emails.map((email) => ({
            email: visibleText(email, 254),
            name: null,
            company: null,
            left_out: null,
          })),
        consequence: 'They get mails when somebody approves that the campaign is launched or goes on.',
      };
    },

    runWithin(tx, { caller, turnId, toolCallId }, proposal) {
      const { campaign_id: campaignId, ...add } = schema.parse(proposal.args);
      const approved = { stands: proposal.stands, turnId, toolCallId };
      return launches.addLeadsWithin(tx, caller, campaignId, add, approved);
    },
  });
}
