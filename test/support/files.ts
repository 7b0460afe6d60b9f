/** Files for tests of uploads: made of text or bytes, on disk as the service keeps them, or as a form over HTTP. */

import { type SpooledFile, spool } from '../../src/resources/uploads/spool.ts';

/** Runs `work` on a file of this content. */
export async function withFile<T>(
  content: string | Buffer,
  work: (file: SpooledFile) => Promise<T>,
  name = 'people.csv',
): Promise<T> {
  const file = await spool(chunksOf(Buffer.from(content)), name);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

/** Sends a form with a file, and its fields after it: browsers do not promise an order. */
export async function sendFile<Body = Record<string, unknown>>(
  url: string,
  content: string | Buffer,
  { name = 'people.csv', part = 'file', fields = {}, headers = {} }: SendOptions = {},
): Promise<{ status: number; body: Body }> {
  const form = new FormData();
  form.append(part, new Blob([new Uint8Array(Buffer.from(content))]), name);
  for (const [field, value] of Object.entries(fields)) form.append(field, value);
  const response = await fetch(url, { method: 'POST', body: form, headers });
  return { status: response.status, body: (await response.json()) as Body };
}

export interface SendOptions {
  name?: string;
  part?: string;
  fields?: Record<string, string>;
  headers?: Record<string, string>;
}

async function* chunksOf(content: Buffer): AsyncGenerator<Buffer> {
  for (let start = 0; start < content.length; start += 1000) yield content.subarray(start, start + 1000);
}
