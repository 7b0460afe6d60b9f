/** The rows as Kysely sees them; the migrations are what makes them. */

import type { ColumnType, Generated, JSONColumnType } from 'kysely';

type Timestamp = ColumnType<Date, Date | string, Date | string>;
type MadeAt = ColumnType<Date, Date | string | undefined, Date | string>;
type MaybeTimestamp = ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
type Json = JSONColumnType<Record<string, unknown>, string | undefined, string>;
type MaybeJson = ColumnType<Record<string, unknown> | null, string | null | undefined, string | null>;
/** PostgreSQL's bigint, which `pg` reads as text. */
type BigInt64 = ColumnType<string, number | string, number | string>;

export interface WorkspaceTable {
  id: string;
  name: string;
  auto_spend_credits: Generated<number>;
  approval_ttl_hours: Generated<number>;
  created_at: MadeAt;
}

export interface ApiKeyTable {
  id: string;
  workspace_id: string;
  user_id: string;
  name: string;
  key_hash: Buffer;
  key_prefix: string;
  sandbox: boolean;
  scopes: string[] | null;
  created_at: MadeAt;
  last_used_at: MaybeTimestamp;
  revoked_at: MaybeTimestamp;
}

export interface ConversationTable {
  id: string;
  workspace_id: string;
  user_id: string;
  title: string | null;
  archived_at: MaybeTimestamp;
  last_seq: BigInt64;
  inbox_waiting: Generated<number>;
  pruned_seq: ColumnType<string, number | undefined, number>;
  last_message_preview: string | null;
  created_at: MadeAt;
  updated_at: MadeAt;
}

export interface TurnTable {
  id: string;
  conversation_id: string;
  workspace_id: string;
  user_id: string;
  status: string;
  input: Json;
  caller: Json;
  message_id: string;
  run_id: string;
  run_kind: string;
  first_seq: BigInt64;
  kept_seq: BigInt64;
  lease_owner: string | null;
  lease_epoch: Generated<number>;
  lease_until: MaybeTimestamp;
  takeovers: Generated<number>;
  takeover_mark: string | null;
  decisions: Generated<number>;
  cancel_requested_at: MaybeTimestamp;
  usage: Json;
  tainted: Generated<boolean>;
  error: MaybeJson;
  created_at: MadeAt;
  ended_at: MaybeTimestamp;
}

export interface MessageTable {
  id: string;
  conversation_id: string;
  workspace_id: string;
  turn_id: string;
  seq: BigInt64;
  role: string;
  status: string;
  content: string;
  parts: JSONColumnType<unknown[], string, string>;
  metadata: Json;
  created_at: MadeAt;
}

export interface EventTable {
  conversation_id: string;
  seq: BigInt64;
  seq_from: BigInt64;
  marks: number[] | null;
  workspace_id: string;
  turn_id: string | null;
  run_id: string | null;
  type: string;
  data: Json;
  at: MadeAt;
}

export interface JournalInboxTable {
  id: Generated<string>;
  conversation_id: string;
  workspace_id: string;
  turn_id: string | null;
  type: string;
  data: Json;
  at: MadeAt;
}

export interface ApprovalTable {
  id: string;
  conversation_id: string;
  workspace_id: string;
  user_id: string;
  turn_id: string;
  tool_call_id: string;
  tool: string;
  kind: string;
  card: Json;
  args_hash: string;
  status: string;
  decision: string | null;
  decided_by: string | null;
  decided_at: MaybeTimestamp;
  reason: string | null;
  executed_args: MaybeJson;
  executed_hash: string | null;
  created_at: MadeAt;
  expires_at: Timestamp;
}

export interface EffectTable {
  turn_id: string;
  tool_call_id: string;
  workspace_id: string;
  tool: string;
  effect_class: string;
  args_hash: string;
  approval_id: string | null;
  state: string;
  attempt: Generated<number>;
  provider_key: string;
  provider_ref: string | null;
  result: MaybeJson;
  error: MaybeJson;
  credits: Generated<number>;
  lease_epoch: number;
  created_at: MadeAt;
  updated_at: MadeAt;
}

export interface IdempotencyTable {
  workspace_id: string;
  principal: string;
  route: string;
  key: string;
  body_hash: string;
  turn_id: string | null;
  status: number | null;
  response: MaybeJson;
  created_at: MadeAt;
}

