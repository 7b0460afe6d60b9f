import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Campaign } from '../../src/resources/campaigns/schema.ts';
import type { MailOutcome } from '../../src/resources/outbox/mailer.ts';
import { createSmtpMailer } from '../../src/resources/outbox/mailer.ts';
import {
  type CampaignStage,
  DAY,
  MINUTE,
  MONDAY,
  openCampaignStage,
  people,
  STEP,
  stepOf,
} from '../support/campaign-stage.ts';
import { startSmtpServer } from '../support/smtp-server.ts';

const HOUR = 60 * MINUTE;
let stage: CampaignStage;
beforeAll(async () => {
  stage = await openCampaignStage();
});
afterAll(() => stage.close());
beforeEach(async () => {
  await stage.clear();
  await stage.addSender();
});

async function launched(
  leads: number,
  input: Record<string, unknown> = {},
  domain?: string,
): Promise<Campaign> {
  const campaign = await stage.addCampaign({
    dataset_id: await stage.addDataset(people(leads, domain)),
    ...input,
  });
  await stage.launches.launch(stage.caller, campaign.campaign_id);
  return campaign;
}
const outbox = () =>
  stage.rows<{
    id: string;
    address: string;
    status: string;
    step: number;
    due_at: Date | null;
    error: { code: string } | null;
  }>('select * from outbox order by created_at, due_at, step, id');
const leadStates = async () =>
  (await stage.rows<{ status: string }>('select status from campaign_leads order by position')).map(
    (row) => row.status,
  );
const failed = (code: 'MAIL_UNAVAILABLE' | 'MAIL_REFUSED', retryable: boolean): MailOutcome => ({
  state: 'failed',
  error: { code, message: 'No.', retryable },
});

