/** The do-not-contact list over HTTP against PostgreSQL. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createSuppressionRoutes } from '../../../src/resources/suppression/routes.ts';
import type { SuppressionEntry } from '../../../src/resources/suppression/schema.ts';
import { createSuppression, type Suppression } from '../../../src/resources/suppression/suppression.ts';
import { type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

const PATH = '/api/v1/suppression/';

interface List {
  entries: SuppressionEntry[];
  items: SuppressionEntry[];
  total: number;
  next_cursor: string | null;
  has_more: boolean;
}

let harness: HttpHarness;
let suppression: Suppression;

beforeAll(async () => {
  harness = await startHttpHarness({
    routes: (needs) => {
      suppression = createSuppression(needs);
      return createSuppressionRoutes(suppression);
    },
  });
});
afterAll(() => harness.close());
beforeEach(() => harness.ownerQuery('delete from suppression_entries'));

function add(email: string, workspace: 'a' | 'b' = 'a') {
  return harness.ask<SuppressionEntry>('POST', PATH, { body: { email, reason: 'asked' }, workspace });
}

async function list(query = '') {
  return (await harness.ask<List>('GET', `${PATH}${query}`)).body;
}

describe('the do-not-contact list', () => {
  it('takes an address once, in lower case, and says so of a second time', async () => {
    const added = await add('Ada@Example.com');
    expect(added).toMatchObject({
      status: 201,
      body: { email: 'ada@example.com', reason: 'asked', source: 'api' },
    });
    expect(await add('ADA@example.com')).toMatchObject({
      status: 409,
      body: { detail: 'ALREADY_EXISTS', entry: { entry_id: added.body.entry_id } },
    });
    expect(await list()).toMatchObject({
      total: 1,
      entries: [added.body],
      items: [added.body],
      has_more: false,
    });
  });

  it('has one entry when the same address comes many times at once', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => add('ada@example.com')));
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(1);
    expect(answers.filter((answer) => answer.status === 409)).toHaveLength(9);
  });

  it('pages by cursor and by offset, newest first', async () => {
    for (const letter of ['a', 'b', 'c', 'd', 'e']) await add(`${letter}@example.com`);
    const first = await list('?limit=2');
    expect(first.items.map((entry) => entry.email)).toEqual(['e@example.com', 'd@example.com']);
    expect(first).toMatchObject({ total: 5, has_more: true });
    const second = await list(`?limit=2&cursor=${first.next_cursor}`);
    expect(second.items.map((entry) => entry.email)).toEqual(['c@example.com', 'b@example.com']);
    const last = await list('?limit=2&offset=4');
    expect(last.items.map((entry) => entry.email)).toEqual(['a@example.com']);
    expect(last).toMatchObject({ has_more: false, next_cursor: null });
  });

  it('is searched by a part of the address, wildcards being what they are', async () => {
    await add('a_b@example.com');
    await add('axb@example.com');
    expect((await list('?search=A_B')).items.map((entry) => entry.email)).toEqual(['a_b@example.com']);
    expect(await list('?search=%25')).toMatchObject({ total: 0 });
  });

  it('lifts a suppression once', async () => {
    const { entry_id } = (await add('ada@example.com')).body;
    expect((await harness.ask('DELETE', `${PATH}${entry_id}`)).status).toBe(204);
    expect((await harness.ask('DELETE', `${PATH}${entry_id}`)).status).toBe(404);
    expect((await add('ada@example.com')).status).toBe(201);
  });

  it('says which of some addresses stand on it, ignoring case', async () => {
    await add('ada@example.com');
    const found = await harness.database.within(harness.caller.workspaceId, (tx) =>
      suppression.suppressedWithin(tx, ['ADA@example.com', 'grace@example.com']),
    );
    expect([...found]).toEqual(['ada@example.com']);
  });

  it.each(['no address', 'a@b', 'a@example.com\r\nBcc: x@example.com', ''])('refuses %j', async (email) => {
    expect(await add(email)).toMatchObject({ status: 422, body: { detail: 'VALIDATION_ERROR' } });
  });

  it('refuses cursors that are not its own', async () => {
    for (const cursor of ['x', Buffer.from('[]').toString('base64url')]) {
      expect((await harness.ask('GET', `${PATH}?cursor=${cursor}`)).status).toBe(422);
    }
  });

  it('of another workspace is not there', async () => {
    const { entry_id } = (await add('ada@example.com', 'b')).body;
    expect((await harness.ask('DELETE', `${PATH}${entry_id}`)).status).toBe(404);
    expect(await list()).toMatchObject({ total: 0 });
    expect((await add('ada@example.com')).status).toBe(201);
    expect(await harness.ask('DELETE', `${PATH}${entry_id}`, { workspace: 'b' })).toMatchObject({
      status: 204,
    });
  });
});
