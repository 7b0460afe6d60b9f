/** Deeds of datasets: the lists of leads that were imported. */

import { type Selectable, sql, type UpdateObject } from 'kysely';
import type { z } from 'zod';
import type { Database } from '../../db/database.ts';
import type { DatasetTable, Tables } from '../../db/tables.ts';
import { ServiceError } from '../../errors.ts';
import type { Cursors } from '../../http/cursors.ts';
import type { Caller } from '../../runtime/caller.ts';
import { behind, madeAt, pageOf } from '../newest-first.ts';
import type { ExportedLead } from './export.ts';
import { type Dataset, type listDatasetsQuery, type renameDatasetBody, UNFILLED } from './schema.ts';

/** Leads that a download reads at a time. */
const EXPORT_BATCH = 500;

export interface DatasetNeeds {
  database: Database;
  cursors: Cursors;
}

export type Datasets = ReturnType<typeof createDatasets>;

export function createDatasets({ database, cursors }: DatasetNeeds) {
  /** Changes one dataset; throws `NOT_FOUND`. */
  function change(
    caller: Caller,
    datasetId: string,
    values: UpdateObject<Tables, 'datasets'>,
  ): Promise<Dataset> {
    return database.within(caller.workspaceId, async (tx) => {
      const row = await tx
        .updateTable('datasets')
        .set(values)
        .where('id', '=', datasetId)
        .returningAll()
        .executeTakeFirst();
      return toDataset(row ?? missing());
    });
  }

  /** Leads of a dataset in the order of its file, read by key, so that memory does not grow with it. */
  async function* leadsOf(caller: Caller, datasetId: string): AsyncGenerator<ExportedLead> {
    for (let after = 0; ; ) {
      const rows = await database.within(caller.workspaceId, (tx) =>
        tx
          .selectFrom('leads')
          .select(['id', 'row_index', 'data'])
          .where('workspace_id', '=', caller.workspaceId)
          .where('dataset_id', '=', datasetId)
          .where('row_index', '>', after)
          .orderBy('row_index')
          .limit(EXPORT_BATCH)
          .execute(),
      );
      for (const row of rows) yield { lead_id: row.id, data: row.data };
      const last = rows.at(-1);
      if (last === undefined || rows.length < EXPORT_BATCH) return;
      after = last.row_index;
    }
  }

  return {
    /** Lists datasets, newest first; a cursor goes before `page`. Datasets whose session waits for its file are left out. */
    list(caller: Caller, query: z.output<typeof listDatasetsQuery>) {
      return database.within(caller.workspaceId, async (tx) => {
        let rows = tx.selectFrom('datasets').where('source_type', '<>', UNFILLED);
        if (!query.include_archived) rows = rows.where('archived_at', 'is', null);
        // No dataset is bound to a pipeline here, so none is of the wanted type.
        if (query.pipeline_type !== undefined) rows = rows.where(sql<boolean>`false`);
        if (query.search !== undefined && query.search !== '') {
          rows = rows.where('name', 'ilike', `%${query.search.replaceAll(/[\\%_]/g, '\\$&')}%`);
        }
        const { total } = await rows
          .select((row) => row.fn.countAll<string>().as('total'))
          .executeTakeFirstOrThrow();
        let page = rows
          .selectAll()
          .select(madeAt.as('made_at'))
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc');
        page =
          query.cursor === undefined
            ? page.offset((query.page - 1) * query.page_size)
            : page.where(behind(cursors, query.cursor));
        const { rows: found, ...position } = pageOf(
          cursors,
          await page.limit(query.page_size + 1).execute(),
          query.page_size,
        );
        const items = found.map(toDataset);
        return {
          datasets: items,
          items,
          total: Number(total),
          page: query.page,
          page_size: query.page_size,
          ...position,
        };
      });
    },

    /** Reads one dataset, archived or not; throws `NOT_FOUND`. */
    get(caller: Caller, datasetId: string): Promise<Dataset> {
      return database.within(caller.workspaceId, async (tx) => {
        const row = await tx
          .selectFrom('datasets')
          .selectAll()
          .where('id', '=', datasetId)
          .executeTakeFirst();
        return toDataset(row ?? missing());
      });
    },

    /** Renames; throws `NOT_FOUND`. */
    rename(caller: Caller, datasetId: string, body: z.output<typeof renameDatasetBody>): Promise<Dataset> {
      return change(caller, datasetId, { name: body.dataset_name, updated_at: sql<Date>`now()` });
    },

    /** Archives: its leads are no longer found. Again changes nothing; throws `NOT_FOUND`. */
    archive(caller: Caller, datasetId: string): Promise<Dataset> {
      return change(caller, datasetId, {
        archived_at: sql<Date>`coalesce(archived_at, now())`,
        updated_at: sql<Date>`case when archived_at is null then now() else updated_at end`,
      });
    },

    /** Takes the dataset out of the archive; throws `NOT_FOUND`. */
    restore(caller: Caller, datasetId: string): Promise<Dataset> {
      return change(caller, datasetId, {
        archived_at: null,
        updated_at: sql<Date>`case when archived_at is null then updated_at else now() end`,
      });
    },

    /** Counts a download and gives the dataset with its leads, which are read while they are taken; throws `NOT_FOUND`. */
    async download(
      caller: Caller,
      datasetId: string,
    ): Promise<{ dataset: Dataset; leads: AsyncGenerator<ExportedLead> }> {
      const found = await change(caller, datasetId, { download_count: sql<number>`download_count + 1` });
      return { dataset: found, leads: leadsOf(caller, datasetId) };
    },
  };
}

function missing(): never {
  throw new ServiceError('NOT_FOUND', 'There is no such dataset.');
}

function toDataset(row: Selectable<DatasetTable>): Dataset {
  return {
    dataset_id: row.id,
    dataset_name: row.name,
    pipeline_type: null,
    source_type: row.source_type,
    // A session is the dataset that it fills.
    session_id: row.id,
    file_name: row.file_name,
    row_count: row.row_count,
    refused_count: row.refused_count,
    refused: row.refused as Record<string, number>,
    columns: row.columns,
    mapping: row.mapping as Record<string, string>,
    download_count: row.download_count,
    archived_at: row.archived_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}
