/** Deeds that read a campaign's leads: the list, the events of one, and how a step's text reads for one. */

import { type Selectable, sql } from 'kysely';
import { z } from 'zod';
import type { Database } from '../../db/database.ts';
import type { CampaignLeadTable, LeadTable } from '../../db/tables.ts';
import { ServiceError } from '../../errors.ts';
import type { Cursors } from '../../http/cursors.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { SenderReader } from '../personalization/ports.ts';
import { type Content, LINK_VARIABLE, resolveContentWithin, withLinkShown, writeLetter } from './content.ts';
import { valuesOf } from './launch/recipients.ts';
import { ownTextsWithin } from './own-texts.ts';
import { readCampaign } from './rows.ts';
import {
  type CampaignLead,
  campaignLead,
  type campaignLeadList,
  leadEvents,
  type listCampaignLeadsQuery,
  type templatePreview,
  type templatePreviewQuery,
} from './schema.ts';

export interface CampaignLeadNeeds {
  database: Database;
  cursors: Cursors;
  senders: SenderReader;
  /** Whether mail stays here. */
  sandbox: boolean;
}

export type CampaignLeads = ReturnType<typeof createCampaignLeads>;

export function createCampaignLeads({ database, cursors, senders, sandbox }: CampaignLeadNeeds) {
  return {
    /** The campaign's leads in its order, with their rows. Throws `NOT_FOUND`. */
    list(
      caller: Caller,
      campaignId: string,
      query: z.output<typeof listCampaignLeadsQuery>,
    ): Promise<z.output<typeof campaignLeadList>> {
      return database.within(caller.workspaceId, async (tx) => {
        await readCampaign(tx, caller, campaignId);
        const size = query.limit ?? query.page_size;
        let all = tx.selectFrom('campaign_leads as c').where('c.campaign_id', '=', campaignId);
        if (query.status_filter !== undefined) all = all.where('c.status', '=', query.status_filter);
        const { total } = await all
          .select((row) => row.fn.countAll<string>().as('total'))
          .executeTakeFirstOrThrow();
        const sorted = all
          .leftJoin('leads as l', 'l.id', 'c.lead_id')
          .selectAll('c')
          .select(LEAD_COLUMNS)
          .select(
            sql<number[]>`coalesce((select array_agg(t.step order by t.step) from campaign_texts t
              where t.campaign_lead_id = c.id and t.reviewed_at is not null), '{}')`.as('approved_steps'),
          )
          .orderBy('c.position')
          .orderBy('c.id');
        const found = await (query.cursor === undefined
          ? sorted.offset((query.page - 1) * size)
          : sorted.where(behind(cursors, query.cursor))
        )
          .limit(size + 1)
          .execute();
        const page = found.slice(0, size);
        const items = page.map(toCampaignLead);
        const last = page.at(-1);
        const more = found.length > size && last !== undefined;
        return {
          leads: items,
          items,
          total: Number(total),
          page: query.page,
          page_size: size,
          next_cursor: more ? cursors.encode([last.position, last.id]) : null,
          has_more: more,
        };
      });
    },

    /** What happened to one lead of the campaign, step by step. Throws `NOT_FOUND`. */
    events(caller: Caller, campaignId: string, campaignLeadId: string): Promise<z.output<typeof leadEvents>> {
      return database.within(caller.workspaceId, async (tx) => {
        await readCampaign(tx, caller, campaignId);
        const lead = await tx
          .selectFrom('campaign_leads')
          .select('id')
          .where((row) => row.and({ id: campaignLeadId, campaign_id: campaignId }))
          .executeTakeFirst();
        if (lead === undefined)
          throw new ServiceError('NOT_FOUND', 'There is no such lead in this campaign.');
        // That a mail was queued is what its row in the outbox says; the rest is kept as it happens.
        const { rows } = await sql<EventRow>`
          select id, event_type, step, occurred_at, metadata from (
            select id, 'queued' as event_type, step, created_at as occurred_at, 0 as place,
                   jsonb_build_object('outbox_id', id, 'due_at', due_at) as metadata
              from outbox where campaign_lead_id = ${campaignLeadId}::uuid
            union all
            select id, event_type, step, occurred_at, 1, metadata
              from campaign_lead_events where campaign_lead_id = ${campaignLeadId}::uuid
          ) events order by step, place, occurred_at, id`.execute(tx);
        return leadEvents.parse({
          campaign_lead_id: campaignLeadId,
          events: rows.map(({ id, occurred_at: at, ...row }) => ({
            ...row,
            event_id: id,
            occurred_at: at.toISOString(),
          })),
        });
      });
    },

    /** A step's text filled for one lead by its place in the campaign, from 0. Throws `NOT_FOUND`. */
    preview(
      caller: Caller,
      campaignId: string,
      query: z.output<typeof templatePreviewQuery>,
    ): Promise<z.output<typeof templatePreview>> {
      return database.within(caller.workspaceId, async (tx) => {
        const campaign = await readCampaign(tx, caller, campaignId);
        const { content } = await resolveContentWithin(tx, caller, campaign, { senders, sandbox });
        const stepNumber = Math.max(1, query.step_index);
        const variants = content.steps[stepNumber - 1]?.variants ?? [];
        const label = query.variant_label;
        if (variants.length === 0 || (label !== undefined && !variants.some((one) => one.label === label))) {
          throw new ServiceError('NOT_FOUND', 'The campaign has no such step or variant with a text.');
        }
        const row = await tx
          .selectFrom('campaign_leads as c')
          .innerJoin('leads as l', 'l.id', 'c.lead_id')
          .selectAll('l')
          .select('c.id as campaign_lead_id')
          .where('c.campaign_id', '=', campaignId)
          .where('c.position', '=', query.lead_row_index)
          .executeTakeFirst();
        if (row === undefined) throw new ServiceError('NOT_FOUND', 'The campaign has no such row.');
        const texts = (await ownTextsWithin(tx, content, [row])).get(row.campaign_lead_id);
        const recipient = { leadId: row.id, values: valuesOf(row), texts };
        // How the words are filled can be seen before there is anybody to send them.
        const shown = content.pool.length > 0 ? content : withNobody(content);
        const options = { link: true, ...(label === undefined ? {} : { label }) };
        const own = writeLetter(shown, campaignId, recipient, stepNumber, options);
        // Until a text of the lead's own is written, what it will be written after is all there is to see.
        const letter =
          own.own === 'missing'
            ? writeLetter(withoutOwnTexts(shown), campaignId, recipient, stepNumber, options)
            : own;
        return {
          subject: letter.subject,
          body: withLinkShown(letter.body),
          missing_variables: letter.missing.filter((name) => name !== LINK_VARIABLE),
        };
      });
    },
  };
}

