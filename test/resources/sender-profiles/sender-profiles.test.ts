/** Sender profiles over HTTP against PostgreSQL. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createSenderProfileRoutes } from '../../../src/resources/sender-profiles/routes.ts';
import type { NamedPrompt, SenderProfile } from '../../../src/resources/sender-profiles/schema.ts';
import { fingerprint, senderOf } from '../../../src/resources/sender-profiles/sender.ts';
import {
  createSenderProfiles,
  type SenderProfiles,
} from '../../../src/resources/sender-profiles/sender-profiles.ts';
import { type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

const PATH = '/api/v1/sender-profiles/';
const PROMPT = 'Write to them as one engineer writes to another. '.repeat(3);
const UNKNOWN = '019a0000-0000-7000-8000-000000000000';

let harness: HttpHarness;
let senderProfiles: SenderProfiles;

beforeAll(async () => {
  harness = await startHttpHarness({
    routes: (needs) => {
      senderProfiles = createSenderProfiles(needs);
      return createSenderProfileRoutes(senderProfiles);
    },
  });
});
afterAll(() => harness.close());
beforeEach(() => harness.ownerQuery('delete from sender_profiles'));

function create(name: string, changes: Record<string, unknown> = {}, workspace: 'a' | 'b' = 'a') {
  const body = { profile_name: name, sender_data: { from_name: name }, ...changes };
  return harness.ask<SenderProfile>('POST', PATH, { body, workspace });
}

async function made(name: string, changes: Record<string, unknown> = {}): Promise<SenderProfile> {
  const answer = await create(name, changes);
  expect(answer.status).toBe(201);
  return answer.body;
}

describe('sender profiles', () => {
  it('takes sender_data bare, answers it wrapped, and keeps free fields', async () => {
    const data = {
      from_name: 'Ada Byron',
      from_email: 'ada@example.com',
      postal_address: '1 Engine Row\nLondon',
      custom_prompt: 'Be brief.',
      signature: { lines: ['Best', 'Ada'] },
    };
    const profile = await made('Ada', { sender_data: data, description: 'Work' });
    expect(profile).toMatchObject({
      user_id: 'user-a',
      profile_name: 'Ada',
      description: 'Work',
      is_default: false,
      usage_count: 0,
      sender_data: { data },
    });
    const read = await harness.ask('GET', `${PATH}${profile.id}`);
    expect(read).toMatchObject({ status: 200, body: profile });
  });

  it('lists the newest first and pages by offset', async () => {
    for (const name of ['one', 'two', 'three']) await made(name);
    const all = await harness.ask<SenderProfile[]>('GET', PATH);
    expect(all.body.map((profile) => profile.profile_name)).toEqual(['three', 'two', 'one']);
    const page = await harness.ask<SenderProfile[]>('GET', `${PATH}?limit=1&offset=1`);
    expect(page.body.map((profile) => profile.profile_name)).toEqual(['two']);
  });

  it('lets a user have five and no sixth, also when all come at once', async () => {
    const answers = await Promise.all(['1', '2', '3', '4', '5', '6', '7', '8'].map((name) => create(name)));
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(5);
    const refused = answers.filter((answer) => answer.status === 409);
    expect(refused).toHaveLength(3);
    expect(refused[0]?.body).toMatchObject({ detail: 'LIMIT_REACHED', limit: 5 });
    expect(await create('b', {}, 'b')).toMatchObject({ status: 201 });
  });

  it('has one default at most, also when two are set at once', async () => {
    expect(await harness.ask('GET', `${PATH}default/`)).toMatchObject({ status: 200, body: null });
    const first = await made('first', { is_default: true });
    const second = await made('second', { is_default: true });
    expect(await harness.ask('GET', `${PATH}default/`)).toMatchObject({ body: { id: second.id } });
    const answers = await Promise.all(
      [first, second, first, second].map(({ id }) =>
        harness.ask('PUT', `${PATH}${id}`, { body: { is_default: true } }),
      ),
    );
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200]);
    const all = await harness.ask<SenderProfile[]>('GET', PATH);
    expect(all.body.filter((profile) => profile.is_default)).toHaveLength(1);
  });

  it('changes only what PUT gives, empties the description by null, and replaces sender_data as a whole', async () => {
    const profile = await made('Ada', {
      description: 'Work',
      sender_data: { from_name: 'Ada', team: 'A' },
      is_default: true,
    });
    const renamed = await harness.ask<SenderProfile>('PUT', `${PATH}${profile.id}`, {
      body: { profile_name: 'Ada B.', sender_data: null, is_default: null },
    });
    expect(renamed.body).toMatchObject({
      profile_name: 'Ada B.',
      description: 'Work',
      is_default: true,
      sender_data: { data: { from_name: 'Ada', team: 'A' } },
    });
    const changed = await harness.ask<SenderProfile>('PUT', `${PATH}${profile.id}`, {
      body: { description: null, sender_data: { from_name: 'A.' }, is_default: false },
    });
    expect(changed.body).toMatchObject({ profile_name: 'Ada B.', description: null, is_default: false });
    expect(changed.body.sender_data).toEqual({ data: { from_name: 'A.' } });
    expect(await harness.ask('PUT', `${PATH}${profile.id}`, { body: { usage_count: 5 } })).toMatchObject({
      status: 422,
    });
  });

  it('searches by a part of the name, ignoring case, and takes wildcards for what they are', async () => {
    await made('Sales 100%');
    await made('Support');
    const names = async (query: string) => {
      const answer = await harness.ask<SenderProfile[]>(
        'GET',
        `${PATH}search/?query=${encodeURIComponent(query)}`,
      );
      return answer.body.map((profile) => profile.profile_name);
    };
    expect(await names('sAL')).toEqual(['Sales 100%']);
    expect(await names('%')).toEqual(['Sales 100%']);
    expect(await names('_')).toEqual([]);
    expect(await names('\\')).toEqual([]);
    expect(await harness.ask('GET', `${PATH}search/`)).toMatchObject({ status: 422 });
    expect(await harness.ask('GET', `${PATH}search/?query=%00`)).toMatchObject({ status: 422 });
  });

  it('deletes', async () => {
    const { id } = await made('Ada');
    expect((await harness.ask('DELETE', `${PATH}${id}`)).status).toBe(204);
    expect((await harness.ask('GET', `${PATH}${id}`)).status).toBe(404);
    expect((await harness.ask('DELETE', `${PATH}${id}`)).status).toBe(404);
  });

  it.each([
    ['a line break in the sender name', { from_name: 'Ada\r\nBcc: all@example.com' }],
    ['a line break in the sender address', { from_email: 'ada@example.com\nBcc: x@example.com' }],
    ['an address that is none', { from_email: 'ada at example' }],
    ['a prompt that is too short', { prompts: [{ name: 'a', prompt: 'short' }] }],
    [
      'two prompts of one name',
      {
        prompts: [
          { name: 'a', prompt: PROMPT },
          { name: 'a', prompt: PROMPT },
        ],
      },
    ],
    ['a NUL in a free field', { note: 'a\0b' }],
    ['a NUL in the name of a free field', { 'a\0b': 1 }],
    ['half a character in a free field', { note: '\ud800' }],
    ['more than 64 KiB', { note: 'x'.repeat(65_536) }],
    ['an array in place of an object', []],
  ])('refuses %s', async (_what, sender_data) => {
    const answer = await create('Ada', { sender_data });
    expect(answer).toMatchObject({ status: 422, body: { detail: 'VALIDATION_ERROR' } });
  });

  it('refuses what is nested without end and does not fall over it', async () => {
    const nested = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
    const body = `{"profile_name":"Ada","sender_data":{"a":${nested}}}`;
    expect(await harness.ask('POST', PATH, { body })).toMatchObject({
      status: 400,
      body: { detail: 'INVALID_JSON' },
    });
  });

  it.each(['', 'x'.repeat(101), 'a\nb', ' '])('refuses the profile name %j', async (name) => {
    expect(await create(name)).toMatchObject({ status: 422 });
  });
});

describe('named prompts', () => {
  const prompts = (id: string) => `${PATH}${id}/prompts`;

  it('adds, lists, changes, renames and deletes, and keeps the rest of sender_data', async () => {
    const { id } = await made('Ada', { sender_data: { from_name: 'Ada', custom_prompt: 'Be brief.' } });
    expect(await harness.ask('GET', prompts(id))).toMatchObject({ status: 200, body: { prompts: [] } });
    const added = await harness.ask<NamedPrompt>('POST', prompts(id), {
      body: { name: 'Cold & warm/1', prompt: PROMPT },
    });
    expect(added).toMatchObject({ status: 201, body: { name: 'Cold & warm/1', prompt: PROMPT } });

    const path = `${prompts(id)}/${encodeURIComponent('Cold & warm/1')}`;
    const changed = await harness.ask<NamedPrompt>('PATCH', path, {
      body: { prompt: `${PROMPT}!`, name: null },
    });
    expect(changed).toMatchObject({ status: 200, body: { name: 'Cold & warm/1', prompt: `${PROMPT}!` } });
    expect(changed.body.created_at).toBe(added.body.created_at);
    expect(await harness.ask('PATCH', path, { body: { name: 'warm' } })).toMatchObject({
      status: 200,
      body: { name: 'warm' },
    });
    expect(await harness.ask('PATCH', path, { body: { name: 'x' } })).toMatchObject({ status: 404 });

    const read = await harness.ask<SenderProfile>('GET', `${PATH}${id}`);
    expect(read.body.sender_data.data).toMatchObject({
      from_name: 'Ada',
      custom_prompt: 'Be brief.',
      prompts: [{ name: 'warm', prompt: `${PROMPT}!` }],
    });
    // What was read can be written back.
    expect(
      await harness.ask('PUT', `${PATH}${id}`, { body: { sender_data: read.body.sender_data.data } }),
    ).toMatchObject({ status: 200, body: { sender_data: read.body.sender_data } });

    expect((await harness.ask('DELETE', `${prompts(id)}/warm`)).status).toBe(204);
    expect((await harness.ask('DELETE', `${prompts(id)}/warm`)).status).toBe(404);
  });

  it('refuses a name that is taken, and a name that stands for another source', async () => {
    const { id } = await made('Ada');
    for (const name of ['one', 'two']) {
      expect(await harness.ask('POST', prompts(id), { body: { name, prompt: PROMPT } })).toMatchObject({
        status: 201,
      });
    }
    expect(await harness.ask('POST', prompts(id), { body: { name: 'one', prompt: PROMPT } })).toMatchObject({
      status: 409,
      body: { detail: 'ALREADY_EXISTS' },
    });
    expect(await harness.ask('PATCH', `${prompts(id)}/two`, { body: { name: 'one' } })).toMatchObject({
      status: 409,
    });
    expect(await harness.ask('PATCH', `${prompts(id)}/two`, { body: { name: 'two' } })).toMatchObject({
      status: 200,
    });
    expect(
      await harness.ask('POST', prompts(id), { body: { name: 'Default', prompt: PROMPT } }),
    ).toMatchObject({ status: 422 });
  });

  it('keeps both of two prompts that are added at once', async () => {
    const { id } = await made('Ada');
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const answers = await Promise.all(
      names.map((name) => harness.ask('POST', prompts(id), { body: { name, prompt: PROMPT } })),
    );
    expect(answers.map((answer) => answer.status)).toEqual(names.map(() => 201));
    const read = await harness.ask<{ prompts: NamedPrompt[] }>('GET', prompts(id));
    expect(read.body.prompts.map((prompt) => prompt.name).sort()).toEqual(names);
  });

  it('does not let prompts grow sender_data above its limit', async () => {
    const { id } = await made('Ada', { sender_data: { note: 'x'.repeat(64_000) } });
    const answer = await harness.ask('POST', prompts(id), { body: { name: 'a', prompt: 'y'.repeat(5000) } });
    expect(answer).toMatchObject({ status: 422 });
  });
});

describe('the profile to write as', () => {
  const resolve = (id?: string) =>
    harness.database.within(harness.caller.workspaceId, (tx) =>
      senderProfiles.resolveWithin(tx, harness.caller, id),
    );

  it('is the named one, else the default, else the newest, else a sentence that says to create one', async () => {
    await expect(resolve()).rejects.toMatchObject({
      code: 'NO_SENDER_PROFILE',
      message: expect.stringContaining('Create'),
    });
    const first = await made('first');
    const second = await made('second');
    expect((await resolve()).id).toBe(second.id);
    expect((await resolve(first.id)).id).toBe(first.id);
    await harness.ask('PUT', `${PATH}${first.id}`, { body: { is_default: true } });
    expect((await resolve()).id).toBe(first.id);
    await expect(resolve(UNKNOWN)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('has a fingerprint that changes with what recipients see and with nothing else', async () => {
    const sender_data = { from_name: 'Ada', from_email: 'ada@example.com', postal_address: '1 Engine Row' };
    const profile = await made('Ada', { sender_data });
    const before = fingerprint(profile);
    expect(before).toMatch(/^[0-9a-f]{64}$/);
    expect(senderOf(profile)).toEqual(sender_data);
    const withChange = async (body: Record<string, unknown>) =>
      fingerprint((await harness.ask<SenderProfile>('PUT', `${PATH}${profile.id}`, { body })).body);
    expect(await withChange({ profile_name: 'Other', sender_data: { ...sender_data, team: 'x' } })).toBe(
      before,
    );
    for (const field of Object.keys(sender_data)) {
      expect(await withChange({ sender_data: { ...sender_data, [field]: null } })).not.toBe(before);
    }
    expect(await withChange({ sender_data })).toBe(before);
  });
});

describe('isolation', () => {
  it('answers 404 for ids of another workspace and changes nothing there', async () => {
    const { body } = await create('B', { sender_data: { prompts: [{ name: 'p', prompt: PROMPT }] } }, 'b');
    const asks: [string, string, unknown?][] = [
      ['GET', body.id],
      ['PUT', body.id, { profile_name: 'mine', is_default: true }],
      ['DELETE', body.id],
      ['GET', `${body.id}/prompts`],
      ['POST', `${body.id}/prompts`, { name: 'q', prompt: PROMPT }],
      ['PATCH', `${body.id}/prompts/p`, { name: 'q' }],
      ['DELETE', `${body.id}/prompts/p`],
    ];
    for (const [method, path, content] of asks) {
      expect(await harness.ask(method, `${PATH}${path}`, { body: content })).toMatchObject({
        status: 404,
        body: { detail: 'NOT_FOUND' },
      });
    }
    expect(await harness.ask('GET', PATH)).toMatchObject({ body: [] });
    expect(await harness.ask('GET', `${PATH}search/?query=B`)).toMatchObject({ body: [] });
    expect((await harness.ask('GET', `${PATH}${body.id}`, { workspace: 'b' })).body).toEqual(body);
  });

  it('hides a profile from the other users of its workspace', async () => {
    const { id } = await made('Ada');
    await harness.ownerQuery("update sender_profiles set user_id = 'somebody else' where id = $1", [id]);
    expect((await harness.ask('GET', `${PATH}${id}`)).status).toBe(404);
    expect((await harness.ask('PUT', `${PATH}${id}`, { body: { profile_name: 'x' } })).status).toBe(404);
    expect((await harness.ask('DELETE', `${PATH}${id}`)).status).toBe(404);
  });

  it.each(['nothing', '1', 'default%00'])('answers 404 for the malformed id %s', async (id) => {
    expect((await harness.ask('GET', `${PATH}${id}`)).status).toBe(404);
  });
});
