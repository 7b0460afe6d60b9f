/** Credits that are set aside for work, the lead finder's batches, the email finder's jobs, and whose domain a lead's address is of. */

import { type Kysely, sql } from 'kysely';

/** Tables that one workspace owns, seen by the serving role only with `app.workspace_id` set. */
const WORKSPACE_TABLES = [
  'credit_reservations',
  'lead_finder_sessions',
  'lead_finder_rows',
  'email_finder_jobs',
];

// biome-ignore lint/suspicious/noExplicitAny: a migration is frozen and must not know the application's types
export async function up(db: Kysely<any>): Promise<void> {
  await sql
    .raw(`
  create table credit_reservations (
    workspace_id uuid not null references workspaces on delete cascade,
    -- What is paid for: a turn's call, a batch, a job. The same reference never pays twice.
    reference text not null,
    operation_type text not null,
    credits int not null check (credits > 0),
    captured int not null default 0 check (captured >= 0),
    released int not null default 0 check (released >= 0),
    created_at timestamptz not null default now(),
    check (captured + released <= credits),
    primary key (workspace_id, reference)
  );

  create table lead_finder_sessions (
    id uuid primary key,
    workspace_id uuid not null references workspaces on delete cascade,
    user_id text not null,
    dataset_id uuid references datasets on delete set null,
    source text not null,
    -- Credits for a profile that is found, as they were when the batch was accepted.
    price int not null check (price >= 0),
    status text not null check (status in ('queued','processing','completed','failed')),
    total int not null,
    lease_owner text,
    lease_epoch int not null default 0,
    lease_until timestamptz,
    -- Claims since the last row that was recorded.
    attempts int not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    ended_at timestamptz
  );
  create index lead_finder_sessions_open on lead_finder_sessions (updated_at) where status in ('queued','processing');

  create table lead_finder_rows (
    session_id uuid not null references lead_finder_sessions on delete cascade,
    row_index int not null,
    workspace_id uuid not null,
    wish jsonb not null,
    most int not null,
    status text not null default 'queued' check (status in ('queued','found','not_found','failed')),
    found int not null default 0,
    profiles jsonb not null default '[]',
    error jsonb,
    primary key (session_id, row_index)
  );

  create table email_finder_jobs (
    id uuid primary key,
    workspace_id uuid not null references workspaces on delete cascade,
    user_id text not null,
    job_type text not null check (job_type in ('find','bulk')),
    bulk_id uuid references email_finder_jobs on delete cascade,
    row_index int,
    outcome jsonb not null,
    credits int not null default 0,
    created_at timestamptz not null default now()
  );
  create index email_finder_jobs_bulk on email_finder_jobs (bulk_id, row_index) where bulk_id is not null;

  alter table leads add column domain text not null generated always as (split_part(lower(email), '@', -1)) stored;
  create index leads_domain on leads (workspace_id, domain);
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
  // Whichever process is free claims the next batch of any workspace; its rows it works on inside that workspace.
  await sql
    .raw(`
    create policy lead_finder_sessions_runtime on lead_finder_sessions to overture_runtime using (true) with check (true);
    grant select, update on lead_finder_sessions to overture_runtime;`)
    .execute(db);
}
