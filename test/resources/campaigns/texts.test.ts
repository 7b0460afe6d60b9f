import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type {
  Campaign,
  CampaignLead,
  LaunchReport,
  TextApproval,
} from '../../../src/resources/campaigns/schema.ts';
import {
  type CampaignStage,
  DAY,
  MONDAY,
  openCampaignStage,
  people,
  STEP,
  stepOf,
} from '../../support/campaign-stage.ts';

const PERSONAL = { type: 'PERSONALIZATION', subject: null, body: null };

let stage: CampaignStage;
beforeAll(async () => {
  stage = await openCampaignStage();
});
afterAll(() => stage.close());
beforeEach(async () => {
  await stage.clear();
  await stage.rows('delete from credit_reservations');
  await stage.rows('delete from credit_transactions');
  await stage.rows('update credit_accounts set balance = 10, reserved = 0, used = 0');
  await stage.addSender();
});

async function draft(leads = 2, input: Record<string, unknown> = {}): Promise<Campaign> {
  const named = people(leads).map((lead, index) => ({ ...lead, company: `Acme ${index}` }));
  return stage.addCampaign({
    dataset_id: await stage.addDataset(named),
    steps: [stepOf(1, 0, PERSONAL)],
    ...input,
  });
}
const path = ({ campaign_id: id }: Campaign, rest = '') => `/api/v1/campaigns/${id}${rest}`;
const leadsOf = async (campaign: Campaign) =>
  (await stage.ask<{ leads: CampaignLead[] }>('GET', path(campaign, '/leads'))).body.leads;
const preflight = async (campaign: Campaign) =>
  (await stage.ask<LaunchReport>('POST', path(campaign, '/launch-preflight'))).body;
const personalize = (
  campaign: Campaign,
  lead: CampaignLead | undefined,
  more: Record<string, unknown> = {},
) =>
  stage.ask<{ subject: string; body: string; from_approval: boolean; detail: string }>(
    'POST',
    path(campaign, '/personalize'),
    { body: { campaign_lead_id: lead?.campaign_lead_id, step_index: 1, ...more } },
  );
const approve = (campaign: Campaign, lead: CampaignLead | undefined, more: Record<string, unknown> = {}) =>
  stage.ask<TextApproval & { detail: string; details: { loc: string[] }[] }>(
    'POST',
    path(campaign, `/leads/${lead?.campaign_lead_id}/approve`),
    { body: { step_index: 1, variant_label: 'A', subject: 'Read', body: 'Read by me.', ...more } },
  );
const codes = (report: LaunchReport) => report.warnings.map(({ code }) => code);
const credits = () =>
  stage.rows('select balance, reserved, used from credit_accounts where workspace_id = $1', [
    stage.caller.workspaceId,
  ]);

