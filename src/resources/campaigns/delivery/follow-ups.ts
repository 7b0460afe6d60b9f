/** Plans what is next: a lead's following step once the one before has left, and mails whose window closed before they could. */

import { sql } from 'kysely';
import type pg from 'pg';
import type { Database, WorkspaceTransaction } from '../../../db/database.ts';
import type { UnsubscribeLinks } from '../../unsubscribe/links.ts';
import { type Content, contentSchema, hashLetter, type OwnText, writeLetter } from '../content.ts';
import { type MailBatch, type NewMail, planMails, queueMails } from '../launch/enrol.ts';
import { lockMailboxes, mailboxOf, readPlans } from '../launch/occupancy.ts';
import { createPlanner, type Planner, type SendRule } from '../launch/plan.ts';
import { beginOf, type LeadFields, valuesOf } from '../launch/recipients.ts';
import { ownTextsWithin } from '../own-texts.ts';
import { type CampaignRow, instant, ruleOf } from '../rows.ts';

export interface FollowUpNeeds {
  database: Database;
  /** Finds work in all workspaces, through functions that give ids. */
  runtimePool: pg.Pool;
  links: UnsubscribeLinks;
  newId(): string;
}

export type FollowUps = ReturnType<typeof createFollowUps>;

/** What one transaction plans. */
const BATCH = 500;
/** Campaigns that one round looks at. */
const ROUND = 50;

interface WaitingRow extends LeadFields {
  campaign_lead_id: string;
  lead_id: string;
  next_step: number;
  text_hashes: string[];
  left_at: Date | null;
  suppressed: boolean;
}

export function createFollowUps({ database, runtimePool, links, newId }: FollowUpNeeds) {
  /** Gives the leads of a campaign whose step has left the mail of their next one. Answers how many it looked at. */
  function planCampaign(workspaceId: string, campaignId: string, at: number): Promise<number> {
    return database.within(workspaceId, async (tx) => {
      // Shared with others who plan, but not with whoever pauses, resumes or deletes the campaign.
      const campaign = await tx
        .selectFrom('campaigns')
        .selectAll()
        .where('id', '=', campaignId)
        .where('status', 'in', ['active', 'draining'])
        .forShare()
        .executeTakeFirst();
      const launchId = campaign?.launch_id;
      if (campaign === undefined || launchId == null) return 0;
      const launch = await tx
        .selectFrom('campaign_launches')
        .select('content')
        .where('id', '=', launchId)
        .executeTakeFirstOrThrow();
      const content = contentSchema.parse(launch.content);
      const rows = await waitingWithin(tx, campaign);
      if (rows.length === 0) return 0;
      const planner = createPlanner();
      const rule = ruleOf(campaign);
      const mails: NewMail[] = [];
      const texts = await ownTextsWithin(tx, content, rows);
      for (const row of rows) {
        const own = texts.get(row.campaign_lead_id);
        const mail = nextMail(campaign, content, row, own, { at, planner, rule, link: links.possible });
        if ('stop' in mail) await stopLead(tx, row.campaign_lead_id, mail.stop, mail.reason);
        else mails.push(mail);
      }
      const { sandbox } = content;
      const batch: MailBatch = { workspaceId, campaignId, launchId, rule, sandbox, mails };
      const slots = await planMails(tx, planner, batch, at);
      await queueMails(tx, batch, slots, { links, newId });
      const planned = mails.flatMap((mail, index) => {
        const slot = slots[index];
        return slot == null
          ? []
          : [{ id: mail.campaignLeadId, next_action_at: new Date(slot.dueAt).toISOString() }];
      });
      await sql`
        update campaign_leads l set next_step = null, next_action_at = p.next_action_at
          from json_to_recordset(${JSON.stringify(planned)}::json) as p(id uuid, next_action_at timestamptz)
         where l.id = p.id`.execute(tx);
      for (const [index, mail] of mails.entries()) {
        if (slots[index] === null) await stopLead(tx, mail.campaignLeadId, 'failed', NO_PLACE);
      }
      return rows.length;
    });
  }

  /** Gives the mails of a mailbox whose window closed before they left a new moment. */
  async function replanMailbox(workspaceId: string, mailbox: string, at: number): Promise<void> {
    await database.within(workspaceId, async (tx) => {
      await lockMailboxes(tx, workspaceId, [mailbox]);
      const { rows } = await sql<CampaignRow & { mail_id: string; campaign_lead_id: string }>`
        select c.*, o.id as mail_id, o.campaign_lead_id from outbox o join campaigns c on c.id = o.campaign_id
         where o.workspace_id = ${workspaceId}::uuid and o.mailbox = ${mailbox} and o.status = 'queued' and o.due_until <= ${instant(at)}
         order by o.due_at, o.id limit ${BATCH}`.execute(tx);
      const planner = createPlanner();
      const apart = rows.map((row) => row.mail_id);
      const plan = (await readPlans(tx, planner, [mailbox], at, apart)).get(mailbox);
      const rules = new Map<string, SendRule>();
      const moved: Record<string, string>[] = [];
      for (const row of rows) {
        const rule = rules.get(row.id) ?? ruleOf(row);
        rules.set(row.id, rule);
        const slot = plan?.take(rule, at) ?? null;
        if (slot === null) {
          await tx
            .updateTable('outbox')
            .set({ status: 'failed', error: JSON.stringify(noPlace()), due_at: null, due_until: null })
            .where((mail) => mail.and({ id: row.mail_id, status: 'queued' }))
            .execute();
          await stopLead(tx, row.campaign_lead_id, 'failed', NO_PLACE);
          continue;
        }
        moved.push({
          id: row.mail_id,
          due_at: new Date(slot.dueAt).toISOString(),
          due_until: new Date(slot.dueUntil).toISOString(),
        });
      }
      // Whoever paused the campaign meanwhile has taken the mail its moment; it keeps none.
      await sql`
        with moved as (
          update outbox o set due_at = m.due_at, due_until = m.due_until
            from json_to_recordset(${JSON.stringify(moved)}::json) as m(id uuid, due_at timestamptz, due_until timestamptz)
           where o.id = m.id and o.status = 'queued' and o.due_until is not null
          returning o.campaign_lead_id, o.due_at
        )
        update campaign_leads l set next_action_at = moved.due_at from moved where l.id = moved.campaign_lead_id`.execute(
        tx,
      );
      // It was claimed to look at its first mail, which is another one now.
      await sql`
        update mailboxes set wake_at = coalesce(
                 (select min(due_at) from outbox where workspace_id = ${workspaceId}::uuid and mailbox = ${mailbox} and status = 'queued'),
                 'infinity')
         where address = ${mailbox}`.execute(tx);
    });
  }

  return {
    /** Plans what waits for a plan, some campaigns at a time. Answers whether there may be more. */
    async planNext(at: number): Promise<boolean> {
      const { rows } = await runtimePool.query<{ workspace_id: string; id: string }>(
        'select * from find_waiting_campaigns($1)',
        [ROUND],
      );
      let more = rows.length === ROUND;
      for (const row of rows) more = (await planCampaign(row.workspace_id, row.id, at)) === BATCH || more;
      return more;
    },

    replanMailbox,
  };
}

