/** The names that other protocols' clients gave their threads: each leads its own user to one of their conversations. */

import { type Kysely, sql } from 'kysely';

// biome-ignore lint/suspicious/noExplicitAny: a migration is frozen and must not know the application's types
export async function up(db: Kysely<any>): Promise<void> {
  await sql
    .raw(`
  create table external_threads (
    workspace_id uuid not null references workspaces on delete cascade,
    user_id text not null,
    external_id text not null check (length(external_id) between 1 and 200),
    conversation_id uuid not null unique references conversations on delete cascade,
    created_at timestamptz not null default now(),
    primary key (workspace_id, user_id, external_id)
  );

  alter table external_threads enable row level security;
  alter table external_threads force row level security;
  create policy external_threads_workspace on external_threads to overture_app
    using (workspace_id = (select nullif(current_setting('app.workspace_id', true), '')::uuid))
    with check (workspace_id = (select nullif(current_setting('app.workspace_id', true), '')::uuid));
  grant select, insert, update, delete on external_threads to overture_app;`)
    .execute(db);
}
