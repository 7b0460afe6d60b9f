/** What is said of datasets. */

import { z } from 'zod';
import { queryBoolean } from '../../http/validation.ts';
import { line } from '../text.ts';

/** The source of a dataset that a session has opened and no file has filled; lists leave it out. */
export const UNFILLED = 'session';

export const datasetName = line.trim().min(1).max(255);

export const dataset = z.object({
  dataset_id: z.uuid(),
  dataset_name: z.string(),
  pipeline_type: z.string().nullable(),
  source_type: z.string().nullable(),
  session_id: z.string().nullable(),
  file_name: z.string().nullable(),
  row_count: z.int(),
  refused_count: z.int(),
  refused: z.record(z.string(), z.int()),
  columns: z.array(z.string()),
  mapping: z.record(z.string(), z.string()),
  download_count: z.int(),
  archived_at: z.iso.datetime().nullable(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
});
export type Dataset = z.output<typeof dataset>;

export const listDatasetsQuery = z.object({
  page: z.coerce.number().int().min(1).max(100_000).default(1),
  page_size: z.coerce.number().int().min(1).max(100).default(20),
  cursor: z.string().max(500).optional(),
  pipeline_type: line.max(100).optional(),
  search: line.trim().max(255).optional(),
  include_archived: queryBoolean.default(false),
});

export const datasetList = z.object({
  datasets: z.array(dataset),
  items: z.array(dataset),
  total: z.int(),
  page: z.int(),
  page_size: z.int(),
  next_cursor: z.string().nullable(),
  has_more: z.boolean(),
});

export const renameDatasetBody = z.strictObject({ dataset_name: datasetName });

export const downloadQuery = z.object({ format: z.enum(['csv', 'json']).default('csv') });
