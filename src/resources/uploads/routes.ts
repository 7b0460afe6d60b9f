/** Uploads over REST (contract, tags upload and sessions), and our own shorter way to a dataset. */

import { z } from 'zod';
import { type Route, route } from '../../http/route.ts';
import { parseInput } from '../../http/validation.ts';
import { toSent, withUpload } from './multipart.ts';
import {
  filePreview,
  importFields,
  importResult,
  openSessionBody,
  previewFields,
  sessionCreated,
  sessionFields,
  uploadResult,
} from './schema.ts';
import type { Uploads } from './uploads.ts';

const FILE =
  'A CSV file: comma, semicolon, tab or pipe; UTF-8, UTF-16 with a byte order mark, or Windows-1252; up to 50 MiB and 200,000 rows.';
const NO_SENDER = 'Not kept: leave it out.';

export function createUploadRoutes(uploads: Uploads): Route[] {
  return [
    route({
      method: 'POST',
      path: '/api/v1/upload/preview',
      operation: 'previewUpload',
      tag: 'upload',
      summary: 'Look into a CSV file',
      access: 'read',
      upload: { file: FILE },
      answers: { 200: filePreview },
      refusals: ['INVALID_UPLOAD', 'INVALID_CSV', 'UPLOAD_TOO_LARGE'],
      handle: ({ caller, incoming, once }) =>
        withUpload(incoming, async (upload) => {
          parseInput(previewFields, upload.fields, 'body');
          return once(toSent(upload), async () => ({
            status: 200,
            body: await uploads.preview(caller, upload),
          }));
        }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/datasets/import',
      operation: 'importDataset',
      tag: 'datasets',
      summary: 'Make a dataset of a CSV file',
      access: 'write',
      upload: {
        file: FILE,
        dataset_name: 'Default: the name of the file.',
        mapping:
          'JSON: the column of each field, or null for none, such as {"email": "Work address", "phone": null}. What is left out is guessed.',
      },
      answers: { 201: importResult },
      refusals: ['INVALID_UPLOAD', 'INVALID_CSV', 'UPLOAD_TOO_LARGE'],
      handle: ({ caller, incoming, gone, once }) =>
        withUpload(incoming, async (upload) => {
          const given = parseInput(importFields, upload.fields, 'body');
          return once(toSent(upload), async () => ({
            status: 201,
            body: await uploads.importCsv(caller, { ...given, file: upload.file, signal: gone }),
          }));
        }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/sessions/create',
      operation: 'createSession',
      tag: 'sessions',
      summary: 'Open a session: a dataset that waits for its file',
      access: 'write',
      body: openSessionBody,
      answers: { 201: sessionCreated },
      handle: async ({ caller, body }) => ({ status: 201, body: await uploads.openSession(caller, body) }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/sessions/{session_id}/upload/csv',
      operation: 'uploadSessionCsv',
      tag: 'upload',
      summary: 'Load a CSV into a session',
      access: 'write',
      params: z.object({ session_id: z.uuid() }),
      upload: {
        file: FILE,
        sender_profile_id: NO_SENDER,
        sender_data: NO_SENDER,
        save_as_profile: NO_SENDER,
        profile_name: NO_SENDER,
      },
      answers: { 200: uploadResult },
      refusals: ['INVALID_UPLOAD', 'INVALID_CSV', 'UPLOAD_TOO_LARGE', 'ALREADY_EXISTS'],
      handle: ({ caller, params, incoming, gone, once }) =>
        withUpload(incoming, async (upload) => {
          parseInput(sessionFields, upload.fields, 'body');
          const input = { ...params, file: upload.file, signal: gone };
          return once(toSent(upload), async () => ({
            status: 200,
            body: await uploads.fillSession(caller, input),
          }));
        }),
    }),
  ];
}