const NO_PLACE = 'Window, days, daily limit and interval leave no room for this mail.';

function noPlace() {
  return { code: 'CAMPAIGN_NOT_READY', message: NO_PLACE, retryable: false };
}

async function waitingWithin(tx: WorkspaceTransaction, campaign: CampaignRow): Promise<WaitingRow[]> {
  const { rows } = await sql<WaitingRow>`
    select c.id as campaign_lead_id, c.lead_id, c.next_step, c.text_hashes,
           l.email, l.first_name, l.last_name, l.company, l.title, l.city, l.country, l.website, l.phone, l.data,
           (select o.started_at from outbox o where o.campaign_lead_id = c.id and o.step = c.next_step - 1) as left_at,
           exists (select 1 from suppression_entries s
                    where s.workspace_id = ${campaign.workspace_id}::uuid and s.email = l.address) as suppressed
      from campaign_leads c join leads l on l.id = c.lead_id
     where c.campaign_id = ${campaign.id}::uuid and c.next_step is not null
     order by c.position, c.id limit ${BATCH} for update of c skip locked`.execute(tx);
  return rows;
}

/** The next mail of a lead, or why there is none: nothing is sent that reads differently from what was approved. */
function nextMail(
  campaign: CampaignRow,
  content: Content,
  row: WaitingRow,
  texts: ReadonlyMap<number, OwnText> | undefined,
  { at, planner, rule, link }: { at: number; planner: Planner; rule: SendRule; link: boolean },
): NewMail | { stop: 'suppressed' | 'completed' | 'failed'; reason: string | null } {
  if (row.suppressed) return { stop: 'suppressed', reason: 'suppressed' };
  const step = content.steps[row.next_step - 1];
  if (step === undefined) return { stop: 'completed', reason: null };
  const recipient = { leadId: row.lead_id, values: valuesOf(row), texts };
  const letter = writeLetter(content, campaign.id, recipient, step.step, { link });
  if (hashLetter(letter) !== row.text_hashes[step.step - 1]) {
    return {
      stop: 'failed',
      reason: "The lead's data has changed since the launch, so its next mail is not what was approved.",
    };
  }
  const base = row.left_at?.getTime() ?? at;
  return {
    campaignLeadId: row.campaign_lead_id,
    leadId: row.lead_id,
    to: row.email,
    letter,
    mailbox: mailboxOf(letter.sender.address, content.sandbox),
    earliest: Math.max(at, beginOf(planner, rule.timezone, base, step.delay_days)),
  };
}

async function stopLead(
  tx: WorkspaceTransaction,
  campaignLeadId: string,
  status: 'suppressed' | 'completed' | 'failed',
  error: string | null,
): Promise<void> {
  await tx
    .updateTable('campaign_leads')
    .set({ status, error, next_step: null, next_action_at: null })
    .where('id', '=', campaignLeadId)
    .execute();
}
