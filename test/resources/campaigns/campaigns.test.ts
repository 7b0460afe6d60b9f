import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Campaign, CampaignLead, LaunchReport } from '../../../src/resources/campaigns/schema.ts';
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
let datasetId: string;
let senderId: string;

beforeAll(async () => {
  stage = await openCampaignStage();
});
afterAll(() => stage.close());
beforeEach(async () => {
  await stage.clear();
  datasetId = await stage.addDataset(people(3));
  senderId = await stage.addSender();
});

const path = (campaign: { campaign_id: string }, rest = '') =>
  `/api/v1/campaigns/${campaign.campaign_id}${rest}`;
const launch = (campaign: Campaign) =>
  stage.ask<LaunchReport & { campaign: Campaign }>('POST', path(campaign, '/launch'));
const preflight = async (campaign: Campaign) =>
  (await stage.ask<LaunchReport>('POST', path(campaign, '/launch-preflight'))).body;
const codes = (report: LaunchReport) => report.warnings.map((warning) => warning.code);
const mails = () =>
  stage.rows<{
    to_address: string;
    subject: string;
    body: string;
    status: string;
    due_at: Date | null;
    step: number;
  }>('select * from outbox order by due_at, id');

describe('campaigns over REST', () => {
  it('makes a draft with the defaults of the contract and the leads of its dataset', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId, timezone: 'UTC' });
    expect(campaign).toMatchObject({
      user_id: 'user-a',
      status: 'draft',
      type: 'email',
      launch_type: 'immediate',
      daily_limit: 500,
      sending_window_start: '09:00:00',
      sending_window_end: '17:00:00',
      min_interval_seconds: 300,
      timezone: 'UTC',
      send_days: ['mon', 'tue', 'wed', 'thu', 'fri'],
      unreviewed_launch_policy: 'launch_default',
      total_leads: 3,
      processed_leads: 0,
      launch_job_id: null,
    });
    expect(campaign.steps_config[0]).toMatchObject({ channel: 'email', ai_personalization_enabled: true });
    expect((await stage.ask('GET', path(campaign))).body).toEqual(campaign);
    const { body } = await stage.ask<{ leads: CampaignLead[]; total: number }>(
      'GET',
      path(campaign, '/leads'),
    );
    expect(body.total).toBe(3);
    expect(body.leads[0]).toMatchObject({
      row_index: 0,
      status: 'pending',
      lead_data: { email: 'person0@acme.example', first_name: 'Person0', company: 'Acme' },
    });
  });

  it.each([
    ['a name', { name: ' ' }],
    ['a daily limit', { daily_limit: 0 }],
    ['an interval', { min_interval_seconds: 59 }],
    ['a time of day', { sending_window_start: '25:00:00' }],
    ['a zone', { timezone: 'Europe/Atlantis' }],
    ['a day', { send_days: ['monday'] }],
    ['steps without end', { steps: Array.from({ length: 11 }, (_, index) => stepOf(index + 1, 0)) }],
    ['steps that are numbered wrongly', { steps: [stepOf(2, 0)] }],
    ['a text without a subject', { steps: [stepOf(1, 0, { subject: null })] }],
    ['a template and a text', { steps: [stepOf(1, 0, { template_id: crypto.randomUUID() })] }],
    ['a channel that there is not', { type: 'linkedin' }],
    ['a scheduled launch without a start', { launch_type: 'scheduled' }],
    ['a field that there is not', { bcc: 'x@example.com' }],
  ])('refuses %s', async (_what, changes) => {
    const { status } = await stage.ask('POST', '/api/v1/campaigns/', {
      body: { name: 'Spring', dataset_id: datasetId, steps: [STEP], ...changes },
    });
    expect(status).toBe(422);
  });

  it('knows no dataset, template or sender of somebody else', async () => {
    const foreign = await stage.addDataset(people(1), stage.other);
    const profile = await stage.addSender({}, stage.other);
    const tries = [
      { dataset_id: foreign },
      { alias_ids: [profile] },
      { alias_ids: ['jane'] },
      { steps: [stepOf(1, 0, { subject: null, body: null, template_id: stage.newId() })] },
    ];
    for (const changes of tries) {
      const { status } = await stage.ask('POST', '/api/v1/campaigns/', {
        body: { name: 'Spring', dataset_id: datasetId, steps: [STEP], ...changes },
      });
      expect(status).toBe(404);
    }
  });

  it('changes what is given, empties what null may empty, and leaves the rest', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId, description: 'First' });
    const change = async (body: object) =>
      (await stage.ask<Campaign>('PATCH', path(campaign), { body })).body;
    expect(await change({ daily_limit: 20, sending_window_end: '16:30', name: null })).toMatchObject({
      name: 'Spring',
      daily_limit: 20,
      sending_window_end: '16:30:00',
      description: 'First',
    });
    expect(await change({ description: null })).toMatchObject({ description: null, daily_limit: 20 });
    expect((await stage.ask('PATCH', path(campaign), { body: { launch_type: 'scheduled' } })).status).toBe(
      422,
    );
  });

  it('lists by state, name and part of the name, by page and by cursor', async () => {
    for (const name of ['Spring', 'Summer', 'Autumn'])
      await stage.addCampaign({ dataset_id: datasetId, name });
    const list = async (query: string) =>
      (
        await stage.ask<{ campaigns: Campaign[]; total: number; next_cursor: string | null }>(
          'GET',
          `/api/v1/campaigns/?${query}`,
        )
      ).body;
    expect((await list('')).campaigns.map((one) => one.name)).toEqual(['Autumn', 'Summer', 'Spring']);
    expect((await list('search=s')).total).toBe(2);
    expect((await list('name=Summer')).total).toBe(1);
    expect((await list('status_filter=active')).total).toBe(0);
    const first = await list('page_size=2');
    expect(first.next_cursor).toEqual(expect.any(String));
    expect((await list(`limit=2&cursor=${first.next_cursor}`)).campaigns.map((one) => one.name)).toEqual([
      'Spring',
    ]);
    expect((await list('page=2&page_size=2')).campaigns.map((one) => one.name)).toEqual(['Spring']);
    expect((await list('offset=1&limit=1')).campaigns.map((one) => one.name)).toEqual(['Summer']);
  });

  it('shows campaigns to their user only', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId });
    const other = (method: string, rest = '') =>
      stage.ask(method, path(campaign, rest), {
        workspace: 'b',
        ...(method === 'PATCH'
          ? { body: { name: 'Mine' } }
          : rest === '/leads' && method === 'POST'
            ? { body: { dataset_id: datasetId } }
            : {}),
      });
    for (const [method, rest] of [
      ['GET', ''],
      ['PATCH', ''],
      ['DELETE', ''],
      ['POST', '/launch'],
      ['POST', '/launch-preflight'],
      ['GET', '/launch-warnings'],
      ['POST', '/pause'],
      ['POST', '/resume'],
      ['GET', '/stats'],
      ['GET', '/stats/step-performance'],
      ['GET', '/leads'],
      ['POST', '/leads'],
      ['GET', `/leads/${stage.newId()}/events`],
      ['POST', '/template-preview'],
    ] as const) {
      expect((await other(method, rest)).status, `${method} ${rest}`).toBe(404);
    }
  });

  it('fills a step for a row without writing anything', async () => {
    await stage.rows(`update leads set company = null where email = 'person1@acme.example'`);
    const steps = [
      STEP,
      stepOf(2, 3, { subject: 'Again, {{first_name}}', body: '{{company}} and {{shoe_size}}' }),
    ];
    const campaign = await stage.addCampaign({ dataset_id: datasetId, steps });
    const fill = async (query: string) =>
      (await stage.ask('POST', path(campaign, `/template-preview?${query}`))).body;
    expect(await fill('')).toEqual({
      subject: 'Maps for Acme',
      body: "Hello Person0,\n\nshall we talk about maps?\nUnsubscribe: [the recipient's unsubscribe link]\n\n-- \n1 Long Road, Oslo",
      missing_variables: [],
    });
    expect(await fill('step_index=2&lead_row_index=1')).toMatchObject({
      subject: 'Again, Person1',
      missing_variables: ['company', 'shoe_size'],
    });
    expect((await stage.ask('POST', path(campaign, '/template-preview?step_index=3'))).status).toBe(404);
    expect((await stage.ask('POST', path(campaign, '/template-preview?lead_row_index=9'))).status).toBe(404);
  });

  it('adds leads to a draft, each once', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId });
    const more = await stage.addDataset(people(2, 'other.example'));
    const add = (body: object) => stage.ask('POST', path(campaign, '/leads'), { body });
    expect((await add({ dataset_id: more })).body).toMatchObject({ added: 2, already: 0, total_leads: 5 });
    expect((await add({ dataset_id: more })).body).toMatchObject({ added: 0, already: 2, total_leads: 5 });
    expect((await add({ lead_ids: [stage.newId()] })).status).toBe(404);
    expect((await add({})).status).toBe(422);
    expect(await mails()).toEqual([]);
  });

  it('deletes a campaign in any state: what waits is not sent, what was sent stays known', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId });
    await launch(campaign);
    await stage.runUntil(MONDAY + 61 * MINUTE);
    expect(stage.mailer.sent).toHaveLength(1);
    expect((await stage.ask('DELETE', path(campaign))).status).toBe(204);
    expect((await stage.ask('GET', path(campaign))).status).toBe(404);
    await stage.runUntil(MONDAY + DAY);
    expect(stage.mailer.sent).toHaveLength(1);
    expect(await mails()).toMatchObject([{ status: 'sent' }]);
    // Whoever got a mail is contacted, also for the next campaign.
    const next = await stage.addCampaign({ dataset_id: datasetId });
    expect((await preflight(next)).left_out).toEqual({ contacted: 1 });
  });
});

