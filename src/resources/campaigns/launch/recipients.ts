/** Whom a launch writes to: the leads it is about, who of them is left out and why, and every text for the others. */

import { type RawBuilder, sql } from 'kysely';
import type { WorkspaceTransaction } from '../../../db/database.ts';
import { isEmail } from '../../uploads/email.ts';
import {
  type Content,
  hashLetter,
  type Letter,
  type OwnText,
  type Recipient,
  writeLetter,
} from '../content.ts';
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
  /** How poorly the lead's fields fill its mails; 0 where every variable has its value. */
  gaps: number;
  /** Texts written for this lead alone that nobody has read. */
  unseen: number;
}

export interface LeftOut {
  campaignLeadId: string | null;
  leadId: string;
  position: number;
  email: string;
  reason: LeftOutReason;
  /** Where a text of the lead's own is missing: of which steps. */
  textsMissing?: number[];
}

/** A lead as an act finds it. */
export interface LeadRow extends LeadFields {
  lead_id: string;
  dataset_id: string;
  row_index: number;
  address: string;
  campaign_lead_id: string | null;
  position: number | null;
  /** The step that is planned now. */
  step: number;
  /** When the step before left. */
  left_at: Date | null;
  suppressed: boolean;
  /** Whether a mail outside this campaign went to the address. */
  contacted: boolean;
  /** Whether another lead of this campaign has the address and was written to. */
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

/**
 * The leads that an act is about, in the order in which they are written to; and those of a resumption for which no step
 * is left, as steps were taken out. Plain reads that are put together here: a
 * campaign is made and launched before PostgreSQL has statistics of its rows, and joins of them are planned badly then.
 */
export async function leadRowsWithin(
  tx: WorkspaceTransaction,
  campaign: CampaignRow,
  act: LaunchAct,
  sandbox: boolean,
): Promise<{ rows: LeadRow[]; through: string[] }> {
  const enrolled = await enrolledWithin(tx, campaign);
  const mails = act.kind === 'resume' ? await mailsWithin(tx, campaign) : new Map<string, MailState>();
  const steps = new Map<string, number>();
  const through: string[] = [];
  if (act.kind === 'resume') {
    for (const one of enrolled.values()) {
      if (one.status !== 'pending' && one.status !== 'active') continue;
      const mail = mails.get(one.id);
      const step = one.status === 'pending' ? 1 : (mail?.queued ?? one.next_step);
      if (step !== null && step <= campaign.steps.length) steps.set(one.lead_id, step);
      // A lead whose mail is on its way at this moment has no next step yet; it gets it when that mail is settled.
      else if (mail?.sending !== true) through.push(one.id);
    }
  }
  const found = await meantWithin(tx, campaign, act, enrolled, [...steps.keys()]);
  const addresses = [...new Set(found.map((lead) => lead.address))];
  const suppressed = await suppressedWithin(tx, addresses);
  const written = await writtenWithin(tx, campaign, addresses, sandbox);
  const rows = found
    .map((lead): LeadRow => {
      const own = enrolled.get(lead.lead_id);
      const known = written.get(lead.address);
      return {
        ...lead,
        campaign_lead_id: own?.id ?? null,
        position: own?.position ?? null,
        step: steps.get(lead.lead_id) ?? 1,
        left_at: (own === undefined ? undefined : mails.get(own.id)?.left) ?? null,
        suppressed: suppressed.has(lead.address),
        contacted: known?.elsewhere ?? false,
        in_campaign: known?.here.some((id) => id !== own?.id) ?? false,
      };
    })
    .sort(inOrder);
  return { rows, through };
}

interface EnrolledRow {
  id: string;
  lead_id: string;
  position: number;
  status: string;
  next_step: number | null;
}

async function enrolledWithin(
  tx: WorkspaceTransaction,
  campaign: CampaignRow,
): Promise<Map<string, EnrolledRow>> {
  const rows = await tx
    .selectFrom('campaign_leads')
    .select(['id', 'lead_id', 'position', 'status', 'next_step'])
    .where('campaign_id', '=', campaign.id)
    .execute();
  return new Map(rows.map((row) => [row.lead_id, row]));
}

interface MailState {
  /** The step whose mail waits. */
  queued: number | null;
  /** When the newest mail that left did so. */
  left: Date | null;
  /** Whether one is on its way. */
  sending: boolean;
}

/** The mails of a campaign by its leads. */
async function mailsWithin(tx: WorkspaceTransaction, campaign: CampaignRow): Promise<Map<string, MailState>> {
  const rows = await tx
    .selectFrom('outbox')
    .select(['campaign_lead_id', 'step', 'status', 'started_at'])
    .where('campaign_id', '=', campaign.id)
    .execute();
  const states = new Map<string, MailState>();
  for (const { campaign_lead_id: id, step, status, started_at: left } of rows) {
    const state = states.get(id ?? '') ?? { queued: null, left: null, sending: false };
    if (status === 'sending') state.sending = true;
    if (status === 'queued') state.queued = step;
    else if (left !== null && (state.left === null || left > state.left)) state.left = left;
    states.set(id ?? '', state);
  }
  return states;
}

type FoundLead = LeadFields & Pick<LeadRow, 'lead_id' | 'dataset_id' | 'row_index' | 'address'>;

async function meantWithin(
  tx: WorkspaceTransaction,
  campaign: CampaignRow,
  act: LaunchAct,
  enrolled: ReadonlyMap<string, EnrolledRow>,
  goingOn: readonly string[],
): Promise<FoundLead[]> {
  const select = (condition: RawBuilder<unknown>) =>
    sql<FoundLead>`
    select id as lead_id, dataset_id, row_index, email, address, first_name, last_name, company, title, city, country,
           website, phone, data
      from leads where ${condition}`.execute(tx);
  const ofIds = async (ids: readonly string[]) =>
    ids.length === 0 ? [] : (await select(sql`id = any(${ids}::uuid[])`)).rows;
  const ofDataset = async (id: string) =>
    (await select(sql`workspace_id = ${campaign.workspace_id}::uuid and dataset_id = ${id}::uuid`)).rows;
  switch (act.kind) {
    case 'launch': {
      const own = await ofDataset(campaign.dataset_id);
      const known = new Set(own.map((lead) => lead.lead_id));
      return [...own, ...(await ofIds([...enrolled.keys()].filter((id) => !known.has(id))))];
    }
    case 'leads': {
      const { dataset_id: datasetId, lead_ids: ids = [] } = act.add;
      const meant = datasetId === undefined ? await ofIds([...new Set(ids)]) : await ofDataset(datasetId);
      return meant.filter((lead) => !enrolled.has(lead.lead_id));
    }
    case 'resume':
      return ofIds(goingOn);
  }
}

async function suppressedWithin(
  tx: WorkspaceTransaction,
  addresses: readonly string[],
): Promise<Set<string>> {
  const { rows } = await sql<{ email: string }>`
    select email from suppression_entries where email = any(${addresses}::text[])`.execute(tx);
  return new Set(rows.map((row) => row.email));
}

/** What was written to these addresses: outside the campaign, and by which of its leads. What is only kept does not count for what leaves. */
async function writtenWithin(
  tx: WorkspaceTransaction,
  campaign: CampaignRow,
  addresses: readonly string[],
  sandbox: boolean,
): Promise<Map<string, { elsewhere: boolean; here: string[] }>> {
  const { rows } = await sql<{
    address: string;
    campaign_id: string | null;
    campaign_lead_id: string | null;
    kept: boolean;
  }>`
    select address, campaign_id, campaign_lead_id, (keep or status = 'sandbox') as kept from outbox
     where workspace_id = ${campaign.workspace_id}::uuid and address = any(${addresses}::text[]) and status <> 'failed'
       and not test`.execute(tx);
  const written = new Map<string, { elsewhere: boolean; here: string[] }>();
  for (const row of rows) {
    const known = written.get(row.address) ?? { elsewhere: false, here: [] };
    if (row.campaign_id !== campaign.id) known.elsewhere ||= sandbox || !row.kept;
    else if (row.campaign_lead_id !== null) known.here.push(row.campaign_lead_id);
    written.set(row.address, known);
  }
  return written;
}

/** Those that are enrolled in their order, then the new ones in the order of their files. */
function inOrder(one: LeadRow, other: LeadRow): number {
  return (
    (one.position ?? Number.MAX_SAFE_INTEGER) - (other.position ?? Number.MAX_SAFE_INTEGER) ||
    compare(one.dataset_id, other.dataset_id) ||
    one.row_index - other.row_index ||
    compare(one.lead_id, other.lead_id)
  );
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
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
    /** Told of every letter; answers how poorly it is filled. */
    note(letter: Letter, recipient: Recipient, row: number): number;
    /** By the lead's id in the campaign, where the content has texts of the leads' own. */
    texts: ReadonlyMap<string, ReadonlyMap<number, OwnText>>;
  },
): { ready: Ready[]; leftOut: LeftOut[] } {
  const { rule, planner, at, link, write, note, texts } = context;
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
    const leave = (reason: LeftOutReason, more: Pick<LeftOut, 'textsMissing'> = {}) =>
      leftOut.push({
        campaignLeadId: row.campaign_lead_id,
        leadId: row.lead_id,
        position,
        email: row.email,
        reason,
        ...more,
      });
    const first = row.step === 1;
    if (!isEmail(row.email)) leave('invalid');
    else if (row.suppressed) leave('suppressed');
    else if (seen.has(row.address) || (first && row.in_campaign)) leave('duplicate');
    else if (first && row.contacted) leave('contacted');
    else {
      seen.add(row.address);
      if (!write) continue;
      const recipient: Recipient = {
        leadId: row.lead_id,
        values: valuesOf(row),
        texts: texts.get(row.campaign_lead_id ?? ''),
      };
      const letters = content.steps
        .slice(row.step - 1)
        .map(({ step }) => writeLetter(content, campaign.id, recipient, step, { link }));
      const [letter] = letters;
      const textsMissing = letters.filter(({ own }) => own === 'missing').map(({ step }) => step);
      if (textsMissing.length > 0) {
        leave('no_text', { textsMissing });
        continue;
      }
      if (letter === undefined || letters.some((one) => one.subject === '' || one.body.trim() === '')) {
        leave('empty_text');
        continue;
      }
      const gaps = letters.reduce((sum, one) => sum + note(one, recipient, position), 0);
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
        gaps,
        unseen: letters.filter(({ own }) => own === 'unseen').length,
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
