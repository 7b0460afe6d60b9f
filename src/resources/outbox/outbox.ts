/** Deeds of the outbox: one row a mail, recorded before it is sent and told afterwards how that ended. */

import { type Selectable, sql } from 'kysely';
import type { z } from 'zod';
import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import type { OutboxTable } from '../../db/tables.ts';
import { ServiceError } from '../../errors.ts';
import type { Cursors } from '../../http/cursors.ts';
import type { Caller } from '../../runtime/caller.ts';
import { behind, madeAt, pageOf } from '../newest-first.ts';
import { type MailOutcome, parseMailbox } from './mailer.ts';
import { type listOutboxQuery, type OutboxMail, outboxMail } from './schema.ts';

export interface OutboxNeeds {
  database: Database;
  cursors: Cursors;
  newId(): string;
}

export type Outbox = ReturnType<typeof createOutbox>;

/** The tool call that a mail belongs to: it has one mail, however often it is tried. */
export interface MailCall {
  turnId: string;
  toolCallId: string;
}

/** A mail as it is about to be sent. */
export interface NewMail extends MailCall {
  leadId: string | null;
  senderProfileId: string | null;
  /** The mailbox with its name, as people read it. */
  from: string;
  to: string;
  subject: string;
  body: string;
  messageId: string;
  /** Kept and never sent. */
  sandbox: boolean;
}

/** A mail that somebody sends to themselves to see it: it belongs to no call, no lead and no campaign. */
export interface NewTestMail extends Pick<NewMail, 'from' | 'to' | 'subject' | 'body' | 'sandbox'> {
  /** Seconds within which its end is heard of; after them it is unknown. */
  leaseSeconds: number;
}

