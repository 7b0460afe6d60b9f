/** Mails that came back: what people answered, what machines did, and what could not be delivered. */

import { type Kysely, sql } from 'kysely';

// biome-ignore lint/suspicious/noExplicitAny: a migration is frozen and must not know the application's types
export async function up(db: Kysely<any>): Promise<void> {
  await sql
    .raw(`
  create table replies (
    id uuid primary key,
    workspace_id uuid not null references workspaces on delete cascade,
    kind text not null check (kind in ('reply','auto_reply','bounce')),
    from_email text,
    from_name text,
    subject text not null,
    text text not null,
    attachments int not null default 0,
    -- The same mail that comes a second time is known by it.
    message_id text not null,
    -- The mail of ours that it answers, as far as it is known.
    outbox_id uuid,
    campaign_id uuid,
    campaign_lead_id uuid,
    lead_id uuid,
    -- Of a bounce (RFC 3464): whether it is for good, the status code, and whom the mail did not reach.
    bounce_type text check (bounce_type in ('hard','soft')),
    bounce_status text,
    bounce_recipient text,
    received_at timestamptz not null,
    check ((kind = 'bounce') = (bounce_type is not null))
  );
  create unique index replies_message on replies (workspace_id, message_id);
  create index replies_list on replies (workspace_id, id desc);
  create index replies_campaign on replies (campaign_id, id desc) where campaign_id is not null;
  create index outbox_message on outbox (workspace_id, message_id);

  alter table replies enable row level security;
  alter table replies force row level security;
  create policy replies_workspace on replies to overture_app
    using (workspace_id = (select nullif(current_setting('app.workspace_id', true), '')::uuid))
    with check (workspace_id = (select nullif(current_setting('app.workspace_id', true), '')::uuid));
  grant select, insert, update, delete on replies to overture_app;`)
    .execute(db);
}
