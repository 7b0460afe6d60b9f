/** The rows of campaigns as the rest of the folder reads them. */

import { type ExpressionBuilder, type Selectable, sql } from 'kysely';
import type { WorkspaceTransaction } from '../../db/database.ts';
import type { CampaignTable, Tables } from '../../db/tables.ts';
import { ServiceError } from '../../errors.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { SendRule } from './launch/plan.ts';
import {
  type Campaign,
  type CampaignStatus,
  type CampaignStep,
  campaign,
  campaignSteps,
  SEND_DAYS,
} from './schema.ts';

export type CampaignRow = Selectable<CampaignTable>;

/** A campaign with what is counted of its leads. */
export type CountedRow = CampaignRow & { total_leads: string; processed_leads: string };

/** The caller's campaign, locked for what changes its state; throws `NOT_FOUND`. */
export async function lockCampaign(
  tx: WorkspaceTransaction,
  caller: Caller,
  campaignId: string,
): Promise<CampaignRow> {
  const row = await tx
    .selectFrom('campaigns')
    .selectAll()
    .where((one) => one.and({ id: campaignId, user_id: caller.userId }))
    .forUpdate()
    .executeTakeFirst();
  if (row === undefined) throw noSuchCampaign();
  return row;
}

/** The caller's campaign; throws `NOT_FOUND`. */
export async function readCampaign(
  tx: WorkspaceTransaction,
  caller: Caller,
  campaignId: string,
): Promise<CampaignRow> {
  const row = await tx
    .selectFrom('campaigns')
    .selectAll()
    .where((one) => one.and({ id: campaignId, user_id: caller.userId }))
    .executeTakeFirst();
  if (row === undefined) throw noSuchCampaign();
  return row;
}

/** The caller's campaign as it is told; throws `NOT_FOUND`. */
export async function tellCampaign(
  tx: WorkspaceTransaction,
  caller: Caller,
  campaignId: string,
): Promise<Campaign> {
  const row = await tx
    .selectFrom('campaigns')
    .selectAll()
    .select(leadCounts)
    .where((one) => one.and({ id: campaignId, user_id: caller.userId }))
    .executeTakeFirst();
  if (row === undefined) throw noSuchCampaign();
  return toCampaign(row);
}

/** How many leads a campaign has, and with how many of them it is through. */
export function leadCounts(builder: ExpressionBuilder<Tables, 'campaigns'>) {
  const leads = builder.selectFrom('campaign_leads').whereRef('campaign_id', '=', 'campaigns.id');
  return [
    leads.select((row) => row.fn.countAll<string>().as('n')).as('total_leads'),
    leads
      .where('status', 'not in', ['pending', 'active'])
      .select((row) => row.fn.countAll<string>().as('n'))
      .as('processed_leads'),
  ] as const;
}

export function toCampaign(row: Selectable<CampaignTable> & Counts): Campaign {
  return {
    campaign_id: row.id,
    user_id: row.user_id,
    dataset_id: row.dataset_id,
    name: row.name,
    type: row.type,
    status: statusOf(row),
    launch_type: campaign.shape.launch_type.parse(row.launch_type),
    daily_limit: row.daily_limit,
    sending_window_start: row.sending_window_start,
    sending_window_end: row.sending_window_end,
    min_interval_seconds: row.min_interval_seconds,
    timezone: row.timezone,
    steps_config: stepsOf(row),
    send_days: row.send_days,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
    description: row.description,
    start_date: row.start_date?.toISOString() ?? null,
    alias_ids: row.alias_ids,
    connected_account_id: row.connected_account_id,
    total_leads: Number(row.total_leads),
    processed_leads: Number(row.processed_leads),
    // A launch is one transaction, and its row is the only job there is.
    launch_job_id: row.launch_id,
    launch_requested_at: row.launch_requested_at?.toISOString() ?? null,
    launch_error: row.launch_error,
    system_prompt: row.system_prompt,
    unreviewed_launch_policy: campaign.shape.unreviewed_launch_policy.parse(row.unreviewed_launch_policy),
    paused_reason: row.paused_reason,
    playground_discovery_dismissed_at: row.playground_discovery_dismissed_at?.toISOString() ?? null,
  };
}

interface Counts {
  total_leads: string | null;
  processed_leads: string | null;
}

export function statusOf(row: Pick<CampaignRow, 'status'>): CampaignStatus {
  return campaign.shape.status.parse(row.status);
}

export function stepsOf(row: Pick<CampaignRow, 'steps'>): CampaignStep[] {
  return campaignSteps.parse(row.steps);
}

const WEEKDAYS: readonly string[] = SEND_DAYS;

/** When a campaign's mails may leave. */
export function ruleOf(
  row: Pick<
    CampaignRow,
    | 'timezone'
    | 'sending_window_start'
    | 'sending_window_end'
    | 'send_days'
    | 'daily_limit'
    | 'min_interval_seconds'
  >,
): SendRule {
  return {
    timezone: row.timezone,
    windowStart: secondsOf(row.sending_window_start),
    windowEnd: secondsOf(row.sending_window_end),
    days: new Set(row.send_days.map((day) => WEEKDAYS.indexOf(day))),
    dailyLimit: row.daily_limit,
    minIntervalMs: row.min_interval_seconds * 1000,
  };
}

/** An instant of our clock as a parameter. */
export function instant(milliseconds: number) {
  return sql<Date>`${new Date(milliseconds).toISOString()}::timestamptz`;
}

export function noSuchCampaign(): ServiceError {
  return new ServiceError('NOT_FOUND', 'There is no such campaign.');
}

function secondsOf(time: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = time.split(':').map(Number);
  return hours * 3600 + minutes * 60 + seconds;
}
