/**
 * Every route is sent what its own schema allows, at random: it answers a success or a refusal that it publishes, in the
 * shape that it publishes. FUZZ_RUNS says how many inputs each route gets, FUZZ_SEED which.
 */

import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { schemaOf } from '../../src/http/openapi.ts';
import type { Route } from '../../src/http/route.ts';
import { arbitraryOf, type KnownIds } from '../support/json-arbitrary.ts';
import { recordOf } from '../support/json-schema.ts';
import { createLocalPerson } from '../support/people.ts';
import { type Published, readPublished } from '../support/published.ts';
import { leadFile, replyOf, type SeededWorkspace, seedWorkspace } from '../support/seeded-workspace.ts';
import type { ServiceHere } from '../support/service.ts';
import { openStage, type Stage } from '../support/stage.ts';

const RUNS = Number(process.env.FUZZ_RUNS ?? 8);
const SEED = Number(process.env.FUZZ_SEED ?? 20261128);
/** A request that takes longer is taken for one that hangs. */
const PATIENCE_MS = 30_000;

let stage: Stage;
let service: ServiceHere;
let seeded: SeededWorkspace;
let published: Published;

beforeAll(async () => {
  stage = await openStage();
  service = await stage.start();
  seeded = await seedWorkspace(createLocalPerson(service.url), stage.model, 'alphaworks');
  stage.model.otherwise('Very well.');
  published = await readPublished(service.url);
});
afterAll(() => stage.close());

/** Routes of the page are files. */
const routes = () => service.app.routes.filter((route) => route.tag !== 'page');

interface Input {
  params: Record<string, unknown>;
  query: Record<string, unknown>;
  body: unknown;
}

interface Answered {
  status: number;
  body: unknown;
  /** What is wrong with the answer itself; null where it is as it is published. */
  fault: string | null;
  /** Whether it is the answer of an earlier request with the same Idempotency-Key. */
  replayed: boolean;
}

