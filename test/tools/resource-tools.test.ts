/** The tools that read sender profiles, templates and credits, against PostgreSQL. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCredits } from '../../src/resources/credits/credits.ts';
import { createSenderProfiles } from '../../src/resources/sender-profiles/sender-profiles.ts';
import { createTemplates } from '../../src/resources/templates/templates.ts';
import { createGetCreditBalanceTool } from '../../src/tools/get-credit-balance.ts';
import { createListSenderProfilesTool } from '../../src/tools/list-sender-profiles.ts';
import { createListTemplatesTool } from '../../src/tools/list-templates.ts';
import type { Tool } from '../../src/tools/tool.ts';
import { type HttpHarness, startHttpHarness } from '../support/http-harness.ts';
import { toolContext } from '../support/tool-context.ts';

let harness: HttpHarness;
beforeAll(async () => {
  harness = await startHttpHarness({ routes: () => [] });
});
afterAll(() => harness.close());

function needs() {
  return {
    database: harness.database,
    cursors: harness.cursors,
    newId: harness.newId,
    now: () => Date.now(),
  };
}

async function run(tool: Tool, workspace: 'caller' | 'other' = 'caller'): Promise<unknown> {
  if (tool.effect !== 'none') throw new Error(`${tool.name} does something`);
  return tool.run(toolContext(harness[workspace]), tool.schema.parse({}));
}

describe('the tools that only read', () => {
  it('list the sender profiles of the user with what stands in a mail', async () => {
    const senderProfiles = createSenderProfiles(needs());
    const tool = createListSenderProfilesTool({ senderProfiles });
    expect(await run(tool)).toEqual({ sender_profiles: [] });
    const profile = await senderProfiles.create(harness.caller, {
      profile_name: 'Ada',
      sender_data: { from_name: 'Ada Byron', from_email: 'ada@example.com', secret: 'not told' },
      is_default: true,
    });
    expect(await run(tool)).toEqual({
      sender_profiles: [
        {
          sender_profile_id: profile.id,
          name: 'Ada',
          from_name: 'Ada Byron',
          from_email: 'ada@example.com',
          postal_address: null,
          is_default: true,
        },
      ],
    });
    expect(await run(tool, 'other')).toEqual({ sender_profiles: [] });
  });

  it('list the templates of the workspace and cut what would fill the context', async () => {
    const templates = createTemplates(needs());
    const tool = createListTemplatesTool({ templates });
    const short = await templates.create(harness.caller, {
      name: 'Short',
      subject: 'Hi {{first_name}}',
      body: 'Text',
    });
    await templates.create(harness.caller, { name: 'Long', subject: 'Hi', body: 'x'.repeat(5000) });
    expect(await run(tool)).toEqual({
      templates: [
        expect.objectContaining({ name: 'Long', body: `${'x'.repeat(4000)}\n[cut: 5000 characters in all]` }),
        {
          template_id: short.template_id,
          name: 'Short',
          subject: 'Hi {{first_name}}',
          body: 'Text',
          variables: ['first_name'],
        },
      ],
    });
    expect(await run(tool, 'other')).toEqual({ templates: [] });
  });

  it('tell the credits', async () => {
    await harness.ownerQuery('update credit_accounts set balance = 90, used = 10 where workspace_id = $1', [
      harness.caller.workspaceId,
    ]);
    const tool = createGetCreditBalanceTool({ credits: createCredits(needs()) });
    expect(await run(tool)).toEqual({ total_credits: 100, used_credits: 10, available_credits: 90 });
    expect(tool.untrusted).toBe(false);
  });

  it('refuse arguments they do not name', () => {
    const { schema } = createGetCreditBalanceTool({ credits: createCredits(needs()) });
    expect(schema.safeParse({ workspace_id: 'another' }).success).toBe(false);
  });
});
