/** Workspaces are isolated, and a conversation is its user's: every route of the service, every id of somebody else. */

import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Route } from '../../src/http/route.ts';
import { createPerson, JWT_ENVIRONMENT, type Person, type Reply } from '../support/people.ts';
import {
  isPathParameter,
  leadFile,
  type SeededWorkspace,
  seedWorkspace,
} from '../support/seeded-workspace.ts';
import type { ServiceHere } from '../support/service.ts';
import { openStage, type Stage } from '../support/stage.ts';

const WORKSPACE_A = '019a0000-0000-7000-8000-00000000000a';
const WORKSPACE_B = '019a0000-0000-7000-8000-00000000000b';

/** Bodies that the routes with path parameters take; a route that is not named here fails these tests until it is. */
const BODIES: Record<string, (target: SeededWorkspace) => unknown> = {
  renameAgentConversation: () => ({ title: 'Mine now' }),
  previewApprovalEdit: ({ ids }) => ({ args: { lead_id: ids.lead_id, subject: 'x', body: 'y' } }),
  sendApprovalTestMail: ({ argsHash }) => ({ args_hash: argsHash }),
  decideApproval: ({ argsHash }) => ({ decision: 'reject', args_hash: argsHash }),
  updateDataset: () => ({ dataset_name: 'Mine now' }),
  updateTemplate: () => ({ name: 'Mine now' }),
  updateSenderProfile: () => ({ profile_name: 'Mine now' }),
  createNamedPrompt: () => ({ name: 'mine', prompt: 'x'.repeat(100) }),
  updateNamedPrompt: () => ({ prompt: 'y'.repeat(100) }),
  updateCampaign: () => ({ name: 'Mine now' }),
  undoCampaignLaunch: ({ ids }) => ({ launch_id: ids.campaign_id }),
  addCampaignLeads: ({ ids }) => ({ lead_ids: [ids.lead_id] }),
  approveLeadEmail: ({ marker }) => ({ step_index: 2, variant_label: 'A', subject: marker, body: marker }),
  unapproveLeadEmail: () => ({ step_index: 2 }),
  // Nothing is dropped, so that what was approved is there when it is asked for.
  resetLeadApprovals: () => ({ step_indices: [9] }),
  personalizeCampaignEmail: ({ ids }) => ({ campaign_lead_id: ids.campaign_lead_id, step_index: 2 }),
  streamLangGraphRun: () => ({ assistant_id: 'agent', input: { messages: ['hi'] } }),
  waitLangGraphRun: () => ({ assistant_id: 'agent', input: { messages: ['hi'] } }),
  createLangGraphRun: () => ({ assistant_id: 'agent', input: { messages: ['hi'] } }),
  commandLangGraphThread: () => ({ id: 1, method: 'state.get' }),
  followLangGraphThread: () => ({ channels: ['values'] }),
};

/** Queries without which a list does not answer. */
const QUERIES: Record<string, string> = { searchSenderProfiles: '?query=works' };

/** Reads that show no row of any workspace. */
const ROWLESS = [
  'getCapabilities',
  'getCreditBalance',
  'getDefaultPrompt',
  'getMetrics',
  'getEmailFinderStats',
  'emailFinderHealth',
  'getAgUiCapabilities',
  'getLangGraphInfo',
  'getLangGraphOk',
  'getAggregateStats',
];

/** Reads that a protocol wants answered for names that nobody has taken yet: with nothing. */
const NOTHING: Record<string, { status: number; json: unknown }> = {
  resumeAiSdk: { status: 204, json: null },
  listAiSdkMessages: { status: 200, json: { messages: [] } },
};

/** Routes whose parameter is called like another thing's. */
const OTHER_IDS: Record<string, (target: SeededWorkspace) => string> = {
  getLeadFinderBatchStatus: ({ batchId }) => batchId,
  getBulkFindStatus: ({ bulkId }) => bulkId,
};

/** What the user of a conversation, a profile, a job or a campaign shares with nobody. */
const PRIVATE = ['thread_id', 'id', 'profile_id', 'job_id', 'campaign_id'];

