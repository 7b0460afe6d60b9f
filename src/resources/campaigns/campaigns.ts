/** Deeds of campaigns: each belongs to one user, who makes, reads, changes and deletes it. */

import { sql } from 'kysely';
import type { z } from 'zod';
import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import { ServiceError } from '../../errors.ts';
import type { Cursors } from '../../http/cursors.ts';
import type { Caller } from '../../runtime/caller.ts';
import { behind, madeAt, pageOf } from '../newest-first.ts';
import type { SenderReader } from '../personalization/ports.ts';
import { toUpdate, touchesContent } from './changes.ts';
import type { Launches } from './launch/launches.ts';
import { type CampaignRow, leadCounts, lockCampaign, statusOf, tellCampaign, toCampaign } from './rows.ts';
import type {
  Campaign,
  CampaignChanges,
  CampaignStep,
  campaignList,
  createCampaignBody,
  listCampaignsQuery,
} from './schema.ts';
import { requireStatus } from './status.ts';

export interface CampaignNeeds {
  database: Database;
  cursors: Cursors;
  senders: SenderReader;
  launches: Pick<Launches, 'noteLeadsWithin'>;
  newId(): string;
}

export type Campaigns = ReturnType<typeof createCampaigns>;

export function createCampaigns({ database, cursors, senders, launches, newId }: CampaignNeeds) {
  /** Throws `NOT_FOUND` where a campaign would name a template or sender profile that there is not. */
  async function requireNamed(
    tx: WorkspaceTransaction,
    caller: Caller,
    input: { steps?: CampaignStep[] | null; alias_ids?: string[] | null },
  ): Promise<void> {
    const variants = input.steps?.flatMap((step) => step.variants) ?? [];
    const templates = new Set(variants.flatMap((variant) => variant.template_id ?? []));
    if (templates.size > 0) {
      const rows = await tx
        .selectFrom('templates')
        .select('id')
        .where('id', 'in', [...templates])
        .execute();
      if (rows.length !== templates.size) throw new ServiceError('NOT_FOUND', 'There is no such template.');
    }
    const profiles = [
      ...(input.alias_ids ?? []),
      ...variants.flatMap((variant) => variant.sender_profile_id ?? []),
    ];
    for (const id of new Set(profiles)) {
      if (!UUID.test(id)) throw new ServiceError('NOT_FOUND', 'There is no such sender profile.');
      await senders.resolveWithin(tx, caller, id);
    }
  }

  /** How many leads a new campaign would have; throws `NOT_FOUND` where it names what there is not. */
  async function checkWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    input: z.output<typeof createCampaignBody>,
  ): Promise<{ leads: number }> {
    const dataset = await tx
      .selectFrom('datasets')
      .select('row_count')
      .where('id', '=', input.dataset_id)
      .executeTakeFirst();
    if (dataset === undefined) throw new ServiceError('NOT_FOUND', 'There is no such dataset.');
    await requireNamed(tx, caller, input);
    return { leads: dataset.row_count };
  }

  /** The campaign that these changes would change; throws as `updateWithin` does. */
  async function checkChangesWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    campaignId: string,
    changes: CampaignChanges,
  ): Promise<Campaign> {
    const campaign = await tellCampaign(tx, caller, campaignId);
    if (touchesContent(changes)) requireStatus(campaign.status, 'change its content or schedule');
    await requireNamed(tx, caller, changes);
    return campaign;
  }

  /** Makes a draft inside the caller's transaction, with the leads that its dataset has now; throws `NOT_FOUND`. */
  async function createWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    input: z.output<typeof createCampaignBody>,
  ): Promise<Campaign> {
    const { dataset_id: datasetId, steps, ...rest } = input;
    await checkWithin(tx, caller, input);
    const row: CampaignRow = await tx
      .insertInto('campaigns')
      .values({
        ...rest,
        id: newId(),
        workspace_id: caller.workspaceId,
        user_id: caller.userId,
        dataset_id: datasetId,
        status: 'draft',
        steps: JSON.stringify(steps),
        description: input.description ?? null,
        alias_ids: input.alias_ids ?? null,
        connected_account_id: input.connected_account_id ?? null,
        start_date: input.start_date ?? null,
        system_prompt: input.system_prompt ?? null,
        launch_id: null,
        launch_error: null,
        paused_reason: null,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
    await launches.noteLeadsWithin(tx, row, { dataset_id: datasetId });
    return tellCampaign(tx, caller, row.id);
  }

  /**
   * Changes the given fields inside the caller's transaction. What is sent and when changes in a draft or a paused
   * campaign only, and takes effect with the launch or resumption that comes. Throws `NOT_FOUND`, `CAMPAIGN_STATE`.
   */
  async function updateWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    campaignId: string,
    changes: CampaignChanges,
  ): Promise<Campaign> {
    const row = await lockCampaign(tx, caller, campaignId);
    if (touchesContent(changes)) requireStatus(statusOf(row), 'change its content or schedule');
    await requireNamed(tx, caller, changes);
    const update = toUpdate(changes);
    const launchType = update.launch_type ?? row.launch_type;
    const startDate = update.start_date === undefined ? row.start_date : update.start_date;
    if (launchType === 'scheduled' && startDate === null) {
      throw new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
        details: [
          { loc: ['body', 'start_date'], msg: 'A scheduled launch needs a start_date.', type: 'missing' },
        ],
      });
    }
    await tx
      .updateTable('campaigns')
      .set({ ...update, updated_at: sql<Date>`now()` })
      .where('id', '=', campaignId)
      .execute();
    return tellCampaign(tx, caller, campaignId);
  }

  return {
    createWithin,
    updateWithin,
    checkChangesWithin,

    /** As `createWithin` would find it, without making it. */
    check(caller: Caller, input: z.output<typeof createCampaignBody>): Promise<{ leads: number }> {
      return database.within(caller.workspaceId, (tx) => checkWithin(tx, caller, input));
    },

    create(caller: Caller, input: z.output<typeof createCampaignBody>): Promise<Campaign> {
      return database.within(caller.workspaceId, (tx) => createWithin(tx, caller, input));
    },

    /** Lists the caller's campaigns, newest first. */
    list(caller: Caller, query: z.output<typeof listCampaignsQuery>): Promise<z.output<typeof campaignList>> {
      return database.within(caller.workspaceId, async (tx) => {
        const size = query.limit ?? query.page_size;
        let all = tx.selectFrom('campaigns').where('user_id', '=', caller.userId);
        if (query.status_filter !== undefined) all = all.where('status', '=', query.status_filter);
        if (query.name !== undefined) all = all.where('name', '=', query.name);
        if (query.search !== undefined && query.search !== '') {
          all = all.where('name', 'ilike', `%${query.search.replaceAll(/[\\%_]/g, '\\$&')}%`);
        }
        const { total } = await all
          .select((row) => row.fn.countAll<string>().as('total'))
          .executeTakeFirstOrThrow();
        const sorted = all
          .selectAll()
          .select(leadCounts)
          .select(madeAt.as('made_at'))
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc');
        const found = await (query.cursor === undefined
          ? sorted.offset(query.offset ?? (query.page - 1) * size)
          : sorted.where(behind(cursors, query.cursor))
        )
          .limit(size + 1)
          .execute();
        const { rows, ...rest } = pageOf(cursors, found, size);
        const items = rows.map(toCampaign);
        return { campaigns: items, items, total: Number(total), page: query.page, page_size: size, ...rest };
      });
    },

    /** Reads one campaign; throws `NOT_FOUND`. */
    get(caller: Caller, campaignId: string): Promise<Campaign> {
      return database.within(caller.workspaceId, (tx) => tellCampaign(tx, caller, campaignId));
    },

    /** Changes the given fields; throws as `updateWithin` does. */
    update(caller: Caller, campaignId: string, changes: CampaignChanges): Promise<Campaign> {
      return database.within(caller.workspaceId, (tx) => updateWithin(tx, caller, campaignId, changes));
    },

    /** Deletes the campaign with its leads; what waited is not sent, what was sent stays in the outbox. Throws `NOT_FOUND`. */
    async remove(caller: Caller, campaignId: string): Promise<void> {
      await database.within(caller.workspaceId, async (tx) => {
        await lockCampaign(tx, caller, campaignId);
        await tx
          .deleteFrom('outbox')
          .where((row) => row.and({ campaign_id: campaignId, status: 'queued' }))
          .execute();
        await tx.deleteFrom('campaigns').where('id', '=', campaignId).execute();
      });
    },
  };
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
