/** CSV as people have it: any usual delimiter and line end, read row by row, refused with the line that is wrong. */

import { pipeline, Readable } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { ServiceError } from '../../errors.ts';
import { isEmail } from './email.ts';
import type { SpooledFile } from './spool.ts';

const COLUMN_LIMIT = 200;
const ROW_LIMIT = 200_000;
/** Characters a field may have. */
export const FIELD_LIMIT = 10_000;
const COLUMN_NAME_LIMIT = 255;
/** Rows that are looked at before the columns are mapped. */
const SAMPLE_ROWS = 200;
/** Characters of them: rows can be long. */
const SAMPLE_CHARACTERS = 1_000_000;

export interface CsvRow {
  /** As a spreadsheet numbers it: the column names stand in row 1, empty rows count. */
  row: number;
  /** One value a column. */
  values: string[];
}

export interface CsvTable {
  delimiter: string;
  /** Every name is there once. */
  columns: string[];
  /** The first rows, which `rows` gives too. */
  sample: CsvRow[];
  rows: AsyncIterable<CsvRow>;
}

interface CsvRecord {
  line: number;
  values: string[];
}

/**
 * Reads the column names and a sample, then lets `work` read the rows.
 * Throws `INVALID_UPLOAD` for a workbook, `INVALID_CSV` with `line`, and `UPLOAD_TOO_LARGE` beyond `ROW_LIMIT` rows, also while the rows are read.
 */
export async function withTable<T>(file: SpooledFile, work: (table: CsvTable) => Promise<T>): Promise<T> {
  if (file.excel) {
    throw new ServiceError(
      'INVALID_UPLOAD',
      'Excel workbooks are not supported yet. Save the sheet as CSV (UTF-8) and upload that.',
    );
  }
  const delimiter = await findDelimiter(file);
  const records = readRecords(file, delimiter);
  try {
    const { columns, row } = await readHeader(records);
    const rows = readRows(records, columns, row);
    const sample: CsvRow[] = [];
    for (let size = 0; sample.length < SAMPLE_ROWS && size < SAMPLE_CHARACTERS; ) {
      const next = await rows.next();
      if (next.done === true) break;
      sample.push(next.value);
      for (const value of next.value.values) size += value.length;
    }
    if (sample.length === 0) throw invalid('The file has column names but no rows below them.', row);
    return await work({ delimiter, columns, sample, rows: chain(sample, rows) });
  } finally {
    await records.return(undefined);
  }
}

async function* chain(sample: readonly CsvRow[], rows: AsyncIterable<CsvRow>): AsyncGenerator<CsvRow> {
  yield* sample;
  yield* rows;
}

/** Picks the delimiter that the first line has most of, outside quotes; a comma where it has none. */
async function findDelimiter(file: SpooledFile): Promise<string> {
  const counts = new Map([',', ';', '\t', '|'].map((candidate) => [candidate, 0]));
  let quoted = false;
  let begun = false;
  for await (const text of file.text()) {
    for (const character of text) {
      if (character === '"') quoted = !quoted;
      if (quoted) continue;
      if (begun && (character === '\n' || character === '\r')) return mostOf(counts);
      begun ||= character.trim() !== '';
      const count = counts.get(character);
      if (count !== undefined) counts.set(character, count + 1);
    }
    // Names that fill a whole chunk are no names; the parser will say what is wrong.
    break;
  }
  return mostOf(counts);
}

function mostOf(counts: Map<string, number>): string {
  const [first] = [...counts].sort(([, one], [, other]) => other - one);
  return first === undefined || first[1] === 0 ? ',' : first[0];
}

/** Parses the file. A fault of its structure names the line on which the faulty record begins. */
async function* readRecords(file: SpooledFile, delimiter: string): AsyncGenerator<CsvRecord> {
  let line = 0;
  const parser = parse({
    delimiter,
    record_delimiter: ['\r\n', '\n', '\r'],
    trim: true,
    // Rows of another length are judged in readRows, which can say more about them.
    relax_column_count: true,
    max_record_size: COLUMN_LIMIT * FIELD_LIMIT,
    // The parser runs ahead of its reader, so each record brings its line along, as one value more.
    on_record: (values, context) => {
      values.push(String(line + 1));
      line = context.lines;
      return values;
    },
  });
  const records: AsyncIterable<string[]> = pipeline(Readable.from(checked(file)), parser, () => undefined);
  try {
    for await (const values of records) yield { line: Number(values.pop()), values };
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    throw invalid(faultOf(cause), line + 1, cause);
  }
}

