/** A workspace with one of everything that is kept, made through the doors of a running service. */

import { vi } from 'vitest';
import type { Person } from './people.ts';
import { rawMail } from './raw-mails.ts';
import type { ScriptedModel } from './scripted-model.ts';

export interface SeededWorkspace {
  /** Stands in every row that has a text, so that a row that leaks is recognised. */
  marker: string;
  /** What a `{parameter}` of a path is called here. The conversation waits with the approval. */
  ids: Record<PathParameter, string>;
  /** A batch of the lead finder that has ended, and a bulk find: their paths call them as others are called. */
  batchId: string;
  bulkId: string;
  /** The hash of the pending approval. */
  argsHash: string;
  /** The turn that waits. */
  turnId: string;
  /** Another conversation, which waits for nothing. */
  idleThreadId: string;
}

const PATH_PARAMETERS = [
  'thread_id',
  'run_id',
  'approval_id',
  'dataset_id',
  'lead_id',
  'session_id',
  'profile_id',
  'name',
  'template_id',
  'entry_id',
  'key_id',
  'job_id',
  'domain',
  'campaign_id',
  'campaign_lead_id',
  'reply_id',
  'id',
] as const;
type PathParameter = (typeof PATH_PARAMETERS)[number];

export function isPathParameter(name: string): name is PathParameter {
  return PATH_PARAMETERS.some((known) => known === name);
}

/** A CSV of one person whose row says the marker. */
export function leadFile(marker: string): FormData {
  const form = new FormData();
  form.append(
    'file',
    new Blob([`email,first_name,company\nlead@${marker}.example,Lena,${marker}\n`]),
    `${marker}.csv`,
  );
  return form;
}

/** A raw mail of somebody whom nobody wrote to. */
export function replyOf(marker: string): Blob {
  const words = { from: `someone@${marker}.example`, subject: marker, body: marker };
  return new Blob([rawMail(words)], { type: 'message/rfc822' });
}

/** `model` must answer nobody else meanwhile. */
export async function seedWorkspace(
  person: Person,
  model: ScriptedModel,
  marker: string,
): Promise<SeededWorkspace> {
  const dataset = await person.post('/api/v1/datasets/import', leadFile(marker));
  const { leads } = await person.get('/api/v1/leads');
  const leadId = idOf((leads as Record<string, unknown>[])[0], 'lead_id');
  const session = await person.post('/api/v1/sessions/create', { session_type: 'personalization' });
  const profile = await person.post('/api/v1/sender-profiles/', {
    profile_name: `${marker} profile`,
    sender_data: { from_name: marker, from_email: `sender@${marker}.example` },
    is_default: true,
  });
  const profileId = idOf(profile, 'id');
  const name = `${marker}-prompt`;
  const prompt = `Write for ${marker}. `.padEnd(120, 'x');
  await person.post(`/api/v1/sender-profiles/${profileId}/prompts`, { name, prompt });
  const template = await person.post('/api/v1/templates/', { name: marker, subject: marker, body: marker });
  const entry = await person.post('/api/v1/suppression/', { email: `never@${marker}.example` });
  const key = await person.post('/api/v1/api-keys', { name: `${marker} key` });

  const mail = { name: 'send_email', args: { lead_id: leadId, subject: marker, body: `Hi ${marker}` } };
  model.script(`Hello ${marker}`);
  const idle = await person.post('/api/v1/agent/chat', { message: `I am ${marker}` });
  model.script({ toolCalls: [mail] }, `Sent ${marker}`);
  const sent = await person.post('/api/v1/agent/chat', { message: `Write to ${marker}` });
  await person.post('/api/v1/agent/chat', { thread_id: sent.thread_id, resume: { confirmed: true } });
  model.script({ toolCalls: [mail] });
  const waiting = await person.post('/api/v1/agent/chat', { message: `Write to ${marker} again` });
  const [approval] = waiting.approvals as Record<string, unknown>[];
  const target = { name: `Lena ${marker}`, domain: `${marker}.example` };
  const find = await person.post('/api/v1/email-finder/find', target);
  const bulk = await person.post('/api/v1/email-finder/bulk', { rows: [target] });
  const batch = await person.post('/api/v1/lead-finder/batch', {
    criteria: [{ keywords: marker }],
    dataset_name: marker,
  });
  const batchId = idOf(batch, 'session_id');
  // It is worked on in the background, and nothing of the workspace may change once it is seeded.
  await vi.waitUntil(
    async () => (await person.get(`/api/v1/lead-finder/batch/${batchId}/status`)).status === 'completed',
    { timeout: 10_000 },
  );
  const steps = [
    {
      step: 1,
      delay_days: 0,
      variants: [{ label: 'A', weight: 100, type: 'TEMPLATE', subject: marker, body: marker }],
    },
    { step: 2, delay_days: 1, variants: [{ label: 'A', weight: 100, type: 'PERSONALIZATION' }] },
  ];
  const datasetId = idOf(dataset, 'dataset_id');
  const campaign = await person.post('/api/v1/campaigns/', { name: marker, dataset_id: datasetId, steps });
  const campaignId = idOf(campaign, 'campaign_id');
  await person.post(`/api/v1/campaigns/${campaignId}/leads`, { lead_ids: [leadId] });
  const reply = await person.post('/api/v1/replies/inbound', await replyOf(marker).text(), {
    'content-type': 'message/rfc822',
  });
  const enrolled = await person.get(`/api/v1/campaigns/${campaignId}/leads`);
  return {
    marker,
    batchId,
    bulkId: idOf(bulk, 'job_id'),
    ids: {
      thread_id: idOf(waiting, 'thread_id'),
      run_id: idOf(waiting, 'run_id'),
      approval_id: idOf(approval, 'approval_id'),
      dataset_id: datasetId,
      lead_id: leadId,
      session_id: idOf(session, 'session_id'),
      profile_id: profileId,
      name,
      template_id: idOf(template, 'template_id'),
      entry_id: idOf(entry, 'entry_id'),
      key_id: idOf(key, 'id'),
      job_id: idOf(find, 'job_id'),
      domain: `${marker}.example`,
      campaign_id: campaignId,
      campaign_lead_id: idOf((enrolled.items as Record<string, unknown>[])[0], 'campaign_lead_id'),
      reply_id: idOf(reply, 'reply_id'),
      // The AI SDK's word for a conversation.
      id: idOf(idle, 'thread_id'),
    },
    argsHash: idOf(approval, 'args_hash'),
    turnId: idOf(waiting, 'turn_id'),
    idleThreadId: idOf(idle, 'thread_id'),
  };
}

function idOf(row: Record<string, unknown> | undefined, name: string): string {
  const id = row?.[name];
  if (typeof id !== 'string') throw new Error(`there is no ${name} in ${JSON.stringify(row)}`);
  return id;
}
