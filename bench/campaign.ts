/** A workspace that launches campaigns: a service with a mail server and a database of its own, and leads by the thousand. */

import { randomUUID } from 'node:crypto';
import path from 'node:path';
import type { Lab } from './lab.ts';
import { type Child, startChild } from './processes.ts';
import { type Database, type Service, startDatabase, startService } from './service.ts';

export interface CampaignLab {
  service: Service;
  /** Not the lab's: the service there has no mail server, and would keep the mails that are due here. */
  database: Database;
  /** Takes the mails, and counts them when asked for `taken`. */
  sink: Child;
  /** A draft over as many new leads, whose addresses nobody has written to. */
  draft(leads: number): Promise<string>;
  launch(campaignId: string): Promise<LaunchAnswer>;
  stop(): Promise<void>;
}

export interface LaunchAnswer {
  campaign: { campaign_id: string; status: string };
  summary: { launchable_rows: number };
}

/** Two steps, so that a launch writes and hashes two texts a lead. */
const STEPS = [1, 2].map((step) => ({
  step,
  delay_days: step - 1,
  variants: ['A', 'B'].map((label) => ({
    label,
    weight: 50,
    type: 'TEMPLATE',
    subject: `${label}: maps for {{company|your team}}`,
    body: `Hello {{first_name|there}},\n\n${'we draw maps of what {{company}} does in {{city|town}}. '.repeat(8)}\n\n{{unsubscribe_link}}`,
  })),
}));

export async function startCampaignLab(lab: Lab): Promise<CampaignLab> {
  const folder = path.join(lab.folder, randomUUID());
  const sink = await startChild('sink.ts');
  const database = await startDatabase(folder);
  const service = await startService({
    databaseUrl: database.url,
    modelUrl: lab.model.url,
    folder,
    callers: 1,
    environment: { SMTP_URL: sink.url, PUBLIC_URL: 'https://bench.example' },
  });

  async function ask<Answer>(method: string, address: string, body?: unknown): Promise<Answer> {
    const form = body instanceof FormData;
    const answer = await fetch(`${service.url}${address}`, {
      method,
      headers: {
        authorization: `Bearer ${service.keys[0]}`,
        ...(form || body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: form ? body : body === undefined ? null : JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${address}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as Answer;
  }

  await ask('POST', '/api/v1/sender-profiles/', {
    profile_name: 'bench',
    sender_data: { from_name: 'Bench', from_email: 'bench@bench.example', postal_address: 'Street 1, Town' },
    is_default: true,
  });
  return {
    service,
    database,
    sink,
    async draft(leads) {
      const { dataset_id } = await ask<{ dataset_id: string }>(
        'POST',
        '/api/v1/datasets/import',
        leadFile(leads),
      );
      const { campaign_id } = await ask<{ campaign_id: string }>('POST', '/api/v1/campaigns/', {
        name: 'bench',
        dataset_id,
        steps: STEPS,
        daily_limit: 10_000,
        min_interval_seconds: 60,
      });
      return campaign_id;
    },
    launch: (campaignId) => ask<LaunchAnswer>('POST', `/api/v1/campaigns/${campaignId}/launch`),
    async stop() {
      await service.stop();
      await database.stop();
      await sink.stop();
    },
  };
}

function leadFile(leads: number): FormData {
  const mark = randomUUID().slice(0, 8);
  const lines = Array.from(
    { length: leads },
    (_, index) =>
      `lead${index}@company${index % 500}-${mark}.example,First${index},Last${index},Company ${index % 500},Engineer,City ${index % 40},note ${index}`,
  );
  const text = ['email,first_name,last_name,company,title,city,remark', ...lines].join('\n');
  const form = new FormData();
  form.append('file', new Blob([text]), 'leads.csv');
  return form;
}
