/** The tool that changes a campaign: a draft freely, a paused one only with a person's yes. */

import { z } from 'zod';
import type { Database } from '../db/database.ts';
import { ServiceError } from '../errors.ts';
import type { Campaigns } from '../resources/campaigns/campaigns.ts';
import { touchesContent } from '../resources/campaigns/changes.ts';
import { type CampaignChanges, updateCampaignBody } from '../resources/campaigns/schema.ts';
import { isPastDraft } from '../resources/campaigns/status.ts';
import type { Fact } from '../runtime/events.ts';
import { stepArgs, toSteps } from './campaign-steps.ts';
import { type Tool, tool } from './tool.ts';

export interface UpdateCampaignNeeds {
  database: Database;
  campaigns: Pick<Campaigns, 'checkChangesWithin' | 'updateWithin'>;
}

const body = updateCampaignBody.shape;

const schema = z
  .strictObject({
    campaign_id: z.uuid(),
    name: body.name.unwrap().unwrap().optional(),
    description: body.description,
    steps: z.array(stepArgs).min(1).max(10).optional().describe('All steps anew, in their order.'),
    sender_profile_id: z.uuid().optional().describe('Who writes.'),
    start_date: body.start_date.describe('When to start; null: at the launch.'),
    daily_limit: body.daily_limit.unwrap().unwrap().optional(),
    min_interval_seconds: body.min_interval_seconds.unwrap().unwrap().optional(),
    sending_window_start: timeOfDay(),
    sending_window_end: timeOfDay(),
    timezone: body.timezone.unwrap().unwrap().optional(),
    send_days: body.send_days.unwrap().unwrap().optional(),
  })
  .refine((args) => Object.keys(args).length > 1, 'Give what shall change.');

const standsSchema = z.object({ past_draft: z.boolean() });

export function createUpdateCampaignTool({ database, campaigns }: UpdateCampaignNeeds): Tool {
  return tool<z.output<typeof schema>>({
    name: 'update_campaign',
    description:
      'Changes a campaign. Texts, sender and schedule change while it is a draft or paused (pause_campaign first); the name and the description always. Give only what changes.',
    schema,
    untrusted: false,
    effect: 'inside',

    async propose({ caller }, args) {
      const changes = changesOf(args);
      const campaign = await database.within(caller.workspaceId, (tx) =>
        campaigns.checkChangesWithin(tx, caller, args.campaign_id, changes),
      );
      const pastDraft = isPastDraft(campaign.status);
      return {
        args,
        stands: { past_draft: pastDraft },
        // What changes the content of a campaign that somebody approved is sending (design.md §6).
        effectClass: pastDraft && touchesContent(changes) ? 'send' : 'write',
        credits: 0,
        title: `Change the campaign "${campaign.name}"`,
        facts: [
          { label: 'Campaign', value: `${campaign.name} (${campaign.status})` },
          ...Object.entries(args)
            .filter(([field]) => field !== 'campaign_id' && field !== 'steps')
            .map(([field, value]): Fact => ({ label: field.replaceAll('_', ' '), value: said(value) })),
          ...(args.steps === undefined ? [] : [{ label: 'steps', value: `${args.steps.length}, all anew` }]),
        ],
        warnings: [],
        preview: (args.steps ?? []).flatMap(({ subject, body: words }) =>
          subject === undefined || words === undefined ? [] : [{ subject, body: words }],
        ),
        consequence: pastDraft
          ? 'The change takes effect when somebody approves that the campaign goes on.'
          : 'The draft changes. Nothing is sent.',
      };
    },

    async runWithin(tx, { caller }, proposal) {
      const args = schema.parse(proposal.args);
      const changed = await campaigns.updateWithin(tx, caller, args.campaign_id, changesOf(args));
      if (isPastDraft(changed.status) !== standsSchema.parse(proposal.stands).past_draft) {
        throw new ServiceError(
          'STALE_PROPOSAL',
          'The campaign is in another state now. Nothing was changed.',
        );
      }
      return { campaign_id: changed.campaign_id, name: changed.name, status: changed.status };
    },
  });
}

function timeOfDay() {
  return z
    .string()
    .regex(/^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$/)
    .optional()
    .describe('Local time of day, HH:MM.');
}

function changesOf({
  campaign_id: _id,
  steps,
  sender_profile_id: sender,
  start_date: start,
  ...rest
}: z.output<typeof schema>): CampaignChanges {
  return updateCampaignBody.parse({
    ...rest,
    ...(steps === undefined ? {} : { steps: toSteps(steps) }),
    ...(sender === undefined ? {} : { alias_ids: [sender] }),
    ...(start === undefined
      ? {}
      : { start_date: start, launch_type: start === null ? 'immediate' : 'scheduled' }),
  });
}

function said(value: unknown): string {
  return Array.isArray(value) ? value.join(' ') : String(value ?? 'none');
}