describe('a campaign whose leads get texts of their own', () => {
  it('is not launched before there is one', async () => {
    const campaign = await draft();
    const report = await preflight(campaign);
    expect(report).toMatchObject({
      summary: { total_rows: 2, launchable_rows: 0 },
      left_out: { no_text: 2 },
    });
    expect(codes(report)).toEqual(['NO_RECIPIENTS', 'TEXTS_MISSING']);
    const refused = await stage.ask('POST', path(campaign, '/launch'));
    expect([refused.status, refused.body.detail]).toEqual([422, 'CAMPAIGN_NOT_READY']);
  });

  it('writes one for a lead, for its price, and sends it as it was written, with the link below', async () => {
    const campaign = await draft();
    const [first] = await leadsOf(campaign);
    const written = await personalize(campaign, first);
    expect(written.status).toBe(200);
    expect(written.body).toMatchObject({ subject: 'A short question for Acme 0', from_approval: false });
    expect(await credits()).toEqual([{ balance: 9, reserved: 0, used: 1 }]);
    const report = await preflight(campaign);
    expect(report).toMatchObject({ summary: { launchable_rows: 1 }, left_out: { no_text: 1 } });
    expect(codes(report)).toEqual(['UNREVIEWED_TEXTS', 'TEXTS_MISSING', 'LEADS_LEFT_OUT']);
    expect(report.warnings[0]?.message).toContain(
      '1 texts were written for one lead each, and nobody has read them',
    );
    await stage.launches.launch(stage.caller, campaign.campaign_id);
    await stage.runUntil(MONDAY + DAY);
    const [sent, ...others] = stage.mailer.sent;
    expect(others).toEqual([]);
    const link = /^<(.*)>$/.exec(sent?.mail.headers['List-Unsubscribe'] ?? '')?.[1];
    expect(sent?.mail).toMatchObject({
      to: 'person0@acme.example',
      subject: written.body.subject,
      text: `${written.body.body}\n\nTo receive no more mails: ${link}\n\n-- \n1 Long Road, Oslo`,
    });
  });

  it('freezes the text that somebody approved, and writes nothing in its place', async () => {
    const campaign = await draft(1);
    const [lead] = await leadsOf(campaign);
    const { status, body } = await approve(campaign, lead, {
      body: 'Read by me. {{unsubscribe_link}} is for you.',
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      approved_steps: [1],
      approved_entry: { subject: 'Read', variant_label: 'A', approved_by: 'user:user-a', step_index: 1 },
    });
    expect((await leadsOf(campaign))[0]?.approved_steps).toEqual([1]);
    expect((await personalize(campaign, lead)).body).toMatchObject({ subject: 'Read', from_approval: true });
    expect(await credits()).toEqual([{ balance: 10, reserved: 0, used: 0 }]);
    expect(codes(await preflight(campaign))).toEqual([]);
    await stage.launches.launch(stage.caller, campaign.campaign_id);
    await stage.runUntil(MONDAY + DAY);
    expect(stage.mailer.sent[0]?.mail.text).toMatch(
      /^Read by me\. https:\/\/mail\.example\.com\/unsubscribe\/\S+ is for you\.\n\n-- \n/,
    );
  });

  it('takes an approval back, and drops texts', async () => {
    const campaign = await draft(1);
    const [lead] = await leadsOf(campaign);
    await approve(campaign, lead);
    const at = (what: string) => path(campaign, `/leads/${lead?.campaign_lead_id}/${what}`);
    const back = await stage.ask('POST', at('unapprove'), { body: { step_index: 1 } });
    expect(back.body).toMatchObject({ approved_steps: [], approved_entry: null, step_index: 1 });
    expect(codes(await preflight(campaign))).toContain('UNREVIEWED_TEXTS');
    expect((await stage.ask('POST', at('reset'), { body: { step_indices: [2] } })).status).toBe(200);
    expect(codes(await preflight(campaign))).toContain('UNREVIEWED_TEXTS');
    expect((await stage.ask('POST', at('reset'), { body: {} })).body).toMatchObject({ approved_steps: [] });
    expect(codes(await preflight(campaign))).toEqual(['NO_RECIPIENTS', 'TEXTS_MISSING']);
  });

  it.each([
    ['another variant than the lead gets', { variant_label: 'B' }, 'variant_label'],
    ['a step that there is not', { step_index: 3 }, 'step_index'],
    ['a step that is a template for all', { step_index: 2 }, 'step_index'],
    [
      'the fingerprint of another step',
      { expected_step_config_fingerprint: 'f'.repeat(64) },
      'expected_step_config_fingerprint',
    ],
    ['an empty subject', { subject: ' ' }, 'subject'],
  ])('approves no text for %s', async (_what, changes, field) => {
    const campaign = await draft(1, { steps: [stepOf(1, 0, PERSONAL), stepOf(2, 1)] });
    const [lead] = await leadsOf(campaign);
    const { status, body } = await approve(campaign, lead, changes);
    expect([status, body.details[0]?.loc.at(-1)]).toEqual([422, field]);
  });

  it('knows no lead of another campaign, and changes nothing that is under way', async () => {
    const [campaign, other] = [await draft(1), await draft(1)];
    const [lead] = await leadsOf(campaign);
    expect((await approve(other, lead)).status).toBe(404);
    expect((await personalize(other, lead)).status).toBe(404);
    await approve(campaign, lead);
    await stage.launches.launch(stage.caller, campaign.campaign_id);
    for (const refused of [await approve(campaign, lead), await personalize(campaign, lead)])
      expect([refused.status, refused.body.detail]).toEqual([409, 'CAMPAIGN_STATE']);
  });

  it('gives the price back where nothing could be written, and refuses without credits', async () => {
    const campaign = await draft(1);
    const [lead] = await leadsOf(campaign);
    // A base text with a variable that nothing fills never passes the writer's own check.
    await stage.ask('PATCH', path(campaign), {
      body: { steps: [stepOf(1, 0, { ...PERSONAL, subject: 'Hi', body: 'Your {{shoe_size}} fits.' })] },
    });
    expect((await personalize(campaign, lead)).body.detail).toBe('TOOL_FAILED');
    expect(await credits()).toEqual([{ balance: 10, reserved: 0, used: 0 }]);
    await stage.rows('update credit_accounts set balance = 0');
    expect((await personalize(campaign, lead)).status).toBe(402);
  });

  it.each([
    [
      "the lead's row",
      () => stage.rows(`update leads set title = 'Chief' where email = 'person0@acme.example'`),
    ],
    [
      'the sender',
      () => stage.rows(`update sender_profiles set sender_data = sender_data || '{"from_name": "Bob"}'`),
    ],
  ])('does not send a text that was written before %s changed', async (_what, change) => {
    const campaign = await draft(2);
    for (const lead of await leadsOf(campaign)) await approve(campaign, lead);
    expect((await preflight(campaign)).summary.launchable_rows).toBe(2);
    await change();
    expect((await preflight(campaign)).summary.launchable_rows).toBeLessThan(2);
    expect(codes(await preflight(campaign))).toContain('TEXTS_MISSING');
  });

  it.each(['hold', 'cancel'])('with the policy %s starts only with texts that were read', async (policy) => {
    const campaign = await draft(1, { unreviewed_launch_policy: policy });
    const [lead] = await leadsOf(campaign);
    await personalize(campaign, lead);
    const report = await preflight(campaign);
    expect(report.warnings[0]).toMatchObject({ code: 'UNREVIEWED_TEXTS', severity: 'error' });
    expect((await stage.ask('POST', path(campaign, '/launch'))).status).toBe(422);
    await approve(campaign, lead);
    expect((await stage.ask('POST', path(campaign, '/launch'))).status).toBe(200);
  });

  it('sends a later step as it was approved, and none whose text has changed since', async () => {
    const campaign = await draft(2, { steps: [STEP, stepOf(2, 1, PERSONAL)] });
    for (const lead of await leadsOf(campaign))
      await approve(campaign, lead, { step_index: 2, body: `For ${lead.row_index}.` });
    await stage.launches.launch(stage.caller, campaign.campaign_id);
    await stage.runUntil(MONDAY + DAY / 2);
    expect(stage.mailer.sent).toHaveLength(2);
    await stage.rows(`update campaign_texts set body = 'Buy now' where body = 'For 1.'`);
    // What was planned before the change is the text of then; it is planned again, as after a pause.
    await stage.rows(`delete from outbox where status = 'queued'`);
    await stage.rows(`update campaign_leads set next_step = 2 where status = 'active'`);
    await stage.runUntil(MONDAY + 3 * DAY);
    const second = stage.mailer.sent.slice(2).map(({ mail }) => mail.text.split('\n')[0]);
    expect(second).toEqual(['For 0.']);
  });

  it('shows what a text will be written after, until it is there', async () => {
    const campaign = await draft(1, {
      steps: [stepOf(1, 0, { ...PERSONAL, subject: 'To {{company}}', body: 'Base for {{first_name}}' })],
    });
    const shown = () => stage.ask('POST', path(campaign, '/template-preview?step_index=1'));
    expect((await shown()).body).toMatchObject({ subject: 'To Acme 0' });
    const [lead] = await leadsOf(campaign);
    await approve(campaign, lead);
    expect((await shown()).body).toMatchObject({ subject: 'Read' });
  });
});

