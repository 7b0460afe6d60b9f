/** The tool that says of an address whether mail to it can arrive; what the workspace knows already costs nothing. */

import { z } from 'zod';
import type { Database } from '../db/database.ts';
import type { Credits } from '../resources/credits/credits.ts';
import type { EmailVerification, Verified } from '../resources/email-verifier/email-verifier.ts';
import { type Verdict, verdict } from '../resources/email-verifier/schema.ts';
import { visibleText } from '../resources/leads/visible-text.ts';
import { emailAddress } from '../resources/suppression/schema.ts';
import { callReference } from '../resources/turns/effects.ts';
import { type Tool, tool } from './tool.ts';

export interface VerifyEmailNeeds {
  database: Database;
  emailVerification: Pick<
    EmailVerification,
    'source' | 'knownWithin' | 'reserveWithin' | 'lookUp' | 'settleWithin'
  >;
  credits: Pick<Credits, 'refuseUnaffordableWithin'>;
}

const schema = z.strictObject({ email: emailAddress.describe('The one address to verify.') });

export function createVerifyEmailTool({ database, emailVerification, credits }: VerifyEmailNeeds): Tool {
  const { source } = emailVerification;
  return tool<z.output<typeof schema>>({
    name: 'verify_email',
    description: `Says whether mail to an address can arrive: its form, what the DNS says of its domain, and what this workspace knows of it. "result" is "valid", "risky", "invalid" or "unknown", "reasons" say why; "mailbox": "unconfirmed" means that nobody knows whether the mailbox itself exists: say so, and never that it does. It costs ${source.price} credit, nothing where the verdict is known here ("cached") or stays unknown.`,
    schema,
    untrusted: false,
    effect: 'outside',
    // Only questions are asked outside.
    deduplicates: true,

    propose(context, { email }) {
      const address = email.toLowerCase();
      return database.within(context.caller.workspaceId, async (tx) => {
        const price = (await emailVerification.knownWithin(tx, address)) === null ? source.price : 0;
        await credits.refuseUnaffordableWithin(tx, { credits: price, reference: callReference(context) });
        const shown = visibleText(address, 254);
        return {
          args: { email: address },
          stands: { source: source.name, price },
          effectClass: 'spend' as const,
          credits: price,
          title: `Verify the address ${shown}`,
          facts: [
            { label: 'Address', value: shown },
            { label: 'Price', value: price === 0 ? 'free: it is known here' : `at most ${price} credit` },
          ],
          warnings: [],
          preview: [],
          consequence:
            price === 0
              ? 'The verdict that is known here is read; nobody is asked and nothing is charged.'
              : `The DNS is asked for the domain, and ${price} credit is charged for a verdict. Nothing is sent to the address.`,
        };
      });
    },

    async intendWithin(tx, context, proposal) {
      const { email: address } = schema.parse(proposal.args);
      const known = await emailVerification.knownWithin(tx, address);
      if (known !== null) return { done: resultOf(known) };
      await emailVerification.reserveWithin(tx, context.caller, callReference(context));
      return { act: true };
    },

    async act({ progress }, proposal) {
      const { email: address } = schema.parse(proposal.args);
      progress(0, 1, 'The DNS is asked');
      // An effect that was begun settles before a cancel does, and the lookup ends by itself.
      const looked = await emailVerification.lookUp(address, new AbortController().signal);
      progress(1, 1, 'The DNS is asked');
      return { state: 'done', providerRef: JSON.stringify(looked) };
    },

    async settleWithin(tx, context, proposal, outcome) {
      const { email: address } = schema.parse(proposal.args);
      const looked = outcome.state === 'done' ? lookedUp(outcome.providerRef) : INTERRUPTED;
      const reference = callReference(context);
      return resultOf(
        await emailVerification.settleWithin(tx, context.caller, { address, looked, reference }),
      );
    },
  });
}

/** Where the turn ended before anybody heard what was found: nothing is charged. */
const INTERRUPTED: Verdict = {
  verdict: 'unknown',
  mailbox: 'unconfirmed',
  reasons: [{ code: 'INTERRUPTED', message: 'The lookup was interrupted.' }],
};

/** What the act has found, as it stands in the ledger. */
function lookedUp(reference: string | null): Verdict {
  return reference === null ? INTERRUPTED : verdict.parse(JSON.parse(reference));
}

function resultOf({ outcome, cached }: Verified) {
  const { email, result, mailbox, reasons, error, credits } = outcome;
  return { email, result, mailbox, reasons, error, cached, credits };
}