/** What a tool needs beside the id that is tried. */
const TOOL_ARGUMENTS: Record<string, (mine: SeededWorkspace) => Record<string, unknown>> = {
  search_leads: () => ({}),
  personalize_email: ({ ids }) => ({ lead_id: ids.lead_id }),
  send_email: ({ ids }) => ({ lead_id: ids.lead_id, subject: 'x', body: 'y' }),
  suppress_email: ({ ids }) => ({ lead_id: ids.lead_id }),
  create_campaign: ({ ids, marker }) => ({
    name: marker,
    dataset_id: ids.dataset_id,
    steps: [{ delay_days: 0, subject: 'x', body: 'y' }],
  }),
  save_prompt: () => ({ prompt: 'x'.repeat(100) }),
  add_leads_to_campaign: ({ ids }) => ({ campaign_id: ids.campaign_id, lead_ids: [ids.lead_id] }),
  update_campaign: ({ ids }) => ({ campaign_id: ids.campaign_id, name: 'x' }),
};

/** How a foreign id is named where it is not one of the tool's own arguments. */
const TOOL_CHANGES: Record<string, (theirs: SeededWorkspace) => Record<string, unknown>> = {
  'create_campaign template_id': ({ ids }) => ({ steps: [{ delay_days: 0, template_id: ids.template_id }] }),
  'update_campaign template_id': ({ ids }) => ({ steps: [{ delay_days: 0, template_id: ids.template_id }] }),
  'add_leads_to_campaign lead_ids': ({ ids }) => ({ lead_ids: [ids.lead_id] }),
  'add_leads_to_campaign dataset_id': ({ ids }) => ({ lead_ids: undefined, dataset_id: ids.dataset_id }),
};

let stage: Stage;
let service: ServiceHere;
/** Ada and Alan share workspace A; Bea has workspace B. */
let ada: Person;
let alan: Person;
let bea: Person;
let mine: SeededWorkspace;
let theirs: SeededWorkspace;

beforeAll(async () => {
  stage = await openStage(JWT_ENVIRONMENT);
  service = await stage.start();
  ada = await createPerson(service.url, { user: 'alphaworks-ada', workspaceId: WORKSPACE_A });
  alan = await createPerson(service.url, { user: 'alphaworks-alan', workspaceId: WORKSPACE_A });
  bea = await createPerson(service.url, { user: 'bravoworks-bea', workspaceId: WORKSPACE_B });
  mine = await seedWorkspace(ada, stage.model, 'alphaworks');
  theirs = await seedWorkspace(bea, stage.model, 'bravoworks');
  await stage.database.query(
    `update credit_transactions set description = case workspace_id when $1 then 'alphaworks' else 'bravoworks' end`,
    [WORKSPACE_A],
  );
});
afterAll(() => stage.close());

function parametersOf(route: Route): (keyof SeededWorkspace['ids'])[] {
  return [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => {
    if (isPathParameter(name)) return name;
    throw new Error(`${route.operation}: seed a row for {${name}} in test/support/seeded-workspace.ts`);
  });
}

const routesWithIds = () =>
  service.app.routes.filter((route) => route.path.includes('{') && route.access !== 'public');

/** Whether the answer says that there is no such thing. */
function isAbsent(route: Route, { status, json, text }: Reply): boolean {
  const nothing = NOTHING[route.operation];
  if (nothing !== undefined) return status === nothing.status && isDeepStrictEqual(json, nothing.json);
  return status === 404 && json?.detail === 'NOT_FOUND' && text.includes('request_id');
}

/** Asks a route; the parameters in `foreign` are `other`'s, the rest `own`'s. */
function askRoute(
  person: Person,
  route: Route,
  foreign: readonly string[],
  own: SeededWorkspace,
  other: SeededWorkspace,
) {
  const path = parametersOf(route).reduce<string>((text, name) => {
    const target = foreign.includes(name) ? other : own;
    return text.replace(`{${name}}`, OTHER_IDS[route.operation]?.(target) ?? target.ids[name]);
  }, route.path);
  return person.ask(route.method, `${path}${QUERIES[route.operation] ?? ''}`, {
    body: bodyOf(route, foreign.length > 0 ? other : own),
  });
}

function bodyOf(route: Route, target: SeededWorkspace): unknown {
  if (route.upload !== undefined) return leadFile('charlieworks');
  const make = BODIES[route.operation];
  if (make !== undefined) return make(target);
  if (route.body === undefined || route.optionalBody === true) return undefined;
  throw new Error(`${route.operation}: give this test a body in BODIES`);
}

/** Every choice of at least one. */
function choices<T>(items: readonly T[]): T[][] {
  const all: T[][] = [[]];
  for (const item of items) all.push(...all.map((some) => [...some, item]));
  return all.slice(1);
}