interface EventRow {
  id: string;
  event_type: string;
  step: number | null;
  occurred_at: Date;
  metadata: Record<string, unknown>;
}

const LEAD_COLUMNS = [
  'l.email',
  'l.first_name',
  'l.last_name',
  'l.company',
  'l.title',
  'l.city',
  'l.country',
  'l.website',
  'l.phone',
  'l.data',
] as const;

type LeadColumns = Pick<
  Selectable<LeadTable>,
  | 'email'
  | 'first_name'
  | 'last_name'
  | 'company'
  | 'title'
  | 'city'
  | 'country'
  | 'website'
  | 'phone'
  | 'data'
>;

type Row = Selectable<CampaignLeadTable> & { approved_steps: number[] } & {
  [Column in keyof LeadColumns]: LeadColumns[Column] | null;
};

/** A lead whose row was deleted keeps its place, with empty data. */
function toCampaignLead(row: Row): CampaignLead {
  const { email, data } = row;
  return {
    campaign_lead_id: row.id,
    campaign_id: row.campaign_id,
    lead_id: row.lead_id,
    row_index: row.position,
    status: campaignLead.shape.status.parse(row.status),
    current_step: row.current_step,
    variant_label: row.variant_label,
    lead_data: email === null ? {} : valuesOf({ ...row, email, data: data ?? {} }),
    approved_steps: row.approved_steps,
    last_event_at: row.last_event_at?.toISOString() ?? null,
    next_action_at: row.next_action_at?.toISOString() ?? null,
    error: row.error,
  };
}

const position = z.tuple([z.int32().min(0), z.uuid()]);

function behind(cursors: Cursors, cursor: string) {
  const [place, id] = cursors.decode(cursor, position);
  return sql<boolean>`(c.position, c.id) > (${place}::int, ${id}::uuid)`;
}

function withoutOwnTexts(content: Content): Content {
  return {
    ...content,
    steps: content.steps.map((step) => ({
      ...step,
      variants: step.variants.map(({ personal: _personal, ...variant }) => variant),
    })),
  };
}

function withNobody(content: Content): Content {
  const nobody = { id: 'nobody', name: null, address: '', postal_address: null, fingerprint: '' };
  return { ...content, pool: [nobody.id], senders: [...content.senders, nobody] };
}
