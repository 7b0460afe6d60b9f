/** The first schema: identity, conversations, turns with their journal, approvals and effects, and what the first tools need. */

import { type Kysely, sql } from 'kysely';

/** Tables that one workspace owns, seen by the serving role only with `app.workspace_id` set. */
const WORKSPACE_TABLES = [
  'workspaces',
  'api_keys',
  'conversations',
  'turns',
  'conversation_messages',
  'events',
  'journal_inbox',
  'approvals',
  'effects',
  'turn_checkpoints',
  'idempotency_keys',
  'datasets',
  'leads',
  'sender_profiles',
  'templates',
  'suppression_entries',
  'credit_accounts',
  'credit_transactions',
  'outbox',
];

/** Tables that the runtime role (journal, leases, checkpoints, sweeps) serves for all workspaces at once. */
const RUNTIME_TABLES = [
  'conversations',
  'turns',
  'conversation_messages',
  'events',
  'journal_inbox',
  'approvals',
  'turn_checkpoints',
];

// biome-ignore lint/suspicious/noExplicitAny: a migration is frozen and must not know the application's types
export async function up(db: Kysely<any>): Promise<void> {
  for (const role of ['overture_app', 'overture_runtime']) {
    // Roles belong to the cluster, so another database, or another process at this moment, may have made them.
    await sql
      .raw(`
      do $$ begin
        create role ${role} nologin nosuperuser nobypassrls;
      exception when duplicate_object or unique_violation then null;
      end $$`)
      .execute(db);
    await sql
      .raw(`
      do $$ begin
        if not pg_has_role(current_user, '${role}', 'member') then
          execute format('grant ${role} to %I', current_user);
        end if;
      end $$`)
      .execute(db);
  }

  await sql
    .raw(`
  create table workspaces (
    id uuid primary key,
    name text not null,
    auto_spend_credits int not null default 10 check (auto_spend_credits >= 0),
    approval_ttl_hours int not null default 72 check (approval_ttl_hours between 1 and 720),
    created_at timestamptz not null default now()
  );

  create table api_keys (
    id uuid primary key,
    workspace_id uuid not null references workspaces on delete cascade,
    user_id text not null,
    name text not null,
    key_hash bytea not null unique,
    key_prefix text not null,
    sandbox boolean not null,
    scopes text[],
    created_at timestamptz not null default now(),
    last_used_at timestamptz,
    revoked_at timestamptz
  );
  create index api_keys_workspace on api_keys (workspace_id, created_at desc);

  create table conversations (
    id uuid primary key,
    workspace_id uuid not null references workspaces on delete cascade,
    user_id text not null,
    title text,
    archived_at timestamptz,
    -- The highest number given away: a live run's whole block counts as given.
    last_seq bigint not null default 0,
    inbox_waiting int not null default 0,
    -- Events up to this number were pruned; the messages remain.
    pruned_seq bigint not null default 0,
    last_message_preview text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
  );
  create index conversations_list on conversations (workspace_id, user_id, updated_at desc, id desc);

  create table turns (
    id uuid primary key,
    conversation_id uuid not null references conversations on delete cascade,
    workspace_id uuid not null,
    user_id text not null,
    status text not null check (status in ('running','awaiting_approval','completed','failed','cancelled')),
    input jsonb not null,
    caller jsonb not null,
    message_id uuid not null,
    run_id uuid not null,
    run_kind text not null check (run_kind in ('message','resume','recovery')),
    first_seq bigint not null,
    -- Events up to this number are in the message rows; what a lost run told after it is not.
    kept_seq bigint not null,
    lease_owner text,
    lease_epoch int not null default 1,
    lease_until timestamptz,
    takeovers int not null default 0,
    -- What the checkpoint looked like at the last takeover: the same again means no progress.
    takeover_mark text,
    -- Counts decisions ever recorded, so that a settle which did not see one writes nothing.
    decisions int not null default 0,
    cancel_requested_at timestamptz,
    usage jsonb not null,
    tainted boolean not null default false,
    error jsonb,
    created_at timestamptz not null default now(),
    ended_at timestamptz
  );
  create unique index turns_one_live on turns (conversation_id) where status in ('running','awaiting_approval');
  create index turns_conversation on turns (conversation_id, first_seq);
  create index turns_lease on turns (lease_until) where status = 'running';
  create index turns_ended on turns (ended_at) where ended_at is not null;

  create table conversation_messages (
    id uuid primary key,
    conversation_id uuid not null references conversations on delete cascade,
    workspace_id uuid not null,
    turn_id uuid not null,
    -- The number of the event that brought it: the order of a conversation's messages.
    seq bigint not null,
    role text not null check (role in ('user','assistant','system')),
    status text not null check (status in ('complete','partial')),
    content text not null,
    parts jsonb not null,
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    unique (conversation_id, seq)
  );

  create table events (
    conversation_id uuid not null references conversations on delete cascade,
    seq bigint not null,
    -- A row of merged deltas stands for the numbers seq_from..seq; marks holds where each of them ends, in UTF-16 units.
    seq_from bigint not null,
    marks int[],
    workspace_id uuid not null,
    turn_id uuid,
    run_id uuid,
    type text not null,
    data jsonb not null,
    at timestamptz not null default now(),
    primary key (conversation_id, seq)
  );
  create index events_turn on events (turn_id);

  create table journal_inbox (
    id bigint generated always as identity primary key,
    conversation_id uuid not null references conversations on delete cascade,
    workspace_id uuid not null,
    turn_id uuid,
    type text not null,
    data jsonb not null,
    at timestamptz not null default now()
  );
  create index journal_inbox_conversation on journal_inbox (conversation_id, id);

  create table approvals (
    id uuid primary key,
    conversation_id uuid not null references conversations on delete cascade,
    workspace_id uuid not null,
    user_id text not null,
    turn_id uuid not null references turns on delete cascade,
    tool_call_id text not null,
    tool text not null,
    kind text not null check (kind in ('proposal','outcome')),
    card jsonb not null,
    args_hash text not null,
    status text not null check (status in ('pending','approved','rejected','expired','superseded')),
    decision text,
    decided_by text,
    decided_at timestamptz,
    reason text,
    executed_args jsonb,
    executed_hash text,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
  );
  create index approvals_pending on approvals (workspace_id, created_at) where status = 'pending';
  create index approvals_turn on approvals (turn_id, created_at);
  create index approvals_expiry on approvals (expires_at) where status = 'pending';

  create table effects (
    turn_id uuid not null,
    tool_call_id text not null,
    workspace_id uuid not null,
    tool text not null,
    effect_class text not null,
    args_hash text not null,
    approval_id uuid,
    state text not null check (state in ('intended','done','failed','unknown')),
    attempt int not null default 1,
    provider_key text not null,
    provider_ref text,
    result jsonb,
    error jsonb,
    credits int not null default 0,
    lease_epoch int not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (turn_id, tool_call_id)
  );

  create table turn_checkpoints (
    turn_id uuid not null references turns on delete cascade,
    workspace_id uuid not null,
    ns text not null,
    checkpoint_id text not null,
    parent_id text,
    checkpoint jsonb not null,
    metadata jsonb not null,
    writes jsonb not null default '[]',
    primary key (turn_id, ns)
  );

  create table idempotency_keys (
    workspace_id uuid not null,
    principal text not null,
    route text not null,
    key text not null,
    body_hash text not null,
    turn_id uuid,
    status int,
    response jsonb,
    created_at timestamptz not null default now(),
    primary key (workspace_id, principal, route, key)
  );
  create index idempotency_keys_age on idempotency_keys (created_at);

  create table datasets (
    id uuid primary key,
    workspace_id uuid not null references workspaces on delete cascade,
    user_id text not null,
    name text not null,
    source_type text not null,
    file_name text,
    columns text[] not null default '{}',
    mapping jsonb not null default '{}',
    row_count int not null default 0,
    refused_count int not null default 0,
    refused jsonb not null default '{}',
    download_count int not null default 0,
    archived_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
  );
  create index datasets_list on datasets (workspace_id, created_at desc, id desc);

  create table leads (
    id uuid primary key,
    workspace_id uuid not null,
    dataset_id uuid not null references datasets on delete cascade,
    row_index int not null,
    email text not null,
    -- Lower case. Its own column, as an index on lower(email) is never used under row level security: lower() is not leakproof.
    address text not null generated always as (lower(email)) stored,
    first_name text,
    last_name text,
    company text,
    title text,
    city text,
    country text,
    website text,
    phone text,
    data jsonb not null default '{}',
    search tsvector generated always as (
      setweight(to_tsvector('simple', coalesce(first_name, '') || ' ' || coalesce(last_name, '')), 'A') ||
      setweight(to_tsvector('simple', coalesce(company, '')), 'A') ||
      setweight(to_tsvector('simple', coalesce(title, '')), 'B') ||
      setweight(to_tsvector('simple', coalesce(city, '') || ' ' || coalesce(country, '') || ' ' || replace(coalesce(email, ''), '@', ' ')), 'C')
    ) stored,
    created_at timestamptz not null default now(),
    unique (dataset_id, row_index)
  );
  create index leads_search on leads using gin (search);
  create index leads_address on leads (workspace_id, address);
  create index leads_dataset on leads (workspace_id, dataset_id, row_index);

  create table sender_profiles (
    id uuid primary key,
    workspace_id uuid not null references workspaces on delete cascade,
    user_id text not null,
    profile_name text not null,
    description text,
    sender_data jsonb not null,
    is_default boolean not null default false,
    usage_count int not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
  );
  create index sender_profiles_list on sender_profiles (workspace_id, user_id, created_at desc);
  create unique index sender_profiles_default on sender_profiles (workspace_id, user_id) where is_default;

  create table templates (
    id uuid primary key,
    workspace_id uuid not null references workspaces on delete cascade,
    user_id text not null,
    name text not null,
    subject text not null,
    body text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
  );
  create index templates_list on templates (workspace_id, created_at desc, id desc);

  create table suppression_entries (
    id uuid primary key,
    workspace_id uuid not null references workspaces on delete cascade,
    -- Lower case.
    email text not null check (email = lower(email)),
    reason text,
    source text,
    created_at timestamptz not null default now()
  );
  create unique index suppression_address on suppression_entries (workspace_id, email);

  create table credit_accounts (
    workspace_id uuid primary key references workspaces on delete cascade,
    balance int not null default 0 check (balance >= 0),
    reserved int not null default 0 check (reserved >= 0),
    used int not null default 0 check (used >= 0)
  );

  create table credit_transactions (
    id uuid primary key,
    workspace_id uuid not null references workspaces on delete cascade,
    transaction_type text not null check (transaction_type in ('consumption','refund','purchase','adjustment')),
    operation_type text,
    amount int not null,
    balance_after int not null,
    description text,
    created_at timestamptz not null default now()
  );
  create index credit_transactions_list on credit_transactions (workspace_id, created_at desc, id desc);

  create table outbox (
    id uuid primary key,
    workspace_id uuid not null references workspaces on delete cascade,
    turn_id uuid,
    tool_call_id text,
    lead_id uuid,
    sender_profile_id uuid,
    from_address text not null,
    to_address text not null,
    subject text not null,
    body text not null,
    message_id text not null,
    status text not null check (status in ('sandbox','queued','sending','sent','failed','unknown')),
    error jsonb,
    provider_ref text,
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    unique (turn_id, tool_call_id)
  );
  create index outbox_list on outbox (workspace_id, created_at desc, id desc);
  `)
    .execute(db);

  for (const table of WORKSPACE_TABLES) {
    const column = table === 'workspaces' ? 'id' : 'workspace_id';
    // After a transaction-local set_config the value is '' and not null, hence nullif; the sub-select makes it a plan constant.
    const mine = `${column} = (select nullif(current_setting('app.workspace_id', true), '')::uuid)`;
    await sql
      .raw(`
      alter table ${table} enable row level security;
      alter table ${table} force row level security;
      create policy ${table}_workspace on ${table} to overture_app using (${mine}) with check (${mine});
      grant select, insert, update, delete on ${table} to overture_app;`)
      .execute(db);
  }
  for (const table of RUNTIME_TABLES) {
    await sql
      .raw(`
      create policy ${table}_runtime on ${table} to overture_runtime using (true) with check (true);
      grant select, insert, update, delete on ${table} to overture_runtime;`)
      .execute(db);
  }

  // The owner itself is bound by "force", so the functions that look across workspaces need its own policy on what they read.
  await sql
    .raw(`
  create policy api_keys_lookup on api_keys for select to current_user using (true);
  create policy idempotency_keys_sweep on idempotency_keys to current_user using (true);

  create function find_api_key(hash bytea)
  returns table (id uuid, workspace_id uuid, user_id text, sandbox boolean, scopes text[])
  language sql stable security definer set search_path = public, pg_temp as
  $$ select k.id, k.workspace_id, k.user_id, k.sandbox, k.scopes from api_keys k
     where k.key_hash = hash and k.revoked_at is null $$;
  revoke all on function find_api_key(bytea) from public;
  grant execute on function find_api_key(bytea) to overture_app;

  create function prune_idempotency_keys(older_than interval) returns bigint
  language sql security definer set search_path = public, pg_temp as
  $$ with gone as (delete from idempotency_keys where created_at < now() - older_than returning 1) select count(*) from gone $$;
  revoke all on function prune_idempotency_keys(interval) from public;
  grant execute on function prune_idempotency_keys(interval) to overture_runtime;
  `)
    .execute(db);
}
