import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import type { Approval } from '../../src/client/events.ts';
import {
  cardOf,
  cardsOf,
  collect,
  decide,
  endOf,
  lastAnswer,
  type Mailing,
  openMailing,
  refusal,
  say,
  sendEmail,
  toldSoFar,
} from '../support/mailing.ts';
import type { ServiceHere } from '../support/service.ts';

let mailing: Mailing;
let service: ServiceHere;
beforeAll(async () => {
  mailing = await openMailing();
  service = await mailing.start();
});
afterAll(() => mailing.close());

/** Three calls in one answer: two sends and a read. Answers the cards of the sends. */
async function begin(words: string) {
  const [one, two] = [`one-${words}@acme.example`, `two-${words}@acme.example`];
  const [first, second] = [await mailing.addLead(one), await mailing.addLead(two)];
  mailing.talk.plan(words, [
    {
      text: 'I will write to both. ',
      toolCalls: [
        sendEmail(first),
        sendEmail(second, { subject: 'Second' }),
        { name: 'search_leads', args: { query: 'Acme' } },
      ],
    },
    'That is how it went.',
  ]);
  const turn = await say(service.client, words);
  const cards = (await cardsOf(service.client, turn.threadId)) as [Approval, Approval];
  return { ...turn, one, two, cards };
}

