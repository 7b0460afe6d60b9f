import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase } from '../../src/db/database.ts';
import { createPool } from '../../src/db/pool.ts';
import { createLog } from '../../src/log.ts';
import { createDelivery } from '../../src/resources/campaigns/delivery/delivery.ts';
import { createFollowUps } from '../../src/resources/campaigns/delivery/follow-ups.ts';
import type { Mailer } from '../../src/resources/outbox/mailer.ts';
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
import { createDyingPool, createLife, type Death } from '../support/dying-pool.ts';
import { eventually } from '../support/mailing.ts';

let stage: CampaignStage;
const log = createLog({ level: 'error', secrets: [], write: () => undefined });
let runtimePool: ReturnType<typeof createPool>;
beforeAll(async () => {
  stage = await openCampaignStage();
  runtimePool = createPool({ url: stage.databaseUrl, role: 'overture_runtime', size: 2, log });
});
afterAll(async () => {
  await runtimePool.end();
  await stage.close();
});

/** A dispatcher of a process that dies there; a step of it is each statement and each word with the mail server. */
function dyingDispatcher(death: Death | null) {
  const life = createLife(death);
  const app = createDyingPool(stage.pool, life);
  const runtime = createDyingPool(runtimePool, life);
  const mailer: Mailer = {
    ...stage.mailer,
    async send(mail) {
      life.step('before');
      const outcome = await stage.mailer.send(mail);
      life.step('after');
      return outcome;
    },
  };
  const dispatcher = stage.dispatcher({
    owner: 'dying',
    mailer,
    delivery: createDelivery({
      appPool: app.pool,
      runtimePool: runtime.pool,
      owner: 'dying',
      leaseSeconds: 60,
      sandbox: false,
      newId: stage.newId,
    }),
    followUps: createFollowUps({
      database: createDatabase({ pool: app.pool }),
      runtimePool: runtime.pool,
      links: stage.links,
      newId: stage.newId,
    }),
    concurrency: 1,
  });
  return { dispatcher, life };
}

/** Lets the dispatcher do all that is due at this moment, or die of it. */
async function work(dispatcher: ReturnType<typeof dyingDispatcher>['dispatcher']): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    await dispatcher.round().catch(() => undefined);
    await dispatcher.idle();
  }
}

/** Waits until the database has noticed the death: what was not committed is undone, and its locks are gone. */
async function mourned(): Promise<void> {
  await eventually(
    () =>
      stage.rows(
        `select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
            and backend_type = 'client backend' and xact_start is not null`,
      ),
    (open) => open.length === 0,
  );
}

async function launched(): Promise<string> {
  await stage.clear();
  await stage.addSender();
  const campaign = await stage.addCampaign({
    dataset_id: await stage.addDataset(people(1)),
    steps: [STEP, stepOf(2, 1)],
  });
  await stage.launches.launch(stage.caller, campaign.campaign_id);
  stage.clock.set(MONDAY + 60 * MINUTE);
  return campaign.campaign_id;
}

describe('a dispatcher whose process dies', () => {
  it('loses no mail and sends none twice, wherever that happens', async () => {
    await launched();
    const whole = dyingDispatcher(null);
    await work(whole.dispatcher);
    expect(stage.mailer.sent).toHaveLength(1);
    // Before one statement, after the next: every statement is cut off once from one side.
    const points = Array.from(
      { length: whole.life.count() },
      (_, index): Death => ({ at: index + 1, phase: index % 2 === 0 ? 'before' : 'after' }),
    );
    expect(points.length).toBeGreaterThanOrEqual(20);
    const ends = { sent: 0, unknown: 0 };
    for (const death of points) {
      const campaignId = await launched();
      const { dispatcher, life } = dyingDispatcher(death);
      await work(dispatcher);
      // With concurrency there may be a statement less than in the run that was counted.
      if (!life.dead()) continue;
      await mourned();
      const began = stage.mailer.sent.length;
      const atDeath = await stage.rows<{ status: string }>('select status from outbox where step = 1');
      stage.clock.set(stage.clock.now() + 2 * MINUTE);
      await stage.runUntil(MONDAY + 3 * DAY);
      const where = JSON.stringify({ ...death, began, atDeath });
      const [first, second] = await stage.rows<{ status: string }>('select status from outbox order by step');
      const firsts = stage.mailer.sent.filter(({ mail }) => mail.subject === 'Maps for Acme');
      // 0 doubled: the physical count. 0 lost: sent, or told to be unknown because it had begun.
      const messageIds = firsts.map(({ mail }) => mail.messageId);
      expect(new Set(messageIds).size, where).toBe(messageIds.length);
      if (first?.status === 'unknown') {
        expect(atDeath, where).toEqual([{ status: 'sending' }]);
        expect(second, where).toBeUndefined();
        ends.unknown += 1;
      } else {
        expect([first?.status, second?.status], where).toEqual(['sent', 'sent']);
        expect(firsts, where).toHaveLength(2);
        ends.sent += 1;
      }
      expect((await stage.campaigns.get(stage.caller, campaignId)).status, where).toBe('completed');
    }
    expect(ends.sent).toBeGreaterThan(ends.unknown);
    // Between "it begins" and "it ended": the commit of the start, the word with the server, and the statements that keep its end.
    expect(ends.unknown).toBeGreaterThan(0);
  });
});
