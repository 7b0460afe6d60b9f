/** A mail of a card, sent by a person to themselves: what leaves, to whom, and that it counts as nothing else. */

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { insertLead, type Mailing, openMailing, sendEmail } from '../../support/mailing.ts';
import { createPerson, JWT_ENVIRONMENT, type Person, personOf } from '../../support/people.ts';
import type { ServiceHere } from '../../support/service.ts';

let stage: Mailing;
let service: ServiceHere;
beforeAll(async () => {
  stage = await openMailing({ ...JWT_ENVIRONMENT, PUBLIC_URL: 'https://overture.example' });
  service = await stage.start();
});
afterAll(() => stage.close());

interface Card {
  thread_id: string;
  approval_id: string;
  args_hash: string;
  args: Record<string, unknown>;
  preview: { from: string; to: string; subject: string; body: string }[];
}

interface Desk {
  person: Person;
  user: string;
  address: string;
  workspaceId: string;
  leadId: string;
  card: Card;
  path: string;
}

let desks = 0;

/** Somebody in a workspace of their own, before a card that waits for one mail. */
async function openDesk({ lead = 'maureen@acme.example' } = {}): Promise<Desk> {
  desks += 1;
  const user = `tester${desks}`;
  const workspaceId = randomUUID();
  const person = await createPerson(service.url, { user, workspaceId });
  await person.get('/api/v1/auth/me');
  await stage.addSender({
    data: { from_name: 'Alex', from_email: 'alex@overture.example', postal_address: '1 Long Road, Oslo' },
    userId: user,
    workspaceId,
  });
  const leadId = await insertLead(stage.database, lead, { workspaceId });
  const words = `write ${user}`;
  stage.talk.plan(words, [{ toolCalls: [sendEmail(leadId)] }, 'Done.']);
  const card = await ask(person, words);
  return { person, user, address: `${user}@example.com`, workspaceId, leadId, card, path: pathOf(card) };
}

async function ask(person: Person, message: string): Promise<Card> {
  const answer = await person.post('/api/v1/agent/chat', { message });
  const [card] = answer.approvals as Card[];
  if (card === undefined) throw new Error(`no card: ${JSON.stringify(answer)}`);
  return card;
}

function pathOf({ thread_id, approval_id }: Card): string {
  return `/api/v1/agent/conversations/${thread_id}/approvals/${approval_id}`;
}

const test = ({ person, path, card }: Desk, body: Record<string, unknown> = {}, key?: string) =>
  person.ask('POST', `${path}/test-mail`, {
    body: { args_hash: card.args_hash, ...body },
    headers: key === undefined ? {} : { 'idempotency-key': key },
  });

