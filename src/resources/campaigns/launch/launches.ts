/** Deeds that let a campaign's mails go or hold them: preflight, launch, pause, resume, and leads that join it. */

import { isDeepStrictEqual } from 'node:util';
import { type RawBuilder, type SqlBool, sql } from 'kysely';
import type { Database, WorkspaceTransaction } from '../../../db/database.ts';
import { ServiceError } from '../../../errors.ts';
import { type Caller, mayDo, principalOf } from '../../../runtime/caller.ts';
import type { UnsubscribeLinks } from '../../unsubscribe/links.ts';
import { applyChanges, type LaunchChanges, saveChanges } from '../changes.ts';
import { type Content, contentSchema } from '../content.ts';
import { type CampaignRow, instant, lockCampaign, readCampaign, statusOf, tellCampaign } from '../rows.ts';
import {
  type AddedLeads,
  type AddLeads,
  type Campaign,
  type CampaignStatus,
  type LaunchReport,
  launchReport,
} from '../schema.ts';
import { isPastDraft, requireStatus } from '../status.ts';
import { type Enrolled, type MailBatch, planMails, queueMails, writeLeads } from './enrol.ts';
import { createPlanner } from './plan.ts';
import { digest, type Prepared, type PrepareNeeds, prepareWithin } from './prepare.ts';
import type { LaunchAct } from './recipients.ts';

export interface LaunchNeeds extends Omit<PrepareNeeds, 'links'> {
  database: Database;
  links: UnsubscribeLinks;
  newId(): string;
  now(): number;
}

export type Launches = ReturnType<typeof createLaunches>;

/** What was approved, where somebody approved a card: anything else that would happen now is refused. */
export interface Approved {
  stands: Record<string, unknown>;
  turnId: string;
  toolCallId: string;
}

