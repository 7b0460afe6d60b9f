import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createUnsubscribeLinks } from '../../../src/resources/unsubscribe/links.ts';
import {
  type CampaignStage,
  DAY,
  MINUTE,
  MONDAY,
  openCampaignStage,
  people,
  STEP,
  stepOf,
} from '../../support/campaign-stage.ts';

let stage: CampaignStage;
beforeAll(async () => {
  stage = await openCampaignStage();
});
afterAll(() => stage.close());

let link: string;
beforeEach(async () => {
  await stage.clear();
  await stage.addSender();
  const campaign = await stage.addCampaign({
    dataset_id: await stage.addDataset(people(2)),
    steps: [STEP, stepOf(2, 1)],
  });
  await stage.launches.launch(stage.caller, campaign.campaign_id);
  await stage.runUntil(MONDAY + 60 * MINUTE);
  const header = stage.mailer.sent[0]?.mail.headers['List-Unsubscribe'] ?? '';
  link = header.replace('<https://mail.example.com', stage.url).replace('>', '');
});

const suppressed = () =>
  stage.rows<{ email: string; source: string }>('select email, source from suppression_entries');
const oneClick = () =>
  fetch(link, {
    method: 'POST',
    body: 'List-Unsubscribe=One-Click',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    redirect: 'manual',
  });

describe('an unsubscribe link', () => {
  it('unsubscribes by one POST, without a caller and without a redirect', async () => {
    const response = await oneClick();
    expect(response.status).toBe(200);
    expect(await response.text()).toContain('You will receive no more mails');
    expect(await suppressed()).toEqual([{ email: 'person0@acme.example', source: 'unsubscribe' }]);
  });

  it('takes the form data that RFC 8058 allows too, and the click on the page', async () => {
    const form = new FormData();
    form.set('List-Unsubscribe', 'One-Click');
    expect((await fetch(link, { method: 'POST', body: form })).status).toBe(200);
    expect((await fetch(link, { method: 'POST' })).status).toBe(200);
    expect(await suppressed()).toHaveLength(1);
  });

  it('only shows a page when it is opened, however often scanners do that', async () => {
    for (const method of ['GET', 'GET', 'HEAD', 'GET']) {
      const response = await fetch(link, { method });
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(response.headers.get('cache-control')).toBe('no-store');
      const page = await response.text();
      if (method === 'GET') expect(page).toContain('<form method="post">');
      expect(page).not.toContain('acme.example');
    }
    expect(await suppressed()).toEqual([]);
  });

  it('ends the sequence: nothing that waits for the address leaves', async () => {
    await stage.runUntil(MONDAY + 65 * MINUTE);
    await oneClick();
    await oneClick();
    await stage.runUntil(MONDAY + 5 * DAY);
    expect(stage.mailer.sent.map(({ mail }) => mail.to)).toEqual([
      'person0@acme.example',
      'person1@acme.example',
      'person1@acme.example',
    ]);
    const leads = await stage.rows<{ id: string; campaign_id: string; status: string }>(
      'select * from campaign_leads order by position',
    );
    expect(leads.map((lead) => lead.status)).toEqual(['unsubscribed', 'completed']);
    const { body } = await stage.ask<{ events: { event_type: string }[] }>(
      'GET',
      `/api/v1/campaigns/${leads[0]?.campaign_id}/leads/${leads[0]?.id}/events`,
    );
    expect(body.events.filter((event) => event.event_type === 'unsubscribed')).toHaveLength(1);
    const stats = await stage.ask('GET', `/api/v1/campaigns/${leads[0]?.campaign_id}/stats`);
    expect(stats.body).toMatchObject({ unsubscribed: 1, sent: 3 });
  });

  it('still works when its campaign is deleted', async () => {
    await stage.rows('delete from campaigns');
    expect((await oneClick()).status).toBe(200);
    expect(await suppressed()).toHaveLength(1);
  });

  it('is nobody else’s: a changed, cut, foreign or invented one is not valid', async () => {
    const token = link.slice(link.lastIndexOf('/') + 1);
    const first = token.startsWith('A') ? 'B' : 'A';
    const other = createUnsubscribeLinks({
      signingSecret: 'another secret of 32 characters or more',
      publicUrl: stage.url,
    });
    const [mail] = await stage.rows<{ id: string; workspace_id: string }>(
      'select id, workspace_id from outbox limit 1',
    );
    const foreign = other.urlFor(mail?.workspace_id ?? '', mail?.id ?? '') ?? '';
    const noMail =
      stage.links
        .urlFor(stage.caller.workspaceId, stage.newId())
        ?.replace('https://mail.example.com', stage.url) ?? '';
    for (const bad of [
      link.replace(token, `${first}${token.slice(1)}`),
      link.replace(token, token.slice(0, -2)),
      link.replace(token, 'x'.repeat(75)),
      `${link}A`,
      foreign,
    ]) {
      for (const method of ['GET', 'POST'])
        expect((await fetch(bad, { method })).status, `${method} ${bad}`).toBe(404);
    }
    expect((await fetch(noMail, { method: 'POST' })).status).toBe(404);
    expect(await suppressed()).toEqual([]);
  });

  it('cannot be made without an address by which the world reaches us', () => {
    const none = createUnsubscribeLinks({
      signingSecret: 'a test secret of 32 characters or more',
      publicUrl: null,
    });
    expect(none.possible).toBe(false);
    expect(none.urlFor(stage.newId(), stage.newId())).toBeNull();
  });
});
