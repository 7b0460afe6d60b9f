/** What a newcomer finds in dev mode on the first start, so that the first things they type work. */

import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import { DEV_USER, DEV_WORKSPACE, type Identities } from '../../http/caller.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { Campaigns } from '../campaigns/campaigns.ts';
import { createCampaignBody } from '../campaigns/schema.ts';
import { demoLeads, SUPPRESSED_ADDRESS } from './people.ts';

export interface DemoNeeds {
  database: Database;
  campaigns: Pick<Campaigns, 'createWithin'>;
  identities: Identities;
  newId(): string;
}

const owner = { workspace_id: DEV_WORKSPACE, user_id: DEV_USER };

export const DEMO_TEMPLATES = [
  {
    name: 'First hello',
    subject: 'A question about {{company|your company}}',
    body: 'Hello {{first_name|there}},\n\nI read that you work at {{company|your company}}. We help teams like yours to write fewer and better mails.\n\nWould fifteen minutes next week suit you?\n\nBest regards,\nAlex',
  },
  {
    name: 'Short reminder',
    subject: 'Still of interest, {{first_name|there}}?',
    body: 'Hello {{first_name|there}},\n\nmy last mail may have come at a bad time. If it is of no interest, one word is enough and I will not write again.\n\nBest regards,\nAlex',
  },
];

/** Fills the local user's workspace if nothing is in it; harmless on every later start. */
export async function seedDemo({ database, campaigns, identities, newId }: DemoNeeds): Promise<void> {
  await identities.ensureWorkspace(DEV_WORKSPACE, 'Local workspace');
  await database.within(DEV_WORKSPACE, async (tx) => {
    // Two processes may start at once: the second waits here and then finds it done.
    await tx.selectFrom('workspaces').select('id').where('id', '=', DEV_WORKSPACE).forUpdate().execute();
    const found = await tx.selectFrom('sender_profiles').select('id').limit(1).executeTakeFirst();
    if (found !== undefined) return;
    await seedSender(tx, newId);
    const templateIds = await seedTemplates(tx, newId);
    const datasetId = await seedLeads(tx, newId);
    await campaigns.createWithin(tx, LOCAL_USER, demoCampaign(datasetId, templateIds));
  });
}

async function seedSender(tx: WorkspaceTransaction, newId: () => string): Promise<void> {
  const data = {
    from_name: 'Alex Local',
    from_email: 'alex@overture.example',
    postal_address: 'Overture, 1 Example Street, 12345 Example Town',
    company: 'Overture',
    title: 'Account Executive',
  };
  await tx
    .insertInto('sender_profiles')
    .values({
      ...owner,
      id: newId(),
      profile_name: 'Local sender',
      description: 'Made on the first start; change it to who you are.',
      is_default: true,
      sender_data: JSON.stringify(data),
    })
    .execute();
}

async function seedTemplates(tx: WorkspaceTransaction, newId: () => string): Promise<string[]> {
  const ids: string[] = [];
  for (const template of DEMO_TEMPLATES) {
    const id = newId();
    ids.push(id);
    await tx
      .insertInto('templates')
      .values({ ...owner, ...template, id })
      .execute();
  }
  return ids;
}

async function seedLeads(tx: WorkspaceTransaction, newId: () => string): Promise<string> {
  const datasetId = newId();
  const leads = demoLeads();
  await tx
    .insertInto('datasets')
    .values({
      ...owner,
      id: datasetId,
      name: 'Demo leads (fictional)',
      source_type: 'demo',
      file_name: null,
      columns: ['email', 'first_name', 'last_name', 'company', 'title', 'city', 'country'],
      row_count: leads.length,
    })
    .execute();
  await tx
    .insertInto('leads')
    .values(
      leads.map((lead, index) => ({
        ...lead,
        id: newId(),
        workspace_id: DEV_WORKSPACE,
        dataset_id: datasetId,
        row_index: index,
      })),
    )
    .execute();
  await tx
    .insertInto('suppression_entries')
    .values({
      id: newId(),
      workspace_id: DEV_WORKSPACE,
      email: SUPPRESSED_ADDRESS,
      reason: 'Asked not to be written to',
      source: 'demo',
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return datasetId;
}

const LOCAL_USER: Caller = {
  workspaceId: DEV_WORKSPACE,
  userId: DEV_USER,
  kind: 'dev',
  scopes: null,
  sandbox: false,
  email: null,
  keyId: null,
  plan: 'dev',
};

/** The draft that "Launch the Q4 campaign" means. */
function demoCampaign(datasetId: string, templateIds: readonly string[]) {
  return createCampaignBody.parse({
    name: 'Q4 campaign',
    dataset_id: datasetId,
    description: 'A draft to try things with: fictional people, two mails.',
    daily_limit: 40,
    steps: templateIds.map((id, index) => ({
      step: index + 1,
      delay_days: index === 0 ? 0 : 3,
      variants: [{ label: 'A', weight: 100, type: 'TEMPLATE', template_id: id }],
      ai_personalization_enabled: false,
    })),
  });
}
