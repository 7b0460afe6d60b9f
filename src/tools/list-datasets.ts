/** The tool that lists the workspace's datasets. */

import { z } from 'zod';
import type { Datasets } from '../resources/datasets/datasets.ts';
import { listDatasetsQuery } from '../resources/datasets/schema.ts';
import { visibleText } from '../resources/leads/visible-text.ts';
import { type Tool, tool } from './tool.ts';

/** What is listed at most: a model's context is short. */
const DATASET_LIMIT = 50;
const COLUMN_LIMIT = 50;

export function createListDatasetsTool({ datasets }: { datasets: Pick<Datasets, 'list'> }): Tool {
  return tool({
    name: 'list_datasets',
    description: `List the imported datasets of leads that are not archived, newest first (at most ${DATASET_LIMIT}), with the columns of their files (at most ${COLUMN_LIMIT} each) and the number of leads in each.`,
    schema: z.strictObject({}),
    effect: 'none',
    untrusted: true,
    async run({ caller }) {
      const { items } = await datasets.list(caller, listDatasetsQuery.parse({ page_size: DATASET_LIMIT }));
      return {
        datasets: items.map((dataset) => ({
          dataset_id: dataset.dataset_id,
          name: visibleText(dataset.dataset_name),
          row_count: dataset.row_count,
          columns: dataset.columns.slice(0, COLUMN_LIMIT).map((column) => visibleText(column)),
          created_at: dataset.created_at,
        })),
      };
    },
  });
}
