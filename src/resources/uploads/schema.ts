/** What is said of uploads, and of the sessions that the contract fills with them. */

import { z } from 'zod';
import { datasetName } from '../datasets/schema.ts';
import { LEAD_FIELDS } from './mapping.ts';

const fieldName = z.enum(LEAD_FIELDS);
const mapping = z.partialRecord(fieldName, z.string());
export const givenMapping = z.partialRecord(fieldName, z.string().min(1).max(255).nullable());

/** The text fields of an import; the mapping comes as JSON in a field. */
export const importFields = z.strictObject({
  dataset_name: datasetName.optional(),
  mapping: z
    .string()
    .transform((value, context) => {
      try {
        return JSON.parse(value);
      } catch {
        context.addIssue({
          code: 'custom',
          message: 'This is not JSON. Send an object such as {"email": "Work address"}.',
        });
        return z.NEVER;
      }
    })
    .pipe(givenMapping)
    .optional(),
});
export type ImportFields = z.output<typeof importFields>;

export const previewFields = z.strictObject({});

/** What the contract lets a session say of its sender; a session keeps none, so it must not look as if it did. */
const noSender = z
  .string()
  .refine(
    (value) => ['', 'null', 'false'].includes(value),
    'A session keeps no sender. Save a sender profile and choose it when you send.',
  )
  .optional();

export const sessionFields = z.strictObject({
  sender_profile_id: noSender,
  sender_data: noSender,
  save_as_profile: noSender,
  profile_name: noSender,
});

export const openSessionBody = z.strictObject({
  session_type: z.enum(['enrichment', 'personalization']),
  sender_data: z
    .null('A session keeps no sender. Save a sender profile and choose it when you send.')
    .optional(),
});

const counts = z.record(z.string(), z.int());
const refusedRow = z.object({ row: z.int(), reason: z.string(), value: z.string() });

const imported = z.object({
  columns: z.array(z.string()),
  mapping,
  row_count: z.int(),
  refused_count: z.int(),
  refused: counts,
  refused_rows: z.array(refusedRow),
});

export const importResult = imported.extend({ dataset_id: z.uuid(), dataset_name: z.string() });
export type ImportResult = z.output<typeof importResult>;

export const filePreview = z.object({
  filename: z.string(),
  file_type: z.literal('csv'),
  message: z.string(),
  csv_info: z.object({
    row_count: z.int(),
    column_count: z.int(),
    columns: z.array(z.string()),
    sample_data: z.array(z.record(z.string(), z.string())),
    mapping,
    delimiter: z.string(),
    encoding: z.string(),
  }),
  sheets: z.null(),
  total_sheets: z.null(),
});
export type FilePreview = z.output<typeof filePreview>;

export const sessionCreated = z.object({ session_id: z.uuid(), status: z.string(), created_at: z.number() });

export const uploadResult = z.object({
  session_id: z.uuid(),
  status: z.string(),
  dataset_id: z.uuid(),
  leads_queued: z.int(),
  columns: z.array(z.string()),
  file_info: imported.omit({ columns: true }).extend({ filename: z.string(), size: z.int() }),
  sender_profile_id: z.null(),
  message: z.string(),
});
export type UploadResult = z.output<typeof uploadResult>;
