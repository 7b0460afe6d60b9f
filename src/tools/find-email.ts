/** The tool that finds a person's address by the pattern of the known ones of their company; nobody verifies it here. */

import { z } from 'zod';
import type { Database } from '../db/database.ts';
import type { Credits } from '../resources/credits/credits.ts';
import { PRICES } from '../resources/credits/prices.ts';
import { domainName } from '../resources/email-finder/domains.ts';
import type { EmailFinder } from '../resources/email-finder/email-finder.ts';
import { line } from '../resources/text.ts';
import { callReference } from '../resources/turns/effects.ts';
import { type Tool, tool } from './tool.ts';

export interface FindEmailNeeds {
  database: Database;
  emailFinder: Pick<EmailFinder, 'resolveWithin' | 'findWithin'>;
  credits: Pick<Credits, 'refuseUnaffordableWithin'>;
}

const words = line.trim().max(200);

const schema = z
  .strictObject({
    name: words.min(1).describe("The person's first and last name."),
    domain: domainName.optional().describe("The company's domain, such as example.com, where it is known."),
    company: words.min(1).optional().describe("The company's name, where the domain is not known."),
  })
  .refine(({ domain, company }) => domain !== undefined || company !== undefined, {
    error: 'Give domain or company.',
    path: ['domain'],
  });

const standsSchema = z.object({ name: z.string(), domain: z.string() });

export function createFindEmailTool({ database, emailFinder, credits }: FindEmailNeeds): Tool {
  const price = PRICES.email_finder_find;
  return tool({
    name: 'find_email',
    description: `Finds the work address of a person who is not among the leads, by the pattern that the known addresses of their company show. It costs ${price} credits if one is found, nothing otherwise or where the person is known. "result" is "known" (a lead has it) or "unverified": likely, but nobody has checked that it exists; say so.`,
    schema,
    untrusted: true,
    effect: 'inside',

    propose(context, args) {
      return database.within(context.caller.workspaceId, async (tx) => {
        const domain = await emailFinder.resolveWithin(tx, args);
        await credits.refuseUnaffordableWithin(tx, { credits: price, reference: callReference(context) });
        const stands: z.input<typeof standsSchema> = { name: args.name, domain };
        return {
          args: { name: args.name, domain },
          stands,
          effectClass: 'spend' as const,
          credits: price,
          title: `Find the address of ${args.name}`,
          facts: [
            { label: 'Person', value: args.name },
            { label: 'Domain', value: domain },
            { label: 'Price', value: `at most ${price} credits` },
          ],
          warnings: [],
          preview: [],
          consequence: `${price} credits are charged if an address is found. It is not verified.`,
        };
      });
    },

    async runWithin(tx, context, proposal) {
      const { name, domain } = standsSchema.parse(proposal.stands);
      const reference = callReference(context);
      const found = await emailFinder.findWithin(tx, context.caller, { name, domain, reference });
      const { email, pattern, result, confidence, error, credits: charged } = found;
      return {
        found: found.found,
        name,
        domain,
        email,
        result,
        confidence,
        pattern,
        error,
        credits: charged,
      };
    },
  });
}