describe('several calls of which some need a person', () => {
  it('carries the read out at once, and each send when it is decided', async () => {
    const { client } = service;
    const { threadId, events, one, two, cards } = await begin('apart');
    expect(endOf(events)).toBe('awaiting_approval');
    expect(
      events.flatMap((event) => (/^(tool|approval)-(end|request)$/.test(event.type) ? event.type : [])),
    ).toEqual(['tool-end', 'approval-request', 'approval-request']);
    expect(cards.map((card) => card.preview[0]?.to)).toEqual([
      `Maureen Fuentes <${one}>`,
      `Maureen Fuentes <${two}>`,
    ]);
    expect(events.flatMap((event) => (event.type === 'approval-request' ? event.data.approval : []))).toEqual(
      cards.map(({ approval_id }) => expect.objectContaining({ approval_id })),
    );
    expect(mailing.smtp.taken).toEqual([]);
    expect(mailing.talk.requests('apart')).toHaveLength(1);

    expect(endOf(await decide(client, cards[0], 'approve'))).toBe('awaiting_approval');
    expect(mailing.smtp.takenFor(one)).toHaveLength(1);
    expect(mailing.smtp.takenFor(two)).toHaveLength(0);
    expect((await cardOf(client, threadId)).approval_id).toBe(cards[1].approval_id);
    const waiting = await client.conversation(threadId);
    expect(waiting).toMatchObject({ status: 'awaiting_approval', pending_approvals: 1 });
    expect(mailing.talk.requests('apart')).toHaveLength(1);

    const told = await decide(client, cards[1], 'reject', { reason: 'She asked us to wait.' });
    expect(endOf(told)).toBe('completed');
    expect(mailing.smtp.takenFor(one)).toHaveLength(1);
    expect(mailing.smtp.takenFor(two)).toHaveLength(0);
    expect(mailing.talk.requests('apart')).toHaveLength(2);
    const [sent, rejected, found] = mailing.talk.results('apart');
    expect(sent).toMatchObject({ name: 'send_email', content: expect.stringContaining('"status":"sent"') });
    expect(rejected).toMatchObject({
      name: 'send_email',
      content: expect.stringContaining('She asked us to wait.'),
    });
    expect(found).toMatchObject({ name: 'search_leads', content: expect.stringContaining(one) });
    const answer = await lastAnswer(client, threadId);
    expect(answer).toMatchObject({
      status: 'complete',
      content: 'I will write to both. \n\nThat is how it went.',
    });
    expect(
      answer.parts.map((part) => ('status' in part ? `${part.type} ${part.status}` : part.type)),
    ).toEqual(['text', 'tool ok', 'tool rejected', 'tool ok', 'approval', 'approval', 'text']);
  });

  it('delivers exactly the mail that the card showed', async () => {
    const { one, cards } = await begin('shown');
    await decide(service.client, cards[0], 'approve');
    const [shown] = cards[0].preview;
    expect(mailing.smtp.takenFor(one)).toEqual([
      expect.objectContaining({
        from: 'alex@overture.example',
        to: one,
        subject: shown?.subject,
        text: shown?.body,
      }),
    ]);
    expect(cards[0]).toMatchObject({
      tool: 'send_email',
      kind: 'proposal',
      status: 'pending',
      allowed_decisions: ['approve', 'edit', 'reject'],
      args_schema: { type: 'object' },
    });
    await decide(service.client, cards[1], 'reject');
  });

  it('takes several decisions in one request, all or none', async () => {
    const { client } = service;
    const { threadId, one, two, cards } = await begin('at-once');
    const named = cards.map(({ approval_id, args_hash }) => ({
      approval_id,
      args_hash,
      decision: 'approve' as const,
    }));
    const [first, second] = named as [(typeof named)[0], (typeof named)[0]];
    const wrong = { ...second, args_hash: 'f'.repeat(64) };
    expect(
      await refusal(client.send({ thread_id: threadId, resume: { decisions: [first, wrong] } })),
    ).toMatchObject({
      status: 409,
      code: 'APPROVAL_CHANGED',
    });
    expect(
      await refusal(client.send({ thread_id: threadId, resume: { decisions: [first, first] } })),
    ).toMatchObject({
      status: 409,
      code: 'AMBIGUOUS_DECISION',
    });
    expect(await cardsOf(client, threadId)).toHaveLength(2);
    const sent = await client.send({ thread_id: threadId, resume: { decisions: [first, second] } });
    expect(endOf(await collect(sent.events))).toBe('completed');
    expect(mailing.smtp.takenFor(one)).toHaveLength(1);
    expect(mailing.smtp.takenFor(two)).toHaveLength(1);
  });

  it('refuses a bare yes while several wait, and takes it when one does', async () => {
    const { client } = service;
    const { threadId, one, two, cards } = await begin('bare');
    const yes = () => client.send({ thread_id: threadId, resume: { confirmed: true } });
    const refused = await refusal(yes());
    expect(refused).toMatchObject({ status: 409, code: 'AMBIGUOUS_DECISION' });
    expect(refused.body).toMatchObject({ approvals: cards.map(({ approval_id }) => ({ approval_id })) });
    await decide(client, cards[0], 'reject');
    expect(endOf(await collect((await yes()).events))).toBe('completed');
    expect(mailing.smtp.takenFor(one)).toHaveLength(0);
    expect(mailing.smtp.takenFor(two)).toHaveLength(1);
    expect(await refusal(yes())).toMatchObject({ status: 409, code: 'ALREADY_DECIDED' });
  });

  it('records a decision that comes while a sibling is carried out, and goes on with it', async () => {
    const { client } = service;
    const { threadId, one, two, cards } = await begin('meanwhile');
    const held = Promise.withResolvers<'take'>();
    mailing.smtp.treat((delivery) => (delivery.to === one ? held.promise : 'take'));
    const { approval_id: firstId, args_hash: firstHash } = cards[0];
    await client.decide(threadId, firstId, { decision: 'approve', args_hash: firstHash });
    await mailing.smtp.arrival(one);
    const { approval_id: secondId, args_hash: secondHash } = cards[1];
    await client.decide(threadId, secondId, { decision: 'approve', args_hash: secondHash });
    expect((await client.conversation(threadId)).status).toBe('running');
    held.resolve('take');
    const told = await toldSoFar(client, threadId);
    mailing.smtp.treat(() => 'take');
    expect(endOf(told)).toBe('completed');
    expect(mailing.smtp.takenFor(one)).toHaveLength(1);
    expect(mailing.smtp.takenFor(two)).toHaveLength(1);
    // The stored message says of both that they were approved.
    const { parts } = await lastAnswer(client, threadId);
    expect(parts.flatMap((part) => (part.type === 'approval' ? part.approval.status : []))).toEqual([
      'approved',
      'approved',
    ]);
  });
});

