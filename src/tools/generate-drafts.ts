/** The tool that writes the leads of a campaign texts of their own, before its launch; each is paid for when it is there. */

import { z } from 'zod';
import { isDatabaseAway } from '../db/away.ts';
import type { Database } from '../db/database.ts';
import { errorFact, ServiceError } from '../errors.ts';
import type { CampaignTexts } from '../resources/campaigns/texts.ts';
import type { Credits } from '../resources/credits/credits.ts';
import { PRICES } from '../resources/credits/prices.ts';
import { visibleText } from '../resources/leads/visible-text.ts';
import { callReference } from '../resources/turns/effects.ts';
import { type Tool, tool } from './tool.ts';

export interface GenerateDraftsNeeds {
  database: Database;
  campaignTexts: Pick<CampaignTexts, 'wantedWithin' | 'beginWithin' | 'write' | 'endWithin'>;
  credits: Pick<Credits, 'refuseUnaffordableWithin'>;
}

const schema = z.strictObject({
  campaign_id: z.uuid(),
  limit: z
    .int()
    .min(1)
    .max(50)
    .default(25)
    .describe('For how many leads at most; call it again for the rest.'),
});

/** Addresses that the card lists. */
const LISTED = 10;

export function createGenerateDraftsTool({ database, campaignTexts, credits }: GenerateDraftsNeeds): Tool {
  return tool<z.output<typeof schema>>({
    name: 'generate_drafts',
    description: `Writes a text of their own to each lead of a draft or paused campaign that still lacks one, for the steps that ask for such texts (${PRICES.personalization} credit a text). They are kept as drafts; launch_campaign shows and sends them. Answers how many were written and how many leads still lack theirs.`,
    schema,
    untrusted: false,
    effect: 'outside',
    // What is written already is not written again.
    deduplicates: true,

    async propose(context, args) {
      const { campaign, wanted, leadsLeft } = await database.within(
        context.caller.workspaceId,
        async (tx) => {
          const found = await campaignTexts.wantedWithin(tx, context.caller, args.campaign_id, args.limit);
          await credits.refuseUnaffordableWithin(tx, {
            credits: found.wanted.length * PRICES.personalization,
            reference: callReference(context),
          });
          return found;
        },
      );
      const price = wanted.length * PRICES.personalization;
      const emails = [...new Set(wanted.map(({ email }) => email))];
      const shown = emails.slice(0, LISTED).map((email) => visibleText(email));
      const more = emails.length - shown.length;
      return {
        args,
        stands: { texts: wanted.map(({ leadId, step }) => `${leadId} ${step}`) },
        effectClass: 'spend',
        credits: price,
        title: `Write ${wanted.length} texts for the campaign "${campaign.name}"`,
        facts: [
          { label: 'Campaign', value: `${visibleText(campaign.name)} (${campaign.status})` },
          { label: 'Leads', value: String(emails.length) },
          ...(shown.length === 0
            ? []
            : [{ label: 'Who', value: `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}` }]),
          ...(leadsLeft === 0 ? [] : [{ label: 'Left for later', value: `${leadsLeft} leads` }]),
          { label: 'Price', value: price === 0 ? 'free' : `at most ${price} credits` },
        ],
        warnings: [],
        preview: [],
        consequence: 'Drafts are written and kept. Nothing is sent before somebody approves the launch.',
      };
    },

    async intendWithin(tx, context, proposal) {
      const { campaign_id: campaignId, limit: leads } = schema.parse(proposal.args);
      const batch = callReference(context);
      const begun = await campaignTexts.beginWithin(tx, context.caller, { campaignId, leads, batch });
      return begun === 0 ? { done: await resultWithin(tx, context, campaignId) } : { act: true };
    },

    async act({ caller, signal, spent, progress, ...context }, proposal) {
      const { campaign_id: campaignId } = schema.parse(proposal.args);
      const batch = callReference(context);
      try {
        await campaignTexts.write(caller, { campaignId, batch, signal, spent, progress });
        return { state: 'done', providerRef: null };
      } catch (error) {
        // It goes on where it was when the database is back.
        if (isDatabaseAway(error)) throw error;
        return { state: 'failed', error: errorFact(error) };
      }
    },

    settleWithin(tx, context, proposal) {
      return resultWithin(tx, context, schema.parse(proposal.args).campaign_id);
    },
  });

  async function resultWithin(
    tx: Parameters<CampaignTexts['endWithin']>[0],
    context: Parameters<typeof callReference>[0] & { caller: Parameters<CampaignTexts['endWithin']>[1] },
    campaignId: string,
  ) {
    const { completed, failed, cancelled } = await campaignTexts.endWithin(
      tx,
      context.caller,
      callReference(context),
    );
    // The campaign may have been launched or deleted meanwhile; what was written is written.
    const left = await campaignTexts.wantedWithin(tx, context.caller, campaignId, 1).catch((error) => {
      if (error instanceof ServiceError) return null;
      throw error;
    });
    return {
      campaign_id: campaignId,
      written: completed,
      failed: failed + cancelled,
      leads_without_text: left === null ? null : left.leadsLeft + (left.wanted.length > 0 ? 1 : 0),
      credits: completed * PRICES.personalization,
    };
  }
}
