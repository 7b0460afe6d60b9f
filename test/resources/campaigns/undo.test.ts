/** A launch that is taken back while nothing of it has left: whole or not at all, whoever is about to send. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Campaign, CampaignLaunch, CampaignLead } from '../../../src/resources/campaigns/schema.ts';
import {
  type CampaignStage,
  DAY,
  MINUTE,
  MONDAY,
  openCampaignStage,
  people,
  stepOf,
} from '../../support/campaign-stage.ts';

let stage: CampaignStage;
let datasetId: string;
let senders: string[];

beforeAll(async () => {
  stage = await openCampaignStage();
});
afterAll(() => stage.close());
beforeEach(async () => {
  await stage.clear();
  datasetId = await stage.addDataset(people(3));
  senders = [await stage.addSender()];
});

const path = (campaign: { campaign_id: string }, rest = '') =>
  `/api/v1/campaigns/${campaign.campaign_id}${rest}`;
const read = async (campaign: Campaign) => (await stage.ask<Campaign>('GET', path(campaign))).body;
const launches = async (campaign: Campaign) =>
  (await stage.ask<{ launches: CampaignLaunch[] }>('GET', path(campaign, '/launches'))).body.launches;
const undo = (campaign: Campaign, launchId: string | undefined) =>
  stage.ask('POST', path(campaign, '/launch/undo'), { body: { launch_id: launchId } });
const mails = () =>
  stage.rows<{ status: string; to_address: string }>('select * from outbox order by due_at');
const leads = async (campaign: Campaign) =>
  (await stage.ask<{ leads: CampaignLead[] }>('GET', path(campaign, '/leads'))).body.leads;

/** Makes a campaign and launches it; answers it with the launch. */
async function launched(changes: Record<string, unknown> = {}): Promise<{ campaign: Campaign; id: string }> {
  const campaign = await stage.addCampaign({ dataset_id: datasetId, alias_ids: senders, ...changes });
  expect((await stage.ask('POST', path(campaign, '/launch'))).status).toBe(200);
  const [launch] = await launches(campaign);
  return { campaign, id: launch?.launch_id ?? '' };
}

