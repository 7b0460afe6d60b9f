/** Deeds that count what became of a campaign's mails. */

import { sql } from 'kysely';
import type { z } from 'zod';
import type { Database } from '../../db/database.ts';
import type { Caller } from '../../runtime/caller.ts';
import { leadCounts, noSuchCampaign, readCampaign, statusOf } from './rows.ts';
import type { aggregateStats, CampaignStats, stepPerformance } from './schema.ts';

export interface CampaignStatsNeeds {
  database: Database;
}

export type CampaignStatistics = ReturnType<typeof createCampaignStats>;

/** Mails that were not sent because of what their recipient did since: no failures. */
const WITHHELD = sql`'RECIPIENT_SUPPRESSED', 'RECIPIENT_REPLIED'`;

/** Mails by what became of them. */
const MAILS = sql`
  count(*) filter (where o.status = 'queued') as queued,
  count(*) filter (where o.status = 'sending') as in_flight,
  count(*) filter (where o.status = 'sent') as sent,
  count(*) filter (where o.status = 'sandbox') as sandbox,
  count(*) filter (where o.status = 'unknown') as unknown,
  count(*) filter (where o.status = 'failed' and o.error->>'code' in (${WITHHELD})) as withheld,
  count(*) filter (where o.status = 'failed' and coalesce(o.error->>'code', '') not in (${WITHHELD})) as failed`;

/** What recipients did, each mail once however often it was opened. */
const EVENTS = sql`
  count(distinct (e.campaign_lead_id, e.step)) filter (where e.event_type = 'delivered') as delivered,
  count(distinct (e.campaign_lead_id, e.step)) filter (where e.event_type = 'opened') as opened,
  count(distinct (e.campaign_lead_id, e.step)) filter (where e.event_type = 'clicked') as clicked,
  count(distinct (e.campaign_lead_id, e.step)) filter (where e.event_type = 'replied') as replied,
  count(distinct (e.campaign_lead_id, e.step)) filter (where e.event_type = 'bounced') as bounced,
  count(distinct e.campaign_lead_id) filter (where e.event_type = 'unsubscribed') as unsubscribed`;

type MailCounts = Record<
  'queued' | 'in_flight' | 'sent' | 'sandbox' | 'unknown' | 'withheld' | 'failed',
  string
>;
type EventCounts = Record<
  'delivered' | 'opened' | 'clicked' | 'replied' | 'bounced' | 'unsubscribed',
  string
>;

export function createCampaignStats({ database }: CampaignStatsNeeds) {
  return {
    /** Figures of one campaign; rates are shares of the mails that were sent. Throws `NOT_FOUND`. */
    of(caller: Caller, campaignId: string): Promise<CampaignStats> {
      return database.within(caller.workspaceId, async (tx) => {
        const row = await tx
          .selectFrom('campaigns')
          .select(['id', 'status'])
          .select(leadCounts)
          .where((one) => one.and({ id: campaignId, user_id: caller.userId }))
          .executeTakeFirst();
        if (row === undefined) throw noSuchCampaign();
        const mails =
          await sql<MailCounts>`select ${MAILS} from outbox o where o.campaign_id = ${campaignId}::uuid`.execute(
            tx,
          );
        const events =
          await sql<EventCounts>`select ${EVENTS} from campaign_lead_events e where e.campaign_id = ${campaignId}::uuid`.execute(
            tx,
          );
        const counts = numbersOf({ ...NO_MAILS, ...mails.rows[0], ...events.rows[0] });
        const rate = (count: number) => (counts.sent === 0 ? 0 : count / counts.sent);
        return {
          campaign_id: campaignId,
          status: statusOf(row),
          total_leads: Number(row.total_leads),
          ...counts,
          open_rate: rate(counts.opened),
          click_rate: rate(counts.clicked),
          reply_rate: rate(counts.replied),
          bounce_rate: rate(counts.bounced),
        };
      });
    },

    /** Figures for each step and variant that a mail was written for. Throws `NOT_FOUND`. */
    ofSteps(caller: Caller, campaignId: string): Promise<z.output<typeof stepPerformance>> {
      return database.within(caller.workspaceId, async (tx) => {
        await readCampaign(tx, caller, campaignId);
        const { rows } = await sql<MailCounts & EventCounts & { step: number; variant_label: string | null }>`
          with mails as (
            select o.step, o.variant_label, ${MAILS} from outbox o
             where o.campaign_id = ${campaignId}::uuid group by o.step, o.variant_label
          ), events as (
            select e.step, e.variant_label, ${EVENTS} from campaign_lead_events e
             where e.campaign_id = ${campaignId}::uuid group by e.step, e.variant_label
          )
          select m.*, e.delivered, e.opened, e.clicked, e.replied, e.bounced, e.unsubscribed
            from mails m left join events e on e.step = m.step and e.variant_label is not distinct from m.variant_label
           order by m.step, m.variant_label`.execute(tx);
        return {
          campaign_id: campaignId,
          steps: rows.map(({ step, variant_label, ...counts }) => {
            const { sent, sandbox, delivered, opened, clicked, replied, bounced } = numbersOf(counts);
            return {
              step,
              variant_label,
              channel: 'email',
              sent,
              sandbox,
              delivered,
              opened,
              clicked,
              replied,
              bounced,
            };
          }),
        };
      });
    },

    /** Totals over the caller's campaigns. */
    total(caller: Caller): Promise<z.output<typeof aggregateStats>> {
      return database.within(caller.workspaceId, async (tx) => {
        const mine = sql`select id from campaigns where user_id = ${caller.userId}`;
        const { rows } = await sql<
          MailCounts & EventCounts & Record<'total_campaigns' | 'active_campaigns' | 'total_leads', string>
        >`
          select * from
            (select count(*) as total_campaigns,
                    count(*) filter (where status in ('scheduled', 'active', 'draining')) as active_campaigns
               from campaigns where user_id = ${caller.userId}) c,
            (select count(*) as total_leads from campaign_leads where campaign_id in (${mine})) l,
            (select ${MAILS} from outbox o where o.campaign_id in (${mine})) m,
            (select ${EVENTS} from campaign_lead_events e where e.campaign_id in (${mine})) e`.execute(tx);
        const none = { ...NO_MAILS, total_campaigns: '0', active_campaigns: '0', total_leads: '0' };
        const counts = numbersOf(rows[0] ?? none);
        const { queued: _queued, in_flight: _flight, unknown: _unknown, ...rest } = counts;
        const { withheld: _withheld, failed: _failed, unsubscribed: _unsubscribed, ...told } = rest;
        return told;
      });
    },
  };
}

const NO_MAILS: MailCounts & EventCounts = {
  queued: '0',
  in_flight: '0',
  sent: '0',
  sandbox: '0',
  unknown: '0',
  withheld: '0',
  failed: '0',
  delivered: '0',
  opened: '0',
  clicked: '0',
  replied: '0',
  bounced: '0',
  unsubscribed: '0',
};

/** PostgreSQL counts in bigint, which comes as text; a step without events has none. */
function numbersOf<Name extends string>(counts: Record<Name, string | null>): Record<Name, number> {
  const entries = Object.entries<string | null>(counts).map(([name, count]) => [name, Number(count ?? 0)]);
  return Object.fromEntries(entries) as Record<Name, number>;
}
