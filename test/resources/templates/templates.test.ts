/** Templates over HTTP against PostgreSQL. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTemplateRoutes } from '../../../src/resources/templates/routes.ts';
import type { Template } from '../../../src/resources/templates/schema.ts';
import { createTemplates } from '../../../src/resources/templates/templates.ts';
import { type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

const PATH = '/api/v1/templates/';

interface List {
  templates: Template[];
  items: Template[];
  total: number;
  page: number;
  page_size: number;
  next_cursor: string | null;
  has_more: boolean;
}

let harness: HttpHarness;

beforeAll(async () => {
  harness = await startHttpHarness({ routes: (needs) => createTemplateRoutes(createTemplates(needs)) });
});
afterAll(() => harness.close());
beforeEach(() => harness.ownerQuery('delete from templates'));

async function made(name: string, changes: Record<string, unknown> = {}, workspace: 'a' | 'b' = 'a') {
  const body = {
    name,
    subject: 'Hello {{first_name}}',
    body: 'You work at {{company|your place}}.',
    ...changes,
  };
  const answer = await harness.ask<Template>('POST', PATH, { body, workspace });
  expect(answer.status).toBe(201);
  return answer.body;
}

async function list(query = '') {
  const answer = await harness.ask<List>('GET', `${PATH}${query}`);
  expect(answer.status).toBe(200);
  return answer.body;
}

const names = (page: List) => page.templates.map((template) => template.name);

describe('templates', () => {
  it('are created with their variables, read, changed in part, and deleted', async () => {
    const template = await made('Intro');
    expect(template).toMatchObject({
      user_id: 'user-a',
      name: 'Intro',
      variables: ['first_name', 'company'],
    });
    const path = `${PATH}${template.template_id}`;
    expect(await harness.ask('GET', path)).toMatchObject({ status: 200, body: template });
    const changed = await harness.ask<Template>('PATCH', path, { body: { subject: 'Hi', name: null } });
    expect(changed).toMatchObject({
      status: 200,
      body: { name: 'Intro', subject: 'Hi', variables: ['company'] },
    });
    expect(changed.body.updated_at >= template.updated_at).toBe(true);
    expect((await harness.ask('DELETE', path)).status).toBe(204);
    expect((await harness.ask('GET', path)).status).toBe(404);
    expect((await harness.ask('PATCH', path, { body: { name: 'x' } })).status).toBe(404);
    expect((await harness.ask('DELETE', path)).status).toBe(404);
  });

  it('are listed by page, newest first, with the total', async () => {
    for (const name of ['1', '2', '3', '4', '5']) await made(name);
    const first = await list('?page_size=2');
    expect(first).toMatchObject({ total: 5, page: 1, page_size: 2, has_more: true });
    expect(first.items).toEqual(first.templates);
    expect(names(first)).toEqual(['5', '4']);
    expect(names(await list('?page_size=2&page=2'))).toEqual(['3', '2']);
    expect(await list('?page_size=2&page=3')).toMatchObject({ has_more: false, next_cursor: null });
    expect(names(await list('?page=99'))).toEqual([]);
  });

  it('are listed by cursor without gaps or doubles while others are written, also within one instant', async () => {
    const expected: string[] = [];
    for (const name of ['1', '2', '3', '4', '5', '6', '7']) expected.unshift((await made(name)).template_id);
    // Rows of one transaction share their instant to the microsecond.
    await harness.ownerQuery('update templates set created_at = now()');
    const seen: string[] = [];
    let cursor: string | null = '';
    for (let round = 0; cursor !== null && round < 20; round += 1) {
      const page: List = await list(`?limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`);
      seen.push(...page.items.map((template) => template.template_id));
      cursor = page.next_cursor;
      await made(`new ${round}`);
    }
    expect(seen).toEqual(expected);
  });

  it.each([
    'x',
    Buffer.from('[]').toString('base64url'),
    Buffer.from('["2026-01-01T00:00:00.000000Z","not an id"]').toString('base64url'),
    Buffer.from('["yesterday","019a0000-0000-7000-8000-000000000000"]').toString('base64url'),
    Buffer.from('["0000-01-01T00:00:00.000000Z","019a0000-0000-7000-8000-000000000000"]').toString(
      'base64url',
    ),
    Buffer.from('[1,2]').toString('base64url'),
    'x'.repeat(501),
  ])('refuse the cursor %s', async (cursor) => {
    expect(await harness.ask('GET', `${PATH}?cursor=${cursor}`)).toMatchObject({
      status: 422,
      body: { detail: 'VALIDATION_ERROR', details: [{ loc: ['query', 'cursor'] }] },
    });
  });

  it.each([
    ['no subject', { subject: undefined }],
    ['a line break in the subject', { subject: 'a\r\nBcc: b@example.com' }],
    ['a subject above 998 characters', { subject: 'x'.repeat(999) }],
    ['a body above 50,000 characters', { body: 'x'.repeat(50_001) }],
    ['a name above 255 characters', { name: 'x'.repeat(256) }],
    ['a NUL in the body', { body: 'a\0' }],
    ['a field that is none', { owner: 'me' }],
  ])('refuse %s', async (_what, changes) => {
    const body = { name: 'Intro', subject: 'Hello', body: 'Text', ...changes };
    expect(await harness.ask('POST', PATH, { body })).toMatchObject({ status: 422 });
  });

  it.each(['?page=0', '?page_size=101', '?page=x', '?limit=0'])('refuse the query %s', async (query) => {
    expect(await harness.ask('GET', `${PATH}${query}`)).toMatchObject({ status: 422 });
  });

  it('of another workspace are not there', async () => {
    const { template_id, ...rest } = await made('B', {}, 'b');
    const path = `${PATH}${template_id}`;
    expect((await harness.ask('GET', path)).status).toBe(404);
    expect((await harness.ask('PATCH', path, { body: { name: 'x' } })).status).toBe(404);
    expect((await harness.ask('DELETE', path)).status).toBe(404);
    expect((await list()).total).toBe(0);
    expect(await harness.ask('GET', path, { workspace: 'b' })).toMatchObject({ status: 200, body: rest });
  });
});
