/** Changes of a campaign: which fields may change when, and what a launch may still change of its draft. */

import type { Updateable } from 'kysely';
import { z } from 'zod';
import type { WorkspaceTransaction } from '../../db/database.ts';
import type { CampaignTable } from '../../db/tables.ts';
import { ServiceError } from '../../errors.ts';
import { type CampaignRow, stepsOf } from './rows.ts';
import { type CampaignChanges, campaignName, campaignStep, dailyLimit, stepVariant } from './schema.ts';

/** What may be changed with the launch itself, so that a person can correct the card that asks them. */
export const launchChanges = z.strictObject({
  name: campaignName.optional().describe('A new name.'),
  daily_limit: dailyLimit.optional().describe('Most mails a day and mailbox.'),
  start_date: z.iso
    .datetime({ offset: true })
    .nullable()
    .optional()
    .describe('When to start; null: at once.'),
  texts: z
    .array(
      z.strictObject({
        step: campaignStep.shape.step,
        label: stepVariant.shape.label.optional(),
        subject: z.string().trim().min(1).max(998),
        body: z.string().min(1).max(50_000),
      }),
    )
    .max(100)
    .optional()
    .describe('New texts, each for a step, and for one variant of it where there are several.'),
});
export type LaunchChanges = z.output<typeof launchChanges>;

/** The campaign with the changes; throws `NOT_FOUND` for a text of a step or variant that there is not. */
export function applyChanges(row: CampaignRow, changes: LaunchChanges): CampaignRow {
  const changed = { ...row };
  if (changes.name !== undefined) changed.name = changes.name;
  if (changes.daily_limit !== undefined) changed.daily_limit = changes.daily_limit;
  if (changes.start_date !== undefined) {
    changed.start_date = changes.start_date === null ? null : new Date(changes.start_date);
    changed.launch_type = changes.start_date === null ? 'immediate' : 'scheduled';
  }
  if (changes.texts !== undefined) {
    const steps = stepsOf(row);
    for (const { step, label, subject, body } of changes.texts) {
      const variants = steps[step - 1]?.variants ?? [];
      const meant = label === undefined ? variants : variants.filter((variant) => variant.label === label);
      const [variant] = meant;
      if (variant === undefined || meant.length > 1) {
        throw new ServiceError(
          'NOT_FOUND',
          meant.length > 1
            ? `Step ${step} has several variants. Name the one that the text is for by its label.`
            : `The campaign has no such variant of step ${step}.`,
        );
      }
      Object.assign(variant, { type: 'TEMPLATE', template_id: null, subject, body });
    }
    changed.steps = steps;
  }
  return changed;
}

/** Keeps what `applyChanges` changed. */
export async function saveChanges(
  tx: WorkspaceTransaction,
  changed: CampaignRow,
  changes: LaunchChanges,
): Promise<void> {
  if (Object.keys(changes).length === 0) return;
  await tx
    .updateTable('campaigns')
    .set({
      name: changed.name,
      daily_limit: changed.daily_limit,
      start_date: changed.start_date,
      launch_type: changed.launch_type,
      steps: JSON.stringify(changed.steps),
    })
    .where('id', '=', changed.id)
    .execute();
}

/** Fields that say nothing of what is sent, to whom, or when: they may change in every state. */
const FREE = [
  'name',
  'description',
  'playground_discovery_dismissed_at',
  'unreviewed_launch_policy',
] as const;

/** Whether the changes touch what is sent or when. */
export function touchesContent(changes: CampaignChanges): boolean {
  return Object.entries(changes).some(
    ([field, value]) => value !== undefined && !FREE.some((free) => free === field),
  );
}

/** The changes as the table takes them. Null empties a field that may be empty and is ignored elsewhere. */
export function toUpdate(changes: CampaignChanges): Updateable<CampaignTable> {
  const update: Updateable<CampaignTable> = {};
  if (changes.name != null) update.name = changes.name;
  if (changes.steps != null) update.steps = JSON.stringify(changes.steps);
  if (changes.launch_type != null) update.launch_type = changes.launch_type;
  if (changes.daily_limit != null) update.daily_limit = changes.daily_limit;
  if (changes.min_interval_seconds != null) update.min_interval_seconds = changes.min_interval_seconds;
  if (changes.sending_window_start != null) update.sending_window_start = changes.sending_window_start;
  if (changes.sending_window_end != null) update.sending_window_end = changes.sending_window_end;
  if (changes.timezone != null) update.timezone = changes.timezone;
  if (changes.send_days != null) update.send_days = changes.send_days;
  if (changes.unreviewed_launch_policy !== undefined) {
    update.unreviewed_launch_policy = changes.unreviewed_launch_policy;
  }
  if (changes.description !== undefined) update.description = changes.description;
  if (changes.alias_ids !== undefined) update.alias_ids = changes.alias_ids;
  if (changes.connected_account_id !== undefined) update.connected_account_id = changes.connected_account_id;
  if (changes.start_date !== undefined) update.start_date = changes.start_date;
  if (changes.system_prompt !== undefined) update.system_prompt = changes.system_prompt;
  if (changes.playground_discovery_dismissed_at !== undefined) {
    update.playground_discovery_dismissed_at = changes.playground_discovery_dismissed_at;
  }
  return update;
}
