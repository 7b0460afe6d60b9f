/** The deed behind an unsubscribe link: the address is never written to again, and its campaigns stop for it. */

import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import { ServiceError } from '../../errors.ts';
import type { UnsubscribeLinks } from './links.ts';

export interface UnsubscribeNeeds {
  database: Database;
  links: UnsubscribeLinks;
  newId(): string;
  now(): number;
}

export type Unsubscribe = ReturnType<typeof createUnsubscribe>;

export function createUnsubscribe({ database, links, newId, now }: UnsubscribeNeeds) {
  return {
    /** Throws `NOT_FOUND` where the link is not one of ours. Changes nothing: mail scanners open every link. */
    check(token: string): void {
      if (links.read(token) === null) throw noSuchLink();
    },

    /**
     * Suppresses the address that the link's mail went to, whoever asks (RFC 8058: the link is all the proof there is).
     * Again changes nothing. Throws `NOT_FOUND`.
     */
    async confirm(token: string): Promise<void> {
      const linked = links.read(token);
      if (linked === null) throw noSuchLink();
      const { workspaceId, mailId } = linked;
      const at = new Date(now()).toISOString();
      await database.within(workspaceId, async (tx) => {
        const mail = await tx
          .selectFrom('outbox')
          .select(['address', 'campaign_id', 'campaign_lead_id', 'step', 'variant_label'])
          .where('id', '=', mailId)
          .executeTakeFirst();
        if (mail === undefined) throw noSuchLink();
        const made = await tx
          .insertInto('suppression_entries')
          .values({
            id: newId(),
            workspace_id: workspaceId,
            email: mail.address,
            reason: 'Unsubscribed by a link in a mail',
            source: 'unsubscribe',
          })
          .onConflict((conflict) => conflict.doNothing())
          .executeTakeFirst();
        // What waits for this address will not leave; the dispatcher would find out, but nobody has to wait for that.
        await sql`
          with stopped as (
            update outbox set status = 'failed', due_at = null, due_until = null,
                   error = ${JSON.stringify(UNSUBSCRIBED)}::jsonb
             where workspace_id = ${workspaceId}::uuid and address = ${mail.address} and status = 'queued'
            returning campaign_lead_id
          )
          update campaign_leads set status = 'unsubscribed', next_step = null, next_action_at = null, last_event_at = ${at}
           where status in ('pending', 'active')
             and (id in (select campaign_lead_id from stopped) or id = ${mail.campaign_lead_id}::uuid)`.execute(
          tx,
        );
        if (mail.campaign_lead_id === null || made.numInsertedOrUpdatedRows === 0n) return;
        // The lead may be gone with its campaign.
        await sql`
          insert into campaign_lead_events (id, workspace_id, campaign_id, campaign_lead_id, event_type, step, variant_label, occurred_at)
          select ${newId()}::uuid, workspace_id, campaign_id, id, 'unsubscribed', ${mail.step}::int, ${mail.variant_label}, ${at}::timestamptz
            from campaign_leads where id = ${mail.campaign_lead_id}::uuid`.execute(tx);
      });
    },
  };
}

const UNSUBSCRIBED = {
  code: 'RECIPIENT_SUPPRESSED',
  message: 'The recipient has unsubscribed. Nothing was sent.',
  retryable: false,
};

function noSuchLink(): ServiceError {
  return new ServiceError('NOT_FOUND', 'This link is not valid. Use the one in the mail, whole.');
}