export interface DatasetTable {
  id: string;
  workspace_id: string;
  user_id: string;
  name: string;
  source_type: string;
  file_name: string | null;
  columns: ColumnType<string[], string[] | undefined, string[]>;
  mapping: Json;
  row_count: Generated<number>;
  refused_count: Generated<number>;
  refused: Json;
  download_count: Generated<number>;
  archived_at: MaybeTimestamp;
  created_at: MadeAt;
  updated_at: MadeAt;
}

export interface LeadTable {
  id: string;
  workspace_id: string;
  dataset_id: string;
  row_index: number;
  email: string;
  address: ColumnType<string, never, never>;
  domain: ColumnType<string, never, never>;
  first_name: string | null;
  last_name: string | null;
  company: string | null;
  title: string | null;
  city: string | null;
  country: string | null;
  website: string | null;
  phone: string | null;
  data: Json;
  search: ColumnType<string, never, never>;
  created_at: MadeAt;
}

export interface SenderProfileTable {
  id: string;
  workspace_id: string;
  user_id: string;
  profile_name: string;
  description: string | null;
  sender_data: Json;
  is_default: Generated<boolean>;
  usage_count: Generated<number>;
  created_at: MadeAt;
  updated_at: MadeAt;
}

export interface TemplateTable {
  id: string;
  workspace_id: string;
  user_id: string;
  name: string;
  subject: string;
  body: string;
  created_at: MadeAt;
  updated_at: MadeAt;
}

export interface SuppressionTable {
  id: string;
  workspace_id: string;
  email: string;
  reason: string | null;
  source: string | null;
  created_at: MadeAt;
}

export interface CreditAccountTable {
  workspace_id: string;
  balance: Generated<number>;
  reserved: Generated<number>;
  used: Generated<number>;
}

export interface CreditTransactionTable {
  id: string;
  workspace_id: string;
  transaction_type: string;
  operation_type: string | null;
  amount: number;
  balance_after: number;
  description: string | null;
  created_at: MadeAt;
}

export interface CreditReservationTable {
  workspace_id: string;
  reference: string;
  operation_type: string;
  credits: number;
  captured: Generated<number>;
  released: Generated<number>;
  created_at: MadeAt;
}

export interface LeadFinderSessionTable {
  id: string;
  workspace_id: string;
  user_id: string;
  dataset_id: string | null;
  source: string;
  price: number;
  status: string;
  total: number;
  lease_owner: string | null;
  lease_epoch: Generated<number>;
  lease_until: MaybeTimestamp;
  attempts: Generated<number>;
  created_at: MadeAt;
  updated_at: MadeAt;
  ended_at: MaybeTimestamp;
}

export interface LeadFinderRowTable {
  session_id: string;
  row_index: number;
  workspace_id: string;
  wish: Json;
  most: number;
  status: Generated<string>;
  found: Generated<number>;
  profiles: JSONColumnType<unknown[], string | undefined, string>;
  error: MaybeJson;
}

export interface EmailFinderJobTable {
  id: string;
  workspace_id: string;
  user_id: string;
  job_type: string;
  bulk_id: string | null;
  row_index: number | null;
  outcome: Json;
  credits: Generated<number>;
  created_at: MadeAt;
}

export interface EmailVerdictTable {
  workspace_id: string;
  address: string;
  verdict: string;
  reasons: JSONColumnType<{ code: string; message: string }[]>;
  source: string;
  checked_at: ColumnType<Date, Date, Date>;
}

export interface OutboxTable {
  id: string;
  workspace_id: string;
  turn_id: string | null;
  tool_call_id: string | null;
  lead_id: string | null;
  sender_profile_id: string | null;
  from_address: string;
  to_address: string;
  subject: string;
  body: string;
  message_id: string;
  status: string;
  error: MaybeJson;
  provider_ref: string | null;
  created_at: MadeAt;
  sent_at: MaybeTimestamp;
  address: ColumnType<string, never, never>;
  campaign_id: ColumnType<string | null, string | undefined, string | null>;
  campaign_lead_id: ColumnType<string | null, string | undefined, string | null>;
  launch_id: ColumnType<string | null, string | undefined, string | null>;
  step: ColumnType<number | null, number | undefined, number | null>;
  variant_label: ColumnType<string | null, string | undefined, string | null>;
  mailbox: ColumnType<string | null, string | undefined, string | null>;
  keep: Generated<boolean>;
  due_at: MaybeTimestamp;
  due_until: MaybeTimestamp;
  started_at: MaybeTimestamp;
  lease_until: MaybeTimestamp;
  attempt: Generated<number>;
  test: Generated<boolean>;
}