/** Everything that workspace B holds. */
async function rowsOfB(): Promise<string> {
  const tables = await stage.database.query<{ name: string }>(
    `select table_name as name from information_schema.columns
      where table_schema = 'public' and column_name = 'workspace_id' order by table_name`,
  );
  expect(tables.length).toBeGreaterThan(15);
  const rows = await Promise.all(
    tables.map(({ name }) =>
      stage.database.query(`select * from ${name} where workspace_id = $1 order by 1, 2`, [WORKSPACE_B]),
    ),
  );
  return JSON.stringify(rows);
}

/** Whether a text shows anything of workspace B. */
function showsTheirs(text: string): string[] {
  const { marker, turnId, idleThreadId, batchId, bulkId, ids } = theirs;
  return [marker, turnId, idleThreadId, batchId, bulkId, ...Object.values(ids)].filter((secret) =>
    text.includes(secret),
  );
}

describe('ids of another workspace', () => {
  it('in the path of any route are answered 404, and nothing changes', async () => {
    const before = await rowsOfB();
    const wrong: string[] = [];
    for (const route of routesWithIds()) {
      for (const foreign of choices(parametersOf(route))) {
        const answer = await askRoute(ada, route, foreign, mine, theirs);
        if (!isAbsent(route, answer) || showsTheirs(answer.text).length > 0)
          wrong.push(`${route.operation} (${foreign}): ${answer.status} ${answer.text}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(routesWithIds().length).toBeGreaterThan(20);
    expect(await rowsOfB()).toBe(before);
  });

  it('in a body or a query are answered 404, or find nothing', async () => {
    const { ids } = theirs;
    const before = await rowsOfB();
    const refused = async (method: string, path: string, body?: unknown, status = 404) => {
      const answer = await ada.ask(method, path, { body });
      expect(answer).toMatchObject({ status });
      expect(showsTheirs(answer.text)).toEqual([]);
    };
    const decision = { approval_id: ids.approval_id, decision: 'approve', args_hash: theirs.argsHash };
    const chat = '/api/v1/agent/chat';
    /** By operation and field; a field that is not named here fails the last line until it is. */
    const tried: Record<string, () => Promise<unknown>> = {
      'agentChat thread_id': async () => {
        await refused('POST', chat, { thread_id: ids.thread_id, message: 'hi' });
        await refused('POST', chat, { thread_id: theirs.idleThreadId, message: 'hi' });
        await refused('POST', chat, { thread_id: ids.thread_id, message: 'hi', on_pending: 'supersede' });
        await refused('POST', chat, { thread_id: ids.thread_id, resume: { confirmed: true } });
      },
      'agentChat approval_id': async () => {
        await refused('POST', chat, { thread_id: ids.thread_id, resume: { decisions: [decision] } });
        await refused('POST', chat, { thread_id: mine.ids.thread_id, resume: { decisions: [decision] } });
        const both = [
          { approval_id: mine.ids.approval_id, decision: 'reject', args_hash: mine.argsHash },
          decision,
        ];
        await refused('POST', chat, { thread_id: mine.ids.thread_id, resume: { decisions: both } });
      },
      // These only name what the caller sends, its own request, or what this service does not have.
      'createCampaign connected_account_id': async () => {},
      'updateCampaign connected_account_id': async () => {},
      'agentChat client_message_id': async () => {},
      'runAgUi runId': async () => {},
      'chatAiSdk messageId': async () => {},
      'streamLangGraphRun assistant_id': async () => {},
      'waitLangGraphRun assistant_id': async () => {},
      'createLangGraphRun assistant_id': async () => {},
      'createLangGraphThread thread_id': async () => {
        const body = { thread_id: ids.thread_id };
        const made = await ada.post('/api/v1/agent/langgraph/threads', body);
        expect(made.values).toEqual({ messages: [] });
      },
      'cancelAgentTurn turn_id': async () => {
        const cancel = (thread: string) => `/api/v1/agent/conversations/${thread}/cancel`;
        await refused('POST', cancel(mine.ids.thread_id), { turn_id: theirs.turnId }, 409);
        await refused('POST', cancel(mine.idleThreadId), { turn_id: theirs.turnId }, 409);
      },
      'listReplies campaign_id': async () =>
        expect(await ada.get(`/api/v1/replies?campaign_id=${ids.campaign_id}`)).toMatchObject({ total: 0 }),
      'listLeads dataset_id': async () =>
        expect(await ada.get(`/api/v1/leads?dataset_id=${ids.dataset_id}`)).toMatchObject({ total: 0 }),
      'previewPersonalization sender_profile_id': () =>
        refused('POST', '/api/v1/personalize/preview', {
          lead_data: { first_name: 'Lena' },
          sender_profile_id: ids.profile_id,
        }),
      'bulkFindEmails dataset_id': () =>
        refused(
          'POST',
          '/api/v1/email-finder/bulk',
          { rows: [{ name: 'Lena', domain: 'x.example' }], dataset_id: ids.dataset_id },
          422,
        ),
      // It names a cache that this service does not have; no row is read by it.
      'previewPersonalization dataset_id': async () => {},
      // A name that the caller has given to none of their conversations is free for a new one.
      'runAgUi threadId': async () => {
        stage.model.script('Hello stranger');
        const messages = [{ id: 'm1', role: 'user', content: 'hi' }];
        const body = { threadId: ids.thread_id, runId: 'r1', messages };
        const answer = await ada.ask('POST', '/api/v1/agent/ag-ui', { body });
        expect(answer.text).toContain('RUN_FINISHED');
        expect(answer.headers.get('x-thread-id')).not.toBe(ids.thread_id);
        expect(showsTheirs(answer.text)).toEqual([ids.thread_id]);
      },
      'runAgUi interruptId': async () => {
        const resume = [{ interruptId: ids.approval_id, status: 'resolved', payload: { approved: true } }];
        for (const threadId of [ids.thread_id, mine.ids.thread_id]) {
          const body = { threadId, runId: 'r2', messages: [], resume };
          await refused('POST', '/api/v1/agent/ag-ui', body);
        }
      },
      'chatAiSdk id': async () => {
        stage.model.script('Hello stranger');
        const message = { id: 'm1', role: 'user', parts: [{ type: 'text', text: 'hi' }] };
        const body = { id: theirs.idleThreadId, message };
        const answer = await ada.ask('POST', '/api/v1/agent/ai-sdk', { body });
        expect(answer.headers.get('x-thread-id')).not.toBe(theirs.idleThreadId);
        expect(showsTheirs(answer.text)).toEqual([]);
        const responded = { state: 'approval-responded', approval: { id: ids.approval_id, approved: true } };
        const answered = { id: 'm2', role: 'assistant', parts: [{ type: 'tool-send_email', ...responded }] };
        await refused('POST', '/api/v1/agent/ai-sdk', { id: ids.thread_id, messages: [answered] });
        await refused('POST', '/api/v1/agent/ai-sdk', { id: mine.ids.thread_id, messages: [answered] });
      },
      ...Object.fromEntries(
        (
          [
            ['dataset_id', { dataset_id: ids.dataset_id }],
            ['alias_ids', { alias_ids: [ids.profile_id] }],
            ['template_id', { steps: stepsWith({ template_id: ids.template_id }) }],
            [
              'sender_profile_id',
              { steps: stepsWith({ subject: 'x', body: 'y', sender_profile_id: ids.profile_id }) },
            ],
          ] as const
        ).flatMap(([field, change]) => [
          [
            `createCampaign ${field}`,
            () => {
              const steps = stepsWith({ subject: 'x', body: 'y' });
              const body = { name: 'Mine', dataset_id: mine.ids.dataset_id, steps, ...change };
              return refused('POST', '/api/v1/campaigns/', body);
            },
          ],
          [
            `updateCampaign ${field}`,
            () =>
              field === 'dataset_id'
                ? Promise.resolve()
                : refused('PATCH', `/api/v1/campaigns/${mine.ids.campaign_id}`, change),
          ],
        ]),
      ),
      'undoCampaignLaunch launch_id': () =>
        refused(
          'POST',
          `/api/v1/campaigns/${mine.ids.campaign_id}/launch/undo`,
          { launch_id: ids.campaign_id },
          409,
        ),
      'addCampaignLeads lead_ids': () =>
        refused('POST', `/api/v1/campaigns/${mine.ids.campaign_id}/leads`, { lead_ids: [ids.lead_id] }),
      'addCampaignLeads dataset_id': () =>
        refused('POST', `/api/v1/campaigns/${mine.ids.campaign_id}/leads`, { dataset_id: ids.dataset_id }),
      'savePersonalizationPrompt sender_profile_id': () =>
        refused('POST', '/api/v1/personalize/save-prompt', {
          sender_profile_id: ids.profile_id,
          prompt: 'x'.repeat(100),
        }),
      'personalizeCampaignEmail campaign_lead_id': () =>
        refused('POST', `/api/v1/campaigns/${mine.ids.campaign_id}/personalize`, {
          campaign_lead_id: ids.campaign_lead_id,
          step_index: 2,
        }),
      'getEffectivePrompt sender_profile_id': () =>
        refused('GET', `/api/v1/personalize/effective-prompt?sender_profile_id=${ids.profile_id}`),
    };
    for (const attempt of Object.values(tried)) await attempt();
    expect(await rowsOfB()).toBe(before);

    const fields = service.app.routes.flatMap((route) =>
      [route.body, route.query].flatMap((schema) =>
        schema === undefined ? [] : idFieldsOf(schema).map((field) => `${route.operation} ${field}`),
      ),
    );
    expect([...new Set(fields)].filter((field) => tried[field] === undefined)).toEqual([]);
  });

  it('in the arguments of any tool are answered NOT_FOUND, or find nothing', async () => {
    const before = await rowsOfB();
    const foreignIds: Record<string, string> = { ...theirs.ids, sender_profile_id: theirs.ids.profile_id };
    stage.model.script('Here I am.');
    const { thread_id } = await ada.post('/api/v1/agent/chat', { message: 'hi' });
    const tools = stage.model.calls.at(-1)?.request.tools ?? [];
    const attempts = tools.flatMap(({ function: { name, parameters } }) =>
      idsWithin(parameters).map((field) => {
        const args = TOOL_ARGUMENTS[name]?.(mine) ?? {};
        const change = TOOL_CHANGES[`${name} ${field}`]?.(theirs) ?? { [field]: foreignIds[field] };
        if (Object.values(change).includes(undefined) && TOOL_CHANGES[`${name} ${field}`] === undefined)
          throw new Error(`give this test a foreign ${field}`);
        return { name, args: { ...args, ...change } };
      }),
    );
    expect(attempts.length).toBeGreaterThanOrEqual(8);
    stage.model.script({ toolCalls: attempts }, 'I tried.');
    const answer = await ada.post('/api/v1/agent/chat', { thread_id, message: 'try' });
    expect(answer).toMatchObject({ status: 'completed', approvals: [] });
    const results =
      stage.model.calls.at(-1)?.request.messages.filter((message) => message.role === 'tool') ?? [];
    const outcomes = attempts.map((attempt, index) => ({ attempt, content: results[index]?.content ?? '' }));
    expect(outcomes.filter(({ content }) => !/"NOT_FOUND"|"total":0/.test(content))).toEqual([]);
    expect(showsTheirs(results.map((result) => result.content).join(' '))).toEqual([]);
    expect(await rowsOfB()).toBe(before);
  });

  it('are not in any list', async () => {
    const lists = service.app.routes.filter(
      (route) =>
        route.method === 'GET' &&
        route.access !== 'public' &&
        !route.path.includes('{') &&
        route.answers[200] !== 'event-stream',
    );
    expect(lists.length).toBeGreaterThan(14);
    for (const route of lists) {
      const { status, text } = await ada.ask('GET', `${route.path}${QUERIES[route.operation] ?? ''}`);
      expect({ operation: route.operation, status, theirs: showsTheirs(text) }).toEqual({
        operation: route.operation,
        status: 200,
        theirs: [],
      });
      // What shows nothing of one's own would show nothing of others either.
      const shows = text.includes(mine.marker) || ROWLESS.includes(route.operation);
      expect({ operation: route.operation, shows }).toEqual({ operation: route.operation, shows: true });
    }
  });

  it('are not told on the stream of changes, nor are conversations of a colleague', async () => {
    const leaving = new AbortController();
    const response = await fetch(`${service.url}/api/v1/agent/stream`, {
      headers: { authorization: `Bearer ${ada.token}` },
      signal: leaving.signal,
    });
    const foreign = await bea.post('/api/v1/agent/conversations', { title: 'bravoworks' });
    const colleagues = await alan.post('/api/v1/agent/conversations', { title: 'colleague' });
    const own = await ada.post('/api/v1/agent/conversations', { title: 'own' });
    let told = '';
    for await (const chunk of response.body ?? []) {
      told += new TextDecoder().decode(chunk);
      if (told.includes(String(own.thread_id))) break;
    }
    leaving.abort();
    expect(told).not.toContain(String(foreign.thread_id));
    expect(told).not.toContain(String(colleagues.thread_id));
    expect(told).toContain('event: approvals');
  });
});

describe('a colleague in the same workspace', () => {
  it('finds neither the conversations nor the sender profiles, jobs and campaigns of another user', async () => {
    const wrong: string[] = [];
    for (const route of routesWithIds()) {
      const names = parametersOf(route);
      const isPrivate =
        names.some((name) => PRIVATE.includes(name)) || OTHER_IDS[route.operation] !== undefined;
      if (!isPrivate || names.includes('approval_id')) continue;
      const answer = await askRoute(alan, route, [], mine, mine);
      if (!isAbsent(route, answer)) wrong.push(`${route.operation}: ${answer.status} ${answer.text}`);
    }
    expect(wrong).toEqual([]);
    expect(await alan.get('/api/v1/agent/conversations?search=alphaworks')).toMatchObject({ items: [] });
    for (const resume of [{ confirmed: true }, { decisions: [decisionOn(mine, 'approve')] }]) {
      const body = { thread_id: mine.ids.thread_id, resume };
      expect(await alan.ask('POST', '/api/v1/agent/chat', { body })).toMatchObject({ status: 404 });
    }
  });

  it('may decide its approval through the inbox', async () => {
    const { approvals } = await alan.get('/api/v1/agent/approvals');
    expect(approvals).toMatchObject([{ approval_id: mine.ids.approval_id, args_hash: mine.argsHash }]);
    stage.model.script('Sent.');
    const { approval_id: _id, ...body } = decisionOn(mine, 'approve');
    const path = `/api/v1/agent/conversations/${mine.ids.thread_id}/approvals/${mine.ids.approval_id}`;
    const preview = await alan.ask('POST', `${path}/preview`, {
      body: { args: { lead_id: mine.ids.lead_id, subject: 'x', body: 'y' } },
    });
    expect(preview.status).toBe(200);
    expect(await alan.ask('POST', `${path}/decision`, { body })).toMatchObject({
      status: 202,
      json: { approval: { status: 'approved', decided_by: 'user:alphaworks-alan' } },
    });
    await expect
      .poll(async () => (await ada.get(`/api/v1/agent/conversations/${mine.ids.thread_id}`)).status)
      .toBe('idle');
  });
});

describe('these tests', () => {
  it('ask what the owner of the ids may ask', async () => {
    // What ends something goes last, and what lies deeper before what holds it.
    const ends = ['decideApproval', 'cancelAgentTurn', 'stopAgUi'];
    const rank = (route: Route) => (route.method === 'DELETE' ? 9 : ends.indexOf(route.operation));
    const routes = routesWithIds().toSorted(
      (one, other) => rank(one) - rank(other) || other.path.length - one.path.length,
    );
    stage.model.otherwise('Very well.');
    const wrong: string[] = [];
    for (const route of routes) {
      if (route.answers[200] === 'event-stream') continue;
      const { status, text, json } = await askRoute(bea, route, [], theirs, theirs);
      // It is theirs, whether or not its state allows this now.
      if (status >= 300 && status !== 409 && json?.detail !== 'CAMPAIGN_NOT_READY')
        wrong.push(`${route.operation}: ${status} ${text}`);
    }
    expect(wrong).toEqual([]);
  });
});

function stepsWith(variant: Record<string, unknown>) {
  return [{ step: 1, delay_days: 0, variants: [{ label: 'A', weight: 100, type: 'TEMPLATE', ...variant }] }];
}

function decisionOn({ ids, argsHash }: SeededWorkspace, decision: string) {
  return { approval_id: ids.approval_id, decision, args_hash: argsHash };
}

/** Names of the fields, at any depth, that hold an id by their name or their format. */
function idFieldsOf(schema: z.ZodType): string[] {
  return idsWithin(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }));
}

function idsWithin(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  return Object.entries(schema).flatMap(([key, value]) => {
    const below = idsWithin(value);
    if (key !== 'properties') return below;
    const names = Object.entries(value).filter(
      ([name, field]) => /(_id|Id|_ids|Ids)$/.test(name) || JSON.stringify(field).includes('"format":"uuid"'),
    );
    // An array or object of objects is named by the fields inside it.
    return [
      ...names.filter(([, field]) => !JSON.stringify(field).includes('"properties"')).map(([name]) => name),
      ...below,
    ];
  });
}
