import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase } from '../../../src/db/database.ts';
import { createLaunches } from '../../../src/resources/campaigns/launch/launches.ts';
import {
  type CampaignStage,
  MONDAY,
  openCampaignStage,
  people,
  STEP,
  stepOf,
} from '../../support/campaign-stage.ts';
import { createDyingPool, createLife, type Death } from '../../support/dying-pool.ts';

const LEADS = 5;

let stage: CampaignStage;
beforeAll(async () => {
  stage = await openCampaignStage();
});
afterAll(() => stage.close());

async function draft() {
  await stage.clear();
  await stage.addSender();
  const leads = [...people(LEADS), { email: 'broken' }];
  return stage.addCampaign({ dataset_id: await stage.addDataset(leads), steps: [STEP, stepOf(2, 1)] });
}

/** Launches in a process that dies there; answers how many statements it came to. */
async function launchAndDie(
  campaignId: string,
  death: Death | null,
): Promise<{ count: number; died: boolean }> {
  const life = createLife(death);
  const { pool } = createDyingPool(stage.pool, life);
  const launches = createLaunches({
    ...stage,
    database: createDatabase({ pool }),
    sandbox: false,
    now: stage.clock.now,
  });
  const died = await launches.launch(stage.caller, campaignId).then(
    () => false,
    () => true,
  );
  return { count: life.count(), died };
}

/** What must be so of a campaign that was launched, however often that was tried. */
async function judge(campaignId: string): Promise<void> {
  const mails = await stage.rows<{ address: string; due_at: Date; launch_id: string }>(
    'select address, due_at, launch_id from outbox order by due_at',
  );
  expect(mails.map((mail) => mail.address)).toEqual(people(LEADS).map((lead) => lead.email));
  expect(mails[0]?.due_at).toEqual(new Date('2026-03-02T08:00:00Z'));
  const launches = await stage.rows<{ id: string }>('select id from campaign_launches');
  expect(launches).toHaveLength(1);
  expect(new Set(mails.map((mail) => mail.launch_id))).toEqual(new Set(launches.map((one) => one.id)));
  const leads = await stage.rows<{ status: string; n: string }>(
    'select status, count(*) as n from campaign_leads group by 1 order by 1',
  );
  expect(leads).toEqual([
    { status: 'active', n: String(LEADS) },
    { status: 'skipped', n: '1' },
  ]);
  const [mailbox] = await stage.rows<{ wake_at: Date }>('select wake_at from mailboxes');
  expect(mailbox?.wake_at).toEqual(new Date('2026-03-02T08:00:00Z'));
  expect(await stage.campaigns.get(stage.caller, campaignId)).toMatchObject({ status: 'active' });
}

describe('a launch in a process that dies', () => {
  it('happens wholly or not at all at every statement, and once when it is asked for again', async () => {
    const whole = await launchAndDie((await draft()).campaign_id, null);
    expect(whole.died).toBe(false);
    const points = Array.from({ length: whole.count }, (_, index) =>
      (['before', 'after'] as const).map((phase): Death => ({ at: index + 1, phase })),
    ).flat();
    expect(points.length).toBeGreaterThanOrEqual(20);
    for (const death of points) {
      const campaign = await draft();
      const { died } = await launchAndDie(campaign.campaign_id, death);
      expect(died, JSON.stringify(death)).toBe(true);
      const { status } = await stage.campaigns.get(stage.caller, campaign.campaign_id);
      const [{ n } = { n: '' }] = await stage.rows<{ n: string }>('select count(*) as n from outbox');
      expect([status, n], JSON.stringify(death)).toEqual(
        status === 'active' ? ['active', String(LEADS)] : ['draft', '0'],
      );
      // Only the answer to the commit can be lost behind a launch that happened.
      expect(status === 'active').toBe(death.at === whole.count && death.phase === 'after');
      if (status === 'draft') await stage.launches.launch(stage.caller, campaign.campaign_id);
      else {
        await expect(stage.launches.launch(stage.caller, campaign.campaign_id)).rejects.toMatchObject({
          code: 'CAMPAIGN_STATE',
        });
      }
      await judge(campaign.campaign_id);
    }
    expect(stage.mailer.sent).toEqual([]);
    expect(stage.clock.now()).toBe(MONDAY);
  });
});
