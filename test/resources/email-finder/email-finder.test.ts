/** The email finder over HTTP against PostgreSQL. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createCredits } from '../../../src/resources/credits/credits.ts';
import { createEmailFinder } from '../../../src/resources/email-finder/email-finder.ts';
import { createEmailFinderRoutes } from '../../../src/resources/email-finder/routes.ts';
import type {
  BulkFindJob,
  FindOutcome,
  PersonSearchResult,
} from '../../../src/resources/email-finder/schema.ts';
import { createUploads, type Uploads } from '../../../src/resources/uploads/uploads.ts';
import { withFile } from '../../support/files.ts';
import { type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

let harness: HttpHarness;
let uploads: Uploads;

beforeAll(async () => {
  harness = await startHttpHarness({
    routes: (needs) =>
      createEmailFinderRoutes({
        emailFinder: createEmailFinder({ ...needs, credits: createCredits(needs) }),
        // Verifying is tried in a file of its own.
        emailVerification: { verify: () => Promise.reject(new Error('no address is verified here')) },
      }),
  });
  uploads = createUploads(harness);
});
afterAll(() => harness.close());

const KNOWN = `Email,First Name,Last Name,Company,Title
ghopper@acme.example,Grace,Hopper,Acme Inc,CTO
aturing@acme.example,Alan,Turing,"Acme, Inc.",Engineer
Ada@Other.example,Ada,Lovelace,Other Ltd,CEO
someone@gmail.com,Kurt,Gödel,Acme Inc,Advisor
`;

beforeEach(async () => {
  for (const table of ['datasets', 'email_finder_jobs', 'credit_reservations', 'credit_transactions']) {
    await harness.ownerQuery(`delete from ${table}`);
  }
  await setBalance(10);
  await withFile(KNOWN, (file) => uploads.importCsv(harness.caller, { file }));
});

async function setBalance(balance: number): Promise<void> {
  await harness.ownerQuery('update credit_accounts set balance = $1, reserved = 0, used = 0', [balance]);
}

async function account(): Promise<unknown> {
  const [row] = await harness.ownerQuery(
    'select balance, reserved, used from credit_accounts where workspace_id = $1',
    [harness.caller.workspaceId],
  );
  return row;
}

async function search(body: unknown, workspace: 'a' | 'b' = 'a') {
  return harness.ask<PersonSearchResult>('POST', '/api/v1/email-finder/search', { body, workspace });
}

describe('looking a person up', () => {
  it('gives eight candidates, ranked by the known addresses of the domain, and costs nothing', async () => {
    const { status, body } = await search({ name: 'Ada Lovelace', domain: 'www.ACME.example' });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      found: false,
      profile: null,
      company: { domain: 'acme.example', known_addresses: 2 },
    });
    expect(body.predicted_emails).toHaveLength(8);
    expect(body.predicted_emails[0]).toEqual({
      email: 'alovelace@acme.example',
      pattern: '{f}{last}',
      confidence: 0.6,
      known_addresses: 2,
    });
    expect(await account()).toEqual({ balance: 10, reserved: 0, used: 0 });
  });

  it('finds the domain of a company by its known addresses, not by those that everybody may have', async () => {
    expect((await search({ name: 'Ada Lovelace', company: 'ACME inc.' })).body.company).toMatchObject({
      domain: 'acme.example',
    });
    for (const company of ['Unknown Ltd', '!!!']) {
      expect((await search({ name: 'Ada Lovelace', company })).body).toEqual({
        found: false,
        profile: null,
        predicted_emails: [],
        company: null,
      });
    }
  });

  it('tells a lead that has the name, and whether it is suppressed', async () => {
    const { body } = await search({ name: 'Dr. ada LOVELACE', domain: 'other.example' });
    expect(body).toMatchObject({
      found: true,
      profile: { email: 'Ada@Other.example', name: 'Ada Lovelace', title: 'CEO', suppressed: false },
      company: { name: 'Other Ltd' },
    });
    expect(body.predicted_emails.map(({ email }) => email)).not.toContain('ada@other.example');
  });

  it('predicts nothing at a domain where everybody may have an address', async () => {
    const { body } = await search({ name: 'Ada Lovelace', domain: 'gmail.com' });
    expect(body.predicted_emails).toEqual([]);
    expect((await search({ name: 'Kurt Godel', domain: 'gmail.com' })).body.found).toBe(true);
  });

  it('does not look into other workspaces or the archive', async () => {
    expect((await search({ name: 'Alan Turing', company: 'Acme Inc' }, 'b')).body.company).toBeNull();
    expect((await search({ name: 'Alan Turing', domain: 'acme.example' }, 'b')).body).toMatchObject({
      found: false,
      company: { name: null, known_addresses: 0 },
    });
    await harness.ownerQuery('update datasets set archived_at = now()');
    expect((await search({ name: 'Alan Turing', company: 'Acme Inc' })).body.company).toBeNull();
  });

  it.each([
    [{ name: 'Ada Lovelace' }],
    [{ name: '', domain: 'acme.example' }],
    [{ name: 'Ada', domain: 'localhost' }],
    [{ name: 'Ada', domain: 'http://acme.example/' }],
    [{ name: 'Ada', domain: 'acme.example', limit: 1 }],
  ])('refuses %j', async (body) => {
    expect((await search(body)).status).toBe(422);
  });
});

describe('finding an address', () => {
  const find = (body: unknown) =>
    harness.ask<{ job_id: string; status: string; credits_charged: number }>(
      'POST',
      '/api/v1/email-finder/find',
      { body },
    );
  const outcome = async (jobId: string, workspace: 'a' | 'b' = 'a') =>
    harness.ask<FindOutcome>('GET', `/api/v1/email-finder/verify/${jobId}`, { workspace });

  it('charges for one that known addresses suggest, and says that nobody verified it', async () => {
    const made = await find({ name: 'Ada Lovelace', company: 'Acme Inc' });
    expect(made).toMatchObject({ status: 202, body: { status: 'completed', credits_charged: 3 } });
    expect(await outcome(made.body.job_id)).toMatchObject({
      status: 200,
      body: {
        job_id: made.body.job_id,
        job_type: 'find',
        status: 'completed',
        found: true,
        email: 'alovelace@acme.example',
        pattern: '{f}{last}',
        result: 'unverified',
        confidence: 0.6,
      },
    });
    expect(await account()).toEqual({ balance: 7, reserved: 0, used: 3 });
  });

  it('charges nothing for a lead of one’s own', async () => {
    const { body } = await find({ name: 'Grace Hopper', domain: 'acme.example' });
    expect(body.credits_charged).toBe(0);
    expect((await outcome(body.job_id)).body).toMatchObject({
      found: true,
      email: 'ghopper@acme.example',
      result: 'known',
      confidence: 1,
    });
    expect(await account()).toEqual({ balance: 10, reserved: 0, used: 0 });
  });

  it('finds and charges nothing where no known address shows the pattern', async () => {
    const { body } = await find({ name: 'Ada Lovelace', domain: 'unknown.example' });
    expect(body.credits_charged).toBe(0);
    expect((await outcome(body.job_id)).body).toMatchObject({
      found: false,
      email: null,
      result: null,
      error: expect.stringContaining('unknown.example'),
    });
    expect(await account()).toEqual({ balance: 10, reserved: 0, used: 0 });
  });

  it('asks for the domain where the company’s is not known', async () => {
    expect(await find({ name: 'Ada Lovelace', company: 'Unknown Ltd' })).toMatchObject({
      status: 422,
      body: {
        detail: 'VALIDATION_ERROR',
        details: [{ loc: ['body', 'domain'], type: 'unresolved_company' }],
      },
    });
  });

  it('is refused with what is missing where there are too few credits', async () => {
    await setBalance(2);
    expect(await find({ name: 'Ada Lovelace', domain: 'acme.example' })).toMatchObject({
      status: 402,
      body: { detail: 'NOT_ENOUGH_CREDITS', required: 3, available: 2, missing: 1 },
    });
    expect(await harness.ownerQuery('select id from email_finder_jobs')).toEqual([]);
    expect(await account()).toEqual({ balance: 2, reserved: 0, used: 0 });
  });

  it('is told to nobody else', async () => {
    const { body } = await find({ name: 'Ada Lovelace', domain: 'acme.example' });
    expect((await outcome(body.job_id, 'b')).status).toBe(404);
    expect((await outcome(harness.newId())).status).toBe(404);
  });
});

describe('finding many addresses', () => {
  const bulk = (rows: unknown[]) =>
    harness.ask<BulkFindJob>('POST', '/api/v1/email-finder/bulk', { body: { rows } });

  it('charges for those that are found and leaves out those whose domain is not known', async () => {
    const { status, body } = await bulk([
      { name: 'Ada Lovelace', company: 'Acme Inc' },
      { name: 'Nobody', company: 'Unknown Ltd' },
      { name: 'Alan Turing', domain: 'acme.example' },
      { name: 'Ada Lovelace', domain: 'unknown.example' },
      { name: 'No place' },
    ]);
    expect(status).toBe(202);
    expect(body).toMatchObject({
      status: 'completed',
      total: 5,
      queued: 3,
      credits_charged: 3,
      skipped_unresolved: [
        { row_index: 1, name: 'Nobody' },
        { row_index: 4, name: 'No place' },
      ],
    });
    const path = `/api/v1/email-finder/bulk/${body.job_id}/status`;
    expect((await harness.ask('GET', path)).body).toMatchObject({
      total: 5,
      completed: 3,
      found: 2,
      not_found: 1,
      failed: 0,
      rows: [
        { row_index: 0, email: 'alovelace@acme.example' },
        { row_index: 2, email: 'aturing@acme.example', result: 'known' },
        { row_index: 3, found: false },
      ],
    });
    expect((await harness.ask('GET', `${path}?include_rows=false`)).body).toMatchObject({ rows: null });
    expect((await harness.ask('GET', path, { workspace: 'b' })).status).toBe(404);
    expect(await account()).toEqual({ balance: 7, reserved: 0, used: 3 });
  });

  it('needs the credits for all of them, and keeps nothing where they are missing', async () => {
    const rows = Array.from({ length: 4 }, () => ({ name: 'Ada Lovelace', domain: 'acme.example' }));
    expect(await bulk(rows)).toMatchObject({
      status: 402,
      body: { required: 12, available: 10, missing: 2 },
    });
    expect(await harness.ownerQuery('select id from email_finder_jobs')).toEqual([]);
  });
});

describe('the email finder', () => {
  it('tells a domain’s patterns and the name of its company', async () => {
    const { body } = await harness.ask<{ email_patterns: unknown[] }>(
      'GET',
      '/api/v1/email-finder/company/Acme.example',
    );
    expect(body).toMatchObject({
      domain: 'acme.example',
      name: expect.stringContaining('Acme'),
      email_patterns: { length: 8 },
      profile: { known_addresses: 2 },
    });
    expect(body.email_patterns[0]).toMatchObject({ pattern: '{f}{last}', known_addresses: 2 });
    for (const domain of ['unknown.example', 'gmail.com', 'x']) {
      expect((await harness.ask('GET', `/api/v1/email-finder/company/${domain}`)).status).toBe(404);
    }
    expect(
      (await harness.ask('GET', '/api/v1/email-finder/company/acme.example', { workspace: 'b' })).status,
    ).toBe(404);
  });

  it('counts what the workspace knows and has looked for', async () => {
    await harness.ask('POST', '/api/v1/email-finder/find', {
      body: { name: 'Ada Lovelace', domain: 'acme.example' },
    });
    expect((await harness.ask('GET', '/api/v1/email-finder/stats')).body).toEqual({
      known_addresses: 4,
      known_domains: 3,
      searches: 1,
      found: 1,
    });
  });
});
