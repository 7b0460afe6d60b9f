/** What all routes have in common, as design.md §5 says it: lists, cursors, repeats, limits, ids, and what tells of the API. */

import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type JsonSchema, recordOf } from '../support/json-schema.ts';
import { createLocalPerson, createPerson, JWT_ENVIRONMENT, type Person } from '../support/people.ts';
import { leadFile } from '../support/seeded-workspace.ts';
import type { ServiceHere } from '../support/service.ts';
import { openStage, type Stage } from '../support/stage.ts';
import { operationsOf } from './compare.ts';
import { listOf, shapeOf } from './shape.ts';

let stage: Stage;
let service: ServiceHere;
let person: Person;
let published: JsonSchema;

beforeAll(async () => {
  stage = await openStage();
  service = await stage.start();
  person = createLocalPerson(service.url);
  published = await person.get('/openapi.json');
});
afterAll(() => stage.close());

/** Lists whose answer the contract fixes otherwise, and lists that are part of one thing and come whole. */
const OTHERWISE = [
  'GET /api/v1/sender-profiles/',
  'GET /api/v1/sender-profiles/search/',
  'GET /api/v1/agent/conversations/{thread_id}',
];

describe('a list', () => {
  it('takes limit and cursor, and answers items, next_cursor and has_more', () => {
    const paged = operationsOf(published).filter(
      ({ name, operation }) =>
        name.startsWith('GET ') &&
        !name.includes('/langgraph/') &&
        listOf(operation.parameters).some(({ name: parameter }) =>
          ['limit', 'cursor', 'page', 'offset'].includes(String(parameter)),
        ),
    );
    expect(paged.length).toBeGreaterThan(10);
    const odd = paged.filter(({ operation }) => {
      const taken = listOf(operation.parameters).map((parameter) => parameter.name);
      const response = recordOf(recordOf(operation.responses)['200']);
      const content = recordOf(recordOf(recordOf(response).content)['application/json']);
      const shape = shapeOf(published, recordOf(content.schema));
      return !(
        taken.includes('cursor') &&
        (taken.includes('limit') || taken.includes('page_size')) &&
        ['items', 'next_cursor', 'has_more'].every((name) => shape.required.has(name))
      );
    });
    expect(odd.map(({ name }) => name).sort()).toEqual(OTHERWISE.sort());
  });

  interface List {
    path: string;
    /** The name of the id in a row. */
    id: string;
    add(): Promise<unknown>;
    remove(id: string): Promise<unknown>;
    /** The parameter for the size of a page. */
    size?: string;
  }
  const remove = (path: string) => (id: string) => person.ask('DELETE', `${path}${id}`);
  const lists: Record<string, List> = {
    templates: {
      path: '/api/v1/templates/',
      id: 'template_id',
      add: () => person.post('/api/v1/templates/', { name: 'x', subject: 'x', body: 'x' }),
      remove: remove('/api/v1/templates/'),
      size: 'page_size',
    },
    suppression: {
      path: '/api/v1/suppression/',
      id: 'entry_id',
      add: () => person.post('/api/v1/suppression/', { email: `${randomUUID()}@rest.example` }),
      remove: remove('/api/v1/suppression/'),
    },
    conversations: {
      path: '/api/v1/agent/conversations',
      id: 'thread_id',
      add: () => person.post('/api/v1/agent/conversations', {}),
      remove: remove('/api/v1/agent/conversations/'),
    },
    datasets: {
      path: '/api/v1/datasets/list',
      id: 'dataset_id',
      add: () => person.post('/api/v1/datasets/import', leadFile('rest')),
      remove: (id) => person.post(`/api/v1/datasets/${id}/archive`),
      size: 'page_size',
    },
    leads: {
      path: '/api/v1/leads?query=rest',
      id: 'lead_id',
      add: () => person.post('/api/v1/datasets/import', leadFile('rest')),
      async remove(id) {
        const lead = await person.get(`/api/v1/leads/${id}`);
        await person.post(`/api/v1/datasets/${lead.dataset_id}/archive`);
      },
    },
    campaigns: {
      path: '/api/v1/campaigns/',
      id: 'campaign_id',
      async add() {
        const { dataset_id } = await person.post('/api/v1/datasets/import', leadFile('rest'));
        const steps = [{ step: 1, delay_days: 0 }];
        return person.post('/api/v1/campaigns/', { name: 'x', dataset_id, steps });
      },
      remove: remove('/api/v1/campaigns/'),
      size: 'page_size',
    },
  };
  const page = z.object({
    items: z.array(z.record(z.string(), z.unknown())),
    next_cursor: z.string().nullable(),
    has_more: z.boolean(),
  });

  it.each(Object.entries(lists))(
    'shows each row that stays exactly once, whatever is written meanwhile: %s',
    async (_name, { path, id, add, remove: removeOne, size = 'limit' }) => {
      const read = async (cursor: string | null, limit: number) => {
        const search = `${path.includes('?') ? '&' : '?'}${size}=${limit}${cursor === null ? '' : `&cursor=${cursor}`}`;
        const { items, ...rest } = page.parse(await person.get(`${path}${search}`));
        return { ids: items.map((item) => String(item[id])), ...rest };
      };
      for (let row = 0; row < 5; row += 1) await add();
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 3 }),
          fc.array(fc.record({ adds: fc.nat(2), removes: fc.option(fc.nat(), { freq: 2 }) }), {
            minLength: 3,
            maxLength: 8,
          }),
          async (limit, writes) => {
            const before = (await read(null, 100)).ids;
            const removed = new Set<string>();
            const seen: string[] = [];
            let cursor: string | null = null;
            for (let turn = 0; ; turn += 1) {
              const { ids, next_cursor, has_more } = await read(cursor, limit);
              seen.push(...ids);
              expect(has_more).toBe(next_cursor !== null);
              if (next_cursor === null) break;
              cursor = next_cursor;
              const { adds, removes } = writes[turn] ?? { adds: 0, removes: null };
              for (let count = 0; count < adds; count += 1) await add();
              const victim = removes === null ? undefined : before[removes % before.length];
              if (victim === undefined || removed.has(victim)) continue;
              await removeOne(victim);
              removed.add(victim);
            }
            expect(new Set(seen).size).toBe(seen.length);
            expect(before.filter((one) => !removed.has(one) && !seen.includes(one))).toEqual([]);
          },
        ),
        { numRuns: 4, seed: 20261128 },
      );
    },
  );
});

