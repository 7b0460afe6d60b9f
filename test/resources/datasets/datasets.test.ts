import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDatasets } from '../../../src/resources/datasets/datasets.ts';
import { createDatasetRoutes } from '../../../src/resources/datasets/routes.ts';
import type { Dataset } from '../../../src/resources/datasets/schema.ts';
import { createUploads, type Uploads } from '../../../src/resources/uploads/uploads.ts';
import type { Caller } from '../../../src/runtime/caller.ts';
import { withFile } from '../../support/files.ts';
import { type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

let harness: HttpHarness;
let uploads: Uploads;

beforeAll(async () => {
  harness = await startHttpHarness({
    routes: (needs) => {
      uploads = createUploads(needs);
      return createDatasetRoutes(createDatasets(needs));
    },
  });
});
afterAll(() => harness.close());
beforeEach(async () => {
  await harness.ownerQuery('delete from datasets');
});

interface DatasetList {
  datasets: Dataset[];
  items: Dataset[];
  total: number;
  page: number;
  page_size: number;
  next_cursor: string | null;
  has_more: boolean;
}

const PEOPLE = 'Email,Name\nada@example.com,Ada\nbob@example.com,Bob\nnone,Cy\n';

async function make(name: string, content = PEOPLE, caller: Caller = harness.caller): Promise<string> {
  const made = await withFile(content, (file) => uploads.importCsv(caller, { file, dataset_name: name }));
  return made.dataset_id;
}

const list = (query = '') => harness.ask<DatasetList>('GET', `/api/v1/datasets/list${query}`);
const names = (page: { body: DatasetList }) => page.body.datasets.map((dataset) => dataset.dataset_name);

describe('listing datasets', () => {
  it("tells them newest first, in the contract's form and in ours", async () => {
    const first = await make('First');
    await make('Second');
    const { status, body } = await list();
    expect(status).toBe(200);
    expect(names({ body })).toEqual(['Second', 'First']);
    expect(body).toMatchObject({ total: 2, page: 1, page_size: 20, next_cursor: null, has_more: false });
    expect(body.items).toEqual(body.datasets);
    expect(body.datasets[1]).toEqual({
      dataset_id: first,
      dataset_name: 'First',
      pipeline_type: null,
      source_type: 'csv',
      session_id: first,
      file_name: 'people.csv',
      row_count: 2,
      refused_count: 1,
      refused: { invalid_email: 1 },
      columns: ['Email', 'Name'],
      mapping: { email: 'Email', full_name: 'Name' },
      download_count: 0,
      archived_at: null,
      created_at: expect.stringMatching(/Z$/),
      updated_at: expect.stringMatching(/Z$/),
    });
  });

  it('pages by number', async () => {
    for (const name of ['1', '2', '3', '4', '5']) await make(name);
    expect(names(await list('?page_size=2'))).toEqual(['5', '4']);
    expect(names(await list('?page_size=2&page=3'))).toEqual(['1']);
    expect(names(await list('?page_size=2&page=4'))).toEqual([]);
  });

  it('pages by cursor without gaps or doubles while datasets are added', async () => {
    for (const name of ['1', '2', '3', '4', '5']) await make(name);
    const first = await list('?page_size=2');
    await make('6');
    const second = await list(`?page_size=2&cursor=${first.body.next_cursor}`);
    const third = await list(`?page_size=2&cursor=${second.body.next_cursor}`);
    expect([first, second, third].flatMap(names)).toEqual(['5', '4', '3', '2', '1']);
    expect(third.body).toMatchObject({ next_cursor: null, has_more: false });
  });

  it('finds by a part of the name, in which signs of patterns are plain', async () => {
    for (const name of ['Leads 100%', 'leads_200', 'People']) await make(name);
    expect(names(await list('?search=LEADS'))).toEqual(['leads_200', 'Leads 100%']);
    expect(names(await list('?search=%25'))).toEqual(['Leads 100%']);
    expect(names(await list('?search=s_2'))).toEqual(['leads_200']);
  });

  it('has no dataset of any pipeline', async () => {
    await make('People');
    expect((await list('?pipeline_type=enrichment')).body.total).toBe(0);
  });

  it.each([
    '?page=0',
    '?page=x',
    '?page_size=101',
    '?page=1e99',
    '?cursor=x',
    '?cursor=',
    '?cursor=WyJ4Il0',
    `?cursor=${Buffer.from('["2024-01-01T00:00:00.000000Z","x"]').toString('base64url')}`,
    `?cursor=${Buffer.from('["\'; drop table leads","00000000-0000-7000-8000-000000000001"]').toString('base64url')}`,
    '?search=a%00b',
    `?search=${'a'.repeat(256)}`,
    '?include_archived=perhaps',
    '?search=a&search=b',
  ])('refuses %s', async (query) => {
    expect(await list(query)).toMatchObject({ status: 422, body: { detail: 'VALIDATION_ERROR' } });
  });
});

describe('one dataset', () => {
  it('is read, renamed, archived and restored', async () => {
    const id = await make('People');
    const path = `/api/v1/datasets/${id}`;
    expect((await harness.ask('GET', path)).body).toMatchObject({ dataset_id: id, dataset_name: 'People' });
    const renamed = await harness.ask('PATCH', path, { body: { dataset_name: ' Friends ' } });
    expect(renamed).toMatchObject({ status: 200, body: { dataset_name: 'Friends' } });

    const archived = await harness.ask('POST', `${path}/archive`);
    expect(archived).toMatchObject({ status: 200, body: { archived_at: expect.any(String) } });
    expect((await harness.ask('POST', `${path}/archive`)).body).toEqual(archived.body);
    expect((await list()).body.total).toBe(0);
    expect(names(await list('?include_archived=true'))).toEqual(['Friends']);
    expect((await harness.ask('GET', path)).status).toBe(200);

    expect(await harness.ask('POST', `${path}/restore`)).toMatchObject({
      status: 200,
      body: { archived_at: null },
    });
    expect((await list()).body.total).toBe(1);
  });

  it.each([
    {},
    { dataset_name: '' },
    { dataset_name: 'a\nb' },
    { dataset_name: 'a'.repeat(256) },
    { dataset_name: 'x', y: 1 },
  ])('is not renamed by %j', async (body) => {
    const id = await make('People');
    expect((await harness.ask('PATCH', `/api/v1/datasets/${id}`, { body })).status).toBe(422);
  });

  const ways: [string, string, unknown?][] = [
    ['GET', ''],
    ['PATCH', '', { dataset_name: 'Mine' }],
    ['POST', '/archive'],
    ['POST', '/restore'],
    ['GET', '/download'],
  ];
  it.each(ways)('of another workspace is absent for %s %s', async (method, path, body) => {
    const id = await make('Theirs', PEOPLE, harness.other);
    for (const wanted of [id, harness.newId(), 'x', "1'--"]) {
      const answer = await harness.ask(method, `/api/v1/datasets/${encodeURIComponent(wanted)}${path}`, {
        body,
      });
      expect(answer).toMatchObject({ status: 404, body: { detail: 'NOT_FOUND' } });
    }
    const [row] = await harness.ownerQuery('select name, archived_at, download_count from datasets');
    expect(row).toEqual({ name: 'Theirs', archived_at: null, download_count: 0 });
  });
});

describe('downloading a dataset', () => {
  const download = (id: string, query = '') => fetch(`${harness.url}/api/v1/datasets/${id}/download${query}`);

  it('gives the rows back in the columns of their file, and counts', async () => {
    const id = await make('Ärger "1"', 'Email,Note\nada@example.com,"a, ""b""\nc"\nbob@example.com,\n');
    const answer = await download(id);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(answer.headers.get('content-disposition')).toBe(
      `attachment; filename="dataset.csv"; filename*=UTF-8''%C3%84rger%20%221%22.csv`,
    );
    expect(await answer.text()).toBe('Email,Note\r\nada@example.com,"a, ""b""\nc"\r\nbob@example.com,\r\n');
    expect((await harness.ask('GET', `/api/v1/datasets/${id}`)).body.download_count).toBe(1);
  });

  it('makes text of every cell that a spreadsheet would run', async () => {
    const id = await make(
      'Formulas',
      'Email,=Note\na@x.example,=1+1\nb@x.example,+49 30\nc@x.example,-2\nd@x.example,"@SUM(1,2)"\ne@x.example,1=1\n',
    );
    expect(await (await download(id)).text()).toBe(
      "Email,'=Note\r\na@x.example,'=1+1\r\nb@x.example,'+49 30\r\nc@x.example,'-2\r\nd@x.example,\"'@SUM(1,2)\"\r\ne@x.example,1=1\r\n",
    );
  });

  it('gives JSON', async () => {
    const id = await make('People');
    const answer = await download(id, '?format=json');
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(await answer.json()).toEqual([
      { lead_id: expect.any(String), data: { Email: 'ada@example.com', Name: 'Ada' } },
      { lead_id: expect.any(String), data: { Email: 'bob@example.com', Name: 'Bob' } },
    ]);
  });

  it('gives every row of a file that takes several reads, in its order', async () => {
    const rows = Array.from({ length: 1501 }, (_, index) => `p${index}@example.com`);
    const id = await make('Many', `Email\n${rows.join('\n')}\n`);
    expect(await (await download(id)).text()).toBe(`Email\r\n${rows.join('\r\n')}\r\n`);
    expect(await (await download(id, '?format=json')).json()).toHaveLength(1501);
  });

  it.each(['excel', 'x'])('refuses the format %s', async (format) => {
    expect((await download(await make('People'), `?format=${format}`)).status).toBe(422);
  });
});
