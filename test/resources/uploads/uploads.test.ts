import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDatasets } from '../../../src/resources/datasets/datasets.ts';
import { createDatasetRoutes } from '../../../src/resources/datasets/routes.ts';
import { createUploadRoutes } from '../../../src/resources/uploads/routes.ts';
import { FILE_LIMIT } from '../../../src/resources/uploads/spool.ts';
import { createUploads, type Uploads } from '../../../src/resources/uploads/uploads.ts';
import { sendFile, withFile } from '../../support/files.ts';
import { type HttpHarness, startHttpHarness, WORKSPACE_HEADER } from '../../support/http-harness.ts';

const SAMPLES = new URL('../../../../shared/data/', import.meta.url);
const LEADS_CSV = new URL('leads-100.csv', SAMPLES);
const COMPANIES_CSV = new URL('sp500-companies.csv', SAMPLES);

let harness: HttpHarness;
let uploads: Uploads;

beforeAll(async () => {
  harness = await startHttpHarness({
    routes: (needs) => {
      uploads = createUploads(needs);
      return [...createUploadRoutes(uploads), ...createDatasetRoutes(createDatasets(needs))];
    },
  });
});
afterAll(() => harness.close());
beforeEach(async () => {
  await harness.ownerQuery('delete from datasets');
});

const importUrl = () => `${harness.url}/api/v1/datasets/import`;

function rowsOf(table: 'datasets' | 'leads'): Promise<Record<string, unknown>[]> {
  return harness.ownerQuery(`select * from ${table} order by id`);
}

const PEOPLE = [
  'Name;E-Mail;Firma;Notes',
  'Ada Lovelace;Ada@Example.com;"Analytical; Engines";=1+1',
  'Bob;;Builders;',
  'Cy;not an address;;',
  ';INFO@example.com;;',
  'Ada again;ada@example.com;;',
].join('\r\n');

