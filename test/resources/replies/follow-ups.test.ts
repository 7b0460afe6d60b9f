/** What a mail that comes back does to a campaign: who answered, or cannot be reached, gets no further step. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Campaign, CampaignLead, CampaignStats } from '../../../src/resources/campaigns/schema.ts';
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
import {
  exchangeBounce,
  handIn,
  humanReply,
  outOfOffice,
  postfixBounce,
  rawMail,
} from '../../support/raw-mails.ts';

const HOUR = 60 * MINUTE;
const SECOND = { subject: 'Again, {{first_name}}' };

let stage: CampaignStage;
beforeAll(async () => {
  stage = await openCampaignStage();
});
afterAll(() => stage.close());
beforeEach(async () => {
  await stage.clear();
  await stage.addSender();
});

/** Launches a campaign of two steps, a day between them. */
async function launched(leads: number, input: Record<string, unknown> = {}): Promise<Campaign> {
  const campaign = await stage.addCampaign({
    dataset_id: await stage.addDataset(people(leads)),
    steps: [STEP, stepOf(2, 1, SECOND)],
    ...input,
  });
  await stage.launches.launch(stage.caller, campaign.campaign_id);
  return campaign;
}

const hand = (raw: string) => handIn(stage.url, raw);
const idOf = (to: string, nth = 0) => {
  const mail = stage.mailer.sent.filter((one) => one.mail.to === to)[nth]?.mail;
  if (mail === undefined) throw new Error(`no mail went to ${to}`);
  return mail.messageId;
};
const sentTo = () => stage.mailer.sent.map(({ mail }) => mail.to);
const bounced = (index: number, status: string) => ({
  to: `person${index}@acme.example`,
  messageId: idOf(`person${index}@acme.example`),
  status,
});
const statsOf = async ({ campaign_id }: Campaign) =>
  (await stage.ask<CampaignStats>('GET', `/api/v1/campaigns/${campaign_id}/stats`)).body;
async function leadsOf({ campaign_id }: Campaign, filter = ''): Promise<CampaignLead[]> {
  const path = `/api/v1/campaigns/${campaign_id}/leads${filter}`;
  return (await stage.ask<{ items: CampaignLead[] }>('GET', path)).body.items;
}
const statesOf = async (campaign: Campaign) => (await leadsOf(campaign)).map(({ status }) => status);
const outbox = () =>
  stage.rows<{ address: string; step: number; status: string; error: { code: string } | null }>(
    'select address, step, status, error from outbox order by address, step',
  );

