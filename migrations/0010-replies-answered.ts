/** What came back to the mails of one address is looked for whenever the address is verified. */

import { type Kysely, sql } from 'kysely';

// biome-ignore lint/suspicious/noExplicitAny: a migration is frozen and must not know the application's types
export async function up(db: Kysely<any>): Promise<void> {
  await sql
    .raw('create index replies_outbox on replies (outbox_id, received_at desc) where outbox_id is not null')
    .execute(db);
}
