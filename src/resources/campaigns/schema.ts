/** What is said of campaigns. */

import { z } from 'zod';
import { line, text } from '../text.ts';
import { isTimeZone } from './launch/local-time.ts';

export const CAMPAIGN_STATUS = [
  'draft',
  'launching',
  'scheduled',
  'active',
  'draining',
  'paused',
  'completed',
  'failed',
] as const;
export type CampaignStatus = (typeof CAMPAIGN_STATUS)[number];

/** In the order of JavaScript's weekdays. */
export const SEND_DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
export type SendDay = (typeof SEND_DAYS)[number];

/** Leads of one campaign: more are planned in several. */
export const LEADS_PER_CAMPAIGN = 50_000;

const subject = line.trim().min(1).max(998);
const body = text.min(1).max(50_000);

export const stepVariant = z
  .strictObject({
    label: line.trim().min(1).max(10),
    /** Its share of the leads, against the weights of the step's other variants. */
    weight: z.int().min(0).max(100),
    type: z.enum(['TEMPLATE', 'PERSONALIZATION']),
    template_id: z.uuid().nullish(),
    /** Who writes; without it the campaign's sender. */
    sender_profile_id: z.uuid().nullish(),
    /** The text itself, in place of a template. */
    subject: subject.nullish(),
    body: body.nullish(),
  })
  .refine((variant) => (variant.subject == null) === (variant.body == null), {
    error: 'Give both subject and body, or neither.',
    path: ['body'],
  })
  .refine((variant) => variant.template_id == null || variant.subject == null, {
    error: 'Give a template_id or a text, not both.',
    path: ['template_id'],
  });
export type StepVariant = z.output<typeof stepVariant>;

export const campaignStep = z.strictObject({
  step: z.int().min(1).max(10),
  /** Local calendar days after the previous step; after the start for the first one. */
  delay_days: z.int().min(0).max(365),
  channel: z
    .enum(['email', 'linkedin'])
    .default('email')
    .refine((channel) => channel === 'email', 'This service sends by email only.'),
  variants: z
    .array(stepVariant)
    .max(10)
    .refine(
      (variants) => new Set(variants.map((variant) => variant.label)).size === variants.length,
      'Two variants of the step have the same label.',
    )
    .default([]),
  ai_personalization_enabled: z.boolean().default(true),
  track_clicks: z.boolean().default(false),
  action_type: line.max(100).nullish(),
  message_template: text.max(50_000).nullish(),
});
export type CampaignStep = z.output<typeof campaignStep>;

export const campaignSteps = z
  .array(campaignStep)
  .min(1)
  .max(10)
  .refine(
    (steps) => steps.every(({ step }, index) => step === index + 1),
    'Number the steps 1, 2, 3 … in their order.',
  );

const timeOfDay = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$/, 'Give a time of day as HH:MM:SS.')
  .transform((value) => (value.length === 5 ? `${value}:00` : value));

const timezone = line.max(64).refine(isTimeZone, 'This is no time zone; give a name such as Europe/Berlin.');

const sendDays = z
  .array(z.enum(SEND_DAYS))
  .max(7)
  .refine((days) => new Set(days).size === days.length, 'A day is named twice.');

const policy = z.enum(['launch_default', 'hold', 'cancel']);
const instant = z.iso.datetime({ offset: true });

export const campaignName = line.trim().min(1).max(255);
export const dailyLimit = z.int().min(1).max(10_000);

const fields = {
  name: campaignName,
  description: text.max(1000),
  steps: campaignSteps,
  /** Sender profiles; several take turns among the leads. */
  alias_ids: z.array(line.min(1).max(100)).max(20),
  connected_account_id: z.uuid(),
  launch_type: z.enum(['immediate', 'scheduled']),
  start_date: instant,
  daily_limit: dailyLimit,
  sending_window_start: timeOfDay,
  sending_window_end: timeOfDay,
  min_interval_seconds: z.int().min(60).max(3600),
  timezone,
  send_days: sendDays,
  system_prompt: text.min(100).max(5000),
  unreviewed_launch_policy: policy,
};

