/** Deeds that look at a campaign's launches and take one back for as long as no mail of it has begun to leave. */

import { sql } from 'kysely';
import type { Database, WorkspaceTransaction } from '../../../db/database.ts';
import { ServiceError } from '../../../errors.ts';
import { type Caller, principalOf } from '../../../runtime/caller.ts';
import { instant, lockCampaign, readCampaign, statusOf, tellCampaign } from '../rows.ts';
import type { Campaign, CampaignLaunch } from '../schema.ts';
import { isUndoable, requireStatus } from '../status.ts';
import { lockMailboxes } from './occupancy.ts';

export interface LaunchHistoryNeeds {
  database: Database;
  now(): number;
}

export type LaunchHistory = ReturnType<typeof createLaunchHistory>;

/** Launches that are told. */
const TOLD = 50;

/** Mails that have left, may have, or are on their way: those that were only kept had their time, too. */
const BEGUN = ['sending', 'sent', 'sandbox', 'unknown'];

export function createLaunchHistory({ database, now }: LaunchHistoryNeeds) {
  return {
    /** The campaign's launches and resumptions, newest first, and which of them can be undone now. Throws `NOT_FOUND`. */
    list(caller: Caller, campaignId: string): Promise<CampaignLaunch[]> {
      return database.within(caller.workspaceId, async (tx) => {
        const campaign = await readCampaign(tx, caller, campaignId);
        const rows = await launchesWithin(tx, campaignId);
        const begun = await begunWithin(tx, campaignId);
        const newest = rows.find((row) => row.kind === 'launch');
        const open = begun.length === 0 && isUndoable(statusOf(campaign));
        return rows.slice(0, TOLD).map((row) => ({
          launch_id: row.id,
          kind: row.kind,
          turn_id: row.turn_id,
          tool_call_id: row.tool_call_id,
          launched_by: row.principal,
          launched_at: row.created_at.toISOString(),
          undoable: open && row === newest && row.undone_by === null,
          undone_by: row.undone_by,
          undone_at: row.undone_at?.toISOString() ?? null,
        }));
      });
    },

    /**
     * Takes the launch back, whole: what waits is not sent, its leads wait for a launch, the campaign is a draft. Changes
     * that came with the launch stay. No credits come back, as a launch takes none. Throws `FORBIDDEN` for the agent,
     * `NOT_FOUND`, `CAMPAIGN_STATE`, and `ALREADY_SENT` once a mail has left or is on its way: then nothing changes.
     */
    undo(caller: Caller, campaignId: string, launchId: string): Promise<Campaign> {
      if (caller.kind === 'agent' || caller.kind === 'mcp') {
        throw new ServiceError('FORBIDDEN', 'Only a person takes back what a person let go.');
      }
      return database.within(caller.workspaceId, async (tx) => {
        // Whoever plans, pauses or resumes holds this lock too: no mail of the campaign is added meanwhile.
        const campaign = await lockCampaign(tx, caller, campaignId);
        requireStatus(statusOf(campaign), 'undo the launch of');
        await requireNewest(tx, campaignId, launchId);
        await lockQueueWithin(tx, caller, campaignId);
        const begun = await begunWithin(tx, campaignId);
        if (begun.length > 0) throw alreadySent(begun);
        await takeBackWithin(tx, campaignId);
        const at = now();
        await tx
          .updateTable('campaigns')
          .set({
            status: 'draft',
            launch_id: null,
            launch_requested_at: null,
            launch_report: null,
            launch_error: null,
            paused_reason: null,
            updated_at: instant(at),
          })
          .where('id', '=', campaignId)
          .execute();
        await noteWithin(tx, caller, launchId, at);
        return tellCampaign(tx, caller, campaignId);
      });
    },
  };
}

interface LaunchRow {
  id: string;
  kind: 'launch' | 'resume' | 'leads';
  turn_id: string | null;
  tool_call_id: string | null;
  principal: string;
  created_at: Date;
  undone_by: string | null;
  undone_at: Date | null;
}

/** Newest first. */
async function launchesWithin(tx: WorkspaceTransaction, campaignId: string): Promise<LaunchRow[]> {
  const { rows } = await sql<LaunchRow>`
    select id, kind, turn_id, tool_call_id, principal, created_at, undone_by, undone_at from campaign_launches
     where campaign_id = ${campaignId}::uuid order by created_at desc, id desc`.execute(tx);
  return rows;
}

