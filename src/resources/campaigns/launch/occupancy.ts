/** What the mailboxes of a plan have sent and are going to send. */

import { sql } from 'kysely';
import type { WorkspaceTransaction } from '../../../db/database.ts';
import { instant } from '../rows.ts';
import type { MailboxPlan, Planner, Taken } from './plan.ts';

/** Mails that left longer ago bind no day and no interval any more, in any time zone. */
const PAST_DAYS = 3;

interface TakenRow {
  mailbox: string;
  at: Date;
  timezone: string | null;
  daily_limit: number | null;
  min_interval_seconds: number | null;
}

/** The mailbox's key: mails that are only kept here take no place from those that leave. */
export function mailboxOf(address: string, sandbox: boolean): string {
  return sandbox ? `sandbox ${address.toLowerCase()}` : address.toLowerCase();
}

/** The plans of these mailboxes as they stand; those of `apart` (mails that are to be planned anew) do not count. */
export async function readPlans(
  tx: WorkspaceTransaction,
  planner: Planner,
  mailboxes: readonly string[],
  at: number,
  apart: readonly string[] = [],
): Promise<Map<string, MailboxPlan>> {
  const { rows } = await sql<TakenRow>`
    select o.mailbox, o.at, c.timezone, c.daily_limit, c.min_interval_seconds from (
      select mailbox, due_at as at, campaign_id from outbox
       where mailbox = any(${mailboxes}::text[]) and status = 'queued' and due_at is not null
         and id <> all(${apart}::uuid[])
      union all
      select mailbox, started_at, campaign_id from outbox
       where mailbox = any(${mailboxes}::text[]) and started_at > ${instant(at)} - make_interval(days => ${PAST_DAYS})
         and status <> 'queued'
    ) o left join campaigns c on c.id = o.campaign_id`.execute(tx);
  const taken = new Map<string, Taken[]>(mailboxes.map((mailbox) => [mailbox, []]));
  for (const row of rows) {
    const { timezone, daily_limit: dailyLimit, min_interval_seconds: seconds } = row;
    const gone = timezone === null || dailyLimit === null || seconds === null;
    taken.get(row.mailbox)?.push({
      at: row.at.getTime(),
      rule: gone ? null : { timezone, dailyLimit, minIntervalMs: seconds * 1000 },
    });
  }
  return new Map([...taken].map(([mailbox, mails]) => [mailbox, planner.mailbox(mails)]));
}

/** Makes the mailboxes' rows where they are missing and locks them, always in the same order. */
export async function lockMailboxes(
  tx: WorkspaceTransaction,
  workspaceId: string,
  mailboxes: readonly string[],
): Promise<void> {
  const sorted = mailboxes.toSorted();
  await tx
    .insertInto('mailboxes')
    .values(sorted.map((address) => ({ workspace_id: workspaceId, address })))
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  await tx
    .selectFrom('mailboxes')
    .select('address')
    .where('address', 'in', sorted)
    .orderBy('address')
    .forUpdate()
    .execute();
}

/** Lets the dispatcher look at each mailbox at its new first moment, if that comes before the one it knows. */
export async function wakeMailboxes(
  tx: WorkspaceTransaction,
  first: ReadonlyMap<string, number>,
): Promise<void> {
  for (const [address, at] of first) {
    await tx
      .updateTable('mailboxes')
      .set({ wake_at: sql<Date>`least(wake_at, ${instant(at)})` })
      .where('address', '=', address)
      .execute();
  }
}
