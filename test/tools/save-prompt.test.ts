/** The tool that keeps a prompt on a sender profile, and the route that does the same, against PostgreSQL. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createSenderProfileRoutes } from '../../src/resources/sender-profiles/routes.ts';
import {
  createSenderProfiles,
  type SenderProfiles,
} from '../../src/resources/sender-profiles/sender-profiles.ts';
import { createSavePromptTool } from '../../src/tools/save-prompt.ts';
import type { Tool } from '../../src/tools/tool.ts';
import { type HttpHarness, startHttpHarness } from '../support/http-harness.ts';
import { toolContext } from '../support/tool-context.ts';

const PROMPT = 'Write in one short paragraph, without any greeting, and end with a question. '.repeat(2);

let harness: HttpHarness;
let senderProfiles: SenderProfiles;
let tool: Tool;
let profileId: string;
beforeAll(async () => {
  harness = await startHttpHarness({
    routes(needs) {
      senderProfiles = createSenderProfiles(needs);
      return createSenderProfileRoutes(senderProfiles);
    },
  });
  tool = createSavePromptTool({ database: harness.database, senderProfiles });
});
afterAll(() => harness.close());
beforeEach(async () => {
  await harness.ownerQuery('delete from sender_profiles');
  const sender_data = { from_name: 'Ada', custom_prompt: 'Old.' };
  ({ id: profileId } = await senderProfiles.create(harness.caller, {
    profile_name: 'Mine',
    sender_data,
    is_default: true,
  }));
});

async function save(args: Record<string, unknown>): Promise<unknown> {
  if (tool.effect !== 'inside') throw new Error('this tool works inside our database');
  const { propose, runWithin } = tool;
  const context = toolContext(harness.caller);
  const proposal = await propose(context, tool.schema.parse(args));
  expect(proposal).toMatchObject({
    effectClass: 'write',
    credits: 0,
    stands: { sender_profile_id: profileId },
  });
  return harness.database.within(harness.caller.workspaceId, (tx) => runWithin(tx, context, proposal));
}

const kept = async () => (await senderProfiles.get(harness.caller, profileId)).sender_data.data;

describe('save_prompt', () => {
  it('keeps a prompt by its name and as the profile’s own, of the default profile where none is named', async () => {
    expect(await save({ prompt: PROMPT })).toMatchObject({ sender_profile_id: profileId, name: 'saved' });
    expect(await kept()).toMatchObject({
      from_name: 'Ada',
      custom_prompt: PROMPT,
      prompts: [{ name: 'saved', prompt: PROMPT }],
    });
  });

  it('replaces the one that has the name, and leaves the others', async () => {
    await save({ prompt: PROMPT, name: 'short' });
    await save({ prompt: PROMPT, name: 'long' });
    await save({ prompt: `${PROMPT}!`, name: 'short', sender_profile_id: profileId });
    expect(await kept()).toMatchObject({
      custom_prompt: `${PROMPT}!`,
      prompts: [
        { name: 'long', prompt: PROMPT },
        { name: 'short', prompt: `${PROMPT}!` },
      ],
    });
  });

  it('knows no profile of somebody else', async () => {
    await expect(save({ prompt: PROMPT, sender_profile_id: harness.newId() })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  it.each([{ prompt: 'too short' }, { prompt: PROMPT, name: 'default' }, { prompt: PROMPT, other: 1 }])(
    'refuses %j',
    (args) => {
      expect(tool.schema.safeParse(args).success).toBe(false);
    },
  );
});

describe('POST /api/v1/personalize/save-prompt', () => {
  const post = (body: Record<string, unknown>) =>
    harness.ask<{ detail: string; name: string }>('POST', '/api/v1/personalize/save-prompt', { body });

  it('does the same', async () => {
    const saved = await post({ sender_profile_id: profileId, prompt: PROMPT, save_as_name: 'short' });
    expect([saved.status, saved.body.name]).toEqual([200, 'short']);
    expect((await post({ sender_profile_id: profileId, prompt: PROMPT })).body.name).toBe('saved');
    expect(await kept()).toMatchObject({
      custom_prompt: PROMPT,
      prompts: [{ name: 'short' }, { name: 'saved' }],
    });
  });

  it.each([
    ['an unknown profile', { sender_profile_id: 'p-1', prompt: PROMPT }, 404],
    ['a reserved name', { prompt: PROMPT, save_as_name: 'custom_prompt' }, 422],
    ['a short prompt', { prompt: 'short' }, 422],
  ])('refuses %s', async (_what, body, status) => {
    expect((await post({ sender_profile_id: profileId, ...body })).status).toBe(status);
  });
});
