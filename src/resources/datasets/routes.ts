/** Datasets over REST (contract, tag datasets). */

import { Readable } from 'node:stream';
import { z } from 'zod';
import { type Route, route } from '../../http/route.ts';
import type { Datasets } from './datasets.ts';
import { toCsv, toJson } from './export.ts';
import { dataset, datasetList, downloadQuery, listDatasetsQuery, renameDatasetBody } from './schema.ts';

const params = z.object({ dataset_id: z.uuid() });

export function createDatasetRoutes(datasets: Datasets): Route[] {
  return [
    route({
      method: 'GET',
      path: '/api/v1/datasets/list',
      operation: 'listDatasets',
      tag: 'datasets',
      summary: 'List datasets by page',
      access: 'read',
      query: listDatasetsQuery,
      answers: { 200: datasetList },
      handle: async ({ caller, query }) => ({ status: 200, body: await datasets.list(caller, query) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/datasets/{dataset_id}',
      operation: 'getDataset',
      tag: 'datasets',
      summary: 'Read a dataset',
      access: 'read',
      params,
      answers: { 200: dataset },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await datasets.get(caller, params.dataset_id),
      }),
    }),
    route({
      method: 'PATCH',
      path: '/api/v1/datasets/{dataset_id}',
      operation: 'updateDataset',
      tag: 'datasets',
      summary: 'Rename a dataset',
      access: 'write',
      params,
      body: renameDatasetBody,
      answers: { 200: dataset },
      handle: async ({ caller, params, body }) => ({
        status: 200,
        body: await datasets.rename(caller, params.dataset_id, body),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/datasets/{dataset_id}/archive',
      operation: 'archiveDataset',
      tag: 'datasets',
      summary: 'Archive a dataset: its leads are no longer found',
      access: 'write',
      params,
      answers: { 200: dataset },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await datasets.archive(caller, params.dataset_id),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/datasets/{dataset_id}/restore',
      operation: 'restoreDataset',
      tag: 'datasets',
      summary: 'Take a dataset out of the archive',
      access: 'write',
      params,
      answers: { 200: dataset },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await datasets.restore(caller, params.dataset_id),
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/datasets/{dataset_id}/download',
      operation: 'downloadDataset',
      tag: 'datasets',
      summary: 'Download the rows in the columns of their file',
      access: 'read',
      params,
      query: downloadQuery,
      answers: { 200: 'file' },
      async handle({ caller, params, query }) {
        const { dataset, leads } = await datasets.download(caller, params.dataset_id);
        const chunks = query.format === 'csv' ? toCsv(dataset.columns, leads) : toJson(leads);
        return {
          status: 200,
          stream: Readable.from(chunks, { objectMode: false }),
          headers: {
            'content-type':
              query.format === 'csv' ? 'text/csv; charset=utf-8' : 'application/json; charset=utf-8',
            'content-disposition': attachment(dataset.dataset_name, query.format),
          },
        };
      },
    }),
  ];
}

/** RFC 6266: a plain name for old clients, the real one in UTF-8. */
function attachment(name: string, ending: string): string {
  const encoded = encodeURIComponent(name).replaceAll(
    /['()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="dataset.${ending}"; filename*=UTF-8''${encoded}.${ending}`;
}
