/** Deeds of the texts that are written for one lead each: which are missing, writing them, and a person's yes to one. */

import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { sql } from 'kysely';
import type { z } from 'zod';
import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import { errorFact, ServiceError } from '../../errors.ts';
import { type Caller, principalOf } from '../../runtime/caller.ts';
import type { Credits } from '../credits/credits.ts';
import { PRICES } from '../credits/prices.ts';
import type { Personalization, WriteForLead } from '../personalization/personalization.ts';
import type { SenderReader } from '../personalization/ports.ts';
import {
  armOf,
  type Content,
  type ContentVariant,
  leadFingerprint,
  resolveContentWithin,
  type Sender,
  stepFingerprint,
} from './content.ts';
import { type Launches, requireReady } from './launch/launches.ts';
import { type LeadFields, valuesOf } from './launch/recipients.ts';
import { type CampaignRow, instant, lockCampaign, readCampaign, statusOf, stepsOf } from './rows.ts';
import type { approveTextBody, resetTextsBody, TextApproval, writeTextBody, writtenText } from './schema.ts';
import { requireStatus } from './status.ts';

export interface CampaignTextNeeds {
  database: Database;
  launches: Pick<Launches, 'prepareLaunchWithin' | 'noteLeadsWithin'>;
  personalization: Pick<Personalization, 'writeForLead' | 'defaultPrompt'>;
  credits: Pick<Credits, 'reserveWithin' | 'captureWithin' | 'releaseWithin'>;
  senders: SenderReader;
  /** Whether mail stays here. */
  sandbox: boolean;
  newId(): string;
  now(): number;
}

export type CampaignTexts = ReturnType<typeof createCampaignTexts>;

/** A text that is to be written. */
export interface WantedText {
  campaignLeadId: string | null;
  leadId: string;
  email: string;
  step: number;
}

/** How a batch of texts stands. */
export interface BatchCount {
  completed: number;
  failed: number;
  cancelled: number;
}

/** Texts that are written at once. */
const AT_ONCE = 4;
const EDITING = 'change its content or schedule';