export function createLaunches(needs: LaunchNeeds) {
  const { database, links, newId, now } = needs;
  const prepareNeeds: PrepareNeeds = {
    senders: needs.senders,
    sandbox: needs.sandbox,
    links: links.possible,
    ...(needs.signedFor === undefined ? {} : { signedFor: needs.signedFor }),
  };

  /** What launching (or resuming) the caller's campaign would do. Throws `NOT_FOUND`, `CAMPAIGN_STATE`. */
  async function prepareLaunchWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    campaignId: string,
    kind: 'launch' | 'resume',
    changes: LaunchChanges = {},
  ): Promise<Prepared> {
    const row = await readCampaign(tx, caller, campaignId);
    requireStatus(statusOf(row), kind);
    return prepareWithin(tx, caller, applyChanges(row, changes), { kind }, now(), prepareNeeds);
  }

  /**
   * What adding leads would do: in a draft or a paused campaign they are only noted, else they are written to.
   * Throws `NOT_FOUND`, `CAMPAIGN_STATE`.
   */
  async function prepareLeadsWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    campaignId: string,
    add: AddLeads,
  ): Promise<{ campaign: CampaignRow; noted: NotedLeads } | { campaign: CampaignRow; prepared: Prepared }> {
    const campaign = await readCampaign(tx, caller, campaignId);
    const status = statusOf(campaign);
    requireStatus(status, 'add leads to');
    await requireLeads(tx, add);
    if (waitsForPerson(status)) return { campaign, noted: await newLeads(tx, campaign, add) };
    const act: LaunchAct = { kind: 'leads', add, content: await contentOf(tx, campaign) };
    return {
      campaign,
      prepared: await prepareWithin(tx, caller, campaign, act, now(), prepareNeeds),
    };
  }

  /** Does what was prepared, in the caller's transaction, which holds the campaign's lock. */
  async function commitWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    prepared: Prepared,
    approved: Approved | null,
    at: number,
  ): Promise<void> {
    requireReady(prepared);
    requireSame(prepared.stands, approved);
    const { campaign, content, ready, leftOut, kind, rule } = prepared;
    const launchId = newId();
    await tx
      .insertInto('campaign_launches')
      .values({
        id: launchId,
        workspace_id: caller.workspaceId,
        campaign_id: campaign.id,
        kind,
        content: JSON.stringify(content),
        stands: JSON.stringify(prepared.stands),
        principal: principalOf(caller),
        turn_id: approved?.turnId ?? null,
        tool_call_id: approved?.toolCallId ?? null,
      })
      .execute();
    if (kind === 'resume') {
      // What waited was written under the launch before; it is written and planned anew.
      await tx
        .deleteFrom('outbox')
        .where((row) => row.and({ campaign_id: campaign.id, status: 'queued' }))
        .execute();
    }
    const enrolled = ready.map((one) => ({ ...one, campaignLeadId: one.campaignLeadId ?? newId() }));
    const batch: MailBatch = {
      workspaceId: caller.workspaceId,
      campaignId: campaign.id,
      launchId,
      rule,
      sandbox: content.sandbox,
      mails: enrolled.map((one) => ({ ...one, to: one.email })),
    };
    const slots = await planMails(tx, createPlanner(), batch, at);
    // Planned beside others that came in between; what was foreseen may find no place any more.
    if (slots.includes(null)) {
      throw new ServiceError(
        'CAMPAIGN_NOT_READY',
        'Another campaign has just taken the room that these mails need. Look at the preflight again.',
        { retryable: true },
      );
    }
    await writeLeads(tx, caller.workspaceId, campaign.id, [
      ...enrolled.map(
        (one, index): Enrolled => ({
          id: one.campaignLeadId,
          lead_id: one.leadId,
          position: one.position,
          status: 'active',
          next_action_at: new Date(slots[index]?.dueAt ?? at).toISOString(),
          text_hashes: one.textHashes,
          error: null,
        }),
      ),
      ...leftOut.map(
        (one): Enrolled => ({
          id: one.campaignLeadId ?? newId(),
          lead_id: one.leadId,
          position: one.position,
          status: one.reason === 'suppressed' && kind === 'resume' ? 'suppressed' : 'skipped',
          next_action_at: null,
          text_hashes: [],
          error: one.reason,
        }),
      ),
    ]);
    await queueMails(tx, batch, slots, { links, newId });
    await tx
      .updateTable('campaign_leads')
      .set({ status: 'completed', next_step: null, next_action_at: null })
      .where('id', '=', sql<string>`any(${prepared.through}::uuid[])`)
      .execute();
    await tx
      .updateTable('campaigns')
      .set({
        status: startsLater(campaign, at) ? 'scheduled' : 'active',
        paused_reason: null,
        launch_error: null,
        updated_at: instant(at),
        ...(kind === 'leads'
          ? {}
          : {
              launch_id: launchId,
              launch_requested_at: instant(at),
              launch_report: JSON.stringify(prepared.report),
            }),
      })
      .where('id', '=', campaign.id)
      .execute();
  }

  async function requireLeads(tx: WorkspaceTransaction, add: AddLeads): Promise<void> {
    if (add.dataset_id !== undefined) {
      const dataset = await tx
        .selectFrom('datasets')
        .select('id')
        .where('id', '=', add.dataset_id)
        .executeTakeFirst();
      if (dataset === undefined) throw new ServiceError('NOT_FOUND', 'There is no such dataset.');
      return;
    }
    const wanted = new Set(add.lead_ids);
    const { rows } = await sql<{ n: string }>`
      select count(*) as n from leads where id = any(${[...wanted]}::uuid[])`.execute(tx);
    if (Number(rows[0]?.n) !== wanted.size) {
      throw new ServiceError('NOT_FOUND', 'There is no lead for at least one of these ids.');
    }
  }

  /** Adds leads that nobody writes to before the next launch or resumption. */
  async function noteLeadsWithin(
    tx: WorkspaceTransaction,
    campaign: CampaignRow,
    add: AddLeads,
  ): Promise<number> {
    const { rows } = await sql<{ id: string }>`
      select l.id from leads l where ${meantBy(campaign, add)} order by l.dataset_id, l.row_index, l.id`.execute(
      tx,
    );
    const leads = rows.map((row) => row.id);
    const ids = leads.map(() => newId());
    const { numAffectedRows } = await sql`
      insert into campaign_leads (id, workspace_id, campaign_id, lead_id, position)
      select n.id, ${campaign.workspace_id}::uuid, ${campaign.id}::uuid, n.lead_id,
             (select coalesce(max(position), -1) from campaign_leads where campaign_id = ${campaign.id}::uuid) + n.place
        from unnest(${ids}::uuid[], ${leads}::uuid[]) with ordinality as n(id, lead_id, place)
      on conflict (campaign_id, lead_id) do nothing`.execute(tx);
    return Number(numAffectedRows ?? 0);
  }

  /** Adds leads inside the caller's transaction; past the draft this is sending. Throws what `prepareLeadsWithin` throws. */
  async function addLeadsWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    campaignId: string,
    add: AddLeads,
    approved: Approved | null,
  ): Promise<AddedLeads> {
    const at = now();
    const row = await lockCampaign(tx, caller, campaignId);
    const status = statusOf(row);
    requireStatus(status, 'add leads to');
    await requireLeads(tx, add);
    const asked = await countAsked(tx, row, add);
    let left: LaunchReport['left_out'] = {};
    let first: string | null = null;
    let added: number;
    if (waitsForPerson(status)) {
      requireSame((await newLeads(tx, row, add)).stands, approved);
      added = await noteLeadsWithin(tx, row, add);
    } else {
      const content = await contentOf(tx, row);
      const act: LaunchAct = { kind: 'leads', add, content };
      const prepared = await prepareWithin(tx, caller, row, act, at, prepareNeeds);
      requireSame(prepared.stands, approved);
      if (prepared.ready.length > 0) await commitWithin(tx, caller, prepared, approved, at);
      added = prepared.ready.length;
      left = prepared.report.left_out;
      first = prepared.report.first_send_at;
    }
    const { total_leads: total } = await tellCampaign(tx, caller, campaignId);
    const leftOut = Object.values(left).reduce((sum, count) => sum + count, 0);
    return {
      campaign_id: campaignId,
      added,
      already: asked - added - leftOut,
      left_out: left,
      total_leads: total ?? 0,
      first_send_at: first,
    };
  }

  async function launchWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    campaignId: string,
    kind: 'launch' | 'resume',
    changes: LaunchChanges,
    approved: Approved | null,
  ): Promise<{ campaign: Campaign; report: LaunchReport; sandbox: boolean }> {
    const at = now();
    const row = await lockCampaign(tx, caller, campaignId);
    requireStatus(statusOf(row), kind);
    const changed = applyChanges(row, changes);
    const prepared = await prepareWithin(tx, caller, changed, { kind }, at, prepareNeeds);
    await saveChanges(tx, changed, changes);
    await commitWithin(tx, caller, prepared, approved, at);
    const { report, content } = prepared;
    return { campaign: await tellCampaign(tx, caller, campaignId), report, sandbox: content.sandbox };
  }

  return {
    prepareLaunchWithin,
    prepareLeadsWithin,
    launchWithin,
    addLeadsWithin,
    noteLeadsWithin,

    /** What a launch would do, without doing it; of a running or ended campaign, what was found when it was launched. */
    preflight(caller: Caller, campaignId: string): Promise<LaunchReport> {
      return database.within(caller.workspaceId, async (tx) => {
        const row = await readCampaign(tx, caller, campaignId);
        const stored = launchReport.safeParse(row.launch_report);
        const status = statusOf(row);
        if (status !== 'draft' && status !== 'paused' && stored.success) return stored.data;
        const kind = status === 'paused' ? 'resume' : 'launch';
        return (await prepareWithin(tx, caller, row, { kind }, now(), prepareNeeds)).report;
      });
    },

    /** What was found at the launch; nothing before it. */
    warnings(caller: Caller, campaignId: string) {
      return database.within(caller.workspaceId, async (tx) => {
        const stored = launchReport.safeParse((await readCampaign(tx, caller, campaignId)).launch_report);
        const { warnings, summary } = stored.success ? stored.data : { warnings: [], summary: null };
        return { campaign_id: campaignId, warnings, summary };
      });
    },

    /** Launches at the caller's own word. Throws `FORBIDDEN`, `NOT_FOUND`, `CAMPAIGN_STATE`, `CAMPAIGN_NOT_READY`. */
    async launch(caller: Caller, campaignId: string): Promise<LaunchReport & { campaign: Campaign }> {
      requireOwnWord(caller);
      return database.within(caller.workspaceId, async (tx) => {
        const { campaign, report } = await launchWithin(tx, caller, campaignId, 'launch', {}, null);
        return { campaign, ...report };
      });
    },

    /** Goes on at the caller's own word: what waits is written and planned anew. Throws as `launch` does. */
    async resume(caller: Caller, campaignId: string): Promise<Campaign> {
      requireOwnWord(caller);
      return database.within(
        caller.workspaceId,
        async (tx) => (await launchWithin(tx, caller, campaignId, 'resume', {}, null)).campaign,
      );
    },

    /** Adds leads at the caller's own word; past the draft only who may send may do that. */
    addLeads(caller: Caller, campaignId: string, add: AddLeads): Promise<AddedLeads> {
      return database.within(caller.workspaceId, async (tx) => {
        const status = statusOf(await readCampaign(tx, caller, campaignId));
        if (isPastDraft(status)) requireOwnWord(caller);
        return addLeadsWithin(tx, caller, campaignId, add, null);
      });
    },

    /** Holds everything that has not begun to leave, at once. Throws `NOT_FOUND`, `CAMPAIGN_STATE`. */
    pause(caller: Caller, campaignId: string): Promise<Campaign> {
      return database.within(caller.workspaceId, (tx) => pauseWithin(tx, caller, campaignId, now()));
    },
  };
}

