/** Sending what is due: mails a second from the outbox through SMTP to a sink, how each ended kept. */

import { setTimeout as pause } from 'node:timers/promises';
import { startCampaignLab } from '../campaign.ts';
import type { Lab } from '../lab.ts';
import { cpuOf, cpuOfFamily } from '../processes.ts';
import { type Row, short } from '../report.ts';
import { median } from '../statistics.ts';

const MAILS = 2000;

/**
 * Each mail gets a mailbox of its own and is due: a mailbox keeps at least a minute between its mails, so that one
 * mailbox shows the interval and not the dispatcher.
 */
const ALL_DUE = `
with due as (
  update outbox set mailbox = 'bench ' || id, due_at = now() - interval '1 second', due_until = now() + interval '1 hour'
   where campaign_id = $1 and status = 'queued' returning workspace_id, mailbox
)
insert into mailboxes (workspace_id, address, wake_at) select workspace_id, mailbox, now() from due`;

export async function dispatch(lab: Lab): Promise<Row[]> {
  const campaigns = await startCampaignLab(lab);
  const { service, database } = campaigns;
  const rates: number[] = [];
  const cpu: number[] = [];
  const postgres: number[] = [];
  try {
    for (let round = 0; round < lab.rounds; round += 1) {
      const campaignId = await campaigns.draft(MAILS);
      await campaigns.launch(campaignId);
      const settled = async () => {
        const [row] = await database.query<{ n: number }>(
          "select count(*)::int as n from outbox where campaign_id = $1 and status = 'sent'",
          [campaignId],
        );
        return row?.n ?? 0;
      };
      const known = await settled();
      const [taken, before] = [await campaigns.sink.ask<number>('taken'), measureCpu()];
      await database.query(ALL_DUE, [campaignId]);
      const began = performance.now();
      // The sink is asked first: to count rows all the while would cost PostgreSQL more than the mails do.
      while ((await campaigns.sink.ask<number>('taken')) - taken < MAILS - known) await pause(50);
      while ((await settled()) < MAILS) await pause(50);
      rates.push((MAILS - known) / ((performance.now() - began) / 1000));
      const after = measureCpu();
      cpu.push((after[0] - before[0]) / MAILS);
      postgres.push((after[1] - before[1]) / MAILS);
      const arrived = (await campaigns.sink.ask<number>('taken')) - taken;
      if (arrived !== MAILS - known) throw new Error(`${arrived} of ${MAILS - known} mails came to the sink`);
    }
  } finally {
    await campaigns.stop();
  }
  return [
    {
      what: `dispatch of ${MAILS} due mails`,
      bars: [{ unit: 'mails/s', must: 'at least', first: 200, goal: 400, rounds: rates }],
      figures: [`CPU ${short(median(cpu))} ms + PostgreSQL ${short(median(postgres))} ms a mail`],
    },
  ];

  function measureCpu(): readonly [number, number] {
    return [cpuOf(service.pid), cpuOfFamily(database.pid)];
  }
}
