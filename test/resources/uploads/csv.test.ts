import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ServiceError } from '../../../src/errors.ts';
import { type CsvRow, FIELD_LIMIT, withTable } from '../../../src/resources/uploads/csv.ts';
import { withFile } from '../../support/files.ts';

interface Read {
  columns: string[];
  delimiter: string;
  rows: CsvRow[];
}

function read(content: string | Buffer): Promise<Read> {
  return withFile(content, (file) =>
    withTable(file, async ({ columns, delimiter, rows }) => {
      const all: CsvRow[] = [];
      for await (const row of rows) all.push(row);
      return { columns, delimiter, rows: all };
    }),
  );
}

/** The refusal of a file, as its code and line. */
async function refusal(content: string | Buffer): Promise<{ code: string; line: unknown; message: string }> {
  try {
    await read(content);
  } catch (error) {
    if (error instanceof ServiceError)
      return { code: error.code, line: error.facts.line, message: error.message };
    throw error;
  }
  throw new Error('The file was accepted.');
}

describe('reading CSV', () => {
  it.each([
    ['comma', 'a,b\n1,2\n'],
    ['semicolon', 'a;b\n1;2\n'],
    ['tab', 'a\tb\n1\t2\n'],
    ['pipe', 'a|b\n1|2\n'],
    ['CRLF', 'a,b\r\n1,2\r\n'],
    ['CR', 'a,b\r1,2\r'],
    ['no end of line at the end', 'a,b\n1,2'],
    ['mixed line ends', 'a,b\r\n1,2\n'],
    ['a byte order mark', '\uFEFFa,b\n1,2\n'],
    ['blanks around values', 'a , b\n 1,2 \n'],
    ['blanks around quotes', '"a", "b"\n"1", "2" \n'],
    ['empty lines', '\n\na,b\n\n\n1,2\n\n'],
    ['nameless columns at the end', 'a,b,,\n1,2,,\n'],
  ])('understands %s', async (_, content) => {
    const { columns, rows } = await read(content);
    expect(columns).toEqual(['a', 'b']);
    expect(rows.map(({ values }) => values)).toEqual([['1', '2']]);
  });

  it('keeps delimiters, line breaks and doubled quotes inside quotes', async () => {
    const { rows } = await read('name;note\n"Grimes; Madden";"one\r\ntwo"\n"say ""hi""";x\n');
    expect(rows.map(({ values }) => values)).toEqual([
      ['Grimes; Madden', 'one\r\ntwo'],
      ['say "hi"', 'x'],
    ]);
  });

  it('does not take commas inside quoted column names for the delimiter', async () => {
    const { columns, delimiter } = await read('"City, State, Zip, Country";Email\nx;y\n');
    expect(delimiter).toBe(';');
    expect(columns).toEqual(['City, State, Zip, Country', 'Email']);
  });

  it('keeps empty values between tabs', async () => {
    const { rows } = await read('a\tb\tc\n1\t\t3\n\t2\t\n');
    expect(rows.map(({ values }) => values)).toEqual([
      ['1', '', '3'],
      ['', '2', ''],
    ]);
  });

  it.each([
    ['UTF-8', Buffer.from('name\nJörg Müller – Łódź\n', 'utf8'), 'Jörg Müller – Łódź'],
    ['Latin-1', Buffer.from('name\nJörg Müller\n', 'latin1'), 'Jörg Müller'],
    ['Windows-1252', Buffer.from([...Buffer.from('name\n'), 0x80, 0x20, 0xe9, 0x0a]), '€ é'],
    ['UTF-16 with a byte order mark', Buffer.from('\uFEFFname\nJörg Łódź\n', 'utf16le'), 'Jörg Łódź'],
  ])('decodes %s', async (_, content, expected) => {
    const { rows } = await read(content);
    expect(rows[0]?.values).toEqual([expected]);
  });

  it('takes a file for Latin-1 when the first faulty byte comes late', async () => {
    const { rows } = await read(Buffer.from(`name\n${'plain\n'.repeat(50_000)}Zoë\n`, 'latin1'));
    expect(rows.at(-1)?.values).toEqual(['Zoë']);
  });

  it('numbers rows as a spreadsheet does', async () => {
    const { rows } = await read('a,b\n"1\n1",2\n\n3,4\n');
    expect(rows.map(({ row }) => row)).toEqual([2, 4]);
  });

  it('fills short rows up, as spreadsheets leave empty cells at the end out', async () => {
    const { rows } = await read('a,b,c\n1\n');
    expect(rows[0]?.values).toEqual(['1', '', '']);
  });

  it('tells columns of the same name apart and names the nameless', async () => {
    const { columns } = await read('Email,,Email,Email (2)\n1,2,3,4\n');
    expect(columns).toEqual(['Email', 'Column 2', 'Email (2)', 'Email (2) (2)']);
  });

  it.each([
    ['an empty file', '', 1],
    ['a file of empty lines', '\n\n', 1],
    ['column names without rows', 'a,b\n', 1],
    ['too many values', 'a,b\n1,2\n1,2,3\n', 3],
    ['too many values after a line break in quotes', 'a,b\n"1\n1",2\n1,2,3\n', 4],
    ['a quote that is not closed', 'a,b\n1,2\n1,"2\n3,4\n5,6\n', 3],
    ['a quote inside a value', 'a,b\n1,2\n1,2"2\n', 3],
    ['text after a quote', 'a,b\n1,2\n1,"2"2\n', 3],
    ['a zero byte', 'a,b\n1,2\n1,\0\n', 3],
    ['a first line that is data', 'ada@example.com,Ada\nbob@example.com,Bob\n', 1],
    ['too many columns', `${'a,'.repeat(200)}b\n1\n`, 1],
    ['a column name without end', `${'a'.repeat(256)}\n1\n`, 1],
  ])('refuses %s with its line', async (_, content, line) => {
    expect(await refusal(content)).toMatchObject({ code: 'INVALID_CSV', line });
  });

  it('refuses a file whose quote swallows megabytes without reading it to the end', async () => {
    const outcome = await refusal(`a,b\n1,2\n3,"${'x\n'.repeat(2_000_000)}`);
    expect(outcome).toMatchObject({ code: 'INVALID_CSV', line: 3 });
  });

  it('refuses more than 200,000 rows', async () => {
    expect(await refusal(`a\n${'1\n'.repeat(200_001)}`)).toMatchObject({ code: 'UPLOAD_TOO_LARGE' });
  });

  it('reads whatever was written by the rules of RFC 4180', async () => {
    const cell = fc
      .string({ maxLength: 20, unit: 'grapheme' })
      .map((value) => value.replaceAll('\0', '').trim());
    const table = fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(table, fc.constantFrom(',', ';', '\t'), async (cells, delimiter) => {
        const quote = (value: string) => `"${value.replaceAll('"', '""')}"`;
        const lines = [['one', 'two'], ...cells].map((line) => line.map(quote).join(delimiter));
        const kept = cells.filter((line) => line.some((value) => value !== ''));
        fc.pre(kept.length > 0);
        const { rows } = await read(lines.join('\r\n'));
        expect(rows.map(({ values }) => values)).toEqual(kept);
      }),
      { numRuns: 100 },
    );
  });

  it('either reads any bytes or refuses them with a sentence', async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
      fc
        .string({ unit: fc.constantFrom(...'a@",;\t\r\n\0é '), maxLength: 60 })
        .map((text) => Buffer.from(text)),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (content) => {
        try {
          await read(content);
        } catch (error) {
          expect(error).toBeInstanceOf(ServiceError);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('lets a field of any length through, for the row to be judged', async () => {
    const { rows } = await read(`a\n${'x'.repeat(FIELD_LIMIT + 1)}\n`);
    expect(rows[0]?.values[0]).toHaveLength(FIELD_LIMIT + 1);
  });
});
