/** Deeds of uploads: look into a CSV file, or make a dataset of leads of it. */

import { sql } from 'kysely';
import type { z } from 'zod';
import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import { ServiceError } from '../../errors.ts';
import type { Caller } from '../../runtime/caller.ts';
import { UNFILLED } from '../datasets/schema.ts';
import { type CsvTable, withTable } from './csv.ts';
import { createGate } from './gate.ts';
import { createLeadReader, type LeadValues } from './lead-row.ts';
import { type GivenMapping, listColumns, type Mapping, mapColumns } from './mapping.ts';
import type { FilePreview, ImportResult, openSessionBody, UploadResult } from './schema.ts';
import type { SpooledFile } from './spool.ts';

const BATCH_ROWS = 1000;
/** Characters of a batch: a thousand long rows would be too much memory. */
const BATCH_CHARACTERS = 2_000_000;
const SHOWN_REFUSALS = 50;
const SHOWN_VALUE = 200;
const SAMPLE_SHOWN = 5;
/** Imports at a time: each holds a database connection to its end, and others need some too. */
const IMPORTS_AT_A_TIME = 2;

export interface UploadNeeds {
  database: Database;
  newId(): string;
}

export type Uploads = ReturnType<typeof createUploads>;

export interface ImportInput {
  file: SpooledFile;
  /** Default: the file's name without its ending. */
  dataset_name?: string;
  mapping?: GivenMapping;
  /** Ends the import and undoes it. */
  signal?: AbortSignal;
}

type Imported = Omit<ImportResult, 'dataset_id' | 'dataset_name'>;

export function createUploads({ database, newId }: UploadNeeds) {
  const gate = createGate(IMPORTS_AT_A_TIME);

  /** Reads the whole file into a dataset, inside the transaction that makes the dataset. */
  async function fillWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    {
      datasetId,
      table,
      given,
      signal,
    }: { datasetId: string; table: CsvTable; given?: GivenMapping; signal?: AbortSignal },
  ): Promise<Imported> {
    const mapping = mapWithEmail(table, given);
    const read = createLeadReader(table.columns, mapping);
    const refused: Record<string, number> = {};
    const refusedRows: ImportResult['refused_rows'] = [];
    let batch: LeadRow[] = [];
    let size = 0;
    let count = 0;
    const flush = async () => {
      if (signal?.aborted === true)
        throw new ServiceError('INVALID_UPLOAD', 'The sender left, so nothing was imported.');
      await insertWithin(tx, caller.workspaceId, datasetId, batch);
      count += batch.length;
      batch = [];
      size = 0;
    };
    for await (const row of table.rows) {
      const outcome = read(row);
      if ('refusal' in outcome) {
        refused[outcome.refusal] = (refused[outcome.refusal] ?? 0) + 1;
        if (refusedRows.length < SHOWN_REFUSALS) {
          const value = outcome.value.slice(0, SHOWN_VALUE).toWellFormed();
          refusedRows.push({ row: row.row, reason: outcome.refusal, value });
        }
        continue;
      }
      batch.push({ id: newId(), row: row.row, ...outcome.lead });
      for (const value of row.values) size += value.length;
      if (batch.length === BATCH_ROWS || size > BATCH_CHARACTERS) await flush();
    }
    if (batch.length > 0) await flush();
    const refusedCount = Object.values(refused).reduce((sum, number) => sum + number, 0);
    await tx
      .updateTable('datasets')
      .set({
        columns: table.columns,
        mapping: JSON.stringify(mapping),
        row_count: count,
        refused_count: refusedCount,
        refused: JSON.stringify(refused),
        updated_at: sql<Date>`now()`,
      })
      .where('id', '=', datasetId)
      .execute();
    return {
      columns: table.columns,
      mapping,
      row_count: count,
      refused_count: refusedCount,
      refused,
      refused_rows: refusedRows,
    };
  }

  return {
    /** Tells a file's columns, their guessed meaning and its first rows; keeps nothing. Throws `INVALID_UPLOAD`, `INVALID_CSV` or `UPLOAD_TOO_LARGE`. */
    preview(_caller: Caller, { file }: { file: SpooledFile }): Promise<FilePreview> {
      return withTable(file, async (table) => {
        let count = 0;
        for await (const _ of table.rows) count += 1;
        const mapping = mapColumns(table.columns, valuesOf(table));
        return {
          filename: file.name,
          file_type: 'csv',
          message:
            mapping.email === undefined
              ? `No column looks like e-mail addresses, and a lead needs one. The columns: ${listColumns(table.columns)}.`
              : `${count} rows; the addresses are in the column "${mapping.email}".`,
          csv_info: {
            row_count: count,
            column_count: table.columns.length,
            columns: table.columns,
            sample_data: table.sample
              .slice(0, SAMPLE_SHOWN)
              .map(({ values }) =>
                Object.fromEntries(table.columns.map((column, index) => [column, values[index] ?? ''])),
              ),
            mapping,
            delimiter: table.delimiter,
            encoding: file.encoding,
          },
          sheets: null,
          total_sheets: null,
        };
      });
    },

    /**
     * Makes a dataset of the file: every row with a valid address that the file did not have before becomes a lead.
     * All or nothing. Throws `INVALID_UPLOAD`, `INVALID_CSV`, `UPLOAD_TOO_LARGE`, or `VALIDATION_ERROR` for a faulty mapping.
     */
    importCsv(
      caller: Caller,
      { file, dataset_name: name, mapping, signal }: ImportInput,
    ): Promise<ImportResult> {
      return gate(() =>
        withTable(file, (table) =>
          database.within(caller.workspaceId, async (tx) => {
            const datasetId = newId();
            const datasetName = name ?? nameAfter(file);
            await tx
              .insertInto('datasets')
              .values({
                id: datasetId,
                workspace_id: caller.workspaceId,
                user_id: caller.userId,
                name: datasetName,
                source_type: 'csv',
                file_name: file.name,
              })
              .execute();
            const imported = await fillWithin(tx, caller, { datasetId, table, given: mapping, signal });
            return { dataset_id: datasetId, dataset_name: datasetName, ...imported };
          }),
        ),
      );
    },

    /** Opens a session: an empty dataset that waits for its file. `created_at` is in epoch seconds. */
    openSession(caller: Caller, _input: z.output<typeof openSessionBody>) {
      return database.within(caller.workspaceId, async (tx) => {
        const made = await tx
          .insertInto('datasets')
          .values({
            id: newId(),
            workspace_id: caller.workspaceId,
            user_id: caller.userId,
            name: 'Untitled',
            source_type: UNFILLED,
          })
          .returning(['id', 'created_at'])
          .executeTakeFirstOrThrow();
        return { session_id: made.id, status: 'created', created_at: made.created_at.getTime() / 1000 };
      });
    },

    /** Fills a session's dataset, once. Throws what `importCsv` throws, `NOT_FOUND`, and `ALREADY_EXISTS` where a file is there. */
    fillSession(
      caller: Caller,
      {
        session_id: sessionId,
        file,
        signal,
      }: { session_id: string; file: SpooledFile; signal?: AbortSignal },
    ): Promise<UploadResult> {
      return gate(() =>
        withTable(file, (table) =>
          database.within(caller.workspaceId, async (tx) => {
            const session = await tx
              .selectFrom('datasets')
              .select('source_type')
              .where('id', '=', sessionId)
              .forUpdate()
              .executeTakeFirst();
            if (session === undefined) throw new ServiceError('NOT_FOUND', 'There is no such session.');
            if (session.source_type !== UNFILLED) {
              throw new ServiceError(
                'ALREADY_EXISTS',
                'This session holds a file already. Open another session for another file.',
              );
            }
            await tx
              .updateTable('datasets')
              .set({ source_type: 'csv', name: nameAfter(file), file_name: file.name })
              .where('id', '=', sessionId)
              .execute();
            const { columns, ...facts } = await fillWithin(tx, caller, {
              datasetId: sessionId,
              table,
              signal,
            });
            return {
              session_id: sessionId,
              status: 'completed',
              dataset_id: sessionId,
              leads_queued: facts.row_count,
              columns,
              file_info: { filename: file.name, size: file.size, ...facts },
              sender_profile_id: null,
              message: `${facts.row_count} leads were imported, ${facts.refused_count} rows were refused.`,
            };
          }),
        ),
      );
    },
  };
}