describe('mail in the sandbox', () => {
  it('stays in the outbox without a mail server, and the answers say so', async () => {
    const sandbox = await mailing.start({ environment: { SMTP_URL: '' } });
    const lead = await mailing.addLead('kept@acme.example');
    mailing.talk.plan('keep it', [{ toolCalls: [sendEmail(lead)] }, 'Kept.']);
    const { threadId } = await say(sandbox.client, 'keep it');
    const card = await cardOf(sandbox.client, threadId);
    expect(card.facts).toContainEqual({ label: 'Sending', value: expect.stringContaining('sandbox') });
    expect(card.consequence).toContain('Nothing leaves');
    expect(endOf(await decide(sandbox.client, card, 'approve'))).toBe('completed');
    expect(mailing.talk.results('keep it')[0]?.content).toContain('"status":"sandbox"');
    expect(mailing.talk.results('keep it')[0]?.content).toContain('"sandbox":true');
    const { mails } = await sandbox.client.request<{ mails: { to: string; status: string }[] }>(
      'GET',
      '/api/v1/outbox',
    );
    expect(mails.find((mail) => mail.to === 'kept@acme.example')).toMatchObject({
      status: 'sandbox',
      sandbox: true,
    });
    expect(mailing.smtp.takenFor('kept@acme.example')).toEqual([]);
    await sandbox.close();
  });

  it('keeps the mail of a test key, whatever is configured', async () => {
    const key = await service.client.request<{ key: string }>('POST', '/api/v1/api-keys', {
      name: 'Try',
      sandbox: true,
    });
    expect(key.key).toMatch(/^bav_test_/);
    const tester = createClient({ baseUrl: service.url, token: key.key });
    const lead = await mailing.addLead('tested@acme.example');
    mailing.talk.plan('try it', [{ toolCalls: [sendEmail(lead)] }, 'Kept.']);
    const { threadId } = await say(tester, 'try it');
    const card = await cardOf(tester, threadId);
    expect(card.facts).toContainEqual({ label: 'Sending', value: expect.stringContaining('sandbox') });
    // Also where a person with a live session decides it.
    expect(endOf(await decide(service.client, card, 'approve'))).toBe('completed');
    expect(mailing.talk.results('try it')[0]?.content).toContain('"status":"sandbox"');
    expect(mailing.smtp.takenFor('tested@acme.example')).toEqual([]);
  });

  it('does not let a test key decide what would leave for real', async () => {
    const { key } = await service.client.request<{ key: string }>('POST', '/api/v1/api-keys', {
      name: 'No',
      sandbox: true,
    });
    const tester = createClient({ baseUrl: service.url, token: key });
    const { cards, one, two } = await begin('real');
    const { approval_id, args_hash, thread_id } = cards[0];
    expect(
      await refusal(tester.decide(thread_id, approval_id, { decision: 'approve', args_hash })),
    ).toMatchObject({ status: 403, code: 'FORBIDDEN' });
    expect(await cardsOf(service.client, thread_id)).toHaveLength(2);
    expect([...mailing.smtp.takenFor(one), ...mailing.smtp.takenFor(two)]).toEqual([]);
  });
});

describe('a recipient on the do-not-contact list', () => {
  const suppress = (email: string) => service.client.request('POST', '/api/v1/suppression', { email });

  it('is refused when the mail is proposed', async () => {
    const lead = await mailing.addLead('Never@acme.example');
    await suppress('never@acme.example');
    mailing.talk.plan('write to never', [{ toolCalls: [sendEmail(lead)] }, 'I must not.']);
    const { threadId, events } = await say(service.client, 'write to never');
    expect(endOf(events)).toBe('completed');
    expect(mailing.talk.results('write to never')[0]?.content).toContain('RECIPIENT_SUPPRESSED');
    expect(await cardsOf(service.client, threadId)).toEqual([]);
  });

  it('is refused again when the approved mail would leave', async () => {
    const lead = await mailing.addLead('later@acme.example');
    mailing.talk.plan('write to later', [{ toolCalls: [sendEmail(lead)] }, 'They do not want it.']);
    const { threadId } = await say(service.client, 'write to later');
    await suppress('later@acme.example');
    const told = await decide(service.client, await cardOf(service.client, threadId), 'approve');
    expect(endOf(told)).toBe('completed');
    expect(mailing.talk.results('write to later')[0]?.content).toContain('RECIPIENT_SUPPRESSED');
    expect(mailing.smtp.takenFor('later@acme.example')).toEqual([]);
  });
});
