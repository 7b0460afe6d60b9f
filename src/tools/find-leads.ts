/** The tool that finds leads for what the user wishes, in the source of leads, and pays its price for those it finds. */

import { z } from 'zod';
import type { Database } from '../db/database.ts';
import type { Credits } from '../resources/credits/credits.ts';
import type { LeadFinder } from '../resources/lead-finder/lead-finder.ts';
import type { Wish } from '../resources/lead-finder/ports.ts';
import { visibleText } from '../resources/leads/visible-text.ts';
import { line } from '../resources/text.ts';
import { callReference } from '../resources/turns/effects.ts';
import { type Tool, tool } from './tool.ts';

export interface FindLeadsNeeds {
  database: Database;
  leadFinder: Pick<LeadFinder, 'source' | 'findWithin'>;
  credits: Pick<Credits, 'refuseUnaffordableWithin'>;
}

const words = line.trim().max(200);

const schema = z
  .strictObject({
    name: words.optional().describe("One person's name, where a certain person is looked for."),
    company: words.optional(),
    title: words.optional().describe('Job title; other ways to say it ("CTO") are found too.'),
    location: words.optional().describe('City or country.'),
    keywords: words.optional().describe('Words that may stand anywhere in a lead.'),
    limit: z.int().min(1).max(25).default(10).describe('How many leads at most; each may cost credits.'),
  })
  .refine(({ limit: _, ...wish }) => Object.values(wish).some((part) => part !== undefined && part !== ''), {
    error: 'Say at least one of name, company, title, location and keywords.',
  });

const LABELS: Record<keyof Wish, string> = {
  name: 'Name',
  company: 'Company',
  title: 'Title',
  location: 'Location',
  keywords: 'Keywords',
};

export function createFindLeadsTool({ database, leadFinder, credits }: FindLeadsNeeds): Tool {
  const { source } = leadFinder;
  return tool({
    name: 'find_leads',
    description: `Finds leads that fit what the user wishes for, the best first, in ${source.title}; ${
      source.price === 0 ? 'it costs nothing' : `each lead that is found costs ${source.price} credits`
    }. "confidence" says from 0 to 1 how much of the wish is known to hold, "matched" which parts. To read leads that the user names or lists, call search_leads instead.`,
    schema,
    untrusted: true,
    effect: 'inside',

    async propose(context, args) {
      const price = source.price * args.limit;
      await database.within(context.caller.workspaceId, (tx) =>
        credits.refuseUnaffordableWithin(tx, { credits: price, reference: callReference(context) }),
      );
      const { limit, ...wish } = args;
      return {
        args,
        stands: { source: source.name, price: source.price },
        effectClass: 'spend',
        credits: price,
        title: limit === 1 ? 'Find a lead' : `Find up to ${limit} leads`,
        facts: [
          { label: 'Where', value: source.title },
          ...(Object.keys(LABELS) as (keyof Wish)[]).flatMap((field) =>
            (wish[field] ?? '') === '' ? [] : [{ label: LABELS[field], value: wish[field] ?? '' }],
          ),
          { label: 'Price', value: price === 0 ? 'free' : `at most ${price} credits` },
        ],
        warnings: [],
        preview: [],
        consequence:
          price === 0
            ? 'It is looked up in your own data; nothing is changed and nothing is charged.'
            : `Up to ${price} credits are reserved; only what is found is charged.`,
      };
    },

    async runWithin(tx, context, proposal) {
      const { limit, ...wish } = schema.parse(proposal.args);
      const { profiles, credits: charged } = await leadFinder.findWithin(tx, context.caller, {
        wish,
        limit,
        reference: callReference(context),
        progress: context.progress,
        signal: context.signal,
      });
      return {
        source: source.name,
        credits: charged,
        leads: profiles.map((profile) => ({
          lead_id: profile.lead_id,
          email: profile.email,
          first_name: shown(profile.first_name),
          last_name: shown(profile.last_name),
          name: shown([profile.first_name, profile.last_name].filter((part) => part !== null).join(' ')),
          company: shown(profile.company),
          title: shown(profile.title),
          city: shown(profile.city),
          country: shown(profile.country),
          linkedin_url: profile.linkedin_url,
          confidence: profile.confidence,
          matched: profile.matched,
          suppressed: profile.suppressed,
        })),
      };
    },
  });
}

function shown(value: string | null): string | null {
  return value === null || value === '' ? null : visibleText(value);
}
