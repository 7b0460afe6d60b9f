/** A process without a mail server claims only mailboxes whose mails are kept here anyway. */

import { type Kysely, sql } from 'kysely';

// biome-ignore lint/suspicious/noExplicitAny: a migration is frozen and must not know the application's types
export async function up(db: Kysely<any>): Promise<void> {
  await sql
    .raw(`
  create function claim_mailboxes(at timestamptz, worker text, lease_seconds int, most int, only_kept boolean)
  returns table (workspace_id uuid, address text, epoch int)
  language sql security definer set search_path = public, pg_temp as $$
    with ready as (
      select m.workspace_id, m.address from mailboxes m
       where m.wake_at <= at and (not only_kept or m.address like 'sandbox %')
       order by m.wake_at limit most for update skip locked
    )
    update mailboxes m
       set claimed_by = worker, claim_epoch = m.claim_epoch + 1, wake_at = at + make_interval(secs => lease_seconds)
      from ready r where m.workspace_id = r.workspace_id and m.address = r.address
    returning m.workspace_id, m.address, m.claim_epoch
  $$;
  revoke all on function claim_mailboxes(timestamptz, text, int, int, boolean) from public;
  grant execute on function claim_mailboxes(timestamptz, text, int, int, boolean) to overture_runtime;`)
    .execute(db);
}