describe('a test of a mail', () => {
  it('leaves as the card shows it, marked, for the address of whoever asks, and the card still waits', async () => {
    const desk = await openDesk();
    const answer = await test(desk);
    expect(answer).toMatchObject({
      status: 200,
      json: { to: desk.address, status: 'sent', test: true, sandbox: false, lead_id: null, turn_id: null },
    });
    const [shown] = desk.card.preview;
    const [mail, ...others] = stage.smtp.takenFor(desk.address);
    expect(others).toEqual([]);
    expect(mail).toMatchObject({ from: 'alex@overture.example', subject: `[Test] ${shown?.subject}` });
    expect(mail?.text).toBe(shown?.body);
    expect(mail?.raw).not.toMatch(/List-Unsubscribe|overture\.example\/u/i);
    expect(mail?.messageId).toMatch(/^<test-/);
    expect(stage.smtp.takenFor('maureen@acme.example')).toEqual([]);
    expect(
      await desk.person.get(`/api/v1/agent/conversations/${desk.card.thread_id}/interrupt`),
    ).toMatchObject({
      pending: true,
      interrupt: { approval_id: desk.card.approval_id, args_hash: desk.card.args_hash },
    });
    const { mails } = await desk.person.get('/api/v1/outbox');
    expect(mails).toMatchObject([{ test: true, to: desk.address, status: 'sent' }]);
    expect(
      await stage.database.query(
        `select 1 from effects where turn_id in (select turn_id from approvals where id = $1)`,
        [desk.card.approval_id],
      ),
    ).toEqual([]);
    expect(await desk.person.get('/api/v1/credits/balance')).toMatchObject({ used_credits: 0 });
  });

  it('is of the edit whose preview was computed, and of no other', async () => {
    const desk = await openDesk();
    const args = { ...desk.card.args, subject: 'Other words' };
    expect(await test(desk, { args })).toMatchObject({ status: 409, json: { detail: 'APPROVAL_CHANGED' } });
    const preview = await desk.person.post(`${desk.path}/preview`, { args });
    expect(await test(desk, { args, args_hash: preview.args_hash })).toMatchObject({ status: 200 });
    expect(await test(desk, { args_hash: preview.args_hash })).toMatchObject({
      status: 409,
      json: { detail: 'APPROVAL_CHANGED' },
    });
    expect(stage.smtp.takenFor(desk.address).map((mail) => mail.subject)).toEqual(['[Test] Other words']);
    const said = await desk.person.ask('POST', `${desk.path}/test-mail`, {
      body: { args_hash: desk.card.args_hash, to: 'stranger@elsewhere.example' },
    });
    expect(said.status).toBe(422);
    expect(await test(desk, { preview_index: 7 })).toMatchObject({
      status: 422,
      json: { detail: 'VALIDATION_ERROR' },
    });
  });

  it('is sent once under a key, however often it is asked', async () => {
    const desk = await openDesk();
    const together = await Promise.all([1, 2, 3].map(() => test(desk, {}, 'once')));
    expect(together.filter((one) => one.status === 200).length).toBeGreaterThan(0);
    expect(together.every((one) => one.status === 200 || one.json?.detail === 'IDEMPOTENCY_IN_FLIGHT')).toBe(
      true,
    );
    expect(await test(desk, {}, 'once')).toMatchObject({ status: 200, json: { status: 'sent' } });
    expect(stage.smtp.takenFor(desk.address)).toHaveLength(1);
  });

  it('goes five times a minute to one address', async () => {
    const desk = await openDesk();
    const answers = await Promise.all(Array.from({ length: 8 }, () => test(desk)));
    const refused = answers.filter((one) => one.status !== 200);
    expect(refused).toHaveLength(3);
    expect(refused[0]).toMatchObject({
      status: 429,
      json: { detail: 'RATE_LIMITED', limit: 'test_mails_per_minute' },
    });
    expect(refused[0]?.headers.get('retry-after')).toBe('60');
    expect(stage.smtp.takenFor(desk.address)).toHaveLength(5);
  });

  it('is refused once the card is decided or has expired', async () => {
    const desk = await openDesk();
    await stage.database.query(
      `update approvals set expires_at = now() - interval '1 second' where id = $1`,
      [desk.card.approval_id],
    );
    expect(await test(desk)).toMatchObject({ status: 410, json: { detail: 'APPROVAL_EXPIRED' } });
    const other = await openDesk();
    await other.person.post(`${other.path}/decision`, {
      decision: 'reject',
      args_hash: other.card.args_hash,
    });
    expect(await test(other)).toMatchObject({ status: 409, json: { detail: 'ALREADY_DECIDED' } });
    expect(stage.smtp.takenFor(desk.address)).toEqual([]);
    expect(stage.smtp.takenFor(other.address)).toEqual([]);
  });

  it('is for who may decide and has an address; never for one on the do-not-contact list', async () => {
    const desk = await openDesk();
    const keyOf = async (scopes?: string[]) => {
      const made = await desk.person.post('/api/v1/api-keys', {
        name: randomUUID(),
        ...(scopes && { scopes }),
      });
      return personOf(service.url, String(made.key));
    };
    expect(await test({ ...desk, person: await keyOf(['read', 'agent:chat']) })).toMatchObject({
      status: 403,
    });
    expect(await test({ ...desk, person: await keyOf() })).toMatchObject({
      status: 422,
      json: { detail: 'RECIPIENT_INVALID', message: expect.stringContaining('claim "email"') },
    });
    await desk.person.post('/api/v1/suppression/', { email: desk.address.toUpperCase() });
    expect(await test(desk)).toMatchObject({ status: 422, json: { detail: 'RECIPIENT_SUPPRESSED' } });
    expect(stage.smtp.takenFor(desk.address)).toEqual([]);
  });

  it('says what the mail server said; what may have left is unknown and stays so', async () => {
    const desk = await openDesk();
    stage.smtp.treat((mail) => (mail.subject.startsWith('[Test]') ? 'refuse' : 'take'));
    expect(await test(desk)).toMatchObject({ status: 502, json: { detail: 'MAIL_REFUSED' } });
    stage.smtp.treat((mail) => (mail.subject.startsWith('[Test]') ? 'drop' : 'take'));
    expect(await test(desk, {}, 'dropped')).toMatchObject({
      status: 200,
      json: { status: 'unknown', error: { code: 'EFFECT_UNKNOWN' } },
    });
    stage.smtp.treat(() => 'take');
    expect(await test(desk, {}, 'dropped')).toMatchObject({ status: 200, json: { status: 'unknown' } });
    expect(stage.smtp.takenFor(desk.address)).toHaveLength(1);
    const { mails } = await desk.person.get('/api/v1/outbox');
    expect((mails as { status: string }[]).map((mail) => mail.status)).toEqual(['unknown', 'failed']);
  });

  it('counts as no mail to anybody: a lead with the address of the tester is written to as before', async () => {
    const desk = await openDesk({ lead: `tester${desks + 1}@example.com` });
    expect(await test(desk)).toMatchObject({ status: 200, json: { status: 'sent' } });
    const [dataset] = await stage.database.query<{ id: string }>(
      'select dataset_id as id from leads where id = $1',
      [desk.leadId],
    );
    const text = { subject: 'Maps', body: 'Hello. To unsubscribe: {{unsubscribe_link}}' };
    const campaign = await desk.person.post('/api/v1/campaigns/', {
      name: 'Maps',
      dataset_id: dataset?.id,
      steps: [{ step: 1, delay_days: 0, variants: [{ label: 'A', weight: 100, type: 'TEMPLATE', ...text }] }],
    });
    const preflight = `/api/v1/campaigns/${campaign.campaign_id}/launch-preflight`;
    expect(await desk.person.post(preflight)).toMatchObject({
      left_out: {},
      summary: { launchable_rows: 1 },
    });
    await desk.person.post(`${desk.path}/decision`, { decision: 'approve', args_hash: desk.card.args_hash });
    const mails = async () => stage.smtp.takenFor(desk.address).map((mail) => mail.subject);
    await expect.poll(mails, { timeout: 30_000 }).toEqual(['[Test] Maps for Acme', 'Maps for Acme']);
  });
});
