import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createPersonalize, PERSONALIZE_PROMPTS } from '../../../graphs/personalize/graph.ts';
import { createRuleWriter } from '../../../graphs/personalize/rule-writer.ts';
import type { Writer } from '../../../graphs/personalize/writer.ts';
import { createPrompts } from '../../../src/engine/prompts.ts';
import { createLeads } from '../../../src/resources/leads/leads.ts';
import { createPersonalization } from '../../../src/resources/personalization/personalization.ts';
import { createPersonalizationRoutes } from '../../../src/resources/personalization/routes.ts';
import { createSenderProfiles } from '../../../src/resources/sender-profiles/sender-profiles.ts';
import { createTemplates } from '../../../src/resources/templates/templates.ts';
import { createPersonalizeEmailTool } from '../../../src/tools/personalize-email.ts';
import type { Tool } from '../../../src/tools/tool.ts';
import { type HarnessNeeds, type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

const prompts = createPrompts({
  folder: join(import.meta.dirname, '../../../prompts'),
  required: PERSONALIZE_PROMPTS,
});

function personalizationOf(needs: HarnessNeeds, writer: Writer = createRuleWriter()) {
  return createPersonalization({
    ...needs,
    leads: createLeads(needs),
    senders: createSenderProfiles(needs),
    templates: createTemplates(needs),
    personalize: createPersonalize({ writer, prompts }),
  });
}

let harness: HttpHarness;
let needs: HarnessNeeds;
let tool: Tool;
beforeAll(async () => {
  harness = await startHttpHarness({
    routes(given) {
      needs = given;
      const personalization = personalizationOf(given);
      tool = createPersonalizeEmailTool({ personalization });
      return createPersonalizationRoutes(personalization);
    },
  });
});
afterAll(() => harness.close());
beforeEach(async () => {
  for (const table of ['datasets', 'sender_profiles', 'templates'])
    await harness.ownerQuery(`delete from ${table}`);
});

async function addProfile(senderData: object): Promise<string> {
  const id = harness.newId();
  await harness.ownerQuery(
    `insert into sender_profiles (id, workspace_id, user_id, profile_name, sender_data) values ($1, $2, $3, 'Mine', $4)`,
    [id, harness.caller.workspaceId, harness.caller.userId, JSON.stringify(senderData)],
  );
  return id;
}

async function addLead(workspaceId = harness.caller.workspaceId): Promise<string> {
  const [datasetId, id] = [harness.newId(), harness.newId()];
  await harness.ownerQuery(
    `insert into datasets (id, workspace_id, user_id, name, source_type) values ($1, $2, 'u', 'd', 'csv')`,
    [datasetId, workspaceId],
  );
  await harness.ownerQuery(
    `insert into leads (id, workspace_id, dataset_id, row_index, email, first_name, company, title, data)
     values ($1, $2, $3, 0, 'maureen@acme.example', 'Maureen', 'Acme', 'CTO', '{"industry": "Maps"}')`,
    [id, workspaceId, datasetId],
  );
  return id;
}

const preview = (body: object) => harness.ask('POST', '/api/v1/personalize/preview', { body });
const lead_data = { firstName: 'Maureen', role: 'Head of Sales', company_name: 'Acme', founded: 1999 };

describe('POST /personalize/preview', () => {
  it('writes for the data given, and shows the field that the mail stands on', async () => {
    const { status, body } = await preview({ lead_data, sender_data: { from_name: 'Jane Doe' } });
    expect(status).toBe(200);
    expect(body).toEqual({
      subject: 'A short question for Acme',
      email_body: expect.stringContaining('as Head of Sales at Acme'),
      commonality: { text: 'You are Head of Sales at Acme.', supporting_evidence: ['title: Head of Sales'] },
      prompt_source: 'default',
      model_used: 'offline-rules',
      latency_ms: expect.any(Number),
      research_sources: [
        {
          name: 'lead_data',
          status: 'used',
          summary: '4 filled fields',
          meta: { fields: ['first_name', 'company', 'title', 'founded'] },
          from_cache: false,
        },
      ],
      research_chars: 0,
      research_latency_ms: 0,
      research_from_cache: false,
      research_cached_at: null,
      research_meta: { checks: [] },
    });
  });

  it('writes as the saved profile, whatever sender_data says', async () => {
    const id = await addProfile({ from_name: 'Saved', custom_prompt: 'x'.repeat(100) });
    const { body } = await preview({ lead_data, sender_profile_id: id, sender_data: { from_name: 'Given' } });
    expect(body.email_body).toContain('Saved');
    expect(body.email_body).not.toContain('Given');
    expect(body.prompt_source).toBe('custom_prompt');
    const overridden = await preview({ lead_data, sender_profile_id: id, custom_prompt: 'y'.repeat(100) });
    expect(overridden.body.prompt_source).toBe('override');
  });

  it('counts the research that was given as one more field', async () => {
    const { body } = await preview({ lead_data: {}, sender_data: {}, research_context: 'They build maps.' });
    expect(body).toMatchObject({ research_chars: 16, commonality: null });
    expect(body.research_sources).toMatchObject([{ meta: { fields: ['research_context'] } }]);
  });

  it('shows what is wrong with a mail that its checks refuse', async () => {
    const rules = createRuleWriter();
    const liar: Writer = {
      ...rules,
      writeEmail: async (brief) => {
        const { draft, usage } = await rules.writeEmail(brief);
        return { draft: { ...draft, body: `${draft.body}\nYou won an award.` }, usage };
      },
    };
    const { signal } = new AbortController();
    const input = { lead_data, sender_data: {}, force_refresh_research: false };
    const { research_meta } = await personalizationOf(needs, liar).preview(harness.caller, input, signal);
    expect(research_meta.checks).toEqual([expect.stringContaining('"award"')]);
    const leadId = await addLead();
    await addProfile({ from_name: 'Jane' });
    await expect(
      personalizationOf(needs, liar).writeForLead(harness.caller, { leadId, signal }),
    ).rejects.toMatchObject({
      code: 'TOOL_FAILED',
      message: expect.stringContaining('award'),
    });
  });

  it.each([
    ['neither profile nor sender', { lead_data }],
    ['no lead', { sender_data: {} }],
    ['a prompt that is too short', { lead_data, sender_data: {}, custom_prompt: 'short' }],
    ['a prompt that is too long', { lead_data, sender_data: {}, custom_prompt: 'x'.repeat(5001) }],
    ['a field that is not named', { lead_data, sender_data: {}, model: 'gpt' }],
    ['text that cannot be kept', { lead_data: { a: '\0' }, sender_data: {} }],
  ])('refuses a request with %s', async (_what, body) => {
    expect((await preview(body)).status).toBe(422);
  });

  it('answers 404 for a profile that is not there, foreign, or no id at all', async () => {
    const id = await addProfile({});
    for (const sender_profile_id of [harness.newId(), 'mine']) {
      expect((await preview({ lead_data, sender_profile_id })).status).toBe(404);
    }
    const body = { lead_data, sender_profile_id: id };
    const foreign = await harness.ask('POST', '/api/v1/personalize/preview', { body, workspace: 'b' });
    expect(foreign.status).toBe(404);
  });
});

describe('the prompts of personalization', () => {
  const effective = (query = '') => harness.ask('GET', `/api/v1/personalize/effective-prompt${query}`);

  it('have a default, long enough to be saved again', async () => {
    const { status, body } = await harness.ask<{ prompt: string }>(
      'GET',
      '/api/v1/personalize/default-prompt',
    );
    expect(status).toBe(200);
    expect(body).toEqual({ prompt: expect.any(String), prompt_source: 'default' });
    expect(body.prompt.length).toBeGreaterThan(100);
    expect(body.prompt.length).toBeLessThan(5000);
  });

  it('open with the named one saved last, else the own one, else the default', async () => {
    expect((await effective()).body).toMatchObject({ prompt_source: 'default', sender_profile_id: null });
    const saved = (name: string, day: number) => ({
      name,
      prompt: `Prompt ${name}`,
      created_at: '2026-01-01T00:00:00Z',
      updated_at: `2026-01-0${day}T00:00:00Z`,
    });
    const prompts = [saved('a', 2), saved('b', 3), saved('c', 1)];
    const named = await addProfile({ prompts, custom_prompt: 'Own' });
    const own = await addProfile({ prompts: [], custom_prompt: 'Own' });
    expect((await effective(`?sender_profile_id=${named}`)).body).toEqual({
      prompt: 'Prompt b',
      prompt_source: 'named',
      prompt_name: 'b',
      sender_profile_id: named,
    });
    expect((await effective(`?sender_profile_id=${own}`)).body).toMatchObject({
      prompt: 'Own',
      prompt_source: 'custom_prompt',
    });
    expect((await effective('?sender_profile_id=x')).status).toBe(404);
  });
});

describe('the tool personalize_email', () => {
  const run = (args: object) => {
    if (tool.effect !== 'none') throw new Error('It must be a reading tool.');
    const context = {
      caller: harness.caller,
      turnId: harness.newId(),
      toolCallId: 'call',
      tainted: true,
      signal: new AbortController().signal,
      providerKey: 'key',
      progress: () => undefined,
      spent: () => undefined,
    };
    return tool.run(context, tool.schema.parse(args));
  };

  it('writes to a lead and keeps nothing', async () => {
    const lead_id = await addLead();
    await addProfile({ from_name: 'Jane Doe' });
    expect(await run({ lead_id, instructions: 'about our maps' })).toEqual({
      lead_id,
      to: 'maureen@acme.example',
      subject: 'A short question for Acme',
      body: expect.stringContaining('I am writing about our maps to you as CTO at Acme.'),
      commonality: { text: 'You are CTO at Acme.', field: 'title' },
    });
    expect(await harness.ownerQuery('select 1 from outbox')).toEqual([]);
    expect(tool.untrusted).toBe(true);
  });

  it('fills the template that is named', async () => {
    const lead_id = await addLead();
    await addProfile({ from_name: 'Jane Doe' });
    const { template_id } = await createTemplates(needs).create(harness.caller, {
      name: 'T',
      subject: 'Maps for {{company}}',
      body: 'Hello {{first_name}} in {{industry}}',
    });
    expect(await run({ lead_id, template_id })).toMatchObject({
      subject: 'Maps for Acme',
      body: 'Hello Maureen in Maps',
    });
  });

  it('refuses leads, profiles and templates that are not there, and foreign leads', async () => {
    const lead_id = await addLead();
    await expect(run({ lead_id })).rejects.toMatchObject({ code: 'NO_SENDER_PROFILE' });
    await addProfile({});
    const gone = harness.newId();
    const foreign = await addLead(harness.other.workspaceId);
    for (const args of [
      { lead_id: gone },
      { lead_id: foreign },
      { lead_id, template_id: gone },
      { lead_id, sender_profile_id: gone },
    ]) {
      await expect(run(args)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }
    expect(() => run({ lead_id, instructions: 'x'.repeat(2001) })).toThrow();
  });
});