type LeadRow = LeadValues & { id: string; row: number };

/** Inserts a batch by one statement; its number of parameters does not grow with the batch. */
async function insertWithin(
  tx: WorkspaceTransaction,
  workspaceId: string,
  datasetId: string,
  batch: readonly LeadRow[],
): Promise<void> {
  const column = <K extends keyof LeadRow>(name: K) => batch.map((lead) => lead[name]);
  await sql`
    insert into leads (workspace_id, dataset_id, id, row_index, email, first_name, last_name, company, title, city, country, website, phone, data)
    select ${workspaceId}::uuid, ${datasetId}::uuid, made.*
    from unnest(
      ${column('id')}::uuid[], ${column('row')}::int[], ${column('email')}::text[], ${column('first_name')}::text[],
      ${column('last_name')}::text[], ${column('company')}::text[], ${column('title')}::text[], ${column('city')}::text[],
      ${column('country')}::text[], ${column('website')}::text[], ${column('phone')}::text[],
      ${batch.map((lead) => JSON.stringify(lead.data))}::jsonb[]
    ) as made`.execute(tx);
}

function mapWithEmail(table: CsvTable, given: GivenMapping | undefined): Mapping {
  const mapping = mapColumns(table.columns, valuesOf(table), given);
  if (mapping.email !== undefined) return mapping;
  throw new ServiceError(
    'INVALID_CSV',
    `No column holds e-mail addresses, and a lead needs one. The columns: ${listColumns(table.columns)}. Name the column in "mapping" if it is one of these.`,
    { facts: { columns: table.columns } },
  );
}

function valuesOf(table: CsvTable): string[][] {
  return table.sample.map(({ values }) => values);
}

function nameAfter(file: SpooledFile): string {
  return file.name.replace(/\.(csv|tsv|txt)$/i, '').trim() || 'Untitled';
}
