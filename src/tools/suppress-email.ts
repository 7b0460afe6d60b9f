/** The tool that puts an address on the do-not-contact list. */

import { z } from 'zod';
import type { Database, WorkspaceTransaction } from '../db/database.ts';
import { ServiceError } from '../errors.ts';
import { emailAddress } from '../resources/suppression/schema.ts';
import type { Suppression } from '../resources/suppression/suppression.ts';
import { text } from '../resources/text.ts';
import { type Tool, tool } from './tool.ts';

export interface SuppressEmailNeeds {
  database: Database;
  suppression: Pick<Suppression, 'addWithin'>;
  leads: {
    getWithin(tx: WorkspaceTransaction, leadId: string): Promise<{ email: string | null } | null>;
    /** Whether some lead of the workspace has this address, ignoring case. */
    hasAddressWithin(tx: WorkspaceTransaction, address: string): Promise<boolean>;
  };
}

const schema = z
  .strictObject({
    lead_id: z.uuid().optional().describe('The lead whose address it is. Prefer this to an address.'),
    email: emailAddress.optional().describe('The address, where it is not one of a lead.'),
    reason: text.max(500).optional().describe("Why, in a few of the user's words."),
  })
  .refine((args) => (args.lead_id === undefined) !== (args.email === undefined), {
    error: 'Give exactly one of lead_id and email.',
    path: ['email'],
  });

const standsSchema = z.object({ address: z.string(), reason: z.string().nullable() });

export function createSuppressEmailTool({ database, suppression, leads }: SuppressEmailNeeds): Tool {
  /** The address in lower case; free text only where nothing untrusted could have suggested it (design.md §6). */
  async function addressWithin(
    tx: WorkspaceTransaction,
    args: z.output<typeof schema>,
    tainted: boolean,
  ): Promise<string> {
    if (args.lead_id !== undefined) {
      const lead = await leads.getWithin(tx, args.lead_id);
      if (lead === null) throw new ServiceError('NOT_FOUND', 'There is no such lead.');
      const address = emailAddress.safeParse(lead.email);
      if (address.success) return address.data.toLowerCase();
      throw new ServiceError('RECIPIENT_INVALID', 'This lead has no email address that could be suppressed.');
    }
    // The schema lets nothing pass that has neither.
    const address = (args.email ?? '').toLowerCase();
    if (tainted && !(await leads.hasAddressWithin(tx, address))) {
      throw new ServiceError(
        'RECIPIENT_NOT_ALLOWED',
        'This conversation holds text from third parties, so only addresses of leads can be suppressed here. The user can suppress any address on the do-not-contact list itself.',
      );
    }
    return address;
  }

  return tool({
    name: 'suppress_email',
    description:
      'Puts an address on the do-not-contact list: nothing is sent there again. Call it when somebody asks not to be written to. Give a lead_id or an email. Answers the entry; "already" says that it stood there before.',
    schema,
    untrusted: false,
    effect: 'inside',

    async propose(context, args) {
      const address = await database.within(context.caller.workspaceId, (tx) =>
        addressWithin(tx, args, context.tainted),
      );
      return {
        args: {
          ...(args.lead_id === undefined ? { email: address } : { lead_id: args.lead_id }),
          ...(args.reason === undefined ? {} : { reason: args.reason }),
        },
        stands: { address, reason: args.reason ?? null },
        effectClass: 'write',
        credits: 0,
        title: `Suppress ${address}`,
        facts: [
          { label: 'Address', value: address },
          ...(args.reason === undefined ? [] : [{ label: 'Reason', value: args.reason }]),
        ],
        warnings: [],
        preview: [],
        consequence: `Nobody in this workspace can write to ${address} until the suppression is lifted.`,
      };
    },

    async runWithin(tx, context, proposal) {
      const { address, reason } = standsSchema.parse(proposal.stands);
      const { entry, already } = await suppression.addWithin(tx, context.caller, {
        email: address,
        reason,
        source: 'agent',
      });
      return { entry_id: entry.entry_id, email: entry.email, already };
    },
  });
}