/** Pauses inside the caller's transaction: a mail without its moment is never due, and a start in flight is waited for. */
export async function pauseWithin(
  tx: WorkspaceTransaction,
  caller: Caller,
  campaignId: string,
  at: number,
): Promise<Campaign> {
  const row = await lockCampaign(tx, caller, campaignId);
  requireStatus(statusOf(row), 'pause');
  await tx
    .updateTable('campaigns')
    .set({ status: 'paused', paused_reason: 'paused by a person', updated_at: instant(at) })
    .where('id', '=', campaignId)
    .execute();
  await tx
    .updateTable('outbox')
    .set({ due_at: null, due_until: null })
    .where((mail) => mail.and({ campaign_id: campaignId, status: 'queued' }))
    .execute();
  await tx
    .updateTable('campaign_leads')
    .set({ next_action_at: null })
    .where('campaign_id', '=', campaignId)
    .where('next_action_at', 'is not', null)
    .execute();
  return tellCampaign(tx, caller, campaignId);
}

/** Leads that join a campaign whose next launch or resumption a person will approve. */
export interface NotedLeads {
  /** In the order in which they are added. */
  emails: string[];
  stands: Record<string, unknown>;
}

function waitsForPerson(status: CampaignStatus): boolean {
  return status === 'draft' || status === 'paused';
}

