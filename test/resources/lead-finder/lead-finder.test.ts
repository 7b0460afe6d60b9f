/** The lead finder over HTTP against PostgreSQL, in the workspace's own datasets. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createLeadFinderRoutes } from '../../../src/resources/lead-finder/routes.ts';
import type { Batch, BatchStatus } from '../../../src/resources/lead-finder/schema.ts';
import { createUploads, type Uploads } from '../../../src/resources/uploads/uploads.ts';
import { withFile } from '../../support/files.ts';
import { type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';
import { createLeadFinderParts, type LeadFinderParts } from '../../support/lead-finder.ts';

let harness: HttpHarness;
let parts: LeadFinderParts;
let uploads: Uploads;

beforeAll(async () => {
  // The routes need the parts, and the parts the harness's database.
  harness = await startHttpHarness({
    routes: (needs) => {
      parts = createLeadFinderParts(needs);
      return createLeadFinderRoutes(parts.leadFinder);
    },
  });
  uploads = createUploads(harness);
  parts.startWorker();
});
afterAll(async () => {
  await parts.close();
  await harness.close();
});

const PEOPLE = `Email,First Name,Last Name,Company,Title,City,Country,Profile
ada@acme.example,Ada,Lovelace,"Acme, Inc.",Chief Technology Officer,Berlin,Germany,https://de.linkedin.com/in/ada-l?trk=x
alan@acme.example,Alan,Turing,Acme Inc,CTO,London,UK,
grace@other.example,Grace,Hopper,Other Ltd,CTO,Berlin,Germany,linkedin.com/in/grace
kurt@other.example,Kurt,Gödel,Other Ltd,Engineer,Vienna,Austria,
`;

beforeEach(async () => {
  await harness.ownerQuery('delete from datasets');
  await withFile(PEOPLE, (file) => uploads.importCsv(harness.caller, { file, dataset_name: 'People' }));
});

function submit(body: unknown, workspace: 'a' | 'b' = 'a') {
  return harness.ask<Batch>('POST', '/api/v1/lead-finder/batch', { body, workspace });
}

function status(sessionId: string, query = '', workspace: 'a' | 'b' = 'a') {
  return harness.ask<BatchStatus>('GET', `/api/v1/lead-finder/batch/${sessionId}/status${query}`, {
    workspace,
  });
}

/** Submits and waits until the batch has ended. */
async function run(body: unknown): Promise<BatchStatus> {
  const made = await submit(body);
  expect(made.status).toBe(202);
  await expect
    .poll(async () => (await status(made.body.session_id)).body.status, { timeout: 10_000 })
    .toBe('completed');
  return (await status(made.body.session_id)).body;
}

describe('a batch of names', () => {
  it('is accepted at once and ends with a profile for each name that is known', async () => {
    const made = await submit({
      names: [
        { name: 'Ada Lovelace', company: 'Acme' },
        { name: 'Nobody Known', company: 'Acme' },
        { name: 'grace hopper', title: 'CTO', location: 'Berlin' },
        { name: 'Alan Turing', company: 'Elsewhere' },
      ],
      dataset_name: 'Pioneers',
    });
    expect(made).toMatchObject({
      status: 202,
      body: { status: 'queued', total: 4, credits_reserved: 0, source: 'own_data' },
    });
    const { session_id, dataset_id } = made.body;
    await expect
      .poll(async () => (await status(session_id)).body.status, { timeout: 10_000 })
      .toBe('completed');
    const { body } = await status(session_id);
    expect(body).toMatchObject({
      session_id,
      dataset_id,
      total: 4,
      processed: 4,
      found: 3,
      not_found: 1,
      failed: 0,
      progress_percentage: 100,
      credits_charged: 0,
      results: [
        {
          row_index: 0,
          name: 'Ada Lovelace',
          status: 'found',
          confidence: 1,
          linkedin_url: 'https://www.linkedin.com/in/ada-l',
          email: 'ada@acme.example',
          lead_id: expect.any(String),
        },
        { row_index: 1, name: 'Nobody Known', status: 'not_found', linkedin_url: null, confidence: null },
        {
          row_index: 2,
          name: 'Grace Hopper',
          confidence: 1,
          linkedin_url: 'https://www.linkedin.com/in/grace',
        },
        { row_index: 3, name: 'Alan Turing', confidence: 0.63, linkedin_url: null },
      ],
    });
    expect((await status(session_id, '?include_results=false')).body).toMatchObject({ results: null });
  });

  it('fills its dataset with those who were found, each once', async () => {
    const { dataset_id } = await run({
      names: [{ name: 'Ada Lovelace' }, { name: 'Grace Hopper' }, { name: 'ADA LOVELACE' }],
    });
    expect(
      await harness.ownerQuery(
        `select name, source_type, row_count, (select array_agg(email order by row_index) from leads where dataset_id = d.id) as emails
           from datasets d where id = $1`,
        [dataset_id],
      ),
    ).toEqual([
      {
        name: 'Found leads',
        source_type: 'lead_finder',
        row_count: 2,
        emails: ['ada@acme.example', 'grace@other.example'],
      },
    ]);
    // Its finds are copies, which must not make anybody a namesake of themselves.
    const again = await run({ names: [{ name: 'Ada Lovelace' }] });
    expect(again.results).toMatchObject([{ confidence: 1 }]);
  });
});

