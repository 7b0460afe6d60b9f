/** The tool that holds a campaign. */

import { z } from 'zod';
import type { Campaigns } from '../resources/campaigns/campaigns.ts';
import { pauseWithin } from '../resources/campaigns/launch/launches.ts';
import { requireStatus } from '../resources/campaigns/status.ts';
import { type Tool, tool } from './tool.ts';

export interface PauseCampaignNeeds {
  campaigns: Pick<Campaigns, 'get'>;
  now(): number;
}

const schema = z.strictObject({ campaign_id: z.uuid() });

export function createPauseCampaignTool({ campaigns, now }: PauseCampaignNeeds): Tool {
  return tool<z.output<typeof schema>>({
    name: 'pause_campaign',
    description:
      'Pauses a scheduled or running campaign at once: nothing more is sent until resume_campaign was approved.',
    schema,
    untrusted: false,
    effect: 'inside',

    async propose({ caller }, args) {
      const campaign = await campaigns.get(caller, args.campaign_id);
      requireStatus(campaign.status, 'pause');
      return {
        args,
        stands: {},
        effectClass: 'write',
        credits: 0,
        title: `Pause the campaign "${campaign.name}"`,
        facts: [{ label: 'Campaign', value: `${campaign.name} (${campaign.status})` }],
        warnings: [],
        preview: [],
        consequence: 'Mails that have not begun to leave wait until somebody approves that it goes on.',
      };
    },

    async runWithin(tx, { caller }, proposal) {
      const { campaign_id, name, status } = await pauseWithin(
        tx,
        caller,
        schema.parse(proposal.args).campaign_id,
        now(),
      );
      return { campaign_id, name, status };
    },
  });
}
