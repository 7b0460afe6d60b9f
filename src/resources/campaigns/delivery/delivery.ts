/**
 * One mail's way out of the outbox: its mailbox is claimed, the mail begins, is handed over, and how that ended is kept.
 * What began and was not heard of again is unknown and never sent a second time: SMTP knows no repeat.
 */

import type pg from 'pg';
import { type Queryable, transact } from '../../../db/pipeline.ts';
import type { ErrorFact } from '../../../errors.ts';
import type { MailOutcome } from '../../outbox/mailer.ts';

export interface DeliveryNeeds {
  /** Serves the workspaces' rows. */
  appPool: pg.Pool;
  /** Finds work in all workspaces, through functions that give ids. */
  runtimePool: pg.Pool;
  /** This process, as a claim names it. */
  owner: string;
  /** Seconds that a claimed mailbox waits for its mail to begin, and a mail that began for its end. */
  leaseSeconds: number;
  /** Whether this process has no mail server: what shall leave is then left to one that has. */
  sandbox: boolean;
  newId(): string;
}

/** A mailbox whose next mail this process may begin. */
export interface Claim {
  workspaceId: string;
  address: string;
  epoch: number;
}

/** A mail that has begun to leave; whoever holds it hands it over once. */
export interface BegunMail {
  id: string;
  workspaceId: string;
  attempt: number;
  from: string;
  to: string;
  subject: string;
  body: string;
  messageId: string;
}

export type Begun =
  | { kind: 'mail'; mail: BegunMail }
  /** Its time came and it was kept here, or its recipient is suppressed or has replied: it is done. */
  | { kind: 'done' }
  /** Nothing was due after all. */
  | { kind: 'nothing' }
  /** Mails of the mailbox could not leave in their window, which is closed: they need a new plan before anything goes. */
  | { kind: 'late' };

export type Delivery = ReturnType<typeof createDelivery>;

/** Minutes until a mail that provably did not leave is tried again, by attempt; after the last it has failed. */
const RETRY_MINUTES = [1, 5, 15, 60];

interface StartedRow {
  id: string;
  status: string;
  attempt: number;
  from_address: string;
  to_address: string;
  subject: string;
  body: string;
  message_id: string;
  campaign_lead_id: string;
  step: number;
  variant_label: string | null;
  /** Why it was not sent, where it was withheld. */
  error: ErrorFact | null;
}

