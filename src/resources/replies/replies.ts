/** Deeds of mails that came back: each is kept once, and ends what it makes pointless. */

import { type Selectable, sql } from 'kysely';
import type { z } from 'zod';
import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import type { ReplyTable } from '../../db/tables.ts';
import { ServiceError } from '../../errors.ts';
import { type Cursors, idPosition } from '../../http/cursors.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { Suppression } from '../suppression/suppression.ts';
import { type AnsweredMail, endByBounce, endByReply, findAnswered } from './consequences.ts';
import { type InboundMail, readInboundMail } from './inbound-mail.ts';
import { type listRepliesQuery, type Reply, reply } from './schema.ts';

export interface RepliesNeeds {
  database: Database;
  cursors: Cursors;
  suppression: Pick<Suppression, 'addWithin'>;
  newId(): string;
  now(): number;
}

export type Replies = ReturnType<typeof createReplies>;

export function createReplies({ database, cursors, suppression, newId, now }: RepliesNeeds) {
  /** What follows for leads and addresses; an automatic answer and a mail that may still arrive change nothing. */
  async function carryOut(
    tx: WorkspaceTransaction,
    caller: Caller,
    mail: InboundMail,
    { replyId, answered, at }: { replyId: string; answered: AnsweredMail; at: Date },
  ): Promise<void> {
    if (mail.kind === 'reply') {
      await endByReply(tx, answered, at);
    } else if (mail.bounce?.type === 'hard') {
      await suppression.addWithin(tx, caller, {
        email: answered.address,
        reason: `A mail came back as undeliverable (${mail.bounce.status})`,
        source: 'bounce',
      });
      await endByBounce(tx, caller.workspaceId, answered, at);
    } else return;
    // The lead may be gone with its campaign.
    await sql`
      insert into campaign_lead_events (id, workspace_id, campaign_id, campaign_lead_id, event_type, step, variant_label, metadata, occurred_at)
      select ${newId()}::uuid, workspace_id, campaign_id, id, ${mail.kind === 'reply' ? 'replied' : 'bounced'}, ${answered.step}::int,
             ${answered.variant_label}, ${JSON.stringify({ reply_id: replyId })}::jsonb, ${at}::timestamptz
        from campaign_leads where id = ${answered.campaign_lead_id}::uuid`.execute(tx);
  }

  return {
    /**
     * Keeps one raw mail (RFC 5322) and what follows from it, in one transaction. A mail that comes again, by its
     * Message-ID, changes nothing: `again` says so, and the reply is the one that is there. Throws `INVALID_MAIL`.
     */
    async receive(caller: Caller, raw: Buffer): Promise<{ reply: Reply; again: boolean }> {
      const mail = await readInboundMail(raw);
      const at = new Date(now());
      return database.within(caller.workspaceId, async (tx) => {
        const answered = await findAnswered(tx, mail);
        const made = await tx
          .insertInto('replies')
          .values({
            id: newId(),
            workspace_id: caller.workspaceId,
            kind: mail.kind,
            from_email: mail.fromEmail,
            from_name: mail.fromName,
            subject: mail.subject,
            text: mail.text,
            attachments: mail.attachments,
            message_id: mail.messageId,
            outbox_id: answered?.id ?? null,
            campaign_id: answered?.campaign_id ?? null,
            campaign_lead_id: answered?.campaign_lead_id ?? null,
            lead_id: answered?.lead_id ?? null,
            bounce_type: mail.bounce?.type ?? null,
            bounce_status: mail.bounce?.status ?? null,
            bounce_recipient: mail.bounce?.recipients[0] ?? null,
            received_at: at,
          })
          .onConflict((conflict) => conflict.columns(['workspace_id', 'message_id']).doNothing())
          .returningAll()
          .executeTakeFirst();
        if (made === undefined) {
          const there = await tx
            .selectFrom('replies')
            .selectAll()
            .where('message_id', '=', mail.messageId)
            .executeTakeFirstOrThrow();
          return { reply: toReply(there), again: true };
        }
        if (answered !== null) await carryOut(tx, caller, mail, { replyId: made.id, answered, at });
        return { reply: toReply(made), again: false };
      });
    },

    /** Lists the workspace's replies, newest first; all that is given must hold. */
    list(caller: Caller, query: z.output<typeof listRepliesQuery>) {
      return database.within(caller.workspaceId, async (tx) => {
        let all = tx.selectFrom('replies');
        if (query.campaign_id !== undefined) all = all.where('campaign_id', '=', query.campaign_id);
        if (query.kind !== undefined) all = all.where('kind', '=', query.kind);
        if (query.since !== undefined) all = all.where('received_at', '>=', new Date(query.since));
        const words = query.q?.trim() ?? '';
        if (words !== '') {
          const pattern = `%${words.replaceAll(/[\\%_]/g, '\\$&')}%`;
          all = all.where((row) =>
            row.or(
              (['from_email', 'from_name', 'subject', 'text'] as const).map((column) =>
                row(column, 'ilike', pattern),
              ),
            ),
          );
        }
        const { total } = await all
          .select((row) => row.fn.countAll<string>().as('total'))
          .executeTakeFirstOrThrow();
        let page = all.selectAll().orderBy('id', 'desc');
        if (query.cursor !== undefined)
          page = page.where('id', '<', cursors.decode(query.cursor, idPosition)[0]);
        const found = await page.limit(query.limit + 1).execute();
        const items = found.slice(0, query.limit).map(toReply);
        const last = items.at(-1);
        const more = found.length > query.limit && last !== undefined;
        return {
          replies: items,
          items,
          total: Number(total),
          next_cursor: more ? cursors.encode([last.reply_id]) : null,
          has_more: more,
        };
      });
    },

    /** Reads one reply; throws `NOT_FOUND`. */
    get(caller: Caller, replyId: string): Promise<Reply> {
      return database.within(caller.workspaceId, async (tx) => {
        const row = await tx.selectFrom('replies').selectAll().where('id', '=', replyId).executeTakeFirst();
        if (row === undefined) throw new ServiceError('NOT_FOUND', 'There is no such reply.');
        return toReply(row);
      });
    },
  };
}

function toReply(row: Selectable<ReplyTable>): Reply {
  const { bounce_type: type, bounce_status: status, bounce_recipient: recipient } = row;
  return {
    reply_id: row.id,
    kind: reply.shape.kind.parse(row.kind),
    from_email: row.from_email,
    from_name: row.from_name,
    subject: row.subject,
    text: row.text,
    attachments: row.attachments,
    message_id: row.message_id,
    outbox_id: row.outbox_id,
    campaign_id: row.campaign_id,
    campaign_lead_id: row.campaign_lead_id,
    lead_id: row.lead_id,
    bounce: type === null ? null : reply.shape.bounce.parse({ type, status, recipient }),
    received_at: row.received_at.toISOString(),
  };
}