export const createCampaignBody = z
  .strictObject({
    name: fields.name,
    dataset_id: z.uuid(),
    steps: fields.steps,
    description: fields.description.nullish(),
    type: z
      .enum(['email', 'linkedin', 'mixed'])
      .default('email')
      .refine((type) => type === 'email', 'This service sends by email only.'),
    alias_ids: fields.alias_ids.nullish(),
    connected_account_id: fields.connected_account_id.nullish(),
    launch_type: fields.launch_type.default('immediate'),
    start_date: fields.start_date.nullish(),
    daily_limit: fields.daily_limit.default(500),
    sending_window_start: fields.sending_window_start.default('09:00:00'),
    sending_window_end: fields.sending_window_end.default('17:00:00'),
    min_interval_seconds: fields.min_interval_seconds.default(300),
    timezone: fields.timezone.default('UTC'),
    send_days: fields.send_days.default(['mon', 'tue', 'wed', 'thu', 'fri']),
    system_prompt: fields.system_prompt.nullish(),
    unreviewed_launch_policy: fields.unreviewed_launch_policy.default('launch_default'),
  })
  .refine((campaign) => campaign.launch_type !== 'scheduled' || campaign.start_date != null, {
    error: 'A scheduled launch needs a start_date.',
    path: ['start_date'],
  });

/** Only what is given changes. Null empties what may be empty (description, start_date, …) and changes nothing else. */
export const updateCampaignBody = z.strictObject({
  name: fields.name.nullish(),
  description: fields.description.nullish(),
  steps: fields.steps.nullish(),
  alias_ids: fields.alias_ids.nullish(),
  connected_account_id: fields.connected_account_id.nullish(),
  launch_type: fields.launch_type.nullish(),
  start_date: fields.start_date.nullish(),
  daily_limit: fields.daily_limit.nullish(),
  min_interval_seconds: fields.min_interval_seconds.nullish(),
  sending_window_start: fields.sending_window_start.nullish(),
  sending_window_end: fields.sending_window_end.nullish(),
  timezone: fields.timezone.nullish(),
  send_days: fields.send_days.nullish(),
  system_prompt: fields.system_prompt.nullish(),
  unreviewed_launch_policy: fields.unreviewed_launch_policy.optional(),
  playground_discovery_dismissed_at: instant.nullish(),
});
export type CampaignChanges = z.output<typeof updateCampaignBody>;

export const campaign = z.object({
  campaign_id: z.uuid(),
  user_id: z.string(),
  dataset_id: z.uuid(),
  name: z.string(),
  type: z.string(),
  status: z.enum(CAMPAIGN_STATUS),
  launch_type: z.enum(['immediate', 'scheduled']),
  daily_limit: z.int(),
  sending_window_start: z.string(),
  sending_window_end: z.string(),
  min_interval_seconds: z.int(),
  timezone: z.string(),
  steps_config: z.array(campaignStep),
  send_days: z.array(z.string()),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
  description: z.string().nullable(),
  start_date: z.iso.datetime().nullable(),
  alias_ids: z.array(z.string()).nullable(),
  connected_account_id: z.uuid().nullable(),
  total_leads: z.int().nullable(),
  processed_leads: z.int(),
  launch_job_id: z.string().nullable(),
  launch_requested_at: z.iso.datetime().nullable(),
  launch_error: z.string().nullable(),
  system_prompt: z.string().nullable(),
  unreviewed_launch_policy: policy,
  paused_reason: z.string().nullable(),
  playground_discovery_dismissed_at: z.iso.datetime().nullable(),
});
export type Campaign = z.output<typeof campaign>;

/** By cursor where one is given, else by page; `limit` and `offset` are other names of the page's size and place. */
export const listCampaignsQuery = z.object({
  status_filter: z.enum(CAMPAIGN_STATUS).optional(),
  search: line.trim().max(255).optional(),
  name: line.max(255).optional(),
  page: z.coerce.number().int().min(1).max(100_000).default(1),
  page_size: z.coerce.number().int().min(1).max(100).default(50),
  offset: z.coerce.number().int().min(0).max(1_000_000).optional(),
  limit: z.coerce.number().int().min(1).max(100).optional(),
  cursor: z.string().max(500).optional(),
});

const position = { next_cursor: z.string().nullable(), has_more: z.boolean() };
const page = { total: z.int(), page: z.int(), page_size: z.int() };

export const campaignList = z.object({
  campaigns: z.array(campaign),
  items: z.array(campaign),
  ...page,
  ...position,
});

export const launchWarning = z.object({
  code: z.string(),
  message: z.string(),
  row_index: z.int().nullable(),
  step: z.int().nullable(),
  field: z.string().nullable(),
  /** An error keeps the campaign from being launched. */
  severity: z.enum(['warning', 'error']),
});
export type LaunchWarning = z.output<typeof launchWarning>;

