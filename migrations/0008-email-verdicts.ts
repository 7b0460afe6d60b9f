/** What a verifier said of an address, kept for a while, so that asking again costs nothing; and its jobs. */

import { type Kysely, sql } from 'kysely';

// biome-ignore lint/suspicious/noExplicitAny: a migration is frozen and must not know the application's types
export async function up(db: Kysely<any>): Promise<void> {
  await sql
    .raw(`
  create table email_verdicts (
    workspace_id uuid not null references workspaces on delete cascade,
    address text not null check (address = lower(address) and length(address) <= 254),
    -- What is not known is asked again, and not kept.
    verdict text not null check (verdict in ('valid','risky','invalid')),
    reasons jsonb not null,
    source text not null,
    checked_at timestamptz not null,
    primary key (workspace_id, address)
  );
  create index email_verdicts_age on email_verdicts (workspace_id, checked_at);

  alter table email_verdicts enable row level security;
  alter table email_verdicts force row level security;
  create policy email_verdicts_workspace on email_verdicts to overture_app
    using (workspace_id = (select nullif(current_setting('app.workspace_id', true), '')::uuid))
    with check (workspace_id = (select nullif(current_setting('app.workspace_id', true), '')::uuid));
  grant select, insert, update, delete on email_verdicts to overture_app;

  alter table email_finder_jobs drop constraint email_finder_jobs_job_type_check;
  alter table email_finder_jobs add constraint email_finder_jobs_job_type_check
    check (job_type in ('find','bulk','verify'));`)
    .execute(db);
}
