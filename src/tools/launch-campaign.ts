/** The tools that let a campaign's mails go: they show whom it reaches, with what and when, and do that or nothing. */

import { z } from 'zod';
import type { Database } from '../db/database.ts';
import { type LaunchChanges, launchChanges } from '../resources/campaigns/changes.ts';
import { type Launches, requireReady } from '../resources/campaigns/launch/launches.ts';
import type { Credits } from '../resources/credits/credits.ts';
import { campaignCard, recipientsOf } from './campaign-card.ts';
import { type Tool, tool } from './tool.ts';

export interface LaunchCampaignNeeds {
  database: Database;
  launches: Pick<Launches, 'prepareLaunchWithin' | 'launchWithin'>;
  credits: Pick<Credits, 'balance'>;
}

const schema = launchChanges.extend({ campaign_id: z.uuid() });

/** Own templates cost nothing. */
const PRICE = 0;

export function createLaunchCampaignTools(needs: LaunchCampaignNeeds): Tool[] {
  return [
    launchTool(needs, {
      kind: 'launch',
      name: 'launch_campaign',
      description:
        'Launches a campaign that is a draft: its leads are enrolled and each mail gets its time. A person approves it before anything happens; the system asks them, so call this without asking first. Name, daily limit, start and texts can be changed with it.',
      title: (name, people) => `Launch "${name}" to ${people}`,
    }),
    launchTool(needs, {
      kind: 'resume',
      name: 'resume_campaign',
      description:
        'Lets a paused campaign go on: what waits is written and planned anew. A person approves it first; the system asks them.',
      title: (name, people) => `Go on with "${name}" to ${people}`,
    }),
  ];
}

/** What the campaign has where nothing else is asked for. */
function assumedOf(
  campaign: { name: string; daily_limit: number; start_date: Date | null },
  args: LaunchChanges,
): Record<string, unknown> {
  return {
    ...(args.name === undefined ? { name: campaign.name } : {}),
    ...(args.daily_limit === undefined ? { daily_limit: campaign.daily_limit } : {}),
    ...(args.start_date === undefined ? { start_date: campaign.start_date?.toISOString() ?? null } : {}),
  };
}

function launchTool(
  { database, launches, credits }: LaunchCampaignNeeds,
  about: {
    kind: 'launch' | 'resume';
    name: string;
    description: string;
    title(name: string, people: string): string;
  },
): Tool {
  return tool<z.output<typeof schema>>({
    name: about.name,
    description: about.description,
    schema,
    untrusted: false,
    effect: 'inside',

    async propose({ caller }, args) {
      const { campaign_id: campaignId, ...changes } = args;
      const prepared = await database.within(caller.workspaceId, (tx) =>
        launches.prepareLaunchWithin(tx, caller, campaignId, about.kind, changes),
      );
      requireReady(prepared);
      const { available_credits: available } = await credits.balance(caller);
      const { launchable_rows: leads } = prepared.report.summary;
      return {
        args,
        assumed: assumedOf(prepared.campaign, args),
        stands: prepared.stands,
        effectClass: 'launch',
        credits: PRICE,
        title: about.title(prepared.campaign.name, leads === 1 ? '1 lead' : `${leads} leads`),
        ...campaignCard(prepared, { price: PRICE, available }),
        recipients: () => recipientsOf(prepared),
      };
    },

    async runWithin(tx, { caller, turnId, toolCallId }, proposal) {
      const { campaign_id: campaignId, ...changes } = schema.parse(proposal.args);
      const approved = { stands: proposal.stands, turnId, toolCallId };
      const { campaign, report, sandbox } = await launches.launchWithin(
        tx,
        caller,
        campaignId,
        about.kind,
        changes,
        approved,
      );
      return {
        campaign_id: campaign.campaign_id,
        name: campaign.name,
        status: campaign.status,
        sandbox,
        recipients: report.summary.launchable_rows,
        left_out: report.left_out,
        first_send_at: report.first_send_at,
        last_send_at: report.last_send_at,
      };
    },
  });
}