describe('the preflight', () => {
  it('says who gets mails, when the first and the last leaves, and changes nothing', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId });
    const report = await preflight(campaign);
    expect(report).toMatchObject({
      summary: { total_rows: 3, launchable_rows: 3 },
      left_out: {},
      first_send_at: '2026-03-02T08:00:00.000Z',
      last_send_at: '2026-03-02T08:10:00.000Z',
    });
    expect(await mails()).toEqual([]);
    expect((await stage.ask('GET', path(campaign, '/launch-warnings'))).body).toMatchObject({
      warnings: [],
      summary: null,
    });
  });

  it('leaves out who must not or cannot be written to, by reason', async () => {
    const other = await stage.addDataset([{ email: 'PERSON3@acme.example' }, { email: 'old@acme.example' }]);
    await launch(await stage.addCampaign({ dataset_id: other }));
    const leads = await stage.addDataset([
      ...people(4),
      { email: 'Person1@Acme.example' },
      { email: 'not an address' },
      { email: 'never@acme.example' },
      { email: 'blank@acme.example', data: { shout: ' ' } },
    ]);
    await stage.rows(
      `insert into suppression_entries (id, workspace_id, email) values ($1, $2, 'never@acme.example')`,
      [stage.newId(), stage.caller.workspaceId],
    );
    await stage.rows(
      `update leads set data = '{"shout": "Hey"}' where dataset_id = $1 and email <> 'blank@acme.example'`,
      [leads],
    );
    const campaign = await stage.addCampaign({
      dataset_id: leads,
      steps: [stepOf(1, 0, { subject: '{{shout}}' })],
    });
    const report = await preflight(campaign);
    expect(report.left_out).toEqual({ invalid: 1, suppressed: 1, duplicate: 1, contacted: 1, empty_text: 1 });
    expect(report.summary).toMatchObject({ total_rows: 8, launchable_rows: 3 });
    expect(codes(report)).toContain('LEADS_LEFT_OUT');
    const result = await launch(campaign);
    expect(result.body.left_out).toEqual(report.left_out);
    const { body } = await stage.ask<{ leads: CampaignLead[] }>(
      'GET',
      path(campaign, '/leads?status_filter=skipped'),
    );
    expect(body.leads.map((lead) => lead.error).sort()).toEqual([
      'contacted',
      'duplicate',
      'empty_text',
      'invalid',
      'suppressed',
    ]);
  });

  it('names missing fields with their fallback, worst first', async () => {
    await stage.rows(`update leads set company = null where email <> 'person0@acme.example'`);
    const steps = [STEP, stepOf(2, 2, { body: 'To {{job}} at {{company}}. To unsubscribe, answer no.' })];
    const campaign = await stage.addCampaign({ dataset_id: datasetId, steps });
    const report = await preflight(campaign);
    expect(report.warnings).toMatchObject([
      { code: 'MISSING_FIELD', step: 2, field: 'job', row_index: 0, severity: 'warning' },
      { code: 'MISSING_FIELD', step: 2, field: 'company', row_index: 1 },
      { code: 'FALLBACK_USED', step: 1, field: 'company', row_index: 1 },
      { code: 'FALLBACK_USED', step: 2, field: 'company' },
    ]);
    expect(report.warnings[3]?.message).toContain('"your team"');
  });

  it.each([
    ['WINDOW_NEVER_OPENS', { send_days: [] }],
    ['WINDOW_NEVER_OPENS', { sending_window_start: '17:00:00', sending_window_end: '09:00:00' }],
    ['NO_TEXT', { steps: [{ step: 1, delay_days: 0 }] }],
    ['NO_TEXT', { steps: [stepOf(1, 0, { subject: null, body: null })] }],
    ['NO_RECIPIENTS', { steps: [stepOf(1, 0, { type: 'PERSONALIZATION' })] }],
  ])('says %s and keeps the campaign from being launched', async (code, changes) => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId, ...changes });
    const report = await preflight(campaign);
    expect(report.warnings[0]).toMatchObject({ code, severity: 'error' });
    expect(report.summary.launchable_rows).toBe(0);
    const refused = await launch(campaign);
    expect(refused.status).toBe(422);
    expect(refused.body).toMatchObject({ detail: 'CAMPAIGN_NOT_READY' });
    expect(await mails()).toEqual([]);
    expect((await stage.ask('GET', path(campaign))).body).toMatchObject({ status: 'draft' });
  });

  it('needs a sender with a mailbox, leads, a dataset that is not archived, and room for the plan', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId, daily_limit: 1, send_days: ['mon'] });
    await stage.rows(`update sender_profiles set sender_data = '{"from_name": "Jane"}'`);
    expect(codes(await preflight(campaign))).toContain('SENDER_MAILBOX_MISSING');
    await stage.rows('delete from sender_profiles');
    expect(codes(await preflight(campaign))).toContain('SENDER_MISSING');
    await stage.addSender({ postal_address: null });
    expect(codes(await preflight(campaign))).toContain('NO_POSTAL_ADDRESS');
    await stage.rows('update datasets set archived_at = now()');
    expect(codes(await preflight(campaign))).toContain('DATASET_ARCHIVED');
    await stage.rows('update datasets set archived_at = null');
    const many = await stage.addCampaign({
      dataset_id: await stage.addDataset(people(60, 'many.example')),
      daily_limit: 1,
      send_days: ['mon'],
    });
    const report = await preflight(many);
    expect(report.warnings[0]).toMatchObject({ code: 'PLAN_TOO_LONG', severity: 'error' });
    expect(report.warnings[0]?.message).toMatch(/^7 of 60 mails/);
    const empty = await stage.addCampaign({ dataset_id: await stage.addDataset([]) });
    expect(codes(await preflight(empty))).toContain('NO_RECIPIENTS');
  });

  it.each([
    [96, []],
    [97, ['WINDOW_TOO_SMALL']],
  ])('says for %i leads what the window leaves no room for on a day', async (leads, codes) => {
    const campaign = await stage.addCampaign({ dataset_id: await stage.addDataset(people(leads)) });
    expect((await preflight(campaign)).warnings.map(({ code }) => code)).toEqual(codes);
  });

  it('counts the mails of other campaigns from the same mailbox', async () => {
    await launch(await stage.addCampaign({ dataset_id: datasetId }));
    const more = await stage.addCampaign({ dataset_id: await stage.addDataset(people(1, 'more.example')) });
    expect((await preflight(more)).first_send_at).toBe('2026-03-02T08:15:00.000Z');
  });
});

