/** What is said of approvals, and the ways in which a decision may be spelled. */

import { z } from 'zod';
import { PRINCIPAL_KINDS } from '../../runtime/caller.ts';
import { DECISIONS } from '../../runtime/events.ts';
import { isStorableJson, text } from '../text.ts';

export const reason = text.max(2000).optional();
export const argsHash = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'Echo the args_hash of the card, or of the preview of your edit.');

export const args = z
  .record(z.string(), z.unknown())
  .refine(isStorableJson, 'The arguments hold a character that cannot be kept.');

export const decisionBody = z.strictObject({
  decision: z.enum(DECISIONS),
  args_hash: argsHash,
  args: args.optional(),
  reason,
});

export const namedDecision = decisionBody.extend({ approval_id: z.uuid() });
export type NamedDecision = z.output<typeof namedDecision>;

/** The contract's short form, and ours. */
export const resumeBody = z.union([
  z.strictObject({ confirmed: z.boolean(), reason }),
  z.strictObject({ decisions: z.array(namedDecision).min(1).max(50) }),
]);
export type Resume = z.output<typeof resumeBody>;

export const previewBody = z.strictObject({ args });

/** Which of the mails that a card shows; `args` with the hash of their preview where it shows an edit. */
export const testMailBody = z.strictObject({
  preview_index: z.int().min(0).max(999).default(0),
  args_hash: argsHash,
  args: args.optional(),
});
export type TestMail = z.output<typeof testMailBody>;

export const approvalParams = z.object({ thread_id: z.uuid(), approval_id: z.uuid() });

export const inboxQuery = z.object({
  status: z.enum(['pending', 'approved', 'rejected', 'expired', 'superseded', 'all']).default('pending'),
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: z.string().max(500).optional(),
});

/** Everybody whom a card that waits is about, as it would be done now; the hash tells whether that is what the card shows. */
export const approvalRecipients = z.object({
  args_hash: z.string(),
  recipients: z.array(
    z.object({
      email: z.string(),
      name: z.string().nullable(),
      company: z.string().nullable(),
      /** Why nothing goes there; null where something does. */
      left_out: z.string().nullable(),
    }),
  ),
});

/** A card on the wire; its parts are the runtime's `Approval`. */
export const approvalShape = z.looseObject({
  approval_id: z.uuid(),
  thread_id: z.uuid(),
  turn_id: z.uuid(),
  tool_call_id: z.string(),
  tool: z.string(),
  kind: z.enum(['proposal', 'outcome']),
  title: z.string(),
  reason: z.string(),
  /** Whose turn asks; absent from cards of versions before 0.3. */
  asked_for: z
    .object({ user_id: z.string(), email: z.string().nullable(), kind: z.enum(PRINCIPAL_KINDS) })
    .optional(),
  args: z.record(z.string(), z.unknown()),
  args_hash: z.string(),
  args_schema: z.record(z.string(), z.unknown()),
  facts: z.array(z.object({ label: z.string(), value: z.string() })),
  warnings: z.array(
    z.object({ code: z.string(), message: z.string(), severity: z.enum(['high', 'medium', 'low']) }),
  ),
  preview: z.array(
    z.object({
      from: z.string().optional(),
      to: z.string().optional(),
      subject: z.string().optional(),
      body: z.string().optional(),
    }),
  ),
  consequence: z.string(),
  allowed_decisions: z.array(z.enum(DECISIONS)),
  status: z.enum(['pending', 'approved', 'rejected', 'expired', 'superseded']),
  created_at: z.iso.datetime(),
  expires_at: z.iso.datetime(),
});