export interface CampaignTable {
  id: string;
  workspace_id: string;
  user_id: string;
  dataset_id: string;
  name: string;
  description: string | null;
  type: Generated<string>;
  status: string;
  launch_type: string;
  start_date: MaybeTimestamp;
  daily_limit: number;
  sending_window_start: string;
  sending_window_end: string;
  min_interval_seconds: number;
  timezone: string;
  send_days: string[];
  steps: JSONColumnType<unknown[], string, string>;
  alias_ids: string[] | null;
  connected_account_id: string | null;
  system_prompt: string | null;
  unreviewed_launch_policy: string;
  launch_id: string | null;
  launch_requested_at: MaybeTimestamp;
  launch_error: string | null;
  launch_report: MaybeJson;
  paused_reason: string | null;
  playground_discovery_dismissed_at: MaybeTimestamp;
  created_at: MadeAt;
  updated_at: MadeAt;
}

export interface CampaignLaunchTable {
  id: string;
  workspace_id: string;
  campaign_id: string;
  kind: string;
  content: Json;
  stands: Json;
  principal: string;
  turn_id: string | null;
  tool_call_id: string | null;
  created_at: MadeAt;
  undone_by: ColumnType<string | null, never, string | null>;
  undone_at: MaybeTimestamp;
}

export interface CampaignLeadTable {
  id: string;
  workspace_id: string;
  campaign_id: string;
  lead_id: string;
  position: number;
  status: Generated<string>;
  current_step: Generated<number>;
  next_step: number | null;
  next_action_at: MaybeTimestamp;
  variant_label: string | null;
  text_hashes: ColumnType<string[], string[] | undefined, string[]>;
  last_event_at: MaybeTimestamp;
  error: string | null;
  created_at: MadeAt;
}

export interface CampaignLeadEventTable {
  id: string;
  workspace_id: string;
  campaign_id: string;
  campaign_lead_id: string;
  event_type: string;
  step: number | null;
  variant_label: string | null;
  metadata: Json;
  occurred_at: Timestamp;
}

export interface CampaignTextTable {
  workspace_id: string;
  campaign_id: string;
  campaign_lead_id: string;
  step: number;
  variant_label: string;
  status: string;
  batch: string | null;
  subject: string | null;
  body: string | null;
  error: string | null;
  lead_fingerprint: string | null;
  step_fingerprint: string | null;
  prompt: string | null;
  model: string | null;
  written_at: MaybeTimestamp;
  reviewed_at: MaybeTimestamp;
  reviewed_by: string | null;
}

export interface ReplyTable {
  id: string;
  workspace_id: string;
  kind: string;
  from_email: string | null;
  from_name: string | null;
  subject: string;
  text: string;
  attachments: Generated<number>;
  message_id: string;
  outbox_id: string | null;
  campaign_id: string | null;
  campaign_lead_id: string | null;
  lead_id: string | null;
  bounce_type: string | null;
  bounce_status: string | null;
  bounce_recipient: string | null;
  received_at: Timestamp;
}

export interface MailboxTable {
  workspace_id: string;
  address: string;
  wake_at: ColumnType<Date, Date | string | undefined, Date | string>;
  last_at: MaybeTimestamp;
  last_interval: Generated<number>;
  claimed_by: string | null;
  claim_epoch: Generated<number>;
}

export interface Tables {
  workspaces: WorkspaceTable;
  api_keys: ApiKeyTable;
  conversations: ConversationTable;
  turns: TurnTable;
  conversation_messages: MessageTable;
  events: EventTable;
  journal_inbox: JournalInboxTable;
  approvals: ApprovalTable;
  effects: EffectTable;
  idempotency_keys: IdempotencyTable;
  datasets: DatasetTable;
  leads: LeadTable;
  sender_profiles: SenderProfileTable;
  templates: TemplateTable;
  suppression_entries: SuppressionTable;
  credit_accounts: CreditAccountTable;
  credit_transactions: CreditTransactionTable;
  credit_reservations: CreditReservationTable;
  lead_finder_sessions: LeadFinderSessionTable;
  lead_finder_rows: LeadFinderRowTable;
  email_finder_jobs: EmailFinderJobTable;
  email_verdicts: EmailVerdictTable;
  outbox: OutboxTable;
  campaigns: CampaignTable;
  campaign_launches: CampaignLaunchTable;
  campaign_leads: CampaignLeadTable;
  campaign_lead_events: CampaignLeadEventTable;
  campaign_texts: CampaignTextTable;
  mailboxes: MailboxTable;
  replies: ReplyTable;
}