/** Why a lead is not written to. */
export const LEFT_OUT = ['invalid', 'suppressed', 'duplicate', 'contacted', 'no_text', 'empty_text'] as const;
export type LeftOutReason = (typeof LEFT_OUT)[number];

export const launchReport = z.object({
  summary: z.object({ total_rows: z.int(), launchable_rows: z.int(), warning_count: z.int() }),
  warnings: z.array(launchWarning),
  left_out: z.partialRecord(z.enum(LEFT_OUT), z.int()),
  first_send_at: z.iso.datetime().nullable(),
  last_send_at: z.iso.datetime().nullable(),
});
export type LaunchReport = z.output<typeof launchReport>;

export const launchResult = launchReport.extend({ campaign });

export const launchWarnings = z.object({
  campaign_id: z.uuid(),
  warnings: z.array(launchWarning),
  summary: launchReport.shape.summary.nullable(),
});

/** `skipped`: left out at the launch; `error` says why. */
export const LEAD_STATUS = [
  'pending',
  'active',
  'completed',
  'skipped',
  'suppressed',
  'unsubscribed',
  'replied',
  'bounced',
  'failed',
  'unknown',
] as const;

export const campaignLead = z.object({
  campaign_lead_id: z.uuid(),
  campaign_id: z.uuid(),
  lead_id: z.uuid(),
  row_index: z.int(),
  status: z.enum(LEAD_STATUS),
  current_step: z.int(),
  variant_label: z.string().nullable(),
  lead_data: z.record(z.string(), z.unknown()),
  approved_steps: z.array(z.int()),
  last_event_at: z.iso.datetime().nullable(),
  next_action_at: z.iso.datetime().nullable(),
  error: z.string().nullable(),
});
export type CampaignLead = z.output<typeof campaignLead>;

export const listCampaignLeadsQuery = z.object({
  status_filter: z.enum(LEAD_STATUS).optional(),
  page: z.coerce.number().int().min(1).max(100_000).default(1),
  page_size: z.coerce.number().int().min(1).max(200).default(50),
  limit: z.coerce.number().int().min(1).max(200).optional(),
  cursor: z.string().max(500).optional(),
});

export const campaignLeadList = z.object({
  leads: z.array(campaignLead),
  items: z.array(campaignLead),
  ...page,
  ...position,
});

export const campaignLaunch = z.object({
  launch_id: z.uuid(),
  kind: z.enum(['launch', 'resume', 'leads']),
  /** The turn and the call whose approval it was; null where somebody launched by themselves. */
  turn_id: z.uuid().nullable(),
  tool_call_id: z.string().nullable(),
  launched_by: z.string(),
  launched_at: z.iso.datetime(),
  /** Whether it can be undone now: no mail of the campaign has begun to leave. */
  undoable: z.boolean(),
  undone_by: z.string().nullable(),
  undone_at: z.iso.datetime().nullable(),
});
export type CampaignLaunch = z.output<typeof campaignLaunch>;

export const campaignLaunches = z.object({ campaign_id: z.uuid(), launches: z.array(campaignLaunch) });

/** Names the launch that is meant, so that nobody undoes another than they saw. */
export const undoLaunchBody = z.strictObject({ launch_id: z.uuid() });

export const addLeadsBody = z
  .strictObject({
    lead_ids: z.array(z.uuid()).min(1).max(1000).optional(),
    dataset_id: z.uuid().optional(),
  })
  .refine((body) => (body.lead_ids === undefined) !== (body.dataset_id === undefined), {
    error: 'Give exactly one of lead_ids and dataset_id.',
    path: ['lead_ids'],
  });
export type AddLeads = z.output<typeof addLeadsBody>;

export const addedLeads = z.object({
  campaign_id: z.uuid(),
  added: z.int(),
  /** They were in the campaign before. */
  already: z.int(),
  left_out: launchReport.shape.left_out,
  total_leads: z.int(),
  first_send_at: z.iso.datetime().nullable(),
});
export type AddedLeads = z.output<typeof addedLeads>;

export const EVENT_TYPES = [
  'queued',
  'sent',
  'delivered',
  'opened',
  'clicked',
  'replied',
  'bounced',
  'complained',
  'unsubscribed',
  'failed',
] as const;

export const leadEvents = z.object({
  campaign_lead_id: z.uuid(),
  events: z.array(
    z.object({
      event_id: z.string(),
      event_type: z.enum(EVENT_TYPES),
      step: z.int().nullable(),
      occurred_at: z.iso.datetime(),
      metadata: z.record(z.string(), z.unknown()),
    }),
  ),
});

