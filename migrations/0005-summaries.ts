/** What the model reads in place of the older part of a long conversation. */

import { type Kysely, sql } from 'kysely';

// biome-ignore lint/suspicious/noExplicitAny: a migration is frozen and must not know the application's types
export async function up(db: Kysely<any>): Promise<void> {
  await sql
    .raw(`
  create table conversation_summaries (
    conversation_id uuid primary key references conversations on delete cascade,
    workspace_id uuid not null,
    -- The number of the last message that it covers; 0 as long as none could be made.
    through_seq bigint not null default 0,
    messages int not null default 0,
    text text not null default '',
    -- Whether it covers anything that a stranger may have written.
    tainted boolean not null default false,
    -- The turn in which it was made.
    turn_id uuid,
    -- The newest message when one was last tried for in vain; 0 since the last that was made.
    tried_seq bigint not null default 0,
    updated_at timestamptz not null default now()
  );

  alter table conversation_summaries enable row level security;
  alter table conversation_summaries force row level security;
  create policy conversation_summaries_workspace on conversation_summaries to overture_app
    using (workspace_id = (select nullif(current_setting('app.workspace_id', true), '')::uuid))
    with check (workspace_id = (select nullif(current_setting('app.workspace_id', true), '')::uuid));
  grant select, insert, update, delete on conversation_summaries to overture_app;`)
    .execute(db);
}
