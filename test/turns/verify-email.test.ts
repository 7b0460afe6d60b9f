/** verify_email as the agent calls it: what passes, what a person is asked, what it costs, and what mails have taught. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JournalEvent } from '../../src/client/events.ts';
import { DEV_WORKSPACE } from '../../src/http/caller.ts';
import { type DnsServer, startDnsServer } from '../support/dns-server.ts';
import { cardOf, decide, endOf, type Mailing, openMailing, say, sendEmail } from '../support/mailing.ts';
import { createLocalPerson } from '../support/people.ts';
import { handIn, humanReply, postfixBounce } from '../support/raw-mails.ts';
import { type ServiceHere, uniqueName } from '../support/service.ts';

let dns: DnsServer;
let mailing: Mailing;
let service: ServiceHere;

beforeAll(async () => {
  dns = await startDnsServer();
  mailing = await openMailing();
  service = await mailing.start({ createResolver: () => dns.createResolver() });
  await mailing.addSender({
    data: { from_name: 'Alex', from_email: 'alex@us.example', postal_address: 'Us, 1 Road' },
  });
  dns.set('acme.example', { mx: [[10, 'mx.acme.example']] });
  dns.set('broken.example', 'servfail');
});
afterAll(async () => {
  await mailing.close();
  await dns.close();
});
beforeEach(async () => {
  dns.asked.length = 0;
  await mailing.database.query('delete from credit_transactions where workspace_id = $1', [DEV_WORKSPACE]);
  await mailing.database.query(
    'update credit_accounts set balance = 100, reserved = 0, used = 0 where workspace_id = $1',
    [DEV_WORKSPACE],
  );
});

async function account() {
  const [row] = await mailing.database.query(
    `select balance, reserved, used,
            (select coalesce(sum(amount), 0)::int from credit_transactions where workspace_id = $1) as moved
       from credit_accounts where workspace_id = $1`,
    [DEV_WORKSPACE],
  );
  return row;
}

const verifyEmail = (email: string) => ({ name: 'verify_email', args: { email } });

function toolEnd(events: readonly JournalEvent[]) {
  const end = events.findLast((event) => event.type === 'tool-end');
  return end?.type === 'tool-end' ? end.data : undefined;
}

async function ask(...emails: string[]) {
  const words = uniqueName('verify');
  mailing.talk.plan(words, [{ toolCalls: emails.map(verifyEmail) }, 'Done.']);
  return say(service.client, words);
}

describe('verify_email', () => {
  it('is carried out at once for one credit, and for nothing the second time', async () => {
    const { events } = await ask('Maria@acme.example');
    expect(toolEnd(events)).toMatchObject({
      status: 'ok',
      result: {
        email: 'maria@acme.example',
        result: 'valid',
        mailbox: 'unconfirmed',
        error: null,
        cached: false,
        credits: 1,
      },
    });
    expect(await account()).toEqual({ balance: 99, reserved: 0, used: 1, moved: -1 });
    expect(events.findLast((event) => event.type === 'run-end')?.data).toMatchObject({
      usage: { credits: 1 },
    });
    const again = await ask('maria@acme.example');
    expect(toolEnd(again.events)).toMatchObject({ status: 'ok', result: { cached: true, credits: 0 } });
    expect(await account()).toEqual({ balance: 99, reserved: 0, used: 1, moved: -1 });
    expect(dns.asked).toEqual(['MX acme.example']);
  });

  it('gives back what was set aside where nothing could be found out', async () => {
    const { events } = await ask('maria@broken.example');
    expect(toolEnd(events)).toMatchObject({
      status: 'ok',
      result: { result: 'unknown', credits: 0, error: expect.stringContaining('Nothing was charged') },
    });
    expect(await account()).toEqual({ balance: 100, reserved: 0, used: 0, moved: 0 });
  });

  it('is charged once for two calls of the same address at the same time', async () => {
    const { events } = await ask('twice@acme.example', 'twice@acme.example');
    const ends = events.flatMap((event) => (event.type === 'tool-end' ? [event.data.result] : []));
    expect(ends.map((result) => (result as { credits: number }).credits).sort()).toEqual([0, 1]);
    expect(await account()).toEqual({ balance: 99, reserved: 0, used: 1, moved: -1 });
  });

  it('asks above what the workspace lets pass', async () => {
    const { threadId, events } = await ask(...'abcdefghijk'.split('').map((one) => `${one}@acme.example`));
    expect(endOf(events)).toBe('awaiting_approval');
    expect(await cardOf(service.client, threadId)).toMatchObject({
      tool: 'verify_email',
      title: expect.stringMatching(/^Verify the address [a-k]@acme\.example$/),
      reason: 'It may cost 11 credits; up to 10 a turn pass without asking.',
    });
    await service.client.cancel(threadId);
  });

  it('asks before it asks the DNS where strangers’ words are in the conversation', async () => {
    await mailing.addLead('stranger@acme.example');
    const words = uniqueName('tainted');
    mailing.talk.plan(words, [
      { toolCalls: [{ name: 'search_leads', args: {} }] },
      { toolCalls: [verifyEmail('secrets@told.example')] },
      'Done.',
    ]);
    dns.set('told.example', { mx: [[0, '.']] });
    const { threadId } = await say(service.client, words);
    const card = await cardOf(service.client, threadId);
    expect(card).toMatchObject({
      tool: 'verify_email',
      facts: [
        { label: 'Address', value: 'secrets@told.example' },
        { label: 'Price', value: 'at most 1 credit' },
      ],
    });
    expect(dns.asked).toEqual([]);
    expect(await account()).toMatchObject({ balance: 100, reserved: 0 });
    expect(toolEnd(await decide(service.client, card, 'approve'))).toMatchObject({
      status: 'ok',
      result: { result: 'invalid', reasons: [{ code: 'NULL_MX' }], credits: 1 },
    });
    expect(dns.asked).toEqual(['MX told.example']);
  });

  it('says what is missing where there are no credits, and asks nobody', async () => {
    await mailing.database.query('update credit_accounts set balance = 0 where workspace_id = $1', [
      DEV_WORKSPACE,
    ]);
    const { events } = await ask('poor@acme.example');
    expect(toolEnd(events)).toMatchObject({ status: 'error', error: { code: 'NOT_ENOUGH_CREDITS' } });
    expect(dns.asked).toEqual([]);
  });
});

describe('what mails have taught', () => {
  /** Sends a mail to a new lead of this address; answers its Message-ID, and what the call came to. */
  async function write(address: string) {
    const leadId = await mailing.addLead(address);
    const words = uniqueName('write');
    mailing.talk.plan(words, [{ toolCalls: [sendEmail(leadId)] }, 'Done.']);
    const { threadId } = await say(service.client, words);
    const end = toolEnd(await decide(service.client, await cardOf(service.client, threadId), 'approve'));
    const [row] = await mailing.database.query<{ message_id: string }>(
      'select message_id from outbox where to_address = $1 order by created_at desc limit 1',
      [address],
    );
    return { messageId: row?.message_id ?? '', end };
  }

  const verified = async (email: string) =>
    createLocalPerson(service.url).post('/api/v1/email-finder/verify', { email });
  const comesBack = async (raw: string) =>
    expect(await handIn(service.url, raw, { 'x-overture-client': 'test' })).toMatchObject({ status: 201 });
  const newAddress = () => `${uniqueName('somebody')}@acme.example`;

  it('a mailbox that a mail server has refused is invalid, for free', async () => {
    const address = newAddress();
    mailing.smtp.refuseRecipient(address, '550 5.1.1 There is no such mailbox');
    expect((await write(address)).end).toMatchObject({ status: 'error', error: { code: 'MAIL_REFUSED' } });
    expect(await verified(address)).toMatchObject({
      cached: true,
      credits_charged: 0,
      result: { result: 'invalid', mailbox: 'refused', reasons: [{ code: 'MAILBOX_REFUSED' }] },
    });
  });

  it('an address that answers is valid, for free; a mail that only names another one is no answer of it', async () => {
    const [address, other] = [newAddress(), newAddress()];
    const { messageId } = await write(address);
    const { messageId: toOther } = await write(other);
    await comesBack(humanReply(messageId, { from: `Maria <${address.toUpperCase()}>` }));
    await comesBack(humanReply(toOther, { from: 'A colleague <colleague@acme.example>' }));
    expect(await verified(address)).toMatchObject({
      cached: true,
      credits_charged: 0,
      result: { result: 'valid', mailbox: 'confirmed', reasons: [{ code: 'ANSWERED' }] },
    });
    expect(await verified(other)).toMatchObject({ result: { result: 'valid', mailbox: 'unconfirmed' } });
  });

  it.each([
    ['5.1.1', 'failed', { cached: true, result: { result: 'invalid', mailbox: 'refused' } }],
    ['5.4.1', 'failed', { cached: false, result: { result: 'risky', mailbox: 'unconfirmed' } }],
    ['5.7.1', 'failed', { cached: false, result: { result: 'valid', mailbox: 'unconfirmed' } }],
    ['4.4.1', 'delayed', { cached: false, result: { result: 'valid', mailbox: 'unconfirmed' } }],
  ])(
    'a report of a mail that did not arrive (%s, %s) counts as what it says',
    async (status, action, expected) => {
      const address = newAddress();
      const { messageId } = await write(address);
      await comesBack(postfixBounce({ to: address, messageId, status, action }));
      expect(await verified(address)).toMatchObject(expected);
    },
  );

  it('the last word counts', async () => {
    const address = newAddress();
    const { messageId } = await write(address);
    await comesBack(humanReply(messageId, { from: address }));
    await comesBack(postfixBounce({ to: address, messageId, status: '5.1.1' }));
    expect(await verified(address)).toMatchObject({ result: { result: 'invalid' } });
    await comesBack(humanReply(messageId, { from: address }));
    // A hard bounce has put it on the do-not-contact list, and an answer does not take it off again.
    expect(await verified(address)).toMatchObject({
      result: {
        result: 'risky',
        mailbox: 'confirmed',
        reasons: [{ code: 'SUPPRESSED' }, { code: 'ANSWERED' }],
      },
    });
  });
});
