/** Everybody whom a card is about, and for whom it was asked: told to those who may decide it. */

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Mailing, openMailing } from '../../support/mailing.ts';
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
  asked_for: unknown;
  warnings: { code: string }[];
}

const FILE = [
  'email,first_name,last_name,company',
  'ines@a.example,Ines,Keller,Solaris',
  'lea@b.example,Lea,,',
  'no@c.example,Noa,,',
].join('\n');

/** A launch of three leads that waits: two are written to. */
async function waitingLaunch(
  user: string,
  workspaceId: string,
): Promise<{ person: Person; card: Card; path: string }> {
  const person = await createPerson(service.url, { user, workspaceId });
  await person.get('/api/v1/auth/me');
  await stage.addSender({
    data: { from_name: 'Alex', from_email: 'alex@overture.example', postal_address: '1 Long Road, Oslo' },
    userId: user,
    workspaceId,
  });
  await person.post('/api/v1/suppression/', { email: 'no@c.example' });
  const form = new FormData();
  form.append('file', new Blob([FILE]), 'people.csv');
  const { dataset_id } = await person.post('/api/v1/datasets/import', form);
  const text = { subject: 'Maps', body: 'Hello. To unsubscribe: {{unsubscribe_link}}' };
  const { campaign_id } = await person.post('/api/v1/campaigns/', {
    name: 'Maps',
    dataset_id,
    steps: [{ step: 1, delay_days: 0, variants: [{ label: 'A', weight: 100, type: 'TEMPLATE', ...text }] }],
  });
  const words = `launch ${user}`;
  stage.talk.plan(words, [{ toolCalls: [{ name: 'launch_campaign', args: { campaign_id } }] }, 'Done.']);
  const { approvals } = await person.post('/api/v1/agent/chat', { message: words });
  const [card] = approvals as Card[];
  if (card === undefined) throw new Error('no card');
  return {
    person,
    card,
    path: `/api/v1/agent/conversations/${card.thread_id}/approvals/${card.approval_id}`,
  };
}

describe('a card of a launch', () => {
  it('lists everybody, those who are written to first, and whom it leaves out and why', async () => {
    const { person, card, path } = await waitingLaunch('ada', randomUUID());
    expect(card.asked_for).toEqual({ user_id: 'ada', email: 'ada@example.com', kind: 'person' });
    expect(card.warnings.map(({ code }) => code)).toContain('NOT_SIGNED');
    expect(await person.get(`${path}/recipients`)).toEqual({
      args_hash: card.args_hash,
      recipients: [
        { email: 'ines@a.example', name: 'Ines Keller', company: 'Solaris', left_out: null },
        { email: 'lea@b.example', name: 'Lea', company: null, left_out: null },
        { email: 'no@c.example', name: null, company: null, left_out: 'on the do-not-contact list' },
      ],
    });
    await person.post('/api/v1/suppression/', { email: 'lea@b.example' });
    const { args_hash } = await person.get(`${path}/recipients`);
    expect(args_hash).not.toBe(card.args_hash);
  });

  it('lists them to others of the workspace who may decide, to nobody else, and only while it waits', async () => {
    const workspaceId = randomUUID();
    const { person, card, path } = await waitingLaunch('bea', workspaceId);
    const colleague = await createPerson(service.url, { user: 'cleo', workspaceId });
    expect(await colleague.get(`${path}/recipients`)).toMatchObject({ args_hash: card.args_hash });
    const made = await person.post('/api/v1/api-keys', { name: 'reader', scopes: ['read'] });
    const reader = personOf(service.url, String(made.key));
    expect((await reader.ask('GET', `${path}/recipients`)).status).toBe(403);
    const stranger = await createPerson(service.url, { user: 'dora' });
    expect((await stranger.ask('GET', `${path}/recipients`)).status).toBe(404);
    await person.post(`${path}/decision`, { decision: 'reject', args_hash: card.args_hash });
    expect(await person.ask('GET', `${path}/recipients`)).toMatchObject({
      status: 409,
      json: { detail: 'ALREADY_DECIDED' },
    });
  });
});