export function createDelivery(needs: DeliveryNeeds) {
  const { appPool, runtimePool, owner, leaseSeconds, sandbox, newId } = needs;

  /** Writes what a mail's end means for its lead; the lead may be gone with its campaign. */
  async function tellLead(
    client: Queryable,
    mail: { campaign_lead_id: string; step: number; variant_label: string | null },
    result: 'sent' | 'failed' | 'unknown' | 'suppressed',
    at: number,
    told: { error?: ErrorFact; sandbox?: boolean },
  ): Promise<void> {
    // "active" also where it was given up as unknown: late news are true news.
    await client.query(
      `with lead as (
         update campaign_leads l
            set status = case when l.status not in ('active', 'unknown') then l.status
                              when $3 <> 'sent' then $3
                              when $2 < c.last_step and c.runs then 'active' else 'completed' end,
                current_step = case when $3 = 'sent' then $2 else l.current_step end,
                next_step = case when l.status in ('active', 'unknown') and $3 = 'sent' and $2 < c.last_step and c.runs then $2 + 1 end,
                next_action_at = null, variant_label = $4, last_event_at = $5, error = $6
           from (select id, jsonb_array_length(steps) as last_step, status in ('scheduled', 'active', 'draining', 'paused') as runs
                   from campaigns) c
          where l.id = $1 and c.id = l.campaign_id
         returning l.id, l.workspace_id, l.campaign_id
       )
       insert into campaign_lead_events (id, workspace_id, campaign_id, campaign_lead_id, event_type, step, variant_label, metadata, occurred_at)
       select $7, workspace_id, campaign_id, id, case when $3 = 'sent' then 'sent' else 'failed' end, $2, $4, $8, $5 from lead`,
      [
        mail.campaign_lead_id,
        mail.step,
        result,
        mail.variant_label,
        new Date(at),
        told.error?.message ?? null,
        newId(),
        JSON.stringify({
          ...(told.sandbox === true ? { sandbox: true } : {}),
          ...(told.error === undefined ? {} : { outcome: result, error: told.error }),
        }),
      ],
    );
  }

  return {
    /** Claims mailboxes that have something to do; each is claimed by one process at a time. */
    async claim(at: number, most: number): Promise<Claim[]> {
      const { rows } = await runtimePool.query<{ workspace_id: string; address: string; epoch: number }>(
        'select * from claim_mailboxes($1, $2, $3, $4, $5)',
        [new Date(at), owner, leaseSeconds, most, sandbox],
      );
      return rows.map((row) => ({ workspaceId: row.workspace_id, address: row.address, epoch: row.epoch }));
    },

    /**
     * Begins the first mail of a claimed mailbox, if it is due, its window is open and the interval is over; it is then
     * `sending` before the first byte goes. A mail that is only kept, or whose recipient was suppressed or has replied, ends
     * here.
     */
    begin(claim: Claim, at: number): Promise<Begun> {
      return transact(appPool, claim.workspaceId, async (client): Promise<Begun> => {
        // Its own statement: the next one must see what whoever held the mailbox has written.
        const box = await client.query<{ last_at: Date | null; last_interval: number }>(
          `select last_at, last_interval from mailboxes
            where workspace_id = $1 and address = $2 and claim_epoch = $3 for update`,
          [claim.workspaceId, claim.address, claim.epoch],
        );
        const [mailbox] = box.rows;
        if (mailbox === undefined) return { kind: 'nothing' };
        const late = await client.query(LATE, [claim.workspaceId, claim.address, new Date(at)]);
        if (late.rowCount !== 0) return { kind: 'late' };
        const { rows } = await client.query<StartedRow>(BEGIN, [
          claim.workspaceId,
          claim.address,
          new Date(at),
          mailbox.last_at,
          mailbox.last_interval,
          leaseSeconds,
          JSON.stringify(SUPPRESSED),
          JSON.stringify(REPLIED),
        ]);
        const [mail] = rows;
        if (mail === undefined) return { kind: 'nothing' };
        if (mail.status === 'sandbox') {
          await tellLead(client, mail, 'sent', at, { sandbox: true });
          return { kind: 'done' };
        }
        if (mail.status === 'failed') {
          await tellLead(client, mail, 'suppressed', at, { error: mail.error ?? SUPPRESSED });
          return { kind: 'done' };
        }
        return {
          kind: 'mail',
          mail: {
            id: mail.id,
            workspaceId: claim.workspaceId,
            attempt: mail.attempt,
            from: mail.from_address,
            to: mail.to_address,
            subject: mail.subject,
            body: mail.body,
            messageId: mail.message_id,
          },
        };
      });
    },

    /** Keeps how a mail ended; a mail that provably did not leave and may do so later waits for its next attempt. */
    settle(
      mail: Pick<BegunMail, 'id' | 'workspaceId' | 'attempt'>,
      outcome: MailOutcome,
      at: number,
    ): Promise<void> {
      return transact(appPool, mail.workspaceId, async (client) => {
        const minutes = RETRY_MINUTES[mail.attempt - 1];
        if (outcome.state === 'failed' && outcome.error.retryable && minutes !== undefined) {
          if (await tryAgain(client, mail, outcome.error, at + minutes * 60_000)) return;
        }
        const done = outcome.state === 'done';
        const { rows } = await client.query<StartedRow>(
          `update outbox set status = $3, error = $4, provider_ref = $5, sent_at = $6, lease_until = null
            where id = $1 and attempt = $2 and status in ('sending', 'unknown') and status <> $3 returning *`,
          [
            mail.id,
            mail.attempt,
            done ? 'sent' : outcome.state,
            done ? null : JSON.stringify(outcome.error),
            done ? outcome.providerRef : null,
            done ? new Date(at) : null,
          ],
        );
        const [row] = rows;
        if (row === undefined) return;
        await tellLead(client, row, done ? 'sent' : outcome.state, at, done ? {} : { error: outcome.error });
      });
    },

    /** Mails that began and were not heard of again within their lease. */
    async lost(at: number, most: number): Promise<Pick<BegunMail, 'id' | 'workspaceId' | 'attempt'>[]> {
      const { rows } = await runtimePool.query<{ workspace_id: string; id: string; attempt: number }>(
        'select * from find_lost_mails($1, $2)',
        [new Date(at), most],
      );
      return rows.map((row) => ({ id: row.id, workspaceId: row.workspace_id, attempt: row.attempt }));
    },

    /** Moves campaigns on: to active at their start, to draining and completed when nothing is left to do. */
    async advance(at: number): Promise<number> {
      const { rowCount } = await runtimePool.query('select * from advance_campaigns($1)', [new Date(at)]);
      return rowCount ?? 0;
    },
  };
}

const LATE = `
select 1 from outbox where workspace_id = $1 and mailbox = $2 and status = 'queued' and due_at <= $3 and due_until <= $3 limit 1`;