describe('a launch that is undone', () => {
  it('leaves a draft, with its leads, nothing queued, and who undid it', async () => {
    const { campaign, id } = await launched();
    expect(await launches(campaign)).toMatchObject([
      { kind: 'launch', undoable: true, undone_at: null, launched_by: 'user:user-a', turn_id: null },
    ]);
    expect(await mails()).toHaveLength(3);
    const answer = await undo(campaign, id);
    expect(answer).toMatchObject({
      status: 200,
      body: { status: 'draft', launch_job_id: null, total_leads: 3 },
    });
    expect(await mails()).toEqual([]);
    expect((await leads(campaign)).map((lead) => lead.status)).toEqual(['pending', 'pending', 'pending']);
    expect(await launches(campaign)).toMatchObject([
      {
        launch_id: id,
        undoable: false,
        undone_by: 'user:user-a',
        undone_at: new Date(MONDAY).toISOString(),
      },
    ]);
    await stage.runUntil(MONDAY + 3 * DAY);
    expect(stage.mailer.sent).toEqual([]);
    expect(await read(campaign)).toMatchObject({ status: 'draft' });
  });

  it('can be launched anew, and neither launch is taken for the other', async () => {
    const { campaign, id } = await launched({ steps: [stepOf(1, 0), stepOf(2, 1)] });
    expect((await undo(campaign, id)).status).toBe(200);
    expect(await undo(campaign, id)).toMatchObject({ status: 409, body: { detail: 'CAMPAIGN_STATE' } });
    expect((await stage.ask('POST', path(campaign, '/launch'))).status).toBe(200);
    expect(await undo(campaign, id)).toMatchObject({
      status: 409,
      body: { detail: 'CAMPAIGN_STATE', message: expect.stringContaining('undone already') },
    });
    expect((await launches(campaign)).map(({ undoable }) => undoable)).toEqual([true, false]);
    await stage.runUntil(MONDAY + 7 * DAY);
    expect(stage.mailer.sent).toHaveLength(6);
    expect(await read(campaign)).toMatchObject({ status: 'completed' });
  });

  it('may have been paused, and may have lost people who unsubscribed; what was refused stays told', async () => {
    const { campaign, id } = await launched();
    await stage.rows(
      `insert into suppression_entries (id, workspace_id, email) values ($1, $2, 'person0@acme.example')`,
      [stage.newId(), stage.caller.workspaceId],
    );
    // The first mail is due and withheld; the next has its moment later.
    stage.clock.set(MONDAY + 61 * MINUTE);
    await stage.dispatch();
    expect((await mails()).map((mail) => mail.status).sort()).toEqual(['failed', 'queued', 'queued']);
    await stage.ask('POST', path(campaign, '/pause'));
    expect((await undo(campaign, id)).status).toBe(200);
    expect((await mails()).map((mail) => mail.status)).toEqual(['failed']);
    expect((await stage.ask('POST', path(campaign, '/launch'))).body).toMatchObject({
      left_out: { suppressed: 1 },
      summary: { launchable_rows: 2 },
    });
    await stage.runUntil(MONDAY + 3 * DAY);
    expect(stage.mailer.sent.map(({ mail }) => mail.to).sort()).toEqual([
      'person1@acme.example',
      'person2@acme.example',
    ]);
  });

  it('is refused once a mail has left, is on its way or may have left; and then nothing changes', async () => {
    const { campaign, id } = await launched();
    stage.clock.set(MONDAY + 61 * MINUTE);
    const held = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    stage.mailer.outcome(async () => {
      begun.resolve();
      await held.promise;
      return { state: 'done', providerRef: '250 ok' };
    });
    const working = stage.dispatch();
    await begun.promise;
    const before = await stage.rows('select id, status, due_at from outbox order by id');
    expect((await launches(campaign)).map(({ undoable }) => undoable)).toEqual([false]);
    expect(await undo(campaign, id)).toMatchObject({
      status: 409,
      body: { detail: 'ALREADY_SENT', sent: 0, sending: 1, message: expect.stringContaining('Pause') },
    });
    expect(await stage.rows('select id, status, due_at from outbox order by id')).toEqual(before);
    held.resolve();
    await working;
    expect(await undo(campaign, id)).toMatchObject({
      status: 409,
      body: { detail: 'ALREADY_SENT', sent: 1, sending: 0 },
    });
    expect(await read(campaign)).toMatchObject({ status: 'active' });
    await stage.runUntil(MONDAY + DAY);
    expect(stage.mailer.sent).toHaveLength(3);
  });

  it('is only its owner’s to undo', async () => {
    const { campaign, id } = await launched();
    const body = { launch_id: id };
    expect((await stage.ask('POST', path(campaign, '/launch/undo'), { body, workspace: 'b' })).status).toBe(
      404,
    );
    expect((await stage.ask('GET', path(campaign, '/launches'), { workspace: 'b' })).status).toBe(404);
    expect((await undo(campaign, stage.newId())).status).toBe(404);
    expect(await mails()).toHaveLength(3);
  });

  it('has sent all of its mails or none, whoever was faster: 100 races against two dispatchers', {
    timeout: 120_000,
  }, async () => {
    const seen = { undone: 0, sent: 0 };
    const [first, second] = [stage.dispatcher({ owner: 'one' }), stage.dispatcher({ owner: 'two' })];
    for (let round = 0; round < 100; round += 1) {
      await stage.clear();
      stage.clock.set(MONDAY + 120 * MINUTE);
      datasetId = await stage.addDataset(people(4, `round${round}.example`));
      // A mailbox each, so that several mails are due at this moment.
      senders = await Promise.all(
        [0, 1, 2].map((box) => stage.addSender({ from_email: `jane${box}@example.com` })),
      );
      const { campaign, id } = await launched();
      const work = () => Promise.all([first.round(), second.round()]);
      const answer = await (round % 10 === 0
        ? undo(campaign, id)
        : round % 10 === 1
          ? work().then(() => undo(campaign, id))
          : Promise.all([undo(campaign, id), work()]).then(([told]) => told));
      await Promise.all([first.idle(), second.idle()]);
      await stage.runUntil(MONDAY + 2 * DAY, round % 2 === 0 ? first : second);
      const sent = stage.mailer.sent.length;
      const { status } = await read(campaign);
      const [launch] = await launches(campaign);
      if (answer.status === 200) {
        seen.undone += 1;
        expect({ round, sent, status, undone: launch?.undone_at !== null }).toEqual({
          round,
          sent: 0,
          status: 'draft',
          undone: true,
        });
        expect(await mails()).toEqual([]);
      } else {
        seen.sent += 1;
        expect({ round, sent, status, undone: launch?.undone_at, code: answer.body.detail }).toEqual({
          round,
          sent: 4,
          status: 'completed',
          undone: null,
          code: 'ALREADY_SENT',
        });
      }
    }
    expect(seen.undone).toBeGreaterThanOrEqual(10);
    expect(seen.sent).toBeGreaterThanOrEqual(10);
  });
});
