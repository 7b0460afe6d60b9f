/** Texts that are written for one lead of a campaign each, before its launch. */

import { type Kysely, sql } from 'kysely';

// biome-ignore lint/suspicious/noExplicitAny: a migration is frozen and must not know the application's types
export async function up(db: Kysely<any>): Promise<void> {
  await sql
    .raw(`
  create table campaign_texts (
    workspace_id uuid not null references workspaces on delete cascade,
    campaign_id uuid not null references campaigns on delete cascade,
    campaign_lead_id uuid not null references campaign_leads on delete cascade,
    step int not null,
    variant_label text not null,
    status text not null check (status in ('pending','completed','failed','cancelled')),
    -- The call that it is written for.
    batch text,
    subject text,
    body text,
    error text,
    -- SHA-256 of the lead's fields, and of step, variant, base text and sender: with others it must be written anew.
    lead_fingerprint text,
    step_fingerprint text,
    -- How it was to be written, and by which model.
    prompt text,
    model text,
    written_at timestamptz,
    -- Who has read it and lets it go.
    reviewed_at timestamptz,
    reviewed_by text,
    primary key (campaign_lead_id, step),
    check (status <> 'completed' or (subject is not null and body is not null))
  );
  create index campaign_texts_campaign on campaign_texts (campaign_id, batch);

  alter table campaign_texts enable row level security;
  alter table campaign_texts force row level security;
  create policy campaign_texts_workspace on campaign_texts to overture_app
    using (workspace_id = (select nullif(current_setting('app.workspace_id', true), '')::uuid))
    with check (workspace_id = (select nullif(current_setting('app.workspace_id', true), '')::uuid));
  grant select, insert, update, delete on campaign_texts to overture_app;`)
    .execute(db);
}