/**
 * The first mail of the mailbox whose window is still open begins, or nothing does; and the mailbox is given back until
 * there is something to do again. A mail that lost its moment meanwhile (a pause) is not touched.
 * $1 workspace, $2 mailbox, $3 now, $4 and $5 its last mail and that one's interval, $6 lease, $7 and $8 the refusals: its
 * address is suppressed, its lead has replied since (as when a mail that did not leave waits for another try).
 */
const BEGIN = `
with waiting as (
  select o.id, o.due_at, o.campaign_id from outbox o
   where o.workspace_id = $1 and o.mailbox = $2 and o.status = 'queued' and o.due_at is not null and o.due_until > $3
   order by o.due_at, o.id limit 2
), head as materialized (
  select w.id, w.due_at, c.min_interval_seconds as gap, row_number() over (order by w.due_at, w.id) as place
    from waiting w join campaigns c on c.id = w.campaign_id
), judged as (
  select o.id,
         case when exists (select 1 from suppression_entries s where s.workspace_id = $1 and s.email = o.address) then $7::jsonb
              when exists (select 1 from campaign_leads l where l.id = o.campaign_lead_id and l.status = 'replied') then $8::jsonb
         end as refusal
    from head h join outbox o on o.id = h.id
   where h.place = 1
     and ($4::timestamptz is null or $4::timestamptz + make_interval(secs => greatest($5::int, h.gap)) <= $3)
), started as (
  update outbox o
     set attempt = o.attempt + 1, started_at = $3,
         status = case when j.refusal is not null then 'failed' when o.keep then 'sandbox' else 'sending' end,
         lease_until = case when j.refusal is not null or o.keep then null else $3::timestamptz + make_interval(secs => $6::int) end,
         error = j.refusal
    from judged j
   where o.id = j.id and o.status = 'queued' and o.due_at <= $3 and o.due_until > $3
     and exists (select 1 from campaign_launches a where a.id = o.launch_id and a.campaign_id = o.campaign_id)
  returning o.*
), left_now as (
  select $3::timestamptz as at, h.gap from started s join head h on h.id = s.id where s.status <> 'failed'
), woken as (
  update mailboxes m
     set claimed_by = null,
         last_at = coalesce((select at from left_now), m.last_at),
         last_interval = coalesce((select gap from left_now), m.last_interval),
         wake_at = coalesce((
           select greatest(h.due_at, coalesce((select at from left_now), $4::timestamptz)
                    + make_interval(secs => greatest(coalesce((select gap from left_now), $5::int), h.gap)))
             from head h where h.place = 1 + (select count(*) from started)), 'infinity')
   where m.workspace_id = $1 and m.address = $2
)
select id, status, attempt, from_address, to_address, subject, body, message_id, campaign_lead_id, step, variant_label, error
  from started`;

const SUPPRESSED: ErrorFact = {
  code: 'RECIPIENT_SUPPRESSED',
  message: 'The recipient is on the do-not-contact list. Nothing was sent.',
  retryable: false,
};

/** What stands on a mail that is not sent as its lead has answered an earlier one. */
export const REPLIED: ErrorFact = {
  code: 'RECIPIENT_REPLIED',
  message: 'The recipient has replied, so no further mail of this campaign goes to them.',
  retryable: false,
};

/** Lets the mail wait again, unless its campaign is gone; in a paused campaign it waits for a new plan. */
async function tryAgain(
  client: Queryable,
  mail: Pick<BegunMail, 'id' | 'attempt'>,
  error: ErrorFact,
  later: number,
): Promise<boolean> {
  const { rows } = await client.query<{ status: string }>(
    `select c.status from outbox o join campaigns c on c.id = o.campaign_id
      where o.id = $1 and c.status in ('scheduled', 'active', 'draining', 'paused') for share of c`,
    [mail.id],
  );
  const [campaign] = rows;
  if (campaign === undefined) return false;
  const waits = campaign.status === 'paused' ? null : new Date(later);
  const { rowCount } = await client.query(
    `with again as (
       update outbox set status = 'queued', due_at = $3, due_until = case when $3::timestamptz is null then null else due_until end,
              started_at = null, lease_until = null, error = $4
        where id = $1 and attempt = $2 and status = 'sending' returning workspace_id, mailbox
     )
     update mailboxes m set wake_at = least(m.wake_at, coalesce($3::timestamptz, 'infinity'))
       from again a where m.workspace_id = a.workspace_id and m.address = a.mailbox`,
    [mail.id, mail.attempt, waits, JSON.stringify(error)],
  );
  return (rowCount ?? 0) > 0;
}