describe('a launch', () => {
  it('lets each first mail wait for its moment, as it was written', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId });
    const { status, body } = await launch(campaign);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      campaign: { status: 'active', total_leads: 3, launch_requested_at: new Date(MONDAY).toISOString() },
      summary: { total_rows: 3, launchable_rows: 3 },
    });
    expect(await mails()).toMatchObject([
      {
        to_address: 'person0@acme.example',
        subject: 'Maps for Acme',
        status: 'queued',
        due_at: new Date('2026-03-02T08:00:00Z'),
      },
      { to_address: 'person1@acme.example', due_at: new Date('2026-03-02T08:05:00Z') },
      { to_address: 'person2@acme.example', due_at: new Date('2026-03-02T08:10:00Z') },
    ]);
    const [mail] = await mails();
    expect(mail?.body).toMatch(
      /Unsubscribe: https:\/\/mail\.example\.com\/unsubscribe\/[\w-]+\n\n-- \n1 Long Road, Oslo$/,
    );
    expect((await stage.ask('GET', path(campaign, '/launch-warnings'))).body).toMatchObject({
      summary: body.summary,
      warnings: body.warnings,
    });
    const { body: list } = await stage.ask<{ leads: CampaignLead[] }>('GET', path(campaign, '/leads'));
    expect(list.leads[0]).toMatchObject({ status: 'active', next_action_at: '2026-03-02T08:00:00.000Z' });
    const events = await stage.ask('GET', path(campaign, `/leads/${list.leads[0]?.campaign_lead_id}/events`));
    expect(events.body).toMatchObject({ events: [{ event_type: 'queued', step: 1 }] });
  });

  it('takes leads that came to the dataset after the draft was made', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId });
    await stage.rows(
      `insert into leads (id, workspace_id, dataset_id, row_index, email) values ($1, $2, $3, 9, 'late@acme.example')`,
      [stage.newId(), stage.caller.workspaceId, datasetId],
    );
    expect((await launch(campaign)).body.summary).toMatchObject({ total_rows: 4, launchable_rows: 4 });
  });

  it('shares the leads by weight, always the same way, and lets senders take turns', async () => {
    const leads = await stage.addDataset(people(200, 'many.example'));
    const second = await stage.addSender({ from_email: 'bob@example.com' });
    const [variant] = STEP.variants;
    const steps = [
      {
        step: 1,
        delay_days: 0,
        variants: [
          { ...variant, label: 'A', weight: 75 },
          { ...variant, label: 'B', weight: 25, subject: 'B' },
          { ...variant, label: 'C', weight: 0, subject: 'C' },
        ],
      },
    ];
    const campaign = await stage.addCampaign({ dataset_id: leads, steps, alias_ids: [senderId, second] });
    await launch(campaign);
    const counts = await stage.rows<{ variant_label: string; n: string }>(
      'select variant_label, count(*) as n from outbox group by 1 order by 1',
    );
    expect(counts.map((row) => row.variant_label)).toEqual(['A', 'B']);
    expect(Number(counts[0]?.n)).toBeGreaterThan(120);
    const senders = await stage.rows<{ mailbox: string; n: string; last: Date }>(
      'select mailbox, count(*) as n, max(due_at) as last from outbox group by 1 order by 1',
    );
    expect(senders.map((row) => row.mailbox)).toEqual(['bob@example.com', 'jane@example.com']);
    for (const row of senders) expect(Number(row.n)).toBeGreaterThan(60);
  });

  it('waits for its start when it is scheduled, in local days of its zone', async () => {
    const campaign = await stage.addCampaign({
      dataset_id: datasetId,
      launch_type: 'scheduled',
      start_date: '2026-03-06T15:58:00+00:00',
    });
    const { body } = await launch(campaign);
    expect(body.campaign.status).toBe('scheduled');
    expect((await mails()).map((mail) => mail.due_at?.toISOString())).toEqual([
      '2026-03-06T15:58:00.000Z',
      '2026-03-09T08:00:00.000Z',
      '2026-03-09T08:05:00.000Z',
    ]);
    await stage.runUntil(Date.parse('2026-03-06T15:57:59Z'));
    expect(stage.mailer.sent).toEqual([]);
    await stage.runUntil(Date.parse('2026-03-06T16:30:00Z'));
    expect(stage.mailer.sent).toHaveLength(1);
    expect((await stage.ask('GET', path(campaign))).body).toMatchObject({ status: 'active' });
  });

  it('happens once, however many ask for it at once', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId });
    const answers = await Promise.all(Array.from({ length: 8 }, () => launch(campaign)));
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 409, 409, 409, 409, 409, 409, 409]);
    expect(await mails()).toHaveLength(3);
  });

  it('plans two campaigns that are launched at once beside each other', async () => {
    const campaigns = await Promise.all(
      ['one', 'two', 'three'].map(async (name) =>
        stage.addCampaign({ dataset_id: await stage.addDataset(people(20, `${name}.example`)) }),
      ),
    );
    await Promise.all(campaigns.map(launch));
    const due = (await mails()).map((mail) => mail.due_at?.getTime() ?? 0);
    expect(due).toHaveLength(60);
    for (const [index, moment] of due.slice(1).entries()) {
      expect(moment - (due[index] ?? 0)).toBeGreaterThanOrEqual(5 * MINUTE);
    }
  });

  it('needs the scope send, and is not for an agent that acts by itself', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId });
    for (const changes of [
      { kind: 'agent' as const },
      { kind: 'mcp' as const },
      { scopes: ['read', 'write'] },
    ]) {
      const caller = { ...stage.caller, ...changes };
      await expect(stage.launches.launch(caller, campaign.campaign_id)).rejects.toMatchObject({
        code: 'FORBIDDEN',
      });
      await expect(stage.launches.resume(caller, campaign.campaign_id)).rejects.toMatchObject({
        code: 'FORBIDDEN',
      });
    }
    await stage.launches.launch({ ...stage.caller, scopes: ['send'] }, campaign.campaign_id);
    const more = await stage.addDataset(people(1, 'more.example'));
    await expect(
      stage.launches.addLeads({ ...stage.caller, scopes: ['write'] }, campaign.campaign_id, {
        dataset_id: more,
      }),
    ).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });
});