async function newLeads(tx: WorkspaceTransaction, campaign: CampaignRow, add: AddLeads): Promise<NotedLeads> {
  const { rows } = await sql<{ id: string; email: string }>`
    select l.id, l.email from leads l where ${meantBy(campaign, add)} and not exists (
      select 1 from campaign_leads c where c.campaign_id = ${campaign.id}::uuid and c.lead_id = l.id)
     order by l.dataset_id, l.row_index, l.id`.execute(tx);
  return {
    emails: rows.map((row) => row.email),
    stands: {
      campaign_id: campaign.id,
      past_draft: isPastDraft(statusOf(campaign)),
      count: rows.length,
      digest: digest(rows.map(({ id, email }) => `${id} ${email}`)),
    },
  };
}

function meantBy(campaign: CampaignRow, add: AddLeads): RawBuilder<SqlBool> {
  return add.dataset_id === undefined
    ? sql`l.id = any(${add.lead_ids ?? []}::uuid[])`
    : sql`l.workspace_id = ${campaign.workspace_id}::uuid and l.dataset_id = ${add.dataset_id}::uuid`;
}

/** Throws `STALE_PROPOSAL` where something else would be done than what was approved. */
function requireSame(stands: Record<string, unknown>, approved: Approved | null): void {
  if (approved === null || isDeepStrictEqual(stands, approved.stands)) return;
  throw new ServiceError(
    'STALE_PROPOSAL',
    'What was approved has changed since it was shown. Nothing was done; ask again.',
  );
}

/** Throws `CAMPAIGN_NOT_READY` with the findings that keep it from being launched. */
export function requireReady(prepared: Prepared): void {
  const blocks = prepared.findings.filter((finding) => finding.level === 'blocks');
  if (blocks.length === 0) return;
  throw new ServiceError('CAMPAIGN_NOT_READY', blocks.map((finding) => finding.message).join(' '), {
    facts: { warnings: prepared.report.warnings, summary: prepared.report.summary },
  });
}

/** The agent and MCP callers launch by an approval only (design.md §6). */
function requireOwnWord(caller: Caller): void {
  if (caller.kind !== 'agent' && caller.kind !== 'mcp' && mayDo(caller, 'send')) return;
  throw new ServiceError(
    'FORBIDDEN',
    'This caller may not send. Use a session, or a key with the scope send.',
  );
}

async function contentOf(tx: WorkspaceTransaction, campaign: CampaignRow): Promise<Content> {
  const launch = await tx
    .selectFrom('campaign_launches')
    .select('content')
    .where('id', '=', campaign.launch_id ?? '')
    .executeTakeFirstOrThrow();
  return contentSchema.parse(launch.content);
}

/** How many different leads are meant. */
async function countAsked(tx: WorkspaceTransaction, campaign: CampaignRow, add: AddLeads): Promise<number> {
  const { rows } = await sql<{ n: string }>`
    select count(*) as n from leads l where ${meantBy(campaign, add)}`.execute(tx);
  return Number(rows[0]?.n);
}

function startsLater(campaign: CampaignRow, at: number): boolean {
  const start = campaign.start_date?.getTime() ?? at;
  return campaign.launch_type === 'scheduled' && start > at;
}