describe('importing a file', () => {
  it('makes a dataset of the valid rows and tells every refused one with its reason', async () => {
    const { status, body } = await sendFile(importUrl(), PEOPLE, { name: 'People 2024.csv' });
    expect(status).toBe(201);
    expect(body).toEqual({
      dataset_id: expect.any(String),
      dataset_name: 'People 2024',
      columns: ['Name', 'E-Mail', 'Firma', 'Notes'],
      mapping: { email: 'E-Mail', full_name: 'Name', company: 'Firma' },
      row_count: 2,
      refused_count: 3,
      refused: { missing_email: 1, invalid_email: 1, duplicate_email: 1 },
      refused_rows: [
        { row: 3, reason: 'missing_email', value: '' },
        { row: 4, reason: 'invalid_email', value: 'not an address' },
        { row: 6, reason: 'duplicate_email', value: 'ada@example.com' },
      ],
    });
    expect(await rowsOf('leads')).toMatchObject([
      {
        dataset_id: body.dataset_id,
        workspace_id: harness.caller.workspaceId,
        row_index: 2,
        email: 'Ada@Example.com',
        first_name: 'Ada',
        last_name: 'Lovelace',
        company: 'Analytical; Engines',
        title: null,
        data: {
          Name: 'Ada Lovelace',
          'E-Mail': 'Ada@Example.com',
          Firma: 'Analytical; Engines',
          Notes: '=1+1',
        },
      },
      { row_index: 5, email: 'INFO@example.com', first_name: null },
    ]);
    expect(await rowsOf('datasets')).toMatchObject([
      {
        id: body.dataset_id,
        user_id: harness.caller.userId,
        source_type: 'csv',
        file_name: 'People 2024.csv',
        row_count: 2,
        refused_count: 3,
        refused: { missing_email: 1, invalid_email: 1, duplicate_email: 1 },
      },
    ]);
  });

  it('takes a name and a mapping that come after the file', async () => {
    const fields = { dataset_name: ' Friends ', mapping: '{"email":"B","company":"A","title":null}' };
    const { status, body } = await sendFile(importUrl(), 'A,B,Title\nx,ada@example.com,Boss\n', { fields });
    expect(status).toBe(201);
    expect(body).toMatchObject({ dataset_name: 'Friends', mapping: { email: 'B', company: 'A' } });
    expect(await rowsOf('leads')).toMatchObject([{ company: 'x', title: null }]);
  });

  it('imports the same file again as another dataset', async () => {
    const first = await sendFile(importUrl(), PEOPLE);
    const second = await sendFile(importUrl(), PEOPLE);
    expect(second.body.row_count).toBe(2);
    expect(second.body.dataset_id).not.toBe(first.body.dataset_id);
  });

  it('shows no more than 50 refused rows and counts them all', async () => {
    const { body } = await sendFile<{ refused_rows: unknown[] }>(
      importUrl(),
      `Email\na@example.com\n${'x\n'.repeat(80)}`,
    );
    expect(body).toMatchObject({ row_count: 1, refused_count: 80, refused: { invalid_email: 80 } });
    expect(body.refused_rows).toHaveLength(50);
  });

  it.each([
    ['an unknown column', { mapping: '{"email":"C"}' }, ['body', 'mapping', 'email']],
    ['an unknown field', { mapping: '{"mail":"B"}' }, ['body', 'mapping']],
    ['a mapping that is not JSON', { mapping: 'B' }, ['body', 'mapping']],
    ['a mapping that is not an object', { mapping: '["B"]' }, ['body', 'mapping']],
    ['an empty name', { dataset_name: ' ' }, ['body', 'dataset_name']],
    ['a name with a zero byte', { dataset_name: 'a\0b' }, ['body', 'dataset_name']],
    ['a name without end', { dataset_name: 'a'.repeat(256) }, ['body', 'dataset_name']],
    ['a field that it does not know', { colour: 'red' }, ['body']],
  ])('refuses %s and says where', async (_, fields, loc) => {
    const { status, body } = await sendFile(importUrl(), 'A,B\nx,ada@example.com\n', { fields });
    expect(status).toBe(422);
    expect(body).toMatchObject({ detail: 'VALIDATION_ERROR' });
    expect(body).toHaveProperty(['details', 0, 'loc'], loc);
    expect(await rowsOf('datasets')).toEqual([]);
  });

  it('refuses a file without e-mail addresses and names the columns it found', async () => {
    const { status, body } = await sendFile(importUrl(), 'Symbol,Security\nMMM,3M\n');
    expect(status).toBe(422);
    expect(body).toMatchObject({ detail: 'INVALID_CSV', columns: ['Symbol', 'Security'] });
    expect(body.message).toContain('"Symbol", "Security"');
  });

  it('keeps nothing of a file that turns out faulty after thousands of rows', async () => {
    const people = Array.from({ length: 5000 }, (_, index) => `p${index}@example.com,x`).join('\n');
    const { status, body } = await sendFile(importUrl(), `Email,A\n${people}\na@example.com,1,2\n`);
    expect(status).toBe(422);
    expect(body).toMatchObject({ detail: 'INVALID_CSV', line: 5002 });
    expect(await rowsOf('datasets')).toEqual([]);
    expect(await rowsOf('leads')).toEqual([]);
  });

  it('keeps nothing when the sender leaves before the end', async () => {
    const people = Array.from({ length: 3000 }, (_, index) => `p${index}@example.com`).join('\n');
    const gone = new AbortController();
    gone.abort();
    const importing = withFile(`Email\n${people}\n`, (file) =>
      uploads.importCsv(harness.caller, { file, signal: gone.signal }),
    );
    await expect(importing).rejects.toMatchObject({ code: 'INVALID_UPLOAD' });
    expect(await rowsOf('datasets')).toEqual([]);
  });

  it('survives senders that leave in the middle of the file', async () => {
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const sending = request(importUrl(), {
        method: 'POST',
        headers: { 'content-type': 'multipart/form-data; boundary=x', 'content-length': 1_000_000 },
      });
      sending.on('error', () => undefined);
      sending.write('--x\r\ncontent-disposition: form-data; name="file"; filename="a.csv"\r\n\r\nEmail\n');
      sending.write('ada@example.com\n'.repeat(attempt * 2000));
      await once(sending, 'socket');
      sending.destroy();
    }
    expect((await sendFile(importUrl(), PEOPLE)).status).toBe(201);
    expect(await rowsOf('datasets')).toHaveLength(1);
  });

  it('imports several files at once', async () => {
    const files = Array.from(
      { length: 8 },
      (_, file) =>
        `Email\n${Array.from({ length: 500 }, (_, row) => `p${row}@f${file}.example`).join('\n')}\n`,
    );
    const answers = await Promise.all(files.map((content) => sendFile(importUrl(), content)));
    expect(answers.map(({ body }) => body.row_count)).toEqual(files.map(() => 500));
  });

  it.skipIf(!existsSync(LEADS_CSV))(
    'imports the sample of 100 leads (skipped where the file is absent)',
    async () => {
      const { status, body } = await sendFile(importUrl(), readFileSync(LEADS_CSV), {
        name: 'leads-100.csv',
      });
      expect(status).toBe(201);
      expect(body).toMatchObject({
        row_count: 100,
        refused_count: 0,
        mapping: {
          email: 'Email 1',
          first_name: 'First Name',
          last_name: 'Last Name',
          company: 'Company',
          website: 'Website',
          phone: 'Phone 1',
        },
      });
      const [first] = await rowsOf('leads');
      expect(first).toMatchObject({
        email: 'hatkinson@mclaughlin.com',
        company: 'Grimes, Madden and Huff',
        data: { 'Email 2': 'ygibbs@guzman.com', 'Deal Stage': 'New Lead' },
      });
    },
  );
});

