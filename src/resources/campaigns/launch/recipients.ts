/** Whom a launch writes to: the leads it is about, who of them is left out and why, and every text for the others. */

import { type RawBuilder, sql } from 'kysely';
import type { WorkspaceTransaction } from '../../../db/database.ts';
import { isEmail } from '../../uploads/email.ts';
import { type Content, hashLetter, type Letter, type Recipient, writeLetter } from '../content.ts';
import type { CampaignRow } from '../rows.ts';
import type { AddLeads, LeftOutReason } from '../schema.ts';
import { mailboxOf } from './occupancy.ts';
import type { Planner, SendRule } from './plan.ts';

/** `launch`: all leads, first step. `resume`: those under way, next step. `leads`: some more in a running campaign. */
export type LaunchAct =
  | { kind: 'launch' }
  | { kind: 'resume' }
  | { kind: 'leads'; add: AddLeads; content: Content };

/** Somebody who is written to. */
export interface Ready extends Recipient {
  /** Null until the lead is enrolled. */
  campaignLeadId: string | null;
  position: number;
  email: string;
  name: string | null;
  /** The mail that is planned now. */
  letter: Letter;
  mailbox: string;
  /** When its step may begin. */
  earliest: number;
  /** Of each step from this one on; those before it are empty. */
  textHashes: string[];
  /** Variables that nothing fills, in all steps. */
  missing: number;
}

export interface LeftOut {
  campaignLeadId: string | null;
  leadId: string;
  position: number;
  email: string;
  reason: LeftOutReason;
}

/** A lead as an act finds it. */
export interface LeadRow extends LeadFields {
  lead_id: string;
  address: string;
  campaign_lead_id: string | null;
  position: number | null;
  /** The step that is planned now. */
  step: number;
  /** When the step before left. */
  left_at: Date | null;
  suppressed: boolean;
  contacted: boolean;
  in_campaign: boolean;
}

export interface LeadFields {
  email: string;
  first_name: string | null;
  last_name: string | null;
  company: string | null;
  title: string | null;
  city: string | null;
  country: string | null;
  website: string | null;
  phone: string | null;
  data: Record<string, unknown>;
}

/** The leads that an act is about, in the order in which they are written to. */
export async function leadRowsWithin(
  tx: WorkspaceTransaction,
  campaign: CampaignRow,
  act: LaunchAct,
  sandbox: boolean,
): Promise<LeadRow[]> {
  const { rows } = await sql<LeadRow>`
    with meant as (${meantBy(campaign, act)})
    select l.id as lead_id, l.email, l.address, l.first_name, l.last_name, l.company, l.title, l.city, l.country,
           l.website, l.phone, l.data, cl.id as campaign_lead_id, cl.position, m.step,
           (select o.started_at from outbox o where o.campaign_lead_id = cl.id and o.step = m.step - 1) as left_at,
           exists (select 1 from suppression_entries s
                    where s.workspace_id = ${campaign.workspace_id}::uuid and s.email = l.address) as suppressed,
           exists (select 1 from outbox o
                    where o.workspace_id = ${campaign.workspace_id}::uuid and o.address = l.address
                      and o.campaign_id is distinct from ${campaign.id}::uuid and o.status <> 'failed'
                      and (${sandbox} or not (o.keep or o.status = 'sandbox'))) as contacted,
           exists (select 1 from outbox o
                    where o.workspace_id = ${campaign.workspace_id}::uuid and o.address = l.address
                      and o.campaign_id = ${campaign.id}::uuid
                      and o.campaign_lead_id is distinct from cl.id) as in_campaign
      from meant m join leads l on l.id = m.lead_id
      left join campaign_leads cl on cl.campaign_id = ${campaign.id}::uuid and cl.lead_id = l.id
     order by cl.position nulls last, l.dataset_id, l.row_index, l.id`.execute(tx);
  return rows;
}

function meantBy(campaign: CampaignRow, act: LaunchAct): RawBuilder<unknown> {
  const inDataset = (datasetId: string) =>
    sql`select id as lead_id, 1 as step from leads where workspace_id = ${campaign.workspace_id}::uuid and dataset_id = ${datasetId}::uuid`;
  switch (act.kind) {
    case 'launch':
      return sql`${inDataset(campaign.dataset_id)}
        union select lead_id, 1 from campaign_leads where campaign_id = ${campaign.id}::uuid`;
    case 'leads': {
      const meant =
        act.add.dataset_id === undefined
          ? sql`select id as lead_id, 1 as step from leads where id = any(${act.add.lead_ids ?? []}::uuid[])`
          : inDataset(act.add.dataset_id);
      return sql`select * from (${meant}) new where not exists (
        select 1 from campaign_leads old where old.campaign_id = ${campaign.id}::uuid and old.lead_id = new.lead_id)`;
    }
    case 'resume':
      // A lead whose mail is on its way at this moment has no next step yet; it gets it when that mail is settled.
      return sql`select * from (
        select cl.lead_id, case when cl.status = 'pending' then 1 else coalesce(
                 (select o.step from outbox o where o.campaign_lead_id = cl.id and o.status = 'queued'), cl.next_step) end as step
          from campaign_leads cl where cl.campaign_id = ${campaign.id}::uuid and cl.status in ('pending', 'active')
        ) under_way where step <= ${campaign.steps.length}`;
  }
}

