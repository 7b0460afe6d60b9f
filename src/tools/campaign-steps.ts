/** A campaign's steps as the model gives them: one text a step. Variants are for people who compare them. */

import { z } from 'zod';
import { type CampaignStep, campaignStep, stepVariant } from '../resources/campaigns/schema.ts';

export const stepArgs = z
  .strictObject({
    delay_days: campaignStep.shape.delay_days
      .default(0)
      .describe('Calendar days after the step before; 0 for the first step.'),
    template_id: z.uuid().optional().describe('The template to fill for each lead.'),
    subject: z.string().trim().min(1).max(998).optional().describe('The text itself, with {{variables}}.'),
    body: stepVariant.shape.body
      .unwrap()
      .unwrap()
      .optional()
      .describe(
        'Plain text; {{first_name}}, {{company}} and other columns are filled, {{first_name|there}} has a fallback, {{unsubscribe_link}} is the recipient’s own link.',
      ),
  })
  .extend({
    personalized: z
      .boolean()
      .optional()
      .describe(
        'Each lead gets a text of their own, which generate_drafts writes before the launch; template_id, or subject and body, are then what it is written after, and may be left out.',
      ),
  })
  .refine(
    (step) =>
      step.template_id === undefined
        ? (step.subject !== undefined && step.body !== undefined) ||
          (step.personalized === true && step.subject === undefined && step.body === undefined)
        : step.subject === undefined && step.body === undefined,
    'Give a template_id, or subject and body, or let the step be personalized.',
  );
export type StepArgs = z.output<typeof stepArgs>;

export function toSteps(steps: readonly StepArgs[]): CampaignStep[] {
  return steps.map(({ delay_days, personalized = false, ...words }, index) => ({
    step: index + 1,
    delay_days,
    channel: 'email',
    variants: [{ label: 'A', weight: 100, type: personalized ? 'PERSONALIZATION' : 'TEMPLATE', ...words }],
    ai_personalization_enabled: personalized,
    track_clicks: false,
  }));
}