describe('the form of an upload', () => {
  it.each([
    ['no file', { part: 'file', content: null }, 400, 'INVALID_UPLOAD'],
    ['a file in another part', { part: 'csv', content: PEOPLE }, 400, 'INVALID_UPLOAD'],
    [
      'an Excel workbook',
      { part: 'file', content: Buffer.from('504b030414000600', 'hex') },
      400,
      'INVALID_UPLOAD',
    ],
    [
      'an old Excel workbook',
      { part: 'file', content: Buffer.from('d0cf11e0a1b11ae1', 'hex') },
      400,
      'INVALID_UPLOAD',
    ],
    ['an empty file', { part: 'file', content: '' }, 422, 'INVALID_CSV'],
  ])('refuses %s', async (_, { part, content }, status, detail) => {
    const form = new FormData();
    if (content === null) form.append('dataset_name', 'x');
    else form.append(part, new Blob([new Uint8Array(Buffer.from(content))]), 'a.csv');
    for (const path of ['/api/v1/upload/preview', '/api/v1/datasets/import']) {
      const response = await fetch(`${harness.url}${path}`, { method: 'POST', body: form });
      const body = (await response.json()) as Record<string, unknown>;
      expect({ status: response.status, detail: body.detail, message: typeof body.message }).toEqual({
        status,
        detail,
        message: 'string',
      });
    }
  });

  it.each([
    ['JSON', { 'content-type': 'application/json' }, '{}', 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['a form without a boundary', { 'content-type': 'multipart/form-data' }, 'x', 400, 'INVALID_UPLOAD'],
    [
      'a form that is cut off',
      { 'content-type': 'multipart/form-data; boundary=x' },
      '--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nEmail\n',
      400,
      'INVALID_UPLOAD',
    ],
    [
      'a faulty part',
      { 'content-type': 'multipart/form-data; boundary=x' },
      '--x\r\nfoo\r\n\r\nbar\r\n--x--\r\n',
      400,
      'INVALID_UPLOAD',
    ],
    [
      'two files',
      { 'content-type': 'multipart/form-data; boundary=x' },
      `${'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nEmail\na@example.com\r\n'.repeat(2)}--x--\r\n`,
      400,
      'INVALID_UPLOAD',
    ],
    [
      'an unknown character set',
      { 'content-type': 'multipart/form-data; boundary=x' },
      '--x\r\ncontent-disposition: form-data; name="dataset_name"\r\ncontent-type: text/plain; charset=klingon\r\n\r\nx\r\n--x--\r\n',
      400,
      'INVALID_UPLOAD',
    ],
  ])('refuses %s', async (_, headers, body, status, detail) => {
    const response = await fetch(importUrl(), { method: 'POST', headers, body });
    expect({ status: response.status, body: await response.json() }).toMatchObject({
      status,
      body: { detail },
    });
  });

  it('answers every form, however it is cut or spoiled', async () => {
    const form = Buffer.from(
      '--x\r\ncontent-disposition: form-data; name="dataset_name"\r\n\r\nPeople\r\n--x\r\ncontent-disposition: form-data; name="file"; filename="a.csv"\r\n\r\nEmail,A\nada@example.com,1\n\r\n--x--\r\n',
    );
    const send = async (body: Buffer) => {
      const headers = { 'content-type': 'multipart/form-data; boundary=x' };
      const response = await fetch(importUrl(), { method: 'POST', headers, body: new Uint8Array(body) });
      await response.json();
      return response.status;
    };
    expect(await send(form)).toBe(201);
    for (let end = 0; end < form.length - 4; end += 1) {
      expect([400, 422], `cut at ${end}`).toContain(await send(form.subarray(0, end)));
    }
    await fc.assert(
      fc.asyncProperty(fc.nat(form.length - 1), fc.nat(255), async (at, byte) => {
        const spoiled = Buffer.from(form);
        spoiled[at] = byte;
        expect([201, 400, 422]).toContain(await send(spoiled));
      }),
      { numRuns: 200 },
    );
  }, 60_000);

  it('answers a sender that goes on sending after the refusal', async () => {
    const socket = connect(Number(new URL(harness.url).port), '127.0.0.1');
    let answer = '';
    socket.setEncoding('utf8').on('data', (text) => {
      answer += text;
    });
    socket.write(
      `POST /api/v1/datasets/import HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: ${FILE_LIMIT}\r\n\r\n`,
    );
    socket.write('--x\r\ncontent-disposition: form-data; name="other"; filename="a.csv"\r\n\r\n');
    for (let sent = 0; sent < 20 && !answer.includes('INVALID_UPLOAD'); sent += 1) {
      if (!socket.write(Buffer.alloc(1024 * 1024, 'x'))) await once(socket, 'drain');
    }
    while (!answer.includes('INVALID_UPLOAD')) await once(socket, 'data');
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    socket.destroy();
  });

  it('takes a file of exactly 50 MiB and refuses one byte more, which the sender gets to read', async () => {
    const header = 'Email,Filler\nada@example.com,x\n';
    const line = `,${'x'.repeat(9_998)}\n`;
    const content = Buffer.alloc(FILE_LIMIT, line);
    content.write(header);
    // The first line break of the filling must end a row of two columns.
    content.write('bob@example.com,', header.length);
    const fits = await sendFile(`${harness.url}/api/v1/upload/preview`, content);
    expect(fits.status).toBe(200);
    const over = await sendFile(importUrl(), Buffer.concat([content, Buffer.from('\n')]));
    expect(over).toMatchObject({ status: 413, body: { detail: 'UPLOAD_TOO_LARGE' } });
  }, 60_000);
});

describe('looking into a file', () => {
  it('tells columns, rows, their guessed meaning and the first rows, and keeps nothing', async () => {
    const { status, body } = await sendFile(`${harness.url}/api/v1/upload/preview`, PEOPLE);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      filename: 'people.csv',
      file_type: 'csv',
      message: '5 rows; the addresses are in the column "E-Mail".',
      csv_info: {
        row_count: 5,
        column_count: 4,
        columns: ['Name', 'E-Mail', 'Firma', 'Notes'],
        mapping: { email: 'E-Mail' },
        delimiter: ';',
        encoding: 'utf-8',
      },
      sheets: null,
      total_sheets: null,
    });
    expect(body).toHaveProperty(['csv_info', 'sample_data', 0], {
      Name: 'Ada Lovelace',
      'E-Mail': 'Ada@Example.com',
      Firma: 'Analytical; Engines',
      Notes: '=1+1',
    });
    expect(await rowsOf('datasets')).toEqual([]);
  });

  it.skipIf(!existsSync(COMPANIES_CSV))(
    'shows the sample of 503 companies and says that addresses are missing (skipped where the file is absent)',
    async () => {
      const { status, body } = await sendFile(
        `${harness.url}/api/v1/upload/preview`,
        readFileSync(COMPANIES_CSV),
      );
      expect(status).toBe(200);
      expect(body.message).toContain('a lead needs one');
      expect(body).toMatchObject({
        csv_info: { row_count: 503, mapping: { company: 'Security', city: 'Headquarters Location' } },
      });
    },
  );
});