describe('the dispatcher', () => {
  it('sends each mail when it is due and never before', async () => {
    await launched(3);
    await stage.runUntil(MONDAY + HOUR - 1);
    expect(stage.mailer.sent).toEqual([]);
    await stage.runUntil(MONDAY + DAY);
    expect(stage.mailer.sent.map(({ mail, at }) => [mail.to, new Date(at).toISOString()])).toEqual([
      ['person0@acme.example', '2026-03-02T08:00:00.000Z'],
      ['person1@acme.example', '2026-03-02T08:05:00.000Z'],
      ['person2@acme.example', '2026-03-02T08:10:00.000Z'],
    ]);
    expect(stage.logged.filter((line) => /"level":"?(warn|error|40|50)/.test(line))).toEqual([]);
  });

  it('sends what was approved, with sender, postal address and the one-click header', async () => {
    await launched(1);
    await stage.runUntil(MONDAY + DAY);
    const [sent] = stage.mailer.sent;
    expect(sent?.mail).toMatchObject({
      from: { name: 'Jane Doe', address: 'jane@example.com' },
      to: 'person0@acme.example',
      subject: 'Maps for Acme',
      messageId: expect.stringMatching(/^<[0-9a-f]{32}@example\.com>$/),
      headers: { 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' },
    });
    const link = /^<(.*)>$/.exec(sent?.mail.headers['List-Unsubscribe'] ?? '')?.[1] ?? '';
    expect(link).toMatch(/^https:\/\/mail\.example\.com\/unsubscribe\//);
    expect(sent?.mail.text).toBe(
      `Hello Person0,\n\nshall we talk about maps?\nUnsubscribe: ${link}\n\n-- \n1 Long Road, Oslo`,
    );
  });

  it('goes on with the next step some local days later, and ends', async () => {
    // Thursday and a delay of two days: Saturday, so Monday; the clocks of Berlin change in between.
    stage.clock.set(Date.parse('2026-03-26T09:00:00Z'));
    const campaign = await launched(1, {
      steps: [STEP, stepOf(2, 2, { subject: 'Again, {{first_name}}' }), stepOf(3, 1)],
    });
    await stage.runUntil(Date.parse('2026-04-02T00:00:00Z'));
    expect(stage.mailer.sent.map(({ mail, at }) => [mail.subject, new Date(at).toISOString()])).toEqual([
      ['Maps for Acme', '2026-03-26T09:00:00.000Z'],
      ['Again, Person0', '2026-03-30T07:00:00.000Z'],
      ['Maps for Acme', '2026-03-31T07:00:00.000Z'],
    ]);
    const { items } = (
      await stage.ask<{ items: { campaign_lead_id: string }[] }>(
        'GET',
        `/api/v1/campaigns/${campaign.campaign_id}/leads`,
      )
    ).body;
    const events = await stage.ask<{ events: { event_type: string; step: number }[] }>(
      'GET',
      `/api/v1/campaigns/${campaign.campaign_id}/leads/${items[0]?.campaign_lead_id}/events`,
    );
    expect(events.body.events.map(({ event_type, step }) => `${event_type} ${step}`)).toEqual([
      'queued 1',
      'sent 1',
      'queued 2',
      'sent 2',
      'queued 3',
      'sent 3',
    ]);
    expect(await leadStates()).toEqual(['completed']);
  });

  it('sends each mail once, however many processes there are', async () => {
    const second = await stage.addSender({ from_email: 'bob@example.com' });
    const [first] = await stage.rows<{ id: string }>('select id from sender_profiles order by id limit 1');
    await launched(40, {
      alias_ids: [first?.id, second],
      min_interval_seconds: 60,
      steps: [STEP, stepOf(2, 0)],
    });
    const processes = ['one', 'two', 'three'].map((owner) => stage.dispatcher({ owner }));
    for (let at = MONDAY + HOUR; at < MONDAY + 4 * HOUR; at += 30_000) {
      stage.clock.set(at);
      await Promise.all(processes.map((one) => one.round()));
      await Promise.all(processes.map((one) => one.idle()));
    }
    const ids = stage.mailer.sent.map(({ mail }) => mail.messageId);
    expect(ids).toHaveLength(80);
    expect(new Set(ids).size).toBe(80);
    for (const mailbox of ['jane@example.com', 'bob@example.com']) {
      const times = stage.mailer.sent.filter(({ mail }) => mail.from.address === mailbox).map(({ at }) => at);
      for (const [index, at] of times.slice(1).entries())
        expect(at - (times[index] ?? 0)).toBeGreaterThanOrEqual(MINUTE);
    }
  });

  it('does not burst after an outage: interval, window and daily limit hold for what was late', async () => {
    await launched(30, { daily_limit: 20, min_interval_seconds: 600 });
    await launched(10, { daily_limit: 25, min_interval_seconds: 900 }, 'second.example');
    // It comes back in the afternoon, is away overnight, and comes back late on the next day.
    await stage.runUntil(MONDAY + HOUR);
    stage.clock.set(MONDAY + 7 * HOUR);
    await stage.runUntil(MONDAY + 9 * HOUR);
    stage.clock.set(MONDAY + DAY + 8 * HOUR + 45 * MINUTE);
    await stage.runUntil(MONDAY + 10 * DAY);
    const times = stage.mailer.sent.map(({ at }) => at);
    expect(times).toHaveLength(40);
    expect(new Set(stage.mailer.sent.map(({ mail }) => mail.to)).size).toBe(40);
    const days = new Map<string, number>();
    for (const [index, at] of times.entries()) {
      const local = new Intl.DateTimeFormat('sv-SE', {
        timeZone: 'Europe/Berlin',
        dateStyle: 'short',
        timeStyle: 'medium',
      }).format(at);
      const [date = '', time = ''] = local.split(' ');
      expect(time >= '09:00:00' && time < '17:00:00', local).toBe(true);
      expect([0, 6]).not.toContain(new Date(`${date}T12:00:00Z`).getUTCDay());
      days.set(date, (days.get(date) ?? 0) + 1);
      if (index > 0) expect(at - (times[index - 1] ?? 0)).toBeGreaterThanOrEqual(10 * MINUTE);
    }
    expect(Math.max(...days.values())).toBeLessThanOrEqual(20);
  });

  it('leaves a mail alone that was paused after its mailbox was claimed', async () => {
    const campaign = await launched(1);
    stage.clock.set(MONDAY + HOUR);
    const claims = await stage.delivery.claim(stage.clock.now(), 5);
    expect(claims).toHaveLength(1);
    await stage.launches.pause(stage.caller, campaign.campaign_id);
    for (const claim of claims)
      expect(await stage.delivery.begin(claim, stage.clock.now())).toEqual({ kind: 'nothing' });
    await stage.runUntil(MONDAY + DAY);
    expect(stage.mailer.sent).toEqual([]);
    expect(await outbox()).toMatchObject([{ status: 'queued', due_at: null }]);
  });

  it('waits for a mail that begins while somebody pauses: when the pause is answered, nothing more begins', async () => {
    await Promise.all(
      Array.from({ length: 6 }, async (_, index) =>
        stage.addSender({ from_email: `sender${index}@example.com` }),
      ),
    );
    const profiles = await stage.rows<{ id: string }>('select id from sender_profiles');
    const campaign = await launched(60, { alias_ids: profiles.map((row) => row.id) });
    stage.clock.set(MONDAY + HOUR);
    let paused = false;
    const late: string[] = [];
    stage.mailer.outcome((mail) => {
      if (paused) late.push(mail.to);
      return { state: 'done', providerRef: null };
    });
    const claims = await stage.delivery.claim(stage.clock.now(), 50);
    expect(claims.length).toBeGreaterThan(3);
    const begun = Promise.all(claims.map((claim) => stage.delivery.begin(claim, stage.clock.now())));
    const pause = stage.launches.pause(stage.caller, campaign.campaign_id).then(() => {
      paused = true;
    });
    const started = (await begun).filter((one) => one.kind === 'mail').length;
    await pause;
    await stage.dispatch();
    expect(late).toEqual([]);
    const [sending] = await stage.rows<{ n: string }>(
      `select count(*) as n from outbox where status = 'sending'`,
    );
    expect(Number(sending?.n)).toBe(started);
  });

  it('sends nothing to whoever was suppressed since, in this step and the next', async () => {
    await launched(2, { steps: [STEP, stepOf(2, 1)] });
    const suppress = (email: string) =>
      stage.rows('insert into suppression_entries (id, workspace_id, email) values ($1, $2, $3)', [
        stage.newId(),
        stage.caller.workspaceId,
        email,
      ]);
    await suppress('person0@acme.example');
    await stage.runUntil(MONDAY + HOUR + 6 * MINUTE);
    expect(stage.mailer.sent.map(({ mail }) => mail.to)).toEqual(['person1@acme.example']);
    await suppress('person1@acme.example');
    await stage.runUntil(MONDAY + 5 * DAY);
    expect(stage.mailer.sent).toHaveLength(1);
    expect(await leadStates()).toEqual(['suppressed', 'suppressed']);
    expect((await outbox()).map((mail) => [mail.status, mail.error?.code])).toEqual([
      ['failed', 'RECIPIENT_SUPPRESSED'],
      ['sent', undefined],
      ['failed', 'RECIPIENT_SUPPRESSED'],
    ]);
  });

  it('sends no next mail that reads differently from what was approved', async () => {
    await launched(2, { steps: [STEP, stepOf(2, 1)] });
    await stage.rows(`update leads set first_name = 'Mallory' where email = 'person0@acme.example'`);
    await stage.rows(`update leads set city = 'Oslo' where email = 'person1@acme.example'`);
    await stage.runUntil(MONDAY + 5 * DAY);
    expect(stage.mailer.sent.map(({ mail }) => mail.to)).toEqual([
      'person0@acme.example',
      'person1@acme.example',
      'person1@acme.example',
    ]);
    expect(stage.mailer.sent.map(({ mail }) => mail.text).join()).not.toContain('Mallory');
    expect(await leadStates()).toEqual(['failed', 'completed']);
  });

  it('tries a mail again that provably did not leave, and gives up after some time', async () => {
    await launched(2, { min_interval_seconds: 60 });
    let down = true;
    stage.mailer.outcome((mail) =>
      mail.to.startsWith('person1') || down
        ? failed('MAIL_UNAVAILABLE', true)
        : { state: 'done', providerRef: null },
    );
    await stage.runUntil(MONDAY + HOUR + 30_000);
    expect(await outbox()).toMatchObject([
      { status: 'queued', due_at: new Date(MONDAY + HOUR + MINUTE), error: { code: 'MAIL_UNAVAILABLE' } },
      { status: 'queued' },
    ]);
    down = false;
    await stage.runUntil(MONDAY + 2 * DAY);
    expect((await outbox()).map((mail) => mail.status)).toEqual(['sent', 'failed']);
    expect(await leadStates()).toEqual(['completed', 'failed']);
    expect(stage.mailer.sent.filter(({ mail }) => mail.to.startsWith('person1'))).toHaveLength(5);
    expect(new Set(stage.mailer.sent.map(({ mail }) => mail.messageId)).size).toBe(2);
  });

  it('ends the sequence of a lead whose mail was refused', async () => {
    const campaign = await launched(1, { steps: [STEP, stepOf(2, 1)] });
    stage.mailer.outcome(() => failed('MAIL_REFUSED', false));
    await stage.runUntil(MONDAY + 5 * DAY);
    expect(stage.mailer.sent).toHaveLength(1);
    expect(await outbox()).toMatchObject([{ status: 'failed', error: { code: 'MAIL_REFUSED' } }]);
    expect(await stage.campaigns.get(stage.caller, campaign.campaign_id)).toMatchObject({
      status: 'completed',
    });
  });

  it('never sends a mail again whose fate nobody knows, but hears late news of it', async () => {
    await launched(3, { steps: [STEP, stepOf(2, 1)] });
    const { promise: answer, resolve: answers } = Promise.withResolvers<MailOutcome>();
    const { promise: asked, resolve: isAsked } = Promise.withResolvers<void>();
    stage.mailer.outcome((mail) => {
      if (!mail.to.startsWith('person0'))
        return { state: 'unknown', error: { code: 'EFFECT_UNKNOWN', message: 'Lost.', retryable: false } };
      isAsked();
      return answer;
    });
    const slow = stage.dispatcher({ owner: 'slow' });
    stage.clock.set(MONDAY + HOUR);
    await slow.round();
    // A round ends before its mails do: only a mail that has begun can be lost.
    await asked;
    // Its lease runs out while the process still waits for the server.
    stage.clock.set(MONDAY + HOUR + 2 * MINUTE);
    await stage.dispatch();
    expect((await outbox()).map((mail) => mail.status)).toEqual(['unknown', 'queued', 'queued']);
    await stage.runUntil(MONDAY + HOUR + 9 * MINUTE);
    expect(await leadStates()).toEqual(['unknown', 'unknown', 'active']);
    answers({ state: 'done', providerRef: '250 ok' });
    await slow.idle();
    expect((await outbox()).map((mail) => mail.status)).toEqual(['sent', 'unknown', 'queued']);
    expect(await leadStates()).toEqual(['active', 'unknown', 'active']);
    stage.mailer.outcome(null);
    await stage.runUntil(MONDAY + 5 * DAY);
    expect(stage.mailer.sent.map(({ mail }) => mail.to)).toEqual([
      'person0@acme.example',
      'person1@acme.example',
      'person2@acme.example',
      'person0@acme.example',
      'person2@acme.example',
    ]);
  });

  it('takes up a claim that its process did not use, when the lease is over', async () => {
    await launched(1);
    stage.clock.set(MONDAY + HOUR);
    const claims = await stage.delivery.claim(stage.clock.now(), 5);
    await stage.dispatch();
    expect(stage.mailer.sent).toEqual([]);
    stage.clock.set(MONDAY + HOUR + MINUTE);
    await stage.dispatch();
    expect(stage.mailer.sent).toHaveLength(1);
    // Whoever comes back from the dead finds its claim gone.
    for (const claim of claims)
      expect(await stage.delivery.begin(claim, stage.clock.now())).toEqual({ kind: 'nothing' });
  });

  it('only keeps the mails of a sandbox caller, and they take no place from mails that leave', async () => {
    const campaign = await stage.addCampaign({
      dataset_id: await stage.addDataset(people(2)),
      steps: [STEP, stepOf(2, 1)],
    });
    await stage.launches.launch({ ...stage.caller, sandbox: true }, campaign.campaign_id);
    await launched(1, {}, 'real.example');
    await stage.runUntil(MONDAY + 5 * DAY);
    expect(stage.mailer.sent.map(({ mail, at }) => [mail.to, at])).toEqual([
      ['person0@real.example', MONDAY + HOUR],
    ]);
    const kept = (await outbox()).filter((mail) => mail.status === 'sandbox');
    expect(kept).toHaveLength(4);
    expect(await stage.campaigns.get(stage.caller, campaign.campaign_id)).toMatchObject({
      status: 'completed',
    });
    // What was only kept contacted nobody: the real campaign reaches them.
    const real = await launched(2);
    expect((await stage.launches.warnings(stage.caller, real.campaign_id)).summary).toMatchObject({
      launchable_rows: 2,
    });
  });

  it('leaves what shall leave to a process that has a mail server', async () => {
    await launched(2);
    stage.clock.set(MONDAY + HOUR);
    await stage.dispatch(stage.dispatcher({ owner: 'without', withoutServer: true }));
    expect((await outbox()).map((mail) => mail.status)).toEqual(['queued', 'queued']);
    await stage.dispatch();
    expect((await outbox()).map((mail) => mail.status)).toEqual(['sent', 'queued']);
  });

  it('hands its mails to a real server, signed off with their headers', async () => {
    const smtp = await startSmtpServer();
    try {
      await launched(1);
      stage.clock.set(MONDAY + HOUR);
      const dispatcher = stage.dispatcher({ mailer: createSmtpMailer({ url: smtp.url, timeoutMs: 10_000 }) });
      await dispatcher.round();
      await dispatcher.idle();
      expect(smtp.taken).toHaveLength(1);
      const raw = (smtp.taken[0]?.raw ?? '').replaceAll(/\r\n[ \t]+/g, ' ');
      expect(raw).toMatch(/^List-Unsubscribe: <https:\/\/mail\.example\.com\/unsubscribe\/[\w-]+>\r$/m);
      expect(raw).toMatch(/^List-Unsubscribe-Post: List-Unsubscribe=One-Click\r$/m);
      expect(raw).toMatch(/^From: Jane Doe <jane@example\.com>\r$/m);
      expect((await outbox())[0]).toMatchObject({ status: 'sent' });
    } finally {
      await smtp.close();
    }
  });

  it('ends what is on its way before it stops, and begins nothing more', async () => {
    await launched(2, { min_interval_seconds: 60 });
    stage.clock.set(MONDAY + HOUR);
    const { promise: answer, resolve: answers } = Promise.withResolvers<MailOutcome>();
    stage.mailer.outcome(() => answer);
    const dispatcher = stage.dispatcher();
    await dispatcher.round();
    const stopped = dispatcher.stop();
    answers({ state: 'done', providerRef: null });
    await stopped;
    stage.clock.set(MONDAY + DAY);
    await dispatcher.round();
    await dispatcher.idle();
    expect((await outbox()).map((mail) => mail.status)).toEqual(['sent', 'queued']);
  });
});
