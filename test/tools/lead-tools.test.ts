import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { createDatasets } from '../../src/resources/datasets/datasets.ts';
import { createLeads } from '../../src/resources/leads/leads.ts';
import { createUploads, type Uploads } from '../../src/resources/uploads/uploads.ts';
import { createListDatasetsTool } from '../../src/tools/list-datasets.ts';
import { createSearchLeadsTool } from '../../src/tools/search-leads.ts';
import type { ExecuteContext, ReadTool, Tool } from '../../src/tools/tool.ts';
import { withFile } from '../support/files.ts';
import { type HttpHarness, startHttpHarness } from '../support/http-harness.ts';

let harness: HttpHarness;
let uploads: Uploads;
let searchLeads: Tool;
let listDatasets: Tool;

beforeAll(async () => {
  harness = await startHttpHarness({ routes: () => [] });
  uploads = createUploads(harness);
  searchLeads = createSearchLeadsTool({ leads: createLeads(harness) });
  listDatasets = createListDatasetsTool({ datasets: createDatasets(harness) });
});
afterAll(() => harness.close());
beforeEach(async () => {
  await harness.ownerQuery('delete from datasets');
});

/** Calls a reading tool as the gate does: parsed first, then run. */
async function call(tool: Tool, args: Record<string, unknown>): Promise<unknown> {
  if (tool.effect !== 'none') throw new Error('This tool changes something.');
  const schema: z.ZodType = tool.schema;
  const context: ExecuteContext = {
    caller: harness.caller,
    turnId: harness.newId(),
    toolCallId: 'call',
    tainted: false,
    signal: new AbortController().signal,
    providerKey: 'key',
    progress: () => undefined,
    spent: () => undefined,
  };
  return (tool as ReadTool<unknown>).run(context, schema.parse(args));
}

function load(content: string, name = 'People'): Promise<{ dataset_id: string }> {
  return withFile(content, (file) => uploads.importCsv(harness.caller, { file, dataset_name: name }));
}

describe('search_leads', () => {
  it('answers the total and the leads, ten where no limit is given', async () => {
    const { dataset_id } = await load(
      `Email,Name,Company\n${Array.from({ length: 12 }, (_, row) => `p${row}@x.example,Ada ${row},Acme`).join('\n')}\n`,
    );
    const all = await call(searchLeads, {});
    expect(all).toMatchObject({ total: 12, leads: { length: 10 } });
    expect(Object.keys(all as object)).toEqual(['total', 'leads']);
    expect(await call(searchLeads, { query: 'acme', name: 'ada 11', limit: 25, dataset_id })).toEqual({
      total: 1,
      leads: [
        {
          lead_id: expect.any(String),
          email: 'p11@x.example',
          first_name: 'Ada',
          last_name: '11',
          name: 'Ada 11',
          company: 'Acme',
          title: null,
          city: null,
          country: null,
          dataset_id,
          suppressed: false,
        },
      ],
    });
  });

  it('finds one lead by its id', async () => {
    await load('Email\nada@example.com\nbob@example.com\n');
    const [row] = await harness.ownerQuery(`select id from leads where email like 'bob%'`);
    expect(await call(searchLeads, { lead_id: row?.id })).toMatchObject({
      total: 1,
      leads: [{ email: 'bob@example.com' }],
    });
    expect(await call(searchLeads, { lead_id: harness.newId() })).toEqual({ total: 0, leads: [] });
  });

  it('shows only what a person would see, cut to 200 characters', async () => {
    await load(`Email,First Name,Company\nada@example.com,A\u200Bd\u202Ea,${'x'.repeat(300)}\n`);
    expect(await call(searchLeads, {})).toMatchObject({
      leads: [{ first_name: 'Ada', company: 'x'.repeat(200) }],
    });
  });

  it.each([
    { limit: 26 },
    { limit: 0 },
    { lead_id: 'x' },
    { query: 1 },
    { sort: 'name' },
    { query: 'a'.repeat(201) },
  ])('refuses the arguments %j', (args) => {
    expect(searchLeads.schema.safeParse(args).success).toBe(false);
  });

  it('is a reading tool with untrusted results', () => {
    expect(
      [searchLeads, listDatasets].map(({ name, effect, untrusted }) => ({ name, effect, untrusted })),
    ).toEqual([
      { name: 'search_leads', effect: 'none', untrusted: true },
      { name: 'list_datasets', effect: 'none', untrusted: true },
    ]);
  });
});

describe('list_datasets', () => {
  it('answers what is not archived, newest first, with the columns of its file', async () => {
    const first = await load('Email,Na\u200Bme\nada@example.com,Ada\n', 'Fir\u202Est');
    const second = await load('Email\nada@example.com\nbob@example.com\n', 'Second');
    expect(await call(listDatasets, {})).toEqual({
      datasets: [
        {
          dataset_id: second.dataset_id,
          name: 'Second',
          row_count: 2,
          columns: ['Email'],
          created_at: expect.any(String),
        },
        {
          dataset_id: first.dataset_id,
          name: 'First',
          row_count: 1,
          columns: ['Email', 'Name'],
          created_at: expect.any(String),
        },
      ],
    });
    await harness.ownerQuery(`update datasets set archived_at = now() where name = 'Second'`);
    expect(await call(listDatasets, {})).toMatchObject({ datasets: { length: 1 } });
  });

  it('takes no arguments', () => {
    expect(listDatasets.schema.safeParse({ page: 1 }).success).toBe(false);
  });
});
