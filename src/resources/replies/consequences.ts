/** What a mail that came back answers, and what follows from it for the leads of campaigns. */

import { sql } from 'kysely';
import type { WorkspaceTransaction } from '../../db/database.ts';
import type { ErrorFact } from '../../errors.ts';
import { REPLIED } from '../campaigns/delivery/delivery.ts';
import type { InboundMail } from './inbound-mail.ts';

/** The mail of ours that an inbound one is about. */
export interface AnsweredMail {
  id: string;
  address: string;
  /** Null for a mail of no campaign, and where the campaign is gone. */
  campaign_id: string | null;
  campaign_lead_id: string | null;
  lead_id: string | null;
  step: number | null;
  variant_label: string | null;
}

/**
 * Finds it by the Message-IDs that the mail names; failing that it is the latest that went to the address which wrote, or
 * which a bounce is about. Only mails of the transaction's workspace are seen.
 */
export async function findAnswered(
  tx: WorkspaceTransaction,
  mail: InboundMail,
): Promise<AnsweredMail | null> {
  const columns = sql`o.id, o.address, o.lead_id, o.step, o.variant_label, c.id as campaign_id,
    case when c.id is not null then o.campaign_lead_id end as campaign_lead_id`;
  if (mail.answers.length > 0) {
    const { rows } = await sql<AnsweredMail>`
      select ${columns} from outbox o left join campaigns c on c.id = o.campaign_id
       where o.message_id = any(${mail.answers}::text[])
       order by array_position(${mail.answers}::text[], o.message_id), o.created_at desc, o.id desc limit 1`.execute(
      tx,
    );
    if (rows[0] !== undefined) return rows[0];
  }
  const addresses =
    mail.bounce === null ? [mail.fromEmail?.toLowerCase() ?? ''] : [...mail.bounce.recipients];
  const { rows } = await sql<AnsweredMail>`
    select ${columns} from outbox o left join campaigns c on c.id = o.campaign_id
     where o.address = any(${addresses}::text[]) and o.status in ('sandbox', 'sending', 'sent', 'unknown')
       and not o.test
     order by coalesce(o.started_at, o.sent_at, o.created_at) desc, o.id desc limit 1`.execute(tx);
  return rows[0] ?? null;
}

/**
 * A person answered: the lead gets no further step of this campaign. A mail that has begun to leave is not called back,
 * as with a pause; where it has to be tried again, the dispatcher looks at the lead first.
 */
export async function endByReply(tx: WorkspaceTransaction, answered: AnsweredMail, at: Date): Promise<void> {
  if (answered.campaign_lead_id === null) return;
  // Mails before leads, in the order in which the dispatcher locks them.
  await sql`
    update outbox set status = 'failed', due_at = null, due_until = null, error = ${JSON.stringify(REPLIED)}::jsonb
     where campaign_lead_id = ${answered.campaign_lead_id}::uuid and status = 'queued'`.execute(tx);
  await sql`
    update campaign_leads set status = 'replied', next_step = null, next_action_at = null, last_event_at = ${at}, error = null
     where id = ${answered.campaign_lead_id}::uuid
       and status in ('pending', 'active', 'completed', 'failed', 'unknown', 'replied')`.execute(tx);
}

/** The address does not exist or takes no mail of ours: what waits for it is stopped, in every campaign. */
export async function endByBounce(
  tx: WorkspaceTransaction,
  workspaceId: string,
  answered: AnsweredMail,
  at: Date,
): Promise<void> {
  await sql`
    with stopped as (
      update outbox set status = 'failed', due_at = null, due_until = null, error = ${JSON.stringify(BOUNCED)}::jsonb
       where workspace_id = ${workspaceId}::uuid and address = ${answered.address} and status = 'queued'
      returning campaign_lead_id
    )
    update campaign_leads set status = 'bounced', next_step = null, next_action_at = null, last_event_at = ${at}
     where (status in ('pending', 'active') and id in (select campaign_lead_id from stopped))
        or (status in ('pending', 'active', 'completed', 'failed', 'unknown') and id = ${answered.campaign_lead_id}::uuid)`.execute(
    tx,
  );
}

const BOUNCED: ErrorFact = {
  code: 'RECIPIENT_SUPPRESSED',
  message: 'An earlier mail to this address could not be delivered. Nothing was sent.',
  retryable: false,
};