describe('sessions', () => {
  const open = () =>
    harness.ask<{ session_id: string; status: string; created_at: number }>(
      'POST',
      '/api/v1/sessions/create',
      {
        body: { session_type: 'personalization' },
      },
    );

  it('are datasets that a file fills once', async () => {
    const opened = await open();
    expect(opened.status).toBe(201);
    expect(opened.body).toMatchObject({ status: 'created', created_at: expect.any(Number) });
    const { session_id: sessionId } = opened.body;
    expect((await harness.ask<{ total: number }>('GET', '/api/v1/datasets/list')).body.total).toBe(0);

    const url = `${harness.url}/api/v1/sessions/${sessionId}/upload/csv`;
    const { status, body } = await sendFile(url, PEOPLE, { fields: { save_as_profile: 'false' } });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      session_id: sessionId,
      dataset_id: sessionId,
      status: 'completed',
      leads_queued: 2,
      file_info: { filename: 'people.csv', row_count: 2, refused_count: 3 },
      sender_profile_id: null,
    });
    expect((await harness.ask<{ total: number }>('GET', '/api/v1/datasets/list')).body.total).toBe(1);
    expect(await sendFile(url, PEOPLE)).toMatchObject({ status: 409, body: { detail: 'ALREADY_EXISTS' } });
  });

  it('take one of two files that come at once', async () => {
    const { session_id: sessionId } = (await open()).body;
    const url = `${harness.url}/api/v1/sessions/${sessionId}/upload/csv`;
    const answers = await Promise.all([sendFile(url, PEOPLE), sendFile(url, PEOPLE)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
    expect(await rowsOf('leads')).toHaveLength(2);
  });

  it('wait for another file after a faulty one', async () => {
    const { session_id: sessionId } = (await open()).body;
    const url = `${harness.url}/api/v1/sessions/${sessionId}/upload/csv`;
    expect((await sendFile(url, 'a,b\n1,2\n')).status).toBe(422);
    expect((await sendFile(url, PEOPLE)).status).toBe(200);
  });

  it('are not found from another workspace, nor under a name that is none', async () => {
    const { session_id: sessionId } = (await open()).body;
    const headers = { [WORKSPACE_HEADER]: 'b' };
    const foreign = await sendFile(`${harness.url}/api/v1/sessions/${sessionId}/upload/csv`, PEOPLE, {
      headers,
    });
    expect(foreign).toMatchObject({ status: 404, body: { detail: 'NOT_FOUND' } });
    expect((await sendFile(`${harness.url}/api/v1/sessions/1'--/upload/csv`, PEOPLE)).status).toBe(404);
  });

  it('say that they keep no sender', async () => {
    const answer = await harness.ask('POST', '/api/v1/sessions/create', {
      body: { session_type: 'enrichment', sender_data: { name: 'Ada' } },
    });
    expect(answer).toMatchObject({ status: 422, body: { details: [{ loc: ['body', 'sender_data'] }] } });
  });
});