/** Parts the leads: who is written to, with every text of theirs, and who is not, with the first reason that holds. */
export function chooseRecipients(
  campaign: CampaignRow,
  content: Content,
  rows: readonly LeadRow[],
  context: {
    rule: SendRule;
    planner: Planner;
    at: number;
    link: boolean;
    /** False where texts or senders are missing: then nobody is ready, and only the lists are checked. */
    write: boolean;
    note(letter: Letter, recipient: Recipient, row: number): void;
  },
): { ready: Ready[]; leftOut: LeftOut[] } {
  const { rule, planner, at, link, write, note } = context;
  const ready: Ready[] = [];
  const leftOut: LeftOut[] = [];
  const seen = new Set<string>();
  const start = Math.max(
    at,
    campaign.launch_type === 'scheduled' ? (campaign.start_date?.getTime() ?? at) : at,
  );
  const begins = new Map<string, number>();
  const behind = 1 + rows.reduce((most, row) => Math.max(most, row.position ?? -1), -1);
  let added = 0;
  for (const row of rows) {
    const position = row.position ?? behind + added++;
    const leave = (reason: LeftOutReason) =>
      leftOut.push({
        campaignLeadId: row.campaign_lead_id,
        leadId: row.lead_id,
        position,
        email: row.email,
        reason,
      });
    const first = row.step === 1;
    if (!isEmail(row.email)) leave('invalid');
    else if (row.suppressed) leave('suppressed');
    else if (seen.has(row.address) || (first && row.in_campaign)) leave('duplicate');
    else if (first && row.contacted) leave('contacted');
    else {
      seen.add(row.address);
      if (!write) continue;
      const recipient: Recipient = { leadId: row.lead_id, values: valuesOf(row) };
      const letters = content.steps
        .slice(row.step - 1)
        .map(({ step }) => writeLetter(content, campaign.id, recipient, step, { link }));
      const [letter] = letters;
      if (letter === undefined || letters.some((one) => one.subject === '' || one.body.trim() === '')) {
        leave('empty_text');
        continue;
      }
      for (const one of letters) note(one, recipient, position);
      const delay = content.steps[row.step - 1]?.delay_days ?? 0;
      const base = row.left_at?.getTime() ?? start;
      const key = `${base} ${delay}`;
      const begin = begins.get(key) ?? beginOf(planner, rule.timezone, base, delay);
      begins.set(key, begin);
      ready.push({
        ...recipient,
        campaignLeadId: row.campaign_lead_id,
        position,
        email: row.email,
        name: nameOf(row),
        letter,
        mailbox: mailboxOf(letter.sender.address, content.sandbox),
        earliest: Math.max(at, begin),
        textHashes: content.steps.map(({ step }) => {
          const one = letters[step - row.step];
          return step < row.step || one === undefined ? '' : hashLetter(one);
        }),
        missing: letters.reduce((sum, one) => sum + one.missing.length, 0),
      });
    }
  }
  return { ready, leftOut };
}

/** The first instant of a step: at once, or when the local day begins that is `delayDays` behind the base's. */
export function beginOf(planner: Planner, timezone: string, base: number, delayDays: number): number {
  if (delayDays === 0) return base;
  const zone = planner.zoneOf(timezone);
  const day = zone.dayOf(base) + delayDays;
  return zone.wholeDay(day)?.start ?? zone.wholeDay(day + 1)?.start ?? base;
}

/** What fills the variables of a lead's mails: the columns of its file, and our own fields over them. */
export function valuesOf(row: LeadFields): Record<string, unknown> {
  const { email, first_name, last_name, company, title, city, country, website, phone } = row;
  const name = nameOf(row);
  const own = { email, first_name, last_name, name, company, title, city, country, website, phone };
  const known = Object.entries(own).filter(([, value]) => value !== null);
  return { ...row.data, ...Object.fromEntries(known) };
}

function nameOf(row: Pick<LeadFields, 'first_name' | 'last_name'>): string | null {
  return [row.first_name, row.last_name].filter((part) => part !== null).join(' ') || null;
}
