import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { MailOutcome } from '../../../src/resources/outbox/mailer.ts';
import { createOutbox, type NewMail, type Outbox } from '../../../src/resources/outbox/outbox.ts';
import { createOutboxRoutes } from '../../../src/resources/outbox/routes.ts';
import type { OutboxMail } from '../../../src/resources/outbox/schema.ts';
import { createListOutboxTool } from '../../../src/tools/list-outbox.ts';
import { type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

let harness: HttpHarness;
let outbox: Outbox;
beforeAll(async () => {
  harness = await startHttpHarness({
    routes(needs) {
      outbox = createOutbox(needs);
      return createOutboxRoutes(outbox);
    },
  });
});
afterAll(() => harness.close());
beforeEach(() => harness.ownerQuery('delete from outbox'));

interface Page {
  mails: OutboxMail[];
  items: OutboxMail[];
  total: number;
  next_cursor: string | null;
  has_more: boolean;
}

const failure = { code: 'MAIL_REFUSED' as const, message: 'No.', retryable: false };
const unknown: MailOutcome = { state: 'unknown', error: { ...failure, code: 'EFFECT_UNKNOWN' } };

function newMail(changes: Partial<NewMail> = {}): NewMail {
  return {
    turnId: harness.newId(),
    toolCallId: 'call',
    leadId: null,
    senderProfileId: null,
    from: 'Jane <jane@example.com>',
    to: 'maureen@example.org',
    subject: 'Hi',
    body: 'Hello.',
    messageId: '<1@example.com>',
    sandbox: false,
    ...changes,
  };
}

function within<T>(work: Parameters<typeof harness.database.within<T>>[1]): Promise<T> {
  return harness.database.within(harness.caller.workspaceId, work);
}
const record = (mail: NewMail) => within((tx) => outbox.recordWithin(tx, harness.caller, mail));
const settle = (mail: NewMail, outcome: MailOutcome) =>
  within((tx) => outbox.settleWithin(tx, mail, outcome));

describe('the outbox', () => {
  it('tells of a mail before it is sent and how that ended', async () => {
    const mail = newMail();
    expect(await record(mail)).toMatchObject({
      status: 'sending',
      sandbox: false,
      sent_at: null,
      error: null,
    });
    expect(await settle(mail, { state: 'done', providerRef: '250 ok' })).toMatchObject({
      status: 'sent',
      sent_at: expect.any(String),
      error: null,
    });
    const failed = newMail();
    await record(failed);
    expect(await settle(failed, { state: 'failed', error: failure })).toMatchObject({
      status: 'failed',
      error: failure,
      sent_at: null,
    });
  });

  it('keeps one row a tool call, and gives a mail of unknown end another try', async () => {
    const mail = newMail();
    const first = await record(mail);
    await settle(mail, unknown);
    const again = await record({ ...mail, subject: 'Hi again' });
    expect(again).toMatchObject({
      outbox_id: first.outbox_id,
      status: 'sending',
      subject: 'Hi again',
      error: null,
    });
    await settle(mail, unknown);
    expect(await settle(mail, { state: 'done', providerRef: null })).toMatchObject({ status: 'sent' });
  });

  it('never takes back that a mail was sent, and never sends what was only kept', async () => {
    const sent = newMail();
    await record(sent);
    await settle(sent, { state: 'done', providerRef: '250 ok' });
    expect(await record({ ...sent, subject: 'Other' })).toMatchObject({ status: 'sent', subject: 'Hi' });
    expect(await settle(sent, unknown)).toMatchObject({ status: 'sent' });
    const kept = newMail({ sandbox: true });
    expect(await record(kept)).toMatchObject({ status: 'sandbox', sandbox: true });
    expect(await record({ ...kept, sandbox: false })).toMatchObject({ status: 'sandbox' });
    expect(await settle(kept, { state: 'done', providerRef: null })).toMatchObject({ status: 'sandbox' });
  });

  it('makes one row of twenty tries at the same moment', async () => {
    const mail = newMail();
    const rows = await Promise.all(Array.from({ length: 20 }, () => record(mail)));
    expect(new Set(rows.map((row) => row.outbox_id)).size).toBe(1);
  });

  it('counts other mails to an address in the last day, those that failed apart', async () => {
    const mine = newMail();
    await record(mine);
    const count = () => within((tx) => outbox.recentlyMailedWithin(tx, 'MAUREEN@example.org', mine));
    expect(await count()).toBe(0);
    const other = newMail({ to: 'Maureen@Example.org', sandbox: true });
    await record(other);
    expect(await count()).toBe(1);
    const failed = newMail();
    await record(failed);
    await settle(failed, { state: 'failed', error: failure });
    await record(newMail({ to: 'other@example.org' }));
    expect(await count()).toBe(1);
    await harness.ownerQuery("update outbox set created_at = now() - interval '25 hours'");
    expect(await count()).toBe(0);
  });

  it('lists newest first, page by page, without a gap or a double while mails arrive', async () => {
    for (let index = 0; index < 7; index += 1) await record(newMail({ subject: `Mail ${index}` }));
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? '' : `&cursor=${cursor}`;
      const { status, body } = await harness.ask<Page>('GET', `/api/v1/outbox?limit=3${query}`);
      expect(status).toBe(200);
      expect(body.items).toEqual(body.mails);
      expect(body.has_more).toBe(body.next_cursor !== null);
      seen.push(...body.items.map((mail) => mail.subject));
      await record(newMail({ subject: 'Later' }));
      cursor = body.next_cursor;
    } while (cursor !== null);
    expect(seen).toEqual([6, 5, 4, 3, 2, 1, 0].map((index) => `Mail ${index}`));
  });

  it('says of every mail in it whether it was only kept', async () => {
    await record(newMail({ sandbox: true }));
    const { body } = await harness.ask<Page>('GET', '/api/v1/outbox');
    expect(body).toMatchObject({ total: 1, has_more: false, next_cursor: null });
    expect(body.mails[0]).toMatchObject({
      from: 'Jane <jane@example.com>',
      to: 'maureen@example.org',
      subject: 'Hi',
      body: 'Hello.',
      status: 'sandbox',
      sandbox: true,
      message_id: '<1@example.com>',
    });
  });

  it('shows a workspace its own mails only', async () => {
    await record(newMail());
    const { body } = await harness.ask<Page>('GET', '/api/v1/outbox', { workspace: 'b' });
    expect(body).toMatchObject({ total: 0, items: [] });
  });

  it.each(['limit=201', 'limit=0', 'cursor=abc', `cursor=${Buffer.from('["x","y"]').toString('base64url')}`])(
    'refuses the query %s',
    async (query) => {
      expect((await harness.ask('GET', `/api/v1/outbox?${query}`)).status).toBe(422);
    },
  );
});

describe('the tool list_outbox', () => {
  it('lists the newest mails with their status', async () => {
    await record(newMail({ subject: 'One', sandbox: true }));
    await record(newMail({ subject: 'Two' }));
    const tool = createListOutboxTool({ outbox });
    if (tool.effect !== 'none') throw new Error('It must be a reading tool.');
    const context = {
      caller: harness.caller,
      turnId: harness.newId(),
      toolCallId: 'call',
      tainted: false,
      signal: new AbortController().signal,
      providerKey: 'key',
      progress: () => undefined,
      spent: () => undefined,
    };
    const args = tool.schema.parse({ limit: 1 });
    const mail = {
      outbox_id: expect.any(String),
      to: 'maureen@example.org',
      subject: 'Two',
      status: 'sending',
      created_at: expect.any(String),
      sent_at: null,
    };
    expect(await tool.run(context, args)).toEqual({ total: 2, mails: [mail] });
    expect(() => tool.schema.parse({ limit: 51 })).toThrow();
  });
});