describe('the states of a campaign', () => {
  it('answers an illegal act with 409 and the state', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId });
    const act = async (what: string) => {
      const { status, body } = await stage.ask('POST', path(campaign, `/${what}`));
      return [status, body.detail, body.status];
    };
    expect(await act('pause')).toEqual([409, 'CAMPAIGN_STATE', 'draft']);
    expect(await act('resume')).toEqual([409, 'CAMPAIGN_STATE', 'draft']);
    await launch(campaign);
    expect(await act('launch')).toEqual([409, 'CAMPAIGN_STATE', 'active']);
    expect(await act('resume')).toEqual([409, 'CAMPAIGN_STATE', 'active']);
    expect((await stage.ask('PATCH', path(campaign), { body: { daily_limit: 5 } })).body).toMatchObject({
      detail: 'CAMPAIGN_STATE',
      status: 'active',
    });
    expect((await stage.ask('PATCH', path(campaign), { body: { name: 'Other' } })).status).toBe(200);
    expect((await act('pause'))[0]).toBe(200);
    expect(await act('pause')).toEqual([409, 'CAMPAIGN_STATE', 'paused']);
    expect(await act('launch')).toEqual([409, 'CAMPAIGN_STATE', 'paused']);
    expect((await act('resume'))[0]).toBe(200);
    await stage.runUntil(MONDAY + DAY);
    for (const what of ['launch', 'pause', 'resume']) {
      expect(await act(what)).toEqual([409, 'CAMPAIGN_STATE', 'completed']);
    }
    const late = await stage.ask('POST', path(campaign, '/leads'), { body: { dataset_id: datasetId } });
    expect(late.body).toMatchObject({ detail: 'CAMPAIGN_STATE', status: 'completed' });
  });

  it('drains when no lead is left to start, and is complete when none is under way', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId, steps: [STEP, stepOf(2, 2)] });
    await launch(campaign);
    const status = async () => (await stage.campaigns.get(stage.caller, campaign.campaign_id)).status;
    await stage.runUntil(MONDAY + 65 * MINUTE);
    expect(await status()).toBe('active');
    await stage.runUntil(MONDAY + DAY);
    expect(await status()).toBe('draining');
    await stage.runUntil(MONDAY + 3 * DAY);
    expect(await status()).toBe('completed');
    expect(await stage.campaigns.get(stage.caller, campaign.campaign_id)).toMatchObject({
      processed_leads: 3,
    });
  });

  it('holds everything while it is paused, and plans anew from the moment it goes on', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId, steps: [STEP, stepOf(2, 1)] });
    await launch(campaign);
    await stage.runUntil(MONDAY + 62 * MINUTE);
    expect(stage.mailer.sent).toHaveLength(1);
    await stage.ask('POST', path(campaign, '/pause'));
    await stage.runUntil(MONDAY + 2 * DAY);
    expect(stage.mailer.sent).toHaveLength(1);
    await stage.ask('PATCH', path(campaign), {
      body: { steps: [stepOf(1, 0, { subject: 'New words' }), stepOf(2, 1)], min_interval_seconds: 600 },
    });
    await stage.ask('POST', path(campaign, '/resume'));
    expect((await mails()).filter((mail) => mail.status === 'queued')).toMatchObject([
      { to_address: 'person0@acme.example', step: 2, due_at: new Date('2026-03-04T08:00:00Z') },
      {
        to_address: 'person1@acme.example',
        step: 1,
        subject: 'New words',
        due_at: new Date('2026-03-04T08:10:00Z'),
      },
      { to_address: 'person2@acme.example', step: 1, due_at: new Date('2026-03-04T08:20:00Z') },
    ]);
    await stage.runUntil(MONDAY + 10 * DAY);
    expect(stage.mailer.sent).toHaveLength(6);
    expect(await stage.campaigns.get(stage.caller, campaign.campaign_id)).toMatchObject({
      status: 'completed',
    });
  });

  it('adds leads to a running campaign: they get its first mail, those in it get none again', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId });
    await launch(campaign);
    const more = await stage.addDataset([...people(2, 'more.example'), { email: 'PERSON1@acme.example' }]);
    const { body } = await stage.ask('POST', path(campaign, '/leads'), { body: { dataset_id: more } });
    expect(body).toMatchObject({ added: 2, already: 0, left_out: { duplicate: 1 }, total_leads: 6 });
    expect(body.first_send_at).toBe('2026-03-02T08:15:00.000Z');
    await stage.runUntil(MONDAY + DAY);
    expect(stage.mailer.sent.map((one) => one.mail.to)).toEqual([
      'person0@acme.example',
      'person1@acme.example',
      'person2@acme.example',
      'person0@more.example',
      'person1@more.example',
    ]);
  });

  it('counts what became of its mails', async () => {
    const campaign = await stage.addCampaign({ dataset_id: datasetId, steps: [STEP, stepOf(2, 2)] });
    await launch(campaign);
    stage.mailer.outcome((mail) =>
      mail.to.startsWith('person1')
        ? { state: 'failed', error: { code: 'MAIL_REFUSED', message: 'No such user', retryable: false } }
        : { state: 'done', providerRef: null },
    );
    await stage.runUntil(MONDAY + DAY);
    const stats = (await stage.ask('GET', path(campaign, '/stats'))).body;
    expect(stats).toMatchObject({
      total_leads: 3,
      queued: 2,
      in_flight: 0,
      sent: 2,
      failed: 1,
      unknown: 0,
      open_rate: 0,
    });
    const steps = (await stage.ask<{ steps: object[] }>('GET', path(campaign, '/stats/step-performance')))
      .body;
    expect(steps.steps).toMatchObject([
      { step: 1, variant_label: 'A', channel: 'email', sent: 2 },
      { step: 2, variant_label: 'A', sent: 0 },
    ]);
    expect((await stage.ask('GET', '/api/v1/campaigns/aggregate-stats')).body).toMatchObject({
      total_campaigns: 1,
      active_campaigns: 1,
      total_leads: 3,
      sent: 2,
    });
  });
});