describe('a batch of texts', () => {
  const batchOf = (campaign: Campaign) => ({ campaignId: campaign.campaign_id, batch: 'call:1' });
  const begin = (campaign: Campaign, leads = 5) =>
    stage.database.within(stage.caller.workspaceId, (tx) =>
      stage.texts.beginWithin(tx, stage.caller, { ...batchOf(campaign), leads }),
    );
  const end = () =>
    stage.database.within(stage.caller.workspaceId, (tx) =>
      stage.texts.endWithin(tx, stage.caller, 'call:1'),
    );
  const texts = () =>
    stage.rows<{ status: string; subject: string | null; error: string | null }>(
      'select t.status, t.subject, t.error from campaign_texts t join campaign_leads l on l.id = t.campaign_lead_id order by l.position',
    );

  it('that was left in the middle goes on with the rest, and is paid for once', async () => {
    const campaign = await draft(9);
    expect(await begin(campaign, 7)).toBe(7);
    expect(await begin(campaign, 7)).toBe(7);
    expect(await credits()).toEqual([{ balance: 3, reserved: 7, used: 0 }]);
    const leaving = new AbortController();
    const progress = (done: number) => {
      if (done === 2) leaving.abort();
    };
    await stage.texts.write(stage.caller, { ...batchOf(campaign), signal: leaving.signal, progress });
    const kept = (await texts()).filter(({ status }) => status === 'completed').length;
    expect(kept).toBeGreaterThanOrEqual(2);
    expect(kept).toBeLessThan(7);
    const rest: number[] = [];
    await stage.texts.write(stage.caller, {
      ...batchOf(campaign),
      signal: new AbortController().signal,
      progress: (_done, total) => rest.push(total),
    });
    expect(rest[0]).toBe(7 - kept);
    expect(await end()).toEqual({ completed: 7, failed: 0, cancelled: 0 });
    expect(await end()).toEqual({ completed: 7, failed: 0, cancelled: 0 });
    expect(await credits()).toEqual([{ balance: 3, reserved: 0, used: 7 }]);
    expect((await texts()).map(({ subject }) => subject)).toEqual(
      Array.from({ length: 7 }, (_, index) => `A short question for Acme ${index}`),
    );
  });

  it('that is ended before all is written gives the rest of its price back', async () => {
    const campaign = await draft(3);
    await begin(campaign);
    const left = new AbortController();
    left.abort();
    await stage.texts.write(stage.caller, {
      ...batchOf(campaign),
      signal: left.signal,
      progress: () => undefined,
    });
    expect(await end()).toEqual({ completed: 0, failed: 0, cancelled: 3 });
    expect(await credits()).toEqual([{ balance: 10, reserved: 0, used: 0 }]);
  });

  it('fails where a text cannot be written, and writes the others', async () => {
    const campaign = await draft(3, {
      steps: [stepOf(1, 0, { ...PERSONAL, subject: 'For {{first_name}}', body: 'You are at {{company}}.' })],
    });
    await stage.rows(`update leads set company = null where email = 'person1@acme.example'`);
    await begin(campaign);
    const signal = new AbortController().signal;
    await stage.texts.write(stage.caller, { ...batchOf(campaign), signal, progress: () => undefined });
    expect(await end()).toEqual({ completed: 2, failed: 1, cancelled: 0 });
    expect(await texts()).toMatchObject([
      { status: 'completed', subject: 'For Person0' },
      { status: 'failed', error: expect.stringContaining('No mail could be written that holds up') },
      { status: 'completed', subject: 'For Person2' },
    ]);
    expect(await credits()).toEqual([{ balance: 8, reserved: 0, used: 2 }]);
  });

  it('is refused as a whole where the credits do not suffice', async () => {
    const campaign = await draft(12);
    await expect(begin(campaign, 12)).rejects.toMatchObject({ code: 'NOT_ENOUGH_CREDITS' });
    expect(await texts()).toEqual([]);
  });
});