describe('a batch of criteria', () => {
  it('finds leads by job, however it is said, and ranks them by what else holds', async () => {
    const { found, results } = await run({
      criteria: [
        { title: 'CTO', location: 'Berlin' },
        { company: 'Acme', limit: 1 },
        { keywords: 'vienna engineer' },
        { title: 'Astronaut' },
      ],
    });
    expect(found).toBe(3);
    expect(results?.map(({ row_index, name, status }) => [row_index, name, status])).toEqual([
      [0, 'Ada Lovelace', 'found'],
      [0, 'Grace Hopper', 'found'],
      [1, expect.stringMatching(/Ada|Alan/), 'found'],
      [2, 'Kurt Gödel', 'found'],
      [3, null, 'not_found'],
    ]);
  });

  it('looks for words as they are, whatever signs they hold', async () => {
    const { results } = await run({
      criteria: [
        { company: "Acme' | 'Other" },
        { keywords: ':* & !( "berlin" \\' },
        { title: '<->', location: 'Berlin' },
      ],
    });
    expect(results?.map(({ row_index, status }) => [row_index, status])).toEqual([
      [0, 'not_found'],
      [1, 'found'],
      [1, 'found'],
      [2, 'found'],
      [2, 'found'],
    ]);
  });

  it('says who must not be written to by leaving them in the list, not in silence', async () => {
    await harness.ownerQuery(
      `insert into suppression_entries (id, workspace_id, email) values ($1, $2, 'ada@acme.example')`,
      [harness.newId(), harness.caller.workspaceId],
    );
    const { results } = await run({ criteria: [{ company: 'Acme' }] });
    expect(results?.map(({ email }) => email).sort()).toEqual(['ada@acme.example', 'alan@acme.example']);
    await harness.ownerQuery('delete from suppression_entries');
  });
});

describe('the batches of somebody else', () => {
  it('are not there, and find nothing of one’s own', async () => {
    const made = await submit({ names: [{ name: 'Ada Lovelace' }] }, 'b');
    await expect
      .poll(async () => (await status(made.body.session_id, '', 'b')).body.status, { timeout: 10_000 })
      .toBe('completed');
    expect((await status(made.body.session_id, '', 'b')).body).toMatchObject({ found: 0, not_found: 1 });
    expect((await status(made.body.session_id)).status).toBe(404);
    await harness.ownerQuery(`update lead_finder_sessions set user_id = 'colleague' where id = $1`, [
      made.body.session_id,
    ]);
    expect((await status(made.body.session_id, '', 'b')).status).toBe(404);
    expect((await status('x')).status).toBe(404);
  });
});

describe('a batch that is not one', () => {
  it.each([
    [{}],
    [{ names: [] }],
    [{ names: [{ name: 'Ada' }], criteria: [{ title: 'CTO' }] }],
    [{ names: [{ name: ' ' }] }],
    [{ names: [{ company: 'Acme' }] }],
    [{ criteria: [{}] }],
    [{ criteria: [{ title: '  ' }] }],
    [{ criteria: [{ title: 'CTO', limit: 101 }] }],
    [{ criteria: [{ title: 'C\u0000O' }] }],
    [{ names: [{ name: 'Ada', nickname: 'x' }] }],
  ])('is refused: %j', async (body) => {
    expect((await submit(body)).status).toBe(422);
    expect(await harness.ownerQuery(`select id from datasets where source_type = 'lead_finder'`)).toEqual([]);
  });
});