export function createOutbox({ database, cursors, newId }: OutboxNeeds) {
  return {
    /** Lists the workspace's mails, newest first. */
    list(caller: Caller, query: z.output<typeof listOutboxQuery>) {
      return database.within(caller.workspaceId, async (tx) => {
        const { total } = await tx
          .selectFrom('outbox')
          .select((row) => row.fn.countAll<string>().as('total'))
          .executeTakeFirstOrThrow();
        let page = tx.selectFrom('outbox').selectAll().select(madeAt.as('made_at'));
        if (query.cursor !== undefined) page = page.where(behind(cursors, query.cursor));
        const found = await page
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
          .limit(query.limit + 1)
          .execute();
        const { rows, ...rest } = pageOf(cursors, found, query.limit);
        const items = rows.map(toMail);
        return { mails: items, items, total: Number(total), ...rest };
      });
    },

    /**
     * Records a mail before it is sent: status `sandbox`, or `sending`. The same call again (a person asked for another
     * try) gets its row back as `sending`, unless that mail was sent or kept already: then the row stands as it is.
     */
    async recordWithin(tx: WorkspaceTransaction, caller: Caller, mail: NewMail): Promise<OutboxMail> {
      const content = {
        lead_id: mail.leadId,
        sender_profile_id: mail.senderProfileId,
        from_address: mail.from,
        to_address: mail.to,
        subject: mail.subject,
        body: mail.body,
        message_id: mail.messageId,
        status: mail.sandbox ? 'sandbox' : 'sending',
      };
      const written = await tx
        .insertInto('outbox')
        .values({
          id: newId(),
          workspace_id: caller.workspaceId,
          turn_id: mail.turnId,
          tool_call_id: mail.toolCallId,
          ...content,
        })
        .onConflict((conflict) =>
          conflict
            .columns(['turn_id', 'tool_call_id'])
            .doUpdateSet({ ...content, error: null })
            .where('outbox.status', 'not in', ['sent', 'sandbox']),
        )
        .returningAll()
        .executeTakeFirst();
      return toMail(written ?? (await ofCall(tx, mail).selectAll().executeTakeFirstOrThrow()));
    },

    /** The call's mail as it was recorded, told as `sending` before another try; null where the call recorded none. */
    async beginWithin(tx: WorkspaceTransaction, call: MailCall): Promise<OutboxMail | null> {
      await tx
        .updateTable('outbox')
        .set({ status: 'sending', error: null })
        .where((row) => row.and({ turn_id: call.turnId, tool_call_id: call.toolCallId, status: 'unknown' }))
        .execute();
      const row = await ofCall(tx, call).selectAll().executeTakeFirst();
      return row === undefined ? null : toMail(row);
    },

    /** Records how sending ended, also when a person says so later; a mail that was sent or only kept stays as it is. */
    async settleWithin(tx: WorkspaceTransaction, call: MailCall, outcome: MailOutcome): Promise<OutboxMail> {
      const done = outcome.state === 'done';
      await tx
        .updateTable('outbox')
        .set({
          status: done ? 'sent' : outcome.state,
          error: done ? null : JSON.stringify(outcome.error),
          provider_ref: done ? outcome.providerRef : null,
          sent_at: done ? sql<Date>`now()` : null,
        })
        .where((row) => row.and({ turn_id: call.turnId, tool_call_id: call.toolCallId }))
        .where('status', 'not in', ['sent', 'sandbox'])
        .execute();
      return toMail(await ofCall(tx, call).selectAll().executeTakeFirstOrThrow());
    },

    /**
     * Records a test before it is sent: status `sandbox`, or `sending` until its lease runs out. Throws `RATE_LIMITED`
     * where the address got `TESTS_A_MINUTE` of the workspace's tests within a minute.
     */
    async recordTestWithin(tx: WorkspaceTransaction, caller: Caller, mail: NewTestMail): Promise<OutboxMail> {
      // Counted one after the other, whichever process they are asked in.
      await sql`select pg_advisory_xact_lock(hashtextextended(${`test mails ${caller.workspaceId} ${mail.to.toLowerCase()}`}, 0))`.execute(
        tx,
      );
      const { count } = await tx
        .selectFrom('outbox')
        .select((row) => row.fn.countAll<string>().as('count'))
        .where('created_at', '>', sql<Date>`now() - interval '1 minute'`)
        .where('address', '=', mail.to.toLowerCase())
        .where('test', '=', true)
        .executeTakeFirstOrThrow();
      if (Number(count) >= TESTS_A_MINUTE) {
        throw new ServiceError(
          'RATE_LIMITED',
          `Too many tests: ${TESTS_A_MINUTE} a minute go to one address. Try again in a minute.`,
          { headers: { 'retry-after': '60' }, facts: { limit: 'test_mails_per_minute' } },
        );
      }
      const id = newId();
      const row = await tx
        .insertInto('outbox')
        .values({
          id,
          workspace_id: caller.workspaceId,
          turn_id: null,
          tool_call_id: null,
          lead_id: null,
          sender_profile_id: null,
          from_address: mail.from,
          to_address: mail.to,
          subject: mail.subject,
          body: mail.body,
          test: true,
          message_id: testMessageId(id, parseMailbox(mail.from).address),
          status: mail.sandbox ? 'sandbox' : 'sending',
          lease_until: mail.sandbox
            ? null
            : sql<Date>`now() + make_interval(secs => ${mail.leaseSeconds}::int)`,
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      return toMail(row);
    },

    /** Records how a test ended, unless it was given up as unknown and nothing better is known. */
    async settleTestWithin(
      tx: WorkspaceTransaction,
      outboxId: string,
      outcome: MailOutcome,
    ): Promise<OutboxMail> {
      const done = outcome.state === 'done';
      const row = await tx
        .updateTable('outbox')
        .set({
          status: done ? 'sent' : outcome.state,
          error: done ? null : JSON.stringify(outcome.error),
          provider_ref: done ? outcome.providerRef : null,
          sent_at: done ? sql<Date>`now()` : null,
          lease_until: null,
        })
        .where('id', '=', outboxId)
        .where('status', 'in', ['sending', 'unknown'])
        .returningAll()
        .executeTakeFirstOrThrow();
      return toMail(row);
    },

    /** How many other mails to this address were sent, kept or may have left in the last 24 hours. */
    async recentlyMailedWithin(tx: WorkspaceTransaction, address: string, call: MailCall): Promise<number> {
      const { count } = await tx
        .selectFrom('outbox')
        .select((row) => row.fn.countAll<string>().as('count'))
        .where('created_at', '>', sql<Date>`now() - interval '24 hours'`)
        .where(sql`lower(to_address)`, '=', address.toLowerCase())
        .where('status', '!=', 'failed')
        .where('test', '=', false)
        .where((row) => row.not(row.and({ turn_id: call.turnId, tool_call_id: call.toolCallId })))
        .executeTakeFirstOrThrow();
      return Number(count);
    },
  };
}

function ofCall(tx: WorkspaceTransaction, { turnId, toolCallId }: MailCall) {
  return tx.selectFrom('outbox').where((row) => row.and({ turn_id: turnId, tool_call_id: toolCallId }));
}

/** Most tests that go to one address within a minute. */
export const TESTS_A_MINUTE = 5;

function testMessageId(id: string, fromAddress: string): string {
  return `<test-${id}@${fromAddress.slice(fromAddress.lastIndexOf('@') + 1)}>`;
}

function toMail(row: Selectable<OutboxTable>): OutboxMail {
  return {
    outbox_id: row.id,
    from: row.from_address,
    to: row.to_address,
    subject: row.subject,
    body: row.body,
    status: outboxMail.shape.status.parse(row.status),
    sandbox: row.status === 'sandbox',
    message_id: row.message_id,
    test: row.test,
    lead_id: row.lead_id,
    turn_id: row.turn_id,
    error: outboxMail.shape.error.parse(row.error),
    created_at: row.created_at.toISOString(),
    sent_at: row.sent_at?.toISOString() ?? null,
  };
}