describe('a campaign whose mails are answered', () => {
  it('writes on only to those who neither answered nor bounced', async () => {
    const campaign = await launched(5);
    await stage.runUntil(MONDAY + 2 * HOUR);
    expect(sentTo()).toHaveLength(5);

    const { reply } = await hand(humanReply(idOf('person0@acme.example')));
    await hand(outOfOffice(idOf('person1@acme.example'), 'person1@acme.example'));
    await hand(postfixBounce(bounced(2, '5.1.1')));
    await hand(exchangeBounce(bounced(3, '4.4.7')));
    const [first] = await leadsOf(campaign);
    expect(reply).toMatchObject({
      campaign_id: campaign.campaign_id,
      campaign_lead_id: first?.campaign_lead_id,
      lead_id: first?.lead_id,
    });
    await stage.runUntil(MONDAY + 5 * DAY);

    expect(sentTo().slice(5).sort()).toEqual([
      'person1@acme.example',
      'person3@acme.example',
      'person4@acme.example',
    ]);
    expect(await statesOf(campaign)).toEqual(['replied', 'completed', 'bounced', 'completed', 'completed']);
    expect(await statsOf(campaign)).toMatchObject({
      status: 'completed',
      sent: 8,
      replied: 1,
      bounced: 1,
      withheld: 2,
      failed: 0,
      queued: 0,
      reply_rate: 1 / 8,
      bounce_rate: 1 / 8,
    });
    expect(
      (await outbox()).filter(({ step }) => step === 2).map((mail) => mail.error?.code ?? mail.status),
    ).toEqual(['RECIPIENT_REPLIED', 'sent', 'RECIPIENT_SUPPRESSED', 'sent', 'sent']);
    const logged = stage.logged.filter((line) => /"level":"?(warn|error|40|50)/.test(line));
    expect(logged).toEqual([]);
  });

  it('tells the numbers everywhere: by step, in total, as events, and by status', async () => {
    const campaign = await launched(3);
    await stage.runUntil(MONDAY + 2 * HOUR);
    await hand(humanReply(idOf('person0@acme.example')));
    await hand(postfixBounce(bounced(1, '5.1.1')));
    await stage.runUntil(MONDAY + 5 * DAY);
    // Their answer to the second mail counts for the second step.
    const late = await hand(humanReply(idOf('person2@acme.example', 1), { from: 'person2@acme.example' }));
    const { campaign_id } = campaign;
    const steps = await stage.ask('GET', `/api/v1/campaigns/${campaign_id}/stats/step-performance`);
    expect(steps.body).toMatchObject({
      steps: [
        { step: 1, variant_label: 'A', sent: 3, replied: 1, bounced: 1 },
        { step: 2, variant_label: 'A', sent: 1, replied: 1, bounced: 0 },
      ],
    });
    const total = await stage.ask('GET', '/api/v1/campaigns/aggregate-stats');
    expect(total.body).toMatchObject({ sent: 4, replied: 2, bounced: 1 });
    const [replied] = await leadsOf(campaign, '?status_filter=bounced');
    expect(replied?.lead_data).toMatchObject({ email: 'person1@acme.example' });
    const leads = await leadsOf(campaign);
    // Who had got all mails has replied all the same.
    expect(leads.map(({ status }) => status)).toEqual(['replied', 'bounced', 'replied']);
    const events = await stage.ask<{ events: { event_type: string; step: number; metadata: unknown }[] }>(
      'GET',
      `/api/v1/campaigns/${campaign_id}/leads/${leads[2]?.campaign_lead_id}/events`,
    );
    expect(events.body.events.map(({ event_type, step }) => `${event_type} ${step}`)).toEqual([
      'queued 1',
      'sent 1',
      'queued 2',
      'sent 2',
      'replied 2',
    ]);
    expect(events.body.events.at(-1)?.metadata).toEqual({ reply_id: late.reply.reply_id });
  });

  it('counts a mail that is answered twice, or a reply that comes twice, once', async () => {
    const campaign = await launched(2);
    await stage.runUntil(MONDAY + 2 * HOUR);
    const raw = humanReply(idOf('person0@acme.example'));
    await Promise.all(Array.from({ length: 10 }, () => hand(raw)));
    await hand(humanReply(idOf('person0@acme.example')));
    expect(await statsOf(campaign)).toMatchObject({ replied: 1 });
    const events = await stage.rows(`select 1 from campaign_lead_events where event_type = 'replied'`);
    expect(events).toHaveLength(2);
  });

  it('stops a follow-up that has its moment already', async () => {
    const campaign = await launched(2);
    await stage.runUntil(MONDAY + 2 * HOUR);
    expect((await outbox()).filter(({ status }) => status === 'queued')).toHaveLength(2);
    await hand(humanReply(idOf('person0@acme.example')));
    expect(await outbox()).toMatchObject([
      { step: 1, status: 'sent' },
      { step: 2, status: 'failed', error: { code: 'RECIPIENT_REPLIED' } },
      { step: 1, status: 'sent' },
      { step: 2, status: 'queued' },
    ]);
    await stage.runUntil(MONDAY + 5 * DAY);
    expect(sentTo().slice(2)).toEqual(['person1@acme.example']);
    expect(await statsOf(campaign)).toMatchObject({ withheld: 1, failed: 0 });
  });

  it('is decided by who is first: the reply, or the mail whose mailbox was claimed', async () => {
    await launched(1);
    await stage.runUntil(MONDAY + 2 * HOUR);
    const answered = idOf('person0@acme.example');
    const [next] = await stage.rows<{ due_at: Date }>(`select due_at from outbox where status = 'queued'`);
    stage.clock.set(next?.due_at.getTime() ?? 0);
    const [claim] = await stage.delivery.claim(stage.clock.now(), 5);
    if (claim === undefined) throw new Error('nothing was claimed');
    await hand(humanReply(answered));
    expect(await stage.delivery.begin(claim, stage.clock.now())).toEqual({ kind: 'nothing' });
    await stage.runUntil(MONDAY + 5 * DAY);
    expect(sentTo()).toHaveLength(1);
  });

  it('lets a mail that has begun end, and tells both', async () => {
    const campaign = await launched(1, { steps: [STEP, stepOf(2, 1, SECOND), stepOf(3, 1)] });
    await stage.runUntil(MONDAY + 2 * HOUR);
    const answered = idOf('person0@acme.example');
    stage.mailer.outcome(async () => {
      await hand(humanReply(answered));
      return { state: 'done', providerRef: null };
    });
    await stage.runUntil(MONDAY + 5 * DAY);
    expect(sentTo()).toHaveLength(2);
    expect(await leadsOf(campaign)).toMatchObject([{ status: 'replied', current_step: 2 }]);
    expect(await statsOf(campaign)).toMatchObject({ sent: 2, replied: 1, status: 'completed' });
  });

  it('does not try a mail again whose recipient replied while it failed', async () => {
    const campaign = await launched(1);
    await stage.runUntil(MONDAY + 2 * HOUR);
    const answered = idOf('person0@acme.example');
    stage.mailer.outcome(async () => {
      await hand(humanReply(answered));
      return {
        state: 'failed',
        error: { code: 'MAIL_UNAVAILABLE', message: 'No.', retryable: true },
      };
    });
    await stage.runUntil(MONDAY + 5 * DAY);
    expect(sentTo()).toHaveLength(2);
    expect(await outbox()).toMatchObject([
      { step: 1, status: 'sent' },
      { step: 2, status: 'failed', error: { code: 'RECIPIENT_REPLIED' } },
    ]);
    expect(await statesOf(campaign)).toEqual(['replied']);
    expect(await statsOf(campaign)).toMatchObject({ withheld: 1, failed: 0, status: 'completed' });
  });

  it('is right whatever the dispatchers of two processes do meanwhile', async () => {
    const campaign = await launched(30, { min_interval_seconds: 60, steps: [STEP, stepOf(2, 0, SECOND)] });
    const processes = ['one', 'two'].map((owner) => stage.dispatcher({ owner }));
    const answered = new Set<string>();
    for (let at = MONDAY + HOUR; at < MONDAY + 3 * HOUR; at += 30_000) {
      stage.clock.set(at);
      const fresh = stage.mailer.sent.filter(
        ({ mail }) => Number(/\d+/.exec(mail.to)?.[0]) % 3 === 0 && !answered.has(mail.to),
      );
      for (const { mail } of fresh) answered.add(mail.to);
      await Promise.all([
        ...processes.map((one) => one.round()),
        ...fresh.map(({ mail }) => hand(humanReply(mail.messageId, { from: mail.to }))),
      ]);
      await Promise.all(processes.map((one) => one.idle()));
    }
    const states = await leadsOf(campaign);
    expect(states.map(({ status }) => status)).toEqual(
      states.map((_lead, index) => (index % 3 === 0 ? 'replied' : 'completed')),
    );
    // A second mail to one who answered has begun before the answer came, or not at all.
    const second = await stage.rows<{ early: boolean }>(
      `select o.started_at <= r.received_at as early from outbox o join replies r on r.campaign_lead_id = o.campaign_lead_id
        where o.step = 2 and o.status = 'sent'`,
    );
    expect(second.filter(({ early }) => !early)).toEqual([]);
    expect(await statsOf(campaign)).toMatchObject({ replied: 10, failed: 0, queued: 0, in_flight: 0 });
    const faults = stage.logged.filter((line) => /"level":"?(error|50)|deadlock/.test(line));
    expect(faults).toEqual([]);
  }, 60_000);

  it('stops whatever else waits for an address that cannot be reached', async () => {
    const campaign = await launched(3);
    await stage.runUntil(MONDAY + 2 * HOUR);
    await stage.rows(
      `update outbox set to_address = 'Person0@acme.example' where to_address = 'person1@acme.example' and status = 'queued'`,
    );
    await hand(postfixBounce(bounced(0, '5.1.1')));
    await stage.runUntil(MONDAY + 5 * DAY);
    expect(sentTo().slice(3)).toEqual(['person2@acme.example']);
    expect(await statesOf(campaign)).toEqual(['bounced', 'bounced', 'completed']);
    expect(await statsOf(campaign)).toMatchObject({ bounced: 1, withheld: 2 });
    expect(await stage.rows('select email, source from suppression_entries')).toEqual([
      { email: 'person0@acme.example', source: 'bounce' },
    ]);
  });

  it('is not resumed for who replied while it was paused', async () => {
    const campaign = await launched(2);
    await stage.runUntil(MONDAY + 2 * HOUR);
    await stage.launches.pause(stage.caller, campaign.campaign_id);
    await hand(humanReply(idOf('person0@acme.example')));
    await stage.launches.resume(stage.caller, campaign.campaign_id);
    await stage.runUntil(MONDAY + 5 * DAY);
    expect(sentTo().slice(2)).toEqual(['person1@acme.example']);
    expect(await statesOf(campaign)).toEqual(['replied', 'completed']);
  });

  it('hears of a reply that names no mail, by its sender', async () => {
    const campaign = await launched(1);
    await stage.runUntil(MONDAY + 2 * HOUR);
    const { reply } = await hand(rawMail({ from: 'person0@acme.example' }));
    expect(reply.campaign_id).toBe(campaign.campaign_id);
    expect(await statesOf(campaign)).toEqual(['replied']);
  });

  it('may be gone when the reply comes', async () => {
    const campaign = await launched(1);
    await stage.runUntil(MONDAY + 2 * HOUR);
    await stage.rows('delete from campaigns where id = $1', [campaign.campaign_id]);
    for (const raw of [humanReply(idOf('person0@acme.example')), postfixBounce(bounced(0, '5.1.1'))]) {
      const { status, reply } = await hand(raw);
      expect(status).toBe(201);
      expect(reply).toMatchObject({
        outbox_id: expect.any(String),
        campaign_id: null,
        campaign_lead_id: null,
      });
    }
  });
});
