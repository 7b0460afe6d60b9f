/** The tool that makes a campaign in draft: nothing is sent before somebody approves its launch. */

import { z } from 'zod';
import type { Campaigns } from '../resources/campaigns/campaigns.ts';
import { createCampaignBody } from '../resources/campaigns/schema.ts';
import { stepArgs, toSteps } from './campaign-steps.ts';
import { type Tool, tool } from './tool.ts';

export interface CreateCampaignNeeds {
  campaigns: Pick<Campaigns, 'check' | 'createWithin'>;
}

const body = createCampaignBody.shape;

const schema = z.strictObject({
  name: body.name,
  dataset_id: body.dataset_id.describe('The dataset whose leads get the mails.'),
  steps: z.array(stepArgs).min(1).max(10).describe('The mails in their order.'),
  sender_profile_id: z.uuid().optional().describe("Who writes; without it the user's default profile."),
  description: z.string().max(1000).optional(),
  start_date: z.iso
    .datetime({ offset: true })
    .optional()
    .describe('When to start; without it at the launch.'),
  daily_limit: body.daily_limit.describe('Most mails a day and mailbox.'),
  min_interval_seconds: body.min_interval_seconds.describe('Least gap between two mails of a mailbox.'),
  sending_window_start: z
    .string()
    .regex(/^\d\d:\d\d(:\d\d)?$/)
    .default('09:00:00')
    .describe('Local time of day.'),
  sending_window_end: z
    .string()
    .regex(/^\d\d:\d\d(:\d\d)?$/)
    .default('17:00:00'),
  timezone: body.timezone.describe('Name such as Europe/Berlin.'),
  send_days: body.send_days,
});

export function createCreateCampaignTool({ campaigns }: CreateCampaignNeeds): Tool {
  return tool<z.output<typeof schema>>({
    name: 'create_campaign',
    description:
      'Makes a campaign in draft: a dataset, one to ten steps, a schedule. Nothing is sent; preflight_campaign then says what a launch would do, and launch_campaign asks for it. Answers the campaign_id.',
    schema,
    untrusted: false,
    effect: 'inside',

    async propose({ caller }, args) {
      const input = inputOf(args);
      const { leads } = await campaigns.check(caller, input);
      return {
        args,
        stands: {},
        effectClass: 'write',
        credits: 0,
        title: `Create the campaign "${args.name}"`,
        facts: [
          { label: 'Name', value: args.name },
          { label: 'Leads', value: String(leads) },
          { label: 'Steps', value: String(args.steps.length) },
          {
            label: 'Window',
            value: `${input.sending_window_start.slice(0, 5)}–${input.sending_window_end.slice(0, 5)} ${input.timezone}, ${input.send_days.join(' ')}`,
          },
        ],
        warnings: [],
        preview: args.steps.flatMap(({ subject, body }) =>
          subject === undefined || body === undefined ? [] : [{ subject, body }],
        ),
        consequence: 'A draft is made. Nothing is sent before somebody approves its launch.',
      };
    },

    async runWithin(tx, { caller }, proposal) {
      const { campaign_id, name, status, total_leads } = await campaigns.createWithin(
        tx,
        caller,
        inputOf(schema.parse(proposal.args)),
      );
      return { campaign_id, name, status, total_leads };
    },
  });
}

/** As REST takes it; throws where the times of day are none. */
function inputOf({ steps, sender_profile_id, start_date, ...args }: z.output<typeof schema>) {
  return createCampaignBody.parse({
    ...args,
    steps: toSteps(steps),
    ...(sender_profile_id === undefined ? {} : { alias_ids: [sender_profile_id] }),
    ...(start_date === undefined ? {} : { launch_type: 'scheduled', start_date }),
  });
}