function faultOf(error: CsvError): string {
  if (error.code === 'CSV_QUOTE_NOT_CLOSED' || error.code === 'CSV_MAX_RECORD_SIZE') {
    return 'A value opens with a quote (") that is not closed.';
  }
  if (error.code === 'INVALID_OPENING_QUOTE' || error.code === 'CSV_INVALID_CLOSING_QUOTE') {
    return 'A quote (") stands inside a value. Put the whole value in quotes and double the quotes inside it.';
  }
  return 'The line is not well-formed CSV.';
}

async function* checked(file: SpooledFile): AsyncGenerator<string> {
  let lines = 1;
  for await (const text of file.text()) {
    const zero = text.indexOf('\0');
    lines += text.slice(0, zero === -1 ? undefined : zero).split('\n').length - 1;
    if (zero !== -1)
      throw invalid('There is a zero byte, so this is not a text file. Save it as CSV (UTF-8).', lines);
    yield text;
  }
}

/** Reads the column names: the first row that is not empty. Nameless columns at its end are left out. */
async function readHeader(records: AsyncGenerator<CsvRecord>): Promise<{ columns: string[]; row: number }> {
  for (let row = 1; ; row += 1) {
    const next = await records.next();
    if (next.done === true) throw invalid('The file is empty. Its first line must name the columns.', 1);
    const { line, values } = next.value;
    while (values.at(-1) === '') values.pop();
    if (values.length === 0) continue;
    if (values.length > COLUMN_LIMIT) {
      throw invalid(`There are ${values.length} columns; ${COLUMN_LIMIT} are possible.`, line);
    }
    if (values.some((value) => value.length > COLUMN_NAME_LIMIT)) {
      throw invalid(`A column's name has more than ${COLUMN_NAME_LIMIT} characters.`, line);
    }
    if (values.some(isEmail)) {
      throw invalid(
        'The first line holds an e-mail address, so it seems to be data. It must name the columns.',
        line,
      );
    }
    return { columns: uniqueNames(values), row };
  }
}

/** Names what has no name, and tells columns of the same name apart by a number. */
function uniqueNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name, index) => {
    const base = name.replaceAll(/[\p{Cc}\s]+/gu, ' ').trim() || `Column ${index + 1}`;
    let unique = base;
    for (let number = 2; taken.has(unique); number += 1) unique = `${base} (${number})`;
    taken.add(unique);
    return unique;
  });
}

/** Brings rows to one value a column: missing ones at the end are empty, as spreadsheets drop them; surplus ones are a fault. */
async function* readRows(
  records: AsyncGenerator<CsvRecord>,
  columns: readonly string[],
  headerRow: number,
): AsyncGenerator<CsvRow> {
  let row = headerRow;
  for (let next = await records.next(); next.done !== true; next = await records.next()) {
    const { line, values } = next.value;
    row += 1;
    if (values.every((value) => value === '')) continue;
    if (row - headerRow > ROW_LIMIT) {
      throw new ServiceError(
        'UPLOAD_TOO_LARGE',
        `A file may have at most ${ROW_LIMIT} rows. Split it and upload the parts.`,
      );
    }
    if (values.slice(columns.length).some((value) => value !== '')) {
      throw invalid(
        `There are ${values.length} values, but the first line names ${columns.length} columns.`,
        line,
      );
    }
    values.length = Math.min(values.length, columns.length);
    while (values.length < columns.length) values.push('');
    yield { row, values };
  }
}

function invalid(message: string, line: number, cause?: unknown): ServiceError {
  return new ServiceError('INVALID_CSV', `Line ${line}: ${message}`, { facts: { line }, cause });
}