describe('an upload', () => {
  it('sent again with its Idempotency-Key gets the first answer, and another file under that key 422', async () => {
    const headers = { 'idempotency-key': randomUUID() };
    const first = await person.ask('POST', '/api/v1/datasets/import', { body: leadFile('again'), headers });
    const second = await person.ask('POST', '/api/v1/datasets/import', { body: leadFile('again'), headers });
    expect(first.status).toBe(201);
    expect(second).toMatchObject({ status: 201, json: first.json });
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    expect(
      await person.ask('POST', '/api/v1/datasets/import', { body: leadFile('other'), headers }),
    ).toMatchObject({ status: 422, json: { detail: 'IDEMPOTENCY_MISMATCH' } });
  });
});

describe('too many requests', () => {
  it('are 429 with Retry-After, say which limit, and tell a key how much it may', async () => {
    const strict = await stage.start({ environment: JWT_ENVIRONMENT });
    const signedIn = await createPerson(strict.url, { user: 'rest-hasty', plan: 'free' });
    let last = await signedIn.ask('GET', '/api/v1/capabilities');
    for (let sent = 0; last.status === 200 && sent < 400; sent += 20) {
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => signedIn.ask('GET', '/api/v1/capabilities')),
      );
      last = answers.find(({ status }) => status !== 200) ?? last;
    }
    expect(last).toMatchObject({
      status: 429,
      json: { detail: 'RATE_LIMITED', limit: 'requests_per_minute', request_id: expect.any(String) },
    });
    expect(Number(last.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(Number(last.headers.get('retry-after'))).toBeLessThanOrEqual(60);
    expect(last.headers.get('x-ratelimit-limit')).toBe('300');
    expect(Number(last.headers.get('x-ratelimit-reset'))).toBeGreaterThan(Date.now() / 1000 - 60);
  });
});

describe('ids', () => {
  it('are UUIDs of version 7, those of leads that were added to a draft too', async () => {
    const { dataset_id } = await person.post('/api/v1/datasets/import', leadFile('ids'));
    const steps = [{ step: 1, delay_days: 0 }];
    const campaign = await person.post('/api/v1/campaigns/', { name: 'ids', dataset_id, steps });
    await person.post(`/api/v1/campaigns/${campaign.campaign_id}/leads`, { dataset_id });
    const leads = await person.get(`/api/v1/campaigns/${campaign.campaign_id}/leads`);
    const thread = await person.post('/api/v1/agent/conversations', {});
    const text = JSON.stringify([dataset_id, campaign.campaign_id, leads.items, thread]);
    const ids = [...text.matchAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g)].map(([id]) => id);
    expect(ids.length).toBeGreaterThan(5);
    expect(ids.filter((one) => one[14] !== '7')).toEqual([]);
  });
});

describe('the service tells of itself', () => {
  it.each([
    ['/openapi.json', 'application/json', '"openapi":"3.1.0"'],
    ['/docs', 'text/html', 'POST /api/v1/agent/chat'],
    ['/llms.txt', 'text/plain', '- POST /api/v1/agent/chat: '],
    ['/metrics', 'text/plain', 'overture_requests_total{route="/api/v1/agent/conversations"'],
    ['/api/v1/health', 'application/json', '"status":"ok"'],
    ['/api/v1/ready', 'application/json', '"status":"ready"'],
  ])('%s', async (path, type, part) => {
    const { status, headers, text } = await person.ask('GET', path);
    expect(status).toBe(200);
    expect(headers.get('content-type')?.split(';')[0]).toBe(type);
    expect(text.replaceAll(/<[^>]+>/g, '')).toContain(part);
  });

  it('with no count that names a workspace, a user or an id', async () => {
    const { text } = await person.ask('GET', '/metrics');
    expect(text).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-|local/);
  });
});