/** Sends an input and judges the answer; of a stream only that it began. */
async function send(
  route: Route,
  { params, query, body }: Input,
  headers: Record<string, string> = { prefer: 'respond-async' },
): Promise<Answered> {
  const path = route.path.replaceAll(/\{(\w+)\}/g, (_all, name: string) =>
    encodeURIComponent(String(params[name])),
  );
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) search.append(name, String(value));
  // A form and a file say by themselves what they are.
  const form = body instanceof FormData || body instanceof Blob;
  const response = await fetch(`${service.url}${path}${search.size === 0 ? '' : `?${search}`}`, {
    method: route.method,
    headers: {
      'x-overture-client': '1',
      accept: 'application/json, text/event-stream',
      ...(form || body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: form ? body : JSON.stringify(body) }),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const type = response.headers.get('content-type') ?? '';
  const streams = type.startsWith('text/event-stream');
  if (streams) await response.body?.cancel();
  const text = streams ? '' : await response.text();
  const json = type.startsWith('application/json') ? JSON.parse(text) : undefined;
  return {
    status: response.status,
    body: json ?? text,
    replayed: response.headers.get('idempotency-replayed') === 'true',
    fault: published.faultOf(route.method, route.path, response.status, type, json),
  };
}

/** What a route can be sent, with ids that are there among those that are not. Nothing that is there is deleted. */
function inputsOf(route: Route): fc.Arbitrary<Input> {
  const ids: KnownIds = route.method === 'DELETE' ? {} : idsOf(route);
  const part = (schema: Route['body']) =>
    schema === undefined ? fc.constant({}) : arbitraryOf(schemaOf(schema, 'input'), ids);
  const body = part(route.body).map((value) => (route.body === undefined ? undefined : value));
  return fc.record({
    params: part(route.params).map(recordOf),
    query: part(route.query).map(recordOf),
    body:
      route.upload !== undefined
        ? fc.constant(undefined).map(() => leadFile('fuzz'))
        : route.raw !== undefined
          ? fc.string({ unit: 'binary' }).map(replyOf)
          : body,
  });
}

/** What an address is made of here; the conversation that waits is left waiting. */
function idsOf(route: Route): KnownIds {
  const { ids, idleThreadId, batchId, bulkId, argsHash } = seeded;
  const own: KnownIds = route.path.includes('/lead-finder/')
    ? { session_id: batchId }
    : route.path.includes('/bulk/')
      ? { job_id: bulkId }
      : {};
  const waiting = route.path.includes('{approval_id}') || route.operation === 'getAgentPendingInterrupt';
  return {
    ...ids,
    lead_ids: ids.lead_id,
    sender_profile_id: ids.profile_id,
    args_hash: argsHash,
    thread_id: waiting ? ids.thread_id : idleThreadId,
    ...own,
  };
}

/** A failure of ours; that the scripted model writes no mail is none, and is published. */
function isFailure(route: Route, { status, body }: Answered): boolean {
  const refusals: readonly string[] = route.refusals ?? [];
  return status >= 500 && !refusals.includes(String(recordOf(body).detail));
}

function told(route: Route, input: Input, { status, body, fault }: Answered): string {
  const answer = JSON.stringify(body)?.slice(0, 300);
  return `${route.operation} ${JSON.stringify(input).slice(0, 500)} → ${status} ${answer}: ${fault} (FUZZ_SEED=${SEED})`;
}

/**
 * A call that must succeed; answers what came. `params` default to what is seeded. A write is sent twice with one
 * Idempotency-Key, and the second is given the answer of the first.
 */
async function succeed(
  operation: string,
  input: { params?: Record<string, unknown>; query?: Record<string, unknown>; body?: unknown } = {},
  headers: Record<string, string> = { prefer: 'respond-async' },
): Promise<Record<string, unknown>> {
  const route = routes().find((one) => one.operation === operation);
  if (route === undefined) throw new Error(`there is no operation ${operation}`);
  const { params, query = {}, body } = input;
  const whole = { params: { ...idsOf(route), ...params }, query, body };
  const writes = route.method !== 'GET' && route.access !== 'public';
  const key: Record<string, string> = writes ? { 'idempotency-key': randomUUID() } : {};
  const answer = await send(route, whole, { ...headers, ...key });
  expect({ operation, ...answer }).toMatchObject({
    operation,
    fault: null,
    status: expect.toSatisfy(isSuccess),
  });
  succeeded.add(operation);
  if (writes) {
    const again = await send(route, whole, { ...headers, ...key });
    // A key is shown once, so no repeat can be given it.
    if (operation === 'createApiKey')
      expect(again).toMatchObject({ status: 409, body: { id: idOf(answer) } });
    else if (operation === 'agentChat') expect(again).toMatchObject({ status: answer.status, fault: null });
    else expect({ operation, ...again }).toEqual({ operation, ...answer, replayed: true });
  }
  return recordOf(answer.body);
}

const idOf = ({ body }: Answered) => recordOf(body).id;
const isSuccess = (status: number) => status >= 200 && status < 300;
const succeeded = new Set<string>();

/** Other protocols have tests with their own clients; a link of a mail has tests with a mail; nothing verifies addresses. */
const APART = ['ag-ui', 'ai-sdk', 'langgraph', 'mcp', 'unsubscribe'];
const NEVER = ['verifyEmail'];
/** Nothing may leave while a test looks, whatever the hour. */
const LATER = { launch_type: 'scheduled', start_date: '2099-03-02T09:00:00Z' };

describe('every route', () => {
  it('answers a success in the shape that it publishes', async () => {
    const { ids } = seeded;
    const name = 'walked';

    const cards = await succeed('getAgentPendingInterrupt');
    const card = recordOf(cards.interrupt);
    await succeed('listApprovals');
    await succeed('previewApprovalEdit', { body: { args: card.args } });
    await succeed('listApprovalRecipients');
    await succeed('sendApprovalTestMail', { body: { args_hash: card.args_hash } });
    await succeed('decideApproval', { body: { decision: 'reject', args_hash: card.args_hash } });
    await succeed('agentChat', { body: { message: 'Hello' } });
    await succeed('agentChat', { body: { message: 'Hello' } }, { accept: 'application/json' });
    await succeed('agentChat', { body: { message: 'Hello' } }, { accept: 'text/event-stream' });
    await succeed('followAgentConversation');
    await succeed('watchAgent');
    await succeed('cancelAgentTurn', { params: { thread_id: ids.thread_id } });
    const thread = await succeed('createAgentConversation', { body: { title: name } });
    const params = { thread_id: thread.thread_id };
    await succeed('renameAgentConversation', { params, body: { title: name } });
    await succeed('archiveAgentConversation', { params });
    await succeed('restoreAgentConversation', { params });
    await succeed('getAgentConversation', { params: { thread_id: ids.thread_id } });
    await succeed('listAgentConversations');

    await succeed('previewUpload', { body: leadFile(name) });
    const { dataset_id } = await succeed('importDataset', { body: leadFile(name) });
    const dataset = { params: { dataset_id } };
    await succeed('updateDataset', { ...dataset, body: { dataset_name: name } });
    await succeed('archiveDataset', dataset);
    await succeed('restoreDataset', dataset);
    await succeed('downloadDataset', dataset);
    await succeed('getDataset', dataset);
    await succeed('listDatasets');
    const { session_id } = await succeed('createSession', { body: { session_type: 'personalization' } });
    await succeed('uploadSessionCsv', { params: { session_id }, body: leadFile(name) });
    await succeed('listLeads', { query: { query: 'lena' } });
    await succeed('getLead');

    const profile = await succeed('createSenderProfile', {
      body: { profile_name: name, sender_data: { from_name: name, from_email: 'walked@alphaworks.example' } },
    });
    const own = { profile_id: profile.id };
    await succeed('listSenderProfiles');
    await succeed('getDefaultSenderProfile');
    await succeed('searchSenderProfiles', { query: { query: name } });
    await succeed('getSenderProfile', { params: own });
    await succeed('updateSenderProfile', { params: own, body: { description: name } });
    const prompt = name.padEnd(120, '.');
    await succeed('createNamedPrompt', { params: own, body: { name, prompt } });
    await succeed('listNamedPrompts', { params: own });
    await succeed('updateNamedPrompt', { params: { ...own, name }, body: { prompt: `${prompt}!` } });
    await succeed('deleteNamedPrompt', { params: { ...own, name } });
    await succeed('savePersonalizationPrompt', { body: { sender_profile_id: profile.id, prompt } });
    await succeed('getDefaultPrompt');
    await succeed('getEffectivePrompt', { query: { sender_profile_id: ids.profile_id } });
    stage.model.script(
      JSON.stringify({ commonalities: [] }),
      JSON.stringify({ subject: 'Hello', body: 'Shall we talk?', claims: [] }),
    );
    await succeed('previewPersonalization', {
      body: { lead_data: { email: 'a@b.example' }, sender_profile_id: ids.profile_id },
    });

    const template = await succeed('createTemplate', { body: { name, subject: name, body: name } });
    const ofTemplate = { params: { template_id: template.template_id } };
    await succeed('listTemplates');
    await succeed('getTemplate', ofTemplate);
    await succeed('updateTemplate', { ...ofTemplate, body: { name: 'renamed' } });
    await succeed('deleteTemplate', ofTemplate);
    const entry = await succeed('addSuppression', { body: { email: 'walked@elsewhere.example' } });
    await succeed('listSuppression');
    await succeed('deleteSuppression', { params: { entry_id: entry.entry_id } });

    await succeed('submitLeadFinderBatch', { body: { criteria: [{ keywords: name }], dataset_name: name } });
    await succeed('getLeadFinderBatchStatus');
    const target = { name: 'Lena Walked', domain: 'alphaworks.example' };
    await succeed('searchPerson', { body: target });
    const found = await succeed('findEmail', { body: target });
    await succeed('getEmailJobStatus', { params: { job_id: found.job_id } });
    await succeed('bulkFindEmails', { body: { rows: [target] } });
    await succeed('getBulkFindStatus');
    await succeed('getCompanyByDomain');
    await succeed('getEmailFinderStats');
    await succeed('emailFinderHealth');

    const variant = { label: 'A', weight: 100, type: 'TEMPLATE', subject: name, body: 'Hello' };
    const campaign = await succeed('createCampaign', {
      body: { name, dataset_id, steps: [{ step: 1, delay_days: 0, variants: [variant] }] },
    });
    const ofCampaign = { params: { campaign_id: campaign.campaign_id } };
    await succeed('updateCampaign', { ...ofCampaign, body: { daily_limit: 20, ...LATER } });
    await succeed('addCampaignLeads', { ...ofCampaign, body: { lead_ids: [ids.lead_id] } });
    await succeed('previewTemplateSubstitution', ofCampaign);
    await succeed('launchPreflight', ofCampaign);
    await succeed('launchCampaign', ofCampaign);
    const { launches } = await succeed('listCampaignLaunches', ofCampaign);
    const [launch] = Array.isArray(launches) ? launches.map(recordOf) : [];
    await succeed('undoCampaignLaunch', { ...ofCampaign, body: { launch_id: launch?.launch_id } });
    await succeed('launchCampaign', ofCampaign);
    await succeed('getLaunchWarnings', ofCampaign);
    await succeed('pauseCampaign', ofCampaign);
    await succeed('resumeCampaign', ofCampaign);
    const enrolled = await succeed('listCampaignLeads', ofCampaign);
    const [first] = Array.isArray(enrolled.items) ? enrolled.items.map(recordOf) : [];
    await succeed('getLeadEvents', {
      params: { ...ofCampaign.params, campaign_lead_id: first?.campaign_lead_id },
    });
    await succeed('getCampaignStats', ofCampaign);
    await succeed('getStepPerformance', ofCampaign);
    await succeed('getAggregateStats');
    await succeed('getCampaign', ofCampaign);
    await succeed('listCampaigns');
    await succeed('deleteCampaign', ofCampaign);
    const personal = await succeed('createCampaign', {
      body: {
        name,
        dataset_id,
        steps: [{ step: 1, delay_days: 0, variants: [{ label: 'A', weight: 100, type: 'PERSONALIZATION' }] }],
      },
    });
    const ofPersonal = { campaign_id: personal.campaign_id };
    const listed = await succeed('listCampaignLeads', { params: ofPersonal });
    const [lead] = Array.isArray(listed.items) ? listed.items.map(recordOf) : [];
    const ofLead = { params: { ...ofPersonal, campaign_lead_id: lead?.campaign_lead_id } };
    await succeed('approveLeadEmail', {
      ...ofLead,
      body: { step_index: 1, variant_label: 'A', subject: name, body: name },
    });
    await succeed('personalizeCampaignEmail', {
      params: ofPersonal,
      body: { campaign_lead_id: lead?.campaign_lead_id, step_index: 1 },
    });
    await succeed('unapproveLeadEmail', { ...ofLead, body: { step_index: 1 } });
    await succeed('resetLeadApprovals', { ...ofLead, body: {} });
    await succeed('deleteSenderProfile', { params: own });
    await succeed('listOutbox');
    const { reply_id } = await succeed('receiveReply', { body: replyOf(name) });
    await succeed('getReply', { params: { reply_id } });
    await succeed('listReplies', { query: { kind: 'reply', q: name } });

    await succeed('estimateCredits', { body: { operation_type: 'email_finder_find', operation_count: 2 } });
    await succeed('getCreditBalance');
    await succeed('getCreditTransactions');
    const key = await succeed('createApiKey', { body: { name } });
    await succeed('listApiKeys');
    await succeed('revokeApiKey', { params: { key_id: key.id } });
    for (const operation of [
      ...['getCurrentUser', 'verifyToken', 'getCapabilities', 'getMetrics'],
      ...['rootHealth', 'health', 'ready', 'systemStatusPlain', 'systemStatus'],
      ...['getOpenApi', 'getDocs', 'getLlmsText'],
    ])
      await succeed(operation);

    const all = routes().filter((route) => !APART.includes(route.tag));
    expect(all.map((route) => route.operation).filter((one) => !succeeded.has(one))).toEqual(NEVER);
  });

  it('answers what its schema allows with what it publishes', {
    timeout: 120_000 + RUNS * 10_000,
  }, async () => {
    const wrong: string[] = [];
    for (const route of routes()) {
      for (const input of fc.sample(inputsOf(route), { numRuns: RUNS, seed: SEED })) {
        const answer = await send(route, input);
        if (answer.fault !== null || isFailure(route, answer)) wrong.push(told(route, input, answer));
      }
    }
    expect(wrong).toEqual([]);
  });
});
