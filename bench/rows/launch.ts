/** Launching a campaign over ten thousand leads: one call, one transaction, every first mail written and planned. */

import { startCampaignLab } from '../campaign.ts';
import type { Lab } from '../lab.ts';
import { cpuOf, cpuOfFamily } from '../processes.ts';
import { type Row, short } from '../report.ts';
import { median } from '../statistics.ts';

const LEADS = 10_000;

export async function launch(lab: Lab): Promise<Row[]> {
  const campaigns = await startCampaignLab(lab);
  const { service, database } = campaigns;
  const seconds: number[] = [];
  const cpu: number[] = [];
  const postgres: number[] = [];
  try {
    for (let round = 0; round < lab.rounds; round += 1) {
      const campaignId = await campaigns.draft(LEADS);
      const before = [cpuOf(service.pid), cpuOfFamily(database.pid)] as const;
      const began = performance.now();
      const { summary } = await campaigns.launch(campaignId);
      seconds.push((performance.now() - began) / 1000);
      cpu.push(cpuOf(service.pid) - before[0]);
      postgres.push(cpuOfFamily(database.pid) - before[1]);
      if (summary.launchable_rows !== LEADS) throw new Error(`only ${summary.launchable_rows} were launched`);
    }
  } finally {
    await campaigns.stop();
  }
  return [
    {
      what: `a launch over ${LEADS} leads`,
      bars: [{ unit: 's', must: 'at most', first: 5, goal: 3, rounds: seconds }],
      figures: [`CPU ${short(median(cpu))} ms + PostgreSQL ${short(median(postgres))} ms a launch`],
    },
  ];
}