export function createCampaignTexts(needs: CampaignTextNeeds) {
  const { database, launches, personalization, credits, senders, sandbox, newId, now } = needs;

  /**
   * The texts that keep leads out of the launch (or the resumption) that comes, those of at most `leads` leads, in their
   * order. Throws `NOT_FOUND`, `CAMPAIGN_STATE`, `CAMPAIGN_NOT_READY` where texts or senders are missing altogether.
   */
  async function wantedWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    campaignId: string,
    leads: number,
  ): Promise<{ campaign: CampaignRow; wanted: WantedText[]; leadsLeft: number }> {
    const status = statusOf(await readCampaign(tx, caller, campaignId));
    requireStatus(status, EDITING);
    const kind = status === 'paused' ? 'resume' : 'launch';
    const prepared = await launches.prepareLaunchWithin(tx, caller, campaignId, kind);
    const missing = prepared.leftOut.filter(({ reason }) => reason === 'no_text');
    // Without a sender or a base text nothing can be written; that there is nobody to write to yet is no reason.
    if (missing.length === 0 && prepared.ready.length === 0) requireReady(prepared);
    const wanted = missing.slice(0, leads).flatMap((one) =>
      (one.textsMissing ?? []).map(
        (step): WantedText => ({
          campaignLeadId: one.campaignLeadId,
          leadId: one.leadId,
          email: one.email,
          step,
        }),
      ),
    );
    return { campaign: prepared.campaign, wanted, leadsLeft: Math.max(0, missing.length - leads) };
  }

  async function contentWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    campaign: CampaignRow,
  ): Promise<Content> {
    return (await resolveContentWithin(tx, caller, campaign, { senders, sandbox })).content;
  }

  /** How the text of a step is asked for. */
  function requestOf(
    campaign: Pick<CampaignRow, 'system_prompt'>,
    step: number,
    { variant, sender }: { variant: ContentVariant; sender: Sender },
    customPrompt?: string | null,
  ): Omit<WriteForLead, 'leadId' | 'signal'> {
    const { subject, body } = variant;
    return {
      senderProfileId: sender.id,
      customPrompt: customPrompt ?? campaign.system_prompt ?? undefined,
      ...(body === '' ? {} : { template: { subject, body } }),
      ...(step === 1 ? {} : { instructions: FOLLOW_UP }),
    };
  }

  /** The lead's row, its arm in a step, and what a text for it stands on. Throws `NOT_FOUND`, `VALIDATION_ERROR`. */
  async function placeWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    campaign: CampaignRow,
    campaignLeadId: string,
    step: number,
    label: string | undefined,
  ) {
    const lead = await tx
      .selectFrom('campaign_leads as c')
      .innerJoin('leads as l', 'l.id', 'c.lead_id')
      .selectAll('l')
      .where((row) => row.and({ 'c.id': campaignLeadId, 'c.campaign_id': campaign.id }))
      .executeTakeFirst();
    if (lead === undefined) throw new ServiceError('NOT_FOUND', 'There is no such lead in this campaign.');
    if (stepsOf(campaign)[step - 1] === undefined) {
      throw invalid('step_index', `The campaign has ${campaign.steps.length} steps.`);
    }
    const content = await contentWithin(tx, caller, campaign);
    if ((content.steps[step - 1]?.variants.length ?? 0) === 0 || content.pool.length === 0) {
      throw new ServiceError(
        'CAMPAIGN_NOT_READY',
        'The step has no text to write after, or the campaign no sender.',
      );
    }
    const arm = armOf(content, campaign.id, lead.id, step);
    if (label !== undefined && label !== arm.variant.label) {
      throw invalid('variant_label', `The lead gets variant ${arm.variant.label} of this step.`);
    }
    if (!arm.variant.personal) {
      throw invalid(
        'step_index',
        `Variant ${arm.variant.label} of this step is a template for all its leads.`,
      );
    }
    return {
      lead,
      arm,
      lead_fingerprint: leadFingerprint(valuesOf(lead)),
      step_fingerprint: stepFingerprint(step, arm.variant, arm.sender),
    };
  }

  async function reviewedSteps(tx: WorkspaceTransaction, campaignLeadId: string): Promise<number[]> {
    const rows = await tx
      .selectFrom('campaign_texts')
      .select('step')
      .where('campaign_lead_id', '=', campaignLeadId)
      .where('reviewed_at', 'is not', null)
      .orderBy('step')
      .execute();
    return rows.map(({ step }) => step);
  }

  /** Changes the texts of one lead while nothing of the campaign is under way. */
  function changing<T>(
    caller: Caller,
    campaignId: string,
    campaignLeadId: string,
    change: (tx: WorkspaceTransaction, campaign: CampaignRow) => Promise<T>,
  ): Promise<T> {
    return database.within(caller.workspaceId, async (tx) => {
      const campaign = await lockCampaign(tx, caller, campaignId);
      requireStatus(statusOf(campaign), EDITING);
      const lead = await tx
        .selectFrom('campaign_leads')
        .select('id')
        .where((row) => row.and({ id: campaignLeadId, campaign_id: campaignId }))
        .executeTakeFirst();
      if (lead === undefined) throw new ServiceError('NOT_FOUND', 'There is no such lead in this campaign.');
      return change(tx, campaign);
    });
  }

  return {
    wantedWithin,

    /** Sets aside what a batch is to write, and its price; the same batch again changes nothing. Answers how many texts. */
    async beginWithin(
      tx: WorkspaceTransaction,
      caller: Caller,
      { campaignId, leads, batch }: { campaignId: string; leads: number; batch: string },
    ): Promise<number> {
      const campaign = await lockCampaign(tx, caller, campaignId);
      requireStatus(statusOf(campaign), EDITING);
      if (statusOf(campaign) === 'draft') {
        await launches.noteLeadsWithin(tx, campaign, { dataset_id: campaign.dataset_id });
      }
      const { wanted } = await wantedWithin(tx, caller, campaignId, leads);
      const content = await contentWithin(tx, caller, campaign);
      const rows = wanted.map((one) => ({
        campaign_lead_id: one.campaignLeadId,
        step: one.step,
        variant_label: armOf(content, campaignId, one.leadId, one.step).variant.label,
      }));
      await credits.reserveWithin(tx, caller, {
        credits: rows.length * PRICES.personalization,
        operation: 'personalization',
        reference: batch,
        description: `Texts for the campaign "${campaign.name}"`,
      });
      await sql`
        insert into campaign_texts (workspace_id, campaign_id, campaign_lead_id, step, variant_label, status, batch)
        select ${caller.workspaceId}::uuid, ${campaignId}::uuid, t.campaign_lead_id, t.step, t.variant_label, 'pending', ${batch}
          from json_to_recordset(${JSON.stringify(rows)}::json) as t(campaign_lead_id uuid, step int, variant_label text)
        on conflict (campaign_lead_id, step) do update
           set status = 'pending', batch = excluded.batch, variant_label = excluded.variant_label, subject = null, body = null,
               error = null, lead_fingerprint = null, step_fingerprint = null, prompt = null, model = null, written_at = null,
               reviewed_at = null, reviewed_by = null`.execute(tx);
      return rows.length;
    },

    /**
     * Writes what is pending of a batch, some at a time, each kept as soon as it is there: begun again, it goes on with
     * the rest. A text that cannot be written fails alone; an abort leaves the rest unwritten. Throws what the database throws.
     */
    async write(caller: Caller, { campaignId, batch, signal, spent, progress }: WriteBatch): Promise<void> {
      const { campaign, content, rows } = await database.within(caller.workspaceId, async (tx) => {
        const campaign = await readCampaign(tx, caller, campaignId);
        const { rows } = await sql<PendingRow>`
          select t.campaign_lead_id, t.step, l.id as lead_id,
                 l.email, l.first_name, l.last_name, l.company, l.title, l.city, l.country, l.website, l.phone, l.data
            from campaign_texts t join campaign_leads c on c.id = t.campaign_lead_id join leads l on l.id = c.lead_id
           where t.campaign_id = ${campaignId}::uuid and t.batch = ${batch} and t.status = 'pending'
           order by c.position, t.step`.execute(tx);
        return { campaign, content: await contentWithin(tx, caller, campaign), rows };
      });
      let done = 0;
      progress(done, rows.length, 'Texts are written');
      const one = async (row: PendingRow): Promise<void> => {
        const kept = await written(caller, campaign, content, row, { signal, spent });
        if (kept === null) return;
        await database.within(caller.workspaceId, (tx) =>
          tx
            .updateTable('campaign_texts')
            .set(kept)
            .where((text) =>
              text.and({ campaign_lead_id: row.campaign_lead_id, step: row.step, batch, status: 'pending' }),
            )
            .execute(),
        );
        done += 1;
        progress(done, rows.length, 'Texts are written');
      };
      const waiting = rows.values();
      await Promise.all(
        Array.from({ length: AT_ONCE }, async () => {
          for (const row of waiting) {
            if (signal.aborted) return;
            await one(row);
          }
        }),
      );
    },

    /** Ends a batch: what was not written is cancelled, what was is paid for. Again changes nothing. */
    async endWithin(tx: WorkspaceTransaction, caller: Caller, batch: string): Promise<BatchCount> {
      await tx
        .updateTable('campaign_texts')
        .set({ status: 'cancelled' })
        .where((row) => row.and({ batch, status: 'pending' }))
        .execute();
      const rows = await tx
        .selectFrom('campaign_texts')
        .select('status')
        .select((row) => row.fn.countAll<string>().as('n'))
        .where('batch', '=', batch)
        .groupBy('status')
        .execute();
      const count = (status: string) => Number(rows.find((row) => row.status === status)?.n ?? 0);
      const completed = count('completed');
      await credits.captureWithin(tx, caller, {
        reference: batch,
        credits: completed * PRICES.personalization,
      });
      await credits.releaseWithin(tx, caller, { reference: batch });
      return { completed, failed: count('failed'), cancelled: count('cancelled') };
    },

    /**
     * Writes one lead's text of a step and keeps it as a draft, for the price of one; a text that was approved and is
     * current is answered as it is. Throws `NOT_FOUND`, `CAMPAIGN_STATE`, `VALIDATION_ERROR`, `NOT_ENOUGH_CREDITS`, and
     * what writing throws.
     */
    async writeOne(
      caller: Caller,
      campaignId: string,
      input: z.output<typeof writeTextBody>,
      signal: AbortSignal,
    ): Promise<z.output<typeof writtenText>> {
      const { campaign_lead_id: id, step_index: step, variant_label: label, custom_prompt: prompt } = input;
      const reference = `campaign-text ${newId()}`;
      const answer = { campaign_id: campaignId, campaign_lead_id: id, step_index: step };
      const { campaign, place, approved } = await database.within(caller.workspaceId, async (tx) => {
        const campaign = await readCampaign(tx, caller, campaignId);
        requireStatus(statusOf(campaign), EDITING);
        const place = await placeWithin(tx, caller, campaign, id, step, label);
        const found = await tx
          .selectFrom('campaign_texts')
          .selectAll()
          .where((row) => row.and({ campaign_lead_id: id, step, status: 'completed' }))
          .executeTakeFirst();
        const current =
          found?.lead_fingerprint === place.lead_fingerprint &&
          found.step_fingerprint === place.step_fingerprint &&
          found.reviewed_at !== null;
        if (current) return { campaign, place, approved: found };
        await credits.reserveWithin(tx, caller, {
          credits: PRICES.personalization,
          operation: 'personalization',
          reference,
          description: `A text for the campaign "${campaign.name}"`,
        });
        return { campaign, place, approved: null };
      });
      if (approved !== null) {
        const { subject, body } = approved;
        return {
          ...answer,
          subject: subject ?? '',
          body: body ?? '',
          prompt_source: 'approved',
          from_approval: true,
        };
      }
      try {
        const request = requestOf(campaign, step, place.arm, prompt);
        const text = await personalization.writeForLead(caller, {
          ...request,
          leadId: place.lead.id,
          signal,
        });
        await changing(caller, campaignId, id, async (tx) => {
          await keep(tx, campaign, id, step, {
            ...place,
            subject: text.subject,
            body: text.body,
            prompt: text.prompt,
            model: text.modelUsed,
            reviewed_by: null,
          });
          await credits.captureWithin(tx, caller, { reference, credits: PRICES.personalization });
        });
        const { subject, body, promptSource } = text;
        return { ...answer, subject, body, prompt_source: promptSource, from_approval: false };
      } finally {
        await database.within(caller.workspaceId, (tx) => credits.releaseWithin(tx, caller, { reference }));
      }
    },

    /** Freezes the text of a step for a lead: somebody has read it. Throws `NOT_FOUND`, `CAMPAIGN_STATE`, `VALIDATION_ERROR`. */
    approve(
      caller: Caller,
      campaignId: string,
      campaignLeadId: string,
      input: z.output<typeof approveTextBody>,
    ): Promise<TextApproval> {
      return changing(caller, campaignId, campaignLeadId, async (tx, campaign) => {
        const step = input.step_index;
        const place = await placeWithin(tx, caller, campaign, campaignLeadId, step, input.variant_label);
        const expected = input.expected_step_config_fingerprint ?? place.step_fingerprint;
        if (expected !== place.step_fingerprint) {
          throw invalid(
            'expected_step_config_fingerprint',
            'The step, its template or its sender has changed since this text was written.',
          );
        }
        const before = await tx
          .selectFrom('campaign_texts')
          .select(['prompt', 'model'])
          .where((row) => row.and({ campaign_lead_id: campaignLeadId, step }))
          .executeTakeFirst();
        const prompt =
          input.prompt_snapshot ??
          input.custom_prompt ??
          before?.prompt ??
          campaign.system_prompt ??
          personalization.defaultPrompt().prompt;
        const model = input.model ?? before?.model ?? null;
        const by = principalOf(caller);
        await keep(tx, campaign, campaignLeadId, step, {
          ...place,
          subject: input.subject,
          body: input.body,
          prompt,
          model,
          reviewed_by: by,
        });
        const at = new Date(now()).toISOString();
        const variant = stepsOf(campaign)[step - 1]?.variants.find(
          (one) => one.label === place.arm.variant.label,
        );
        const sources = input.research_sources;
        return {
          campaign_id: campaignId,
          campaign_lead_id: campaignLeadId,
          updated_at: at,
          step_index: step,
          approved_steps: await reviewedSteps(tx, campaignLeadId),
          approved_entry: {
            subject: input.subject,
            body: input.body,
            prompt_snapshot: prompt,
            prompt_version_hash: sha256(prompt),
            lead_identity_fingerprint: place.lead_fingerprint,
            step_index: step,
            variant_label: place.arm.variant.label,
            step_config_fingerprint: place.step_fingerprint,
            approved_at: at,
            approved_by: by,
            research_cache_fingerprint: sources == null ? null : sha256(canonicalize(sources) ?? ''),
            sender_profile_id: place.arm.sender.id,
            template_id: variant?.template_id ?? null,
            model,
            generation_latency_ms: input.generation_latency_ms ?? null,
          },
        };
      });
    },

    /** Takes the yes to one step's text back; the text stays as a draft. Throws `NOT_FOUND`, `CAMPAIGN_STATE`. */
    unapprove(
      caller: Caller,
      campaignId: string,
      campaignLeadId: string,
      step: number,
    ): Promise<TextApproval> {
      return changing(caller, campaignId, campaignLeadId, async (tx) => {
        await tx
          .updateTable('campaign_texts')
          .set({ reviewed_at: null, reviewed_by: null })
          .where((row) => row.and({ campaign_lead_id: campaignLeadId, step }))
          .execute();
        return {
          campaign_id: campaignId,
          campaign_lead_id: campaignLeadId,
          updated_at: new Date(now()).toISOString(),
          step_index: step,
          approved_steps: await reviewedSteps(tx, campaignLeadId),
          approved_entry: null,
        };
      });
    },

    /** Drops texts of a lead, of these steps or of all. Throws `NOT_FOUND`, `CAMPAIGN_STATE`. */
    reset(
      caller: Caller,
      campaignId: string,
      campaignLeadId: string,
      { step_indices: steps }: z.output<typeof resetTextsBody>,
    ): Promise<TextApproval> {
      return changing(caller, campaignId, campaignLeadId, async (tx) => {
        let texts = tx.deleteFrom('campaign_texts').where('campaign_lead_id', '=', campaignLeadId);
        if (steps != null && steps.length > 0) texts = texts.where('step', 'in', steps);
        await texts.execute();
        return {
          campaign_id: campaignId,
          campaign_lead_id: campaignLeadId,
          updated_at: new Date(now()).toISOString(),
          step_index: null,
          approved_steps: await reviewedSteps(tx, campaignLeadId),
          approved_entry: null,
        };
      });
    },
  };

  /** Writes one text of a batch; null where the abort came first. A refusal is kept as that text's failure. */
  async function written(
    caller: Caller,
    campaign: CampaignRow,
    content: Content,
    row: PendingRow,
    { signal, spent }: Pick<WriteBatch, 'signal' | 'spent'>,
  ) {
    const arm = armOf(content, campaign.id, row.lead_id, row.step);
    const request = requestOf(campaign, row.step, arm);
    try {
      const text = await personalization.writeForLead(caller, {
        ...request,
        leadId: row.lead_id,
        signal,
        spent,
      });
      return {
        status: 'completed',
        variant_label: arm.variant.label,
        subject: text.subject,
        body: text.body,
        lead_fingerprint: leadFingerprint(valuesOf(row)),
        step_fingerprint: stepFingerprint(row.step, arm.variant, arm.sender),
        prompt: text.prompt,
        model: text.modelUsed,
        written_at: new Date(now()),
      };
    } catch (error) {
      if (signal.aborted) return null;
      return { status: 'failed', error: errorFact(error).message };
    }
  }

  async function keep(
    tx: WorkspaceTransaction,
    campaign: CampaignRow,
    campaignLeadId: string,
    step: number,
    text: KeptText,
  ): Promise<void> {
    const { subject, body, prompt, model, reviewed_by: by } = text;
    const at = instant(now());
    await sql`
      insert into campaign_texts (workspace_id, campaign_id, campaign_lead_id, step, variant_label, status, subject, body,
        lead_fingerprint, step_fingerprint, prompt, model, written_at, reviewed_at, reviewed_by)
      values (${campaign.workspace_id}::uuid, ${campaign.id}::uuid, ${campaignLeadId}::uuid, ${step}::int, ${text.arm.variant.label},
        'completed', ${subject}, ${body}, ${text.lead_fingerprint}, ${text.step_fingerprint}, ${prompt}, ${model}, ${at},
        case when ${by}::text is null then null else ${at} end, ${by})
      on conflict (campaign_lead_id, step) do update
         set variant_label = excluded.variant_label, status = excluded.status, batch = null, subject = excluded.subject,
             body = excluded.body, error = null, lead_fingerprint = excluded.lead_fingerprint,
             step_fingerprint = excluded.step_fingerprint, prompt = excluded.prompt, model = excluded.model,
             written_at = excluded.written_at, reviewed_at = excluded.reviewed_at, reviewed_by = excluded.reviewed_by`.execute(
      tx,
    );
  }
}

interface WriteBatch extends Pick<WriteForLead, 'signal' | 'spent'> {
  campaignId: string;
  batch: string;
  progress(done: number, total: number, note: string): void;
}

interface PendingRow extends LeadFields {
  campaign_lead_id: string;
  lead_id: string;
  step: number;
}

interface KeptText {
  arm: { variant: ContentVariant };
  lead_fingerprint: string;
  step_fingerprint: string;
  subject: string;
  body: string;
  prompt: string;
  model: string | null;
  reviewed_by: string | null;
}

const FOLLOW_UP =
  'This is a follow-up to a mail that has not been answered. Keep it short, and say something that the first mail did not.';

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function invalid(field: string, message: string): ServiceError {
  return new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
    details: [{ loc: ['body', field], msg: message, type: 'value_error' }],
  });
}