/** Kept with the launch, for ever: what was approved and what became of it stand together. */
async function noteWithin(
  tx: WorkspaceTransaction,
  caller: Caller,
  launchId: string,
  at: number,
): Promise<void> {
  await tx
    .updateTable('campaign_launches')
    .set({ undone_by: principalOf(caller), undone_at: instant(at) })
    .where('id', '=', launchId)
    .execute();
  // Whoever has its card open sees it at once.
  await sql`
    select pg_notify('overture', 'list ' || t.workspace_id || ' ' || t.conversation_id)
      from campaign_launches l join turns t on t.id = l.turn_id where l.id = ${launchId}::uuid`.execute(tx);
}

async function requireNewest(tx: WorkspaceTransaction, campaignId: string, launchId: string): Promise<void> {
  const rows = await launchesWithin(tx, campaignId);
  const row = rows.find((one) => one.id === launchId);
  if (row === undefined) throw new ServiceError('NOT_FOUND', 'The campaign has no such launch.');
  if (row.undone_by === null && row === rows.find((one) => one.kind === 'launch')) return;
  throw new ServiceError(
    'CAMPAIGN_STATE',
    row.undone_by === null
      ? 'This is not the launch by which the campaign runs, so it cannot be undone. Read its launches again.'
      : 'This launch was undone already. The campaign runs by a later one.',
  );
}

/** Waits for whoever begins a mail of the campaign at this moment, and lets nobody begin another: as the dispatcher locks. */
async function lockQueueWithin(tx: WorkspaceTransaction, caller: Caller, campaignId: string): Promise<void> {
  const boxes = await tx
    .selectFrom('outbox')
    .select('mailbox')
    .distinct()
    .where((mail) => mail.and({ campaign_id: campaignId, status: 'queued' }))
    .execute();
  const mailboxes = boxes.flatMap(({ mailbox }) => mailbox ?? []);
  if (mailboxes.length > 0) await lockMailboxes(tx, caller.workspaceId, mailboxes);
  await sql`select 1 from outbox where campaign_id = ${campaignId}::uuid order by id for update`.execute(tx);
}

/** How many mails of the campaign are in each state in which they have begun. */
async function begunWithin(
  tx: WorkspaceTransaction,
  campaignId: string,
): Promise<{ status: string; mails: number }[]> {
  const rows = await tx
    .selectFrom('outbox')
    .select(['status', (row) => row.fn.countAll<string>().as('mails')])
    .where('campaign_id', '=', campaignId)
    .where('status', 'in', BEGUN)
    .groupBy('status')
    .execute();
  return rows.map(({ status, mails }) => ({ status, mails: Number(mails) }));
}

async function takeBackWithin(tx: WorkspaceTransaction, campaignId: string): Promise<void> {
  await tx
    .deleteFrom('outbox')
    .where((mail) => mail.and({ campaign_id: campaignId, status: 'queued' }))
    .execute();
  // What was withheld or refused stays in the outbox, and out of the way of another launch.
  await tx
    .updateTable('outbox')
    .set({ campaign_id: null, campaign_lead_id: null })
    .where('campaign_id', '=', campaignId)
    .execute();
  await tx
    .updateTable('campaign_leads')
    .set({
      status: 'pending',
      current_step: 0,
      next_step: null,
      next_action_at: null,
      variant_label: null,
      text_hashes: [],
      error: null,
    })
    .where('campaign_id', '=', campaignId)
    .where('status', 'not in', ['unsubscribed', 'replied', 'bounced'])
    .execute();
}

function alreadySent(begun: readonly { status: string; mails: number }[]): ServiceError {
  const sending = begun.find(({ status }) => status === 'sending')?.mails ?? 0;
  const sent = begun.reduce((sum, { mails }) => sum + mails, 0) - sending;
  const words = [
    ...(sent > 0 ? [`${sent} ${sent === 1 ? 'mail has' : 'mails have'} left`] : []),
    ...(sending > 0 ? [`${sending} ${sending === 1 ? 'is' : 'are'} on the way`] : []),
  ];
  return new ServiceError(
    'ALREADY_SENT',
    `${words.join(' and ')}, so the launch cannot be undone any more. Pause the campaign to hold the rest.`,
    { facts: { sent, sending } },
  );
}