export const campaignStats = z.object({
  campaign_id: z.uuid(),
  status: z.enum(CAMPAIGN_STATUS),
  total_leads: z.int(),
  queued: z.int(),
  in_flight: z.int(),
  sent: z.int(),
  /** Came to their time and were only kept here. */
  sandbox: z.int(),
  /** May have left; they are not sent again. */
  unknown: z.int(),
  /** Did not leave, as their recipients must not be written to any more. */
  withheld: z.int(),
  delivered: z.int(),
  opened: z.int(),
  clicked: z.int(),
  replied: z.int(),
  bounced: z.int(),
  unsubscribed: z.int(),
  failed: z.int(),
  open_rate: z.number(),
  click_rate: z.number(),
  reply_rate: z.number(),
  bounce_rate: z.number(),
});
export type CampaignStats = z.output<typeof campaignStats>;

export const stepPerformance = z.object({
  campaign_id: z.uuid(),
  steps: z.array(
    z.object({
      step: z.int(),
      variant_label: z.string().nullable(),
      channel: z.string(),
      sent: z.int(),
      sandbox: z.int(),
      delivered: z.int(),
      opened: z.int(),
      clicked: z.int(),
      replied: z.int(),
      bounced: z.int(),
    }),
  ),
});

export const aggregateStats = z.object({
  total_campaigns: z.int(),
  active_campaigns: z.int(),
  total_leads: z.int(),
  sent: z.int(),
  sandbox: z.int(),
  delivered: z.int(),
  opened: z.int(),
  clicked: z.int(),
  replied: z.int(),
  bounced: z.int(),
});

export const templatePreviewQuery = z.object({
  /** 0 stands for the first step, as 1 does. */
  step_index: z.coerce.number().int().min(0).max(10).default(0),
  variant_label: line.max(10).optional(),
  lead_row_index: z.coerce.number().int().min(0).max(1_000_000).default(0),
});

export const templatePreview = z.object({
  subject: z.string(),
  body: z.string(),
  missing_variables: z.array(z.string()),
});

/** The contract counts to 32; a campaign has ten steps at most. */
const stepIndex = z.int().min(1).max(32);

export const writeTextBody = z.strictObject({
  campaign_lead_id: z.uuid(),
  step_index: stepIndex,
  variant_label: stepVariant.shape.label.optional(),
  lead_row_index: z.int().min(0).optional(),
  custom_prompt: text.max(32_000).nullish(),
});

export const writtenText = z.object({
  campaign_id: z.uuid(),
  campaign_lead_id: z.uuid(),
  step_index: z.int(),
  subject: z.string(),
  body: z.string(),
  prompt_source: z.string(),
  /** Whether it is the text that somebody approved, and nothing was written. */
  from_approval: z.boolean(),
});

export const approveTextBody = z.strictObject({
  step_index: stepIndex,
  variant_label: stepVariant.shape.label,
  subject,
  body,
  custom_prompt: text.max(32_000).nullish(),
  prompt_snapshot: text.max(32_000).nullish(),
  model: line.max(200).nullish(),
  generation_latency_ms: z.int().min(0).nullish(),
  research_sources: z.unknown().optional(),
  expected_step_config_fingerprint: line.max(200).nullish(),
});

export const unapproveTextBody = z.strictObject({ step_index: stepIndex });

/** Absent, null or empty means all steps. */
export const resetTextsBody = z.strictObject({ step_indices: z.array(z.int()).max(100).nullish() });

export const textApproval = z.object({
  campaign_id: z.uuid(),
  campaign_lead_id: z.uuid(),
  updated_at: z.iso.datetime(),
  step_index: z.int().nullable(),
  approved_steps: z.array(z.int()),
  approved_entry: z
    .object({
      subject: z.string(),
      body: z.string(),
      prompt_snapshot: z.string(),
      prompt_version_hash: z.string(),
      lead_identity_fingerprint: z.string(),
      step_index: z.int(),
      variant_label: z.string(),
      step_config_fingerprint: z.string(),
      approved_at: z.iso.datetime(),
      approved_by: z.string(),
      research_cache_fingerprint: z.string().nullable(),
      sender_profile_id: z.string().nullable(),
      template_id: z.string().nullable(),
      model: z.string().nullable(),
      generation_latency_ms: z.int().nullable(),
    })
    .nullable(),
});
export type TextApproval = z.output<typeof textApproval>;
