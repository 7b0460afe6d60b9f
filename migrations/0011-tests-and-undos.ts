/** Columns for what was read out of other values: whether a mail is a test, and who took a launch back. */

import { type Kysely, sql } from 'kysely';

// biome-ignore lint/suspicious/noExplicitAny: a migration is frozen and must not know the application's types
export async function up(db: Kysely<any>): Promise<void> {
  await sql
    .raw(`
  -- A person sent it to themselves from a card: it counts as no mail to anybody.
  alter table outbox add column test boolean not null default false;

  alter table campaign_launches add column undone_by text, add column undone_at timestamptz,
    add constraint campaign_launches_undone check ((undone_by is null) = (undone_at is null));`)
    .execute(db);
}
