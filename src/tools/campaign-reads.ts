/** The tools by which the agent reads campaigns: the list, one, its figures, and what a launch would do. */

import { z } from 'zod';
import type { Campaigns } from '../resources/campaigns/campaigns.ts';
import type { Launches } from '../resources/campaigns/launch/launches.ts';
import { CAMPAIGN_STATUS, type Campaign, listCampaignsQuery } from '../resources/campaigns/schema.ts';
import type { CampaignStatistics } from '../resources/campaigns/stats.ts';
import { line } from '../resources/text.ts';
import { type Tool, tool } from './tool.ts';

export interface CampaignReadNeeds {
  campaigns: Pick<Campaigns, 'list' | 'get'>;
  launches: Pick<Launches, 'preflight'>;
  campaignStats: Pick<CampaignStatistics, 'of' | 'ofSteps'>;
}

const one = z.strictObject({ campaign_id: z.uuid().describe('The campaign.') });

const listSchema = z.strictObject({
  status: z.enum(CAMPAIGN_STATUS).optional().describe('Only campaigns in this state.'),
  search: line.max(255).optional().describe('Part of the name.'),
  limit: z.int().min(1).max(50).default(20),
});

/** How much of a step's text the model gets to read. */
const BODY_SHOWN = 4000;

export function createCampaignReadTools({ campaigns, launches, campaignStats }: CampaignReadNeeds): Tool[] {
  return [
    tool<z.output<typeof listSchema>>({
      name: 'list_campaigns',
      description:
        "Lists the user's campaigns, newest first, each with its campaign_id, state and number of leads. States: draft, scheduled, active, draining (only later steps are left), paused, completed.",
      schema: listSchema,
      untrusted: false,
      effect: 'none',
      async run({ caller }, { status, search, limit }) {
        const query = listCampaignsQuery.parse({ status_filter: status, search, limit });
        const { items, total } = await campaigns.list(caller, query);
        return { total, campaigns: items.map(summaryOf) };
      },
    }),
    tool<z.output<typeof one>>({
      name: 'get_campaign',
      description: 'Reads one campaign: its schedule, and its steps with their texts or templates.',
      schema: one,
      untrusted: false,
      effect: 'none',
      async run({ caller }, { campaign_id }) {
        const campaign = await campaigns.get(caller, campaign_id);
        return {
          ...summaryOf(campaign),
          description: campaign.description,
          dataset_id: campaign.dataset_id,
          start_date: campaign.start_date,
          daily_limit: campaign.daily_limit,
          min_interval_seconds: campaign.min_interval_seconds,
          sending_window: `${campaign.sending_window_start.slice(0, 5)}–${campaign.sending_window_end.slice(0, 5)}`,
          timezone: campaign.timezone,
          send_days: campaign.send_days,
          sender_profile_ids: campaign.alias_ids ?? [],
          steps: campaign.steps_config.map(({ step, delay_days, variants }) => ({
            step,
            delay_days,
            variants: variants.map(({ label, weight, type, template_id, subject, body }) => ({
              label,
              weight,
              personalized: type === 'PERSONALIZATION',
              template_id: template_id ?? null,
              subject: subject ?? null,
              body: body?.slice(0, BODY_SHOWN) ?? null,
            })),
          })),
        };
      },
    }),
    tool<z.output<typeof one>>({
      name: 'get_campaign_stats',
      description:
        'Answers the figures of a campaign: mails queued, sent (or only kept here: sandbox), failed, of unknown fate, replies, bounces, unsubscriptions; and per step. Nothing counts opens and clicks yet.',
      schema: one,
      untrusted: false,
      effect: 'none',
      async run({ caller }, { campaign_id }) {
        const stats = await campaignStats.of(caller, campaign_id);
        const { steps } = await campaignStats.ofSteps(caller, campaign_id);
        return { ...stats, steps };
      },
    }),
    tool<z.output<typeof one>>({
      name: 'preflight_campaign',
      description:
        'Says what a launch would do, without doing it: how many leads get mails, who is left out and why, first and last mail, and what is wrong, worst first. Severity "error" keeps it from being launched. Call it before launch_campaign.',
      schema: one,
      // Findings name columns of files, which strangers wrote.
      untrusted: true,
      effect: 'none',
      run: ({ caller }, { campaign_id }) => launches.preflight(caller, campaign_id),
    }),
  ];
}

function summaryOf(campaign: Campaign) {
  return {
    campaign_id: campaign.campaign_id,
    name: campaign.name,
    status: campaign.status,
    total_leads: campaign.total_leads,
    processed_leads: campaign.processed_leads,
    steps_count: campaign.steps_config.length,
    created_at: campaign.created_at,
  };
}
