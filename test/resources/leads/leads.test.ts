import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDatasets } from '../../../src/resources/datasets/datasets.ts';
import { createDatasetRoutes } from '../../../src/resources/datasets/routes.ts';
import { createLeads, fingerprint, type Leads } from '../../../src/resources/leads/leads.ts';
import { createLeadRoutes } from '../../../src/resources/leads/routes.ts';
import type { FoundLead, Lead } from '../../../src/resources/leads/schema.ts';
import { createSuppression } from '../../../src/resources/suppression/suppression.ts';
import { createUploads, type Uploads } from '../../../src/resources/uploads/uploads.ts';
import type { Caller } from '../../../src/runtime/caller.ts';
import { withFile } from '../../support/files.ts';
import { type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

const LEADS_CSV = new URL('../../../../shared/data/leads-100.csv', import.meta.url);

let harness: HttpHarness;
let uploads: Uploads;
let leads: Leads;

beforeAll(async () => {
  harness = await startHttpHarness({
    routes: (needs) => {
      uploads = createUploads(needs);
      leads = createLeads(needs);
      return [...createLeadRoutes(leads), ...createDatasetRoutes(createDatasets(needs))];
    },
  });
});
afterAll(() => harness.close());
beforeEach(async () => {
  await harness.ownerQuery('delete from datasets');
  await harness.ownerQuery('delete from suppression_entries');
});

async function load(content: string | Buffer, caller: Caller = harness.caller): Promise<string> {
  return (await withFile(content, (file) => uploads.importCsv(caller, { file }))).dataset_id;
}

const PEOPLE = `First Name,Last Name,Email,Company,Title,City,Country
Victor,Cochran,hatkinson@mclaughlin.com,"Grimes, Madden and Huff",Chief Technology Officer,Berlin,Germany
Maureen,Fuentes,bshelton@wilkins.org,Crosby Incorporated Holdings,CTO,Paris,France
Ralph,Murillo,mmooney@savage-shaw.com,"Crosby, Inc.",Sales Lead,New York,USA
Terri,O'Brien,katie@bauer.com,Crosby Inc Services,Head of Sales,York,UK
Jörg,Müller,joerg@example.de,Rosales-Molina,CTO,München,Germany
,,info@nameless.example,,,,
`;

interface LeadList {
  leads: FoundLead[];
  items: FoundLead[];
  total: number;
  next_cursor: string | null;
  has_more: boolean;
}

const ask = (query: Record<string, string>) =>
  harness.ask<LeadList>('GET', `/api/v1/leads?${new URLSearchParams(query)}`);
const found = async (query: Record<string, string>) => {
  const { status, body } = await ask(query);
  expect(status).toBe(200);
  return body.leads.map((lead) => lead.first_name);
};

describe('finding leads', () => {
  beforeEach(async () => {
    await load(PEOPLE);
  });

  it('lists all without a filter, in the order of their file', async () => {
    const { status, body } = await ask({});
    expect(status).toBe(200);
    expect(body).toMatchObject({ total: 6, next_cursor: null, has_more: false });
    expect(body.items).toEqual(body.leads);
    expect(body.leads.map((lead) => lead.first_name)).toEqual([
      'Victor',
      'Maureen',
      'Ralph',
      'Terri',
      'Jörg',
      null,
    ]);
    expect(body.leads[0]).toEqual({
      lead_id: expect.any(String),
      email: 'hatkinson@mclaughlin.com',
      first_name: 'Victor',
      last_name: 'Cochran',
      name: 'Victor Cochran',
      company: 'Grimes, Madden and Huff',
      title: 'Chief Technology Officer',
      city: 'Berlin',
      country: 'Germany',
      dataset_id: expect.any(String),
      suppressed: false,
    });
    expect(body.leads[5]).toMatchObject({ name: null, company: null });
  });

  it.each<[Record<string, string>, (string | null)[]]>([
    [{ query: 'Cochran' }, ['Victor']],
    [{ query: 'victor coch' }, ['Victor']],
    [{ query: 'Grimes, Madden & Huff' }, ['Victor']],
    [{ query: 'hatkinson@mclaughlin.com' }, ['Victor']],
    [{ query: 'hatkinson@mcl' }, ['Victor']],
    [{ query: 'mclaughlin' }, ['Victor']],
    [{ query: "O'Brien" }, ['Terri']],
    [{ query: 'müller' }, ['Jörg']],
    [{ query: 'rosales-mol' }, ['Jörg']],
    [{ query: 'molina' }, ['Jörg']],
    [{ query: 'CTO Germany' }, ['Jörg']],
    [{ query: 'CTO Spain' }, []],
    [{ query: '???' }, []],
    [{ query: '  ' }, ['Victor', 'Maureen', 'Ralph', 'Terri', 'Jörg', null]],
    [{ company: 'Crosby Inc' }, ['Ralph', 'Maureen', 'Terri']],
    [{ company: 'crosby, inc.' }, ['Ralph']],
    [{ company: 'huff' }, ['Victor']],
    [{ company: '%' }, []],
    [{ title: 'cto' }, ['Maureen', 'Jörg']],
    [{ title: 'sales' }, ['Ralph', 'Terri']],
    [{ city: 'York' }, ['Terri', 'Ralph']],
    [{ name: 'Cochran, Victor' }, ['Victor']],
    [{ name: "o'brien" }, ['Terri']],
    [{ email: 'HATKINSON@mclaughlin.com' }, ['Victor']],
    [{ email: '@wilkins' }, ['Maureen']],
    [{ email: 'son@mclaughlin.com' }, []],
    [{ company: 'crosby', title: 'sales', city: 'new york' }, ['Ralph']],
    [{ query: 'crosby', title: 'sales', email: 'bauer.com' }, ['Terri']],
  ])('finds %j', async (query, expected) => {
    expect(await found(query)).toEqual(expected);
  });

  it('ranks a name or company above the same word elsewhere', async () => {
    await load(
      'First Name,Last Name,Email,Company,City\nAda,Moon,ada@example.com,Acme,Orange\nBob,Sun,bob@example.com,Orange,Paris\nCy,Orange,cy@example.com,Acme,Rome\n',
    );
    const names = await found({ query: 'orange' });
    expect(names[0]).toBe('Bob');
    expect(names[2]).toBe('Ada');
  });

  it('finds within one dataset', async () => {
    const other = await load('Email,First Name\nvictor@example.com,Victor\n');
    expect((await ask({ query: 'victor' })).body.total).toBe(2);
    expect((await ask({ query: 'victor', dataset_id: other })).body.leads).toMatchObject([
      { email: 'victor@example.com' },
    ]);
  });

  it('leaves archived datasets out until they are restored', async () => {
    const other = await load('Email,First Name\nvictor@example.com,Victor\n');
    await harness.ask('POST', `/api/v1/datasets/${other}/archive`);
    expect((await ask({ query: 'victor' })).body.total).toBe(1);
    expect((await ask({ dataset_id: other })).body.total).toBe(0);
    await harness.ask('POST', `/api/v1/datasets/${other}/restore`);
    expect((await ask({ query: 'victor' })).body.total).toBe(2);
  });

  it('says who is suppressed, whatever the letters of the address', async () => {
    const suppression = createSuppression(harness);
    await suppression.add(harness.caller, { email: 'HATKINSON@McLaughlin.com' });
    await suppression.add(harness.other, { email: 'bshelton@wilkins.org' });
    const { body } = await ask({});
    expect(body.leads.filter((lead) => lead.suppressed).map((lead) => lead.first_name)).toEqual(['Victor']);
  });

  it('shows nothing of another workspace', async () => {
    const theirs = await load('Email,First Name\nvictor@theirs.example,Victor\n', harness.other);
    expect((await ask({ query: 'victor' })).body.total).toBe(1);
    expect((await ask({ dataset_id: theirs })).body.total).toBe(0);
  });

  it.each<[string, Record<string, string>]>([
    ['everything', {}],
    ['words', { query: 'example' }],
    ['a field', { company: 'acme' }],
  ])('pages through %s by cursor, each lead once and best first', async (_, query) => {
    for (const file of [1, 2]) {
      const rows = Array.from(
        { length: 7 },
        (_, row) => `p${row}@f${file}.example,${row % 3 === 0 ? 'Acme' : 'Acme Example'}`,
      );
      await load(`Email,Company\n${rows.join('\n')}\n`);
    }
    const whole = (await ask({ ...query, limit: '100' })).body;
    const pages: FoundLead[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { body }: { body: LeadList } = await ask({
        ...query,
        limit: '3',
        ...(cursor === '' ? {} : { cursor }),
      });
      expect(body.total).toBe(whole.total);
      pages.push(...body.leads);
      cursor = body.next_cursor;
    }
    expect(whole.total).toBeGreaterThan(6);
    expect(pages).toEqual(whole.leads);
  });

  it('takes any words without failing', async () => {
    const words = fc.oneof(
      fc.string({ maxLength: 30, unit: 'grapheme' }),
      fc.string({ maxLength: 20, unit: fc.constantFrom(...`'"\\&|!():*<->@%_ -.,;/a1\t`) }),
    );
    await fc.assert(
      fc.asyncProperty(
        words,
        fc.constantFrom('query', 'name', 'company', 'title', 'city', 'email'),
        async (value, field) => {
          const { status } = await ask({ [field]: value });
          // Control characters are refused, nothing else is.
          expect(status).toBe(/\p{Cc}/u.test(value) ? 422 : 200);
        },
      ),
      { numRuns: 200 },
    );
  });

  it.each<Record<string, string>>([
    { limit: '0' },
    { limit: '101' },
    { limit: 'x' },
    { dataset_id: 'x' },
    { query: 'a\0b' },
    { query: 'a'.repeat(201) },
    { email: 'a'.repeat(255) },
    { cursor: 'x' },
    { cursor: '' },
    ...[
      '[1]',
      '["a","b","c"]',
      '[1,"x",1]',
      '[1e15,"00000000-0000-7000-8000-000000000001",1]',
      '[0,"00000000-0000-7000-8000-000000000001",-1]',
      '[0,"00000000-0000-7000-8000-000000000001\' or true",1]',
    ].map((values) => ({ cursor: Buffer.from(values).toString('base64url') })),
  ])('refuses %j', async (query) => {
    expect(await ask(query)).toMatchObject({ status: 422, body: { detail: 'VALIDATION_ERROR' } });
  });

  it.skipIf(!existsSync(LEADS_CSV))(
    'finds people of the sample of 100 leads (skipped where the file is absent)',
    async () => {
      await load(readFileSync(LEADS_CSV));
      const { body } = await ask({ company: 'Crosby Inc' });
      expect(body.leads[0]).toMatchObject({
        email: 'bshelton@wilkins.org',
        name: 'Maureen Fuentes',
        company: 'Crosby Inc',
      });
      expect((await ask({ query: 'hatkinson' })).body.total).toBe(2);
    },
  );
});

describe('one lead', () => {
  it('is read with every column of its file', async () => {
    await load('Email,Name,Shoe Size,Web site\nada@example.com,Ada Lovelace,42,ada.example\n');
    const [row] = (await ask({})).body.leads;
    const { status, body } = await harness.ask('GET', `/api/v1/leads/${row?.lead_id}`);
    expect(status).toBe(200);
    expect(body).toEqual({
      ...row,
      website: 'ada.example',
      phone: null,
      row: 2,
      data: { Email: 'ada@example.com', Name: 'Ada Lovelace', 'Shoe Size': '42', 'Web site': 'ada.example' },
      created_at: expect.stringMatching(/Z$/),
    });
  });

  it('of another workspace is absent, as is one that never was', async () => {
    await load(PEOPLE, harness.other);
    const [row] = await harness.ownerQuery('select id from leads limit 1');
    for (const id of [row?.id, harness.newId(), 'x']) {
      expect(await harness.ask('GET', `/api/v1/leads/${id}`)).toMatchObject({
        status: 404,
        body: { detail: 'NOT_FOUND' },
      });
    }
  });

  it('has a fingerprint that changes with who it is, and with nothing else', async () => {
    await load(PEOPLE);
    const [row] = (await ask({ query: 'victor' })).body.leads;
    const read = (): Promise<Lead> => leads.get(harness.caller, row?.lead_id ?? '');
    const before = await read();
    expect(fingerprint(before)).toMatch(/^[0-9a-f]{64}$/);

    await harness.ownerQuery(`update leads set data = '{"x": "y"}'`);
    await createSuppression(harness).add(harness.caller, { email: before.email });
    expect(fingerprint(await read())).toBe(fingerprint(before));

    for (const column of [
      'email',
      'first_name',
      'last_name',
      'company',
      'title',
      'city',
      'country',
      'website',
      'phone',
    ]) {
      const last = fingerprint(await read());
      await harness.ownerQuery(`update leads set ${column} = 'changed'`);
      expect(fingerprint(await read())).not.toBe(last);
    }
  });
});
