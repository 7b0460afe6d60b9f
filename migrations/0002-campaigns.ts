/** Campaigns: their steps, their leads, what a person approved of them, and the mails that wait for their time. */

import { type Kysely, sql } from 'kysely';

/** Tables that one workspace owns, seen by the serving role only with `app.workspace_id` set. */
const WORKSPACE_TABLES = [
  'campaigns',
  'campaign_launches',
  'campaign_leads',
  'campaign_lead_events',
  'mailboxes',
];

// biome-ignore lint/suspicious/noExplicitAny: a migration is frozen and must not know the application's types
export async function up(db: Kysely<any>): Promise<void> {
  await sql
    .raw(`
  create table campaigns (
    id uuid primary key,
    workspace_id uuid not null references workspaces on delete cascade,
    user_id text not null,
    dataset_id uuid not null references datasets,
    name text not null,
    description text,
    type text not null default 'email' check (type in ('email','linkedin','mixed')),
    status text not null check (status in ('draft','launching','scheduled','active','draining','paused','completed','failed')),
    launch_type text not null check (launch_type in ('immediate','scheduled')),
    start_date timestamptz,
    daily_limit int not null check (daily_limit between 1 and 10000),
    -- Local times of day, HH:MM:SS.
    sending_window_start text not null,
    sending_window_end text not null,
    min_interval_seconds int not null check (min_interval_seconds between 60 and 3600),
    timezone text not null,
    send_days text[] not null,
    steps jsonb not null,
    -- Sender profiles that take turns; none means the user's default one.
    alias_ids text[],
    connected_account_id uuid,
    system_prompt text,
    unreviewed_launch_policy text not null,
    -- What its mails are covered by: the newest launch or resumption that somebody approved.
    launch_id uuid,
    launch_requested_at timestamptz,
    launch_error text,
    -- Findings and figures as they were at the launch.
    launch_report jsonb,
    paused_reason text,
    playground_discovery_dismissed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
  );
  create index campaigns_list on campaigns (workspace_id, user_id, created_at desc, id desc);
  create index campaigns_running on campaigns (status) where status in ('scheduled','active','draining');

  create table campaign_launches (
    id uuid primary key,
    workspace_id uuid not null,
    campaign_id uuid not null references campaigns on delete cascade,
    kind text not null check (kind in ('launch','resume','leads')),
    -- Texts and senders as they were approved: later steps are written from here and not from templates of another day.
    content jsonb not null,
    -- What the approval stood for.
    stands jsonb not null,
    principal text not null,
    turn_id uuid,
    tool_call_id text,
    created_at timestamptz not null default now()
  );
  create index campaign_launches_campaign on campaign_launches (campaign_id);

  create table campaign_leads (
    id uuid primary key,
    workspace_id uuid not null,
    campaign_id uuid not null references campaigns on delete cascade,
    lead_id uuid not null,
    position int not null,
    status text not null default 'pending' check (status in
      ('pending','active','completed','skipped','suppressed','unsubscribed','replied','bounced','failed','unknown')),
    -- The last step whose mail left, and the next one while it waits for its time.
    current_step int not null default 0,
    next_step int,
    next_action_at timestamptz,
    variant_label text,
    -- SHA-256 of each step's text as it was approved: a later mail that reads differently is not covered.
    text_hashes text[] not null default '{}',
    last_event_at timestamptz,
    error text,
    created_at timestamptz not null default now(),
    unique (campaign_id, lead_id)
  );
  create index campaign_leads_list on campaign_leads (campaign_id, position, id);
  create index campaign_leads_active on campaign_leads (campaign_id, current_step) where status = 'active';
  create index campaign_leads_waiting on campaign_leads (campaign_id) where next_step is not null;

  create table campaign_lead_events (
    id uuid primary key,
    workspace_id uuid not null,
    campaign_id uuid not null,
    campaign_lead_id uuid not null references campaign_leads on delete cascade,
    event_type text not null check (event_type in
      ('queued','sent','delivered','opened','clicked','replied','bounced','complained','unsubscribed','failed')),
    step int,
    variant_label text,
    metadata jsonb not null default '{}',
    occurred_at timestamptz not null
  );
  create index campaign_lead_events_lead on campaign_lead_events (campaign_lead_id, occurred_at, id);
  create index campaign_lead_events_campaign on campaign_lead_events (campaign_id, event_type);

  -- One row a sending address: whoever holds it plans or starts mails from that address, and nobody else does.
  create table mailboxes (
    workspace_id uuid not null references workspaces on delete cascade,
    address text not null,
    -- There is nothing to do before this moment.
    wake_at timestamptz not null default 'infinity',
    -- When its last mail began to leave, and the interval in seconds that its campaign keeps.
    last_at timestamptz,
    last_interval int not null default 0,
    claimed_by text,
    claim_epoch int not null default 0,
    primary key (workspace_id, address)
  );
  create index mailboxes_wake on mailboxes (wake_at);

  alter table outbox
    -- Lower case. Its own column, as an index on lower(to_address) is never used under row level security.
    add column address text not null generated always as (lower(to_address)) stored,
    add column campaign_id uuid,
    add column campaign_lead_id uuid,
    add column launch_id uuid,
    add column step int,
    add column variant_label text,
    add column mailbox text,
    -- Kept here when its time comes, and never sent.
    add column keep boolean not null default false,
    -- It leaves at due_at or later, but before its window closes at due_until. Without them it waits for a plan.
    add column due_at timestamptz,
    add column due_until timestamptz,
    add column started_at timestamptz,
    -- Until when whoever sends it must have said how that ended.
    add column lease_until timestamptz,
    add column attempt int not null default 0,
    -- Nothing waits to be sent that nobody approved.
    add constraint outbox_approved check (status <> 'queued' or launch_id is not null);
  create unique index outbox_campaign_step on outbox (campaign_lead_id, step);
  create index outbox_address on outbox (workspace_id, address);
  create index outbox_campaign on outbox (campaign_id, status) where campaign_id is not null;
  create index outbox_queue on outbox (workspace_id, mailbox, due_at, id) where status = 'queued';
  create index outbox_started on outbox (workspace_id, mailbox, started_at) where started_at is not null;
  create index outbox_leased on outbox (lease_until) where status = 'sending';
  `)
    .execute(db);

  for (const table of WORKSPACE_TABLES) {
    const mine = `workspace_id = (select nullif(current_setting('app.workspace_id', true), '')::uuid)`;
    await sql
      .raw(`
      alter table ${table} enable row level security;
      alter table ${table} force row level security;
      create policy ${table}_workspace on ${table} to overture_app using (${mine}) with check (${mine});
      grant select, insert, update, delete on ${table} to overture_app;`)
      .execute(db);
  }

  // The dispatcher looks across workspaces through these functions alone; they give it ids, and it works inside a workspace.
  await sql
    .raw(`
  create policy mailboxes_dispatch on mailboxes to current_user using (true) with check (true);
  create policy campaigns_dispatch on campaigns to current_user using (true) with check (true);
  create policy campaign_leads_dispatch on campaign_leads for select to current_user using (true);
  create policy outbox_dispatch on outbox for select to current_user using (true);

  create function claim_mailboxes(at timestamptz, worker text, lease_seconds int, most int)
  returns table (workspace_id uuid, address text, epoch int)
  language sql security definer set search_path = public, pg_temp as $$
    with ready as (
      select m.workspace_id, m.address from mailboxes m where m.wake_at <= at
       order by m.wake_at limit most for update skip locked
    )
    update mailboxes m
       set claimed_by = worker, claim_epoch = m.claim_epoch + 1, wake_at = at + make_interval(secs => lease_seconds)
      from ready r where m.workspace_id = r.workspace_id and m.address = r.address
    returning m.workspace_id, m.address, m.claim_epoch
  $$;

  create function find_lost_mails(at timestamptz, most int)
  returns table (workspace_id uuid, id uuid, attempt int)
  language sql stable security definer set search_path = public, pg_temp as $$
    select o.workspace_id, o.id, o.attempt from outbox o where o.status = 'sending' and o.lease_until <= at
     order by o.lease_until limit most
  $$;

  create function find_waiting_campaigns(most int)
  returns table (workspace_id uuid, id uuid)
  language sql stable security definer set search_path = public, pg_temp as $$
    select c.workspace_id, c.id from campaigns c
     where c.status in ('active', 'draining')
       and exists (select 1 from campaign_leads l where l.campaign_id = c.id and l.next_step is not null)
     order by c.id limit most
  $$;

  -- scheduled → active at its start; active → draining when no lead is left to start; draining → completed when none is under way.
  create function advance_campaigns(at timestamptz)
  returns table (workspace_id uuid, id uuid, status text)
  language sql security definer set search_path = public, pg_temp as $$
    with moved as (
      select c.id, c.status as from_status,
             case c.status when 'scheduled' then 'active' when 'active' then 'draining' else 'completed' end as to_status
        from campaigns c
       where (c.status = 'scheduled' and (c.start_date is null or c.start_date <= at))
          or (c.status = 'active' and not exists (
               select 1 from campaign_leads l where l.campaign_id = c.id and l.status = 'active' and l.current_step = 0))
          or (c.status = 'draining' and not exists (
               select 1 from campaign_leads l where l.campaign_id = c.id and l.status = 'active'))
    )
    update campaigns c set status = m.to_status, updated_at = at
      from moved m where c.id = m.id and c.status = m.from_status
    returning c.workspace_id, c.id, c.status
  $$;
  `)
    .execute(db);

  for (const signature of [
    'claim_mailboxes(timestamptz, text, int, int)',
    'find_lost_mails(timestamptz, int)',
    'find_waiting_campaigns(int)',
    'advance_campaigns(timestamptz)',
  ]) {
    await sql
      .raw(
        `revoke all on function ${signature} from public; grant execute on function ${signature} to overture_runtime;`,
      )
      .execute(db);
  }
}
