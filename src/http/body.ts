/** Reads a body within its limit: JSON, or bytes of one type. */

import type { IncomingMessage } from 'node:http';
import { ServiceError } from '../errors.ts';
import { DEEPEST_JSON, nestsTooDeep } from '../runtime/json.ts';

/** Bytes a JSON body may have (design.md §5). */
export const JSON_BODY_LIMIT = 256 * 1024;

/**
 * Reads and parses the body; `undefined` where there is none.
 * Throws `BODY_TOO_LARGE`, `UNSUPPORTED_MEDIA_TYPE` or `INVALID_JSON`.
 */
export async function readJsonBody(
  incoming: IncomingMessage,
  limit: number = JSON_BODY_LIMIT,
): Promise<unknown> {
  const bytes = await readBytes(incoming, limit);
  if (bytes.length === 0) return undefined;
  const type = incoming.headers['content-type'] ?? '';
  if (!/^application\/([a-z0-9.+-]+\+)?json\b/i.test(type)) {
    throw new ServiceError('UNSUPPORTED_MEDIA_TYPE', 'Send the body as application/json.');
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (nestsTooDeep(text)) {
      throw new ServiceError('INVALID_JSON', `The body nests deeper than ${DEEPEST_JSON} levels.`);
    }
    return JSON.parse(text);
  } catch (cause) {
    if (cause instanceof ServiceError) throw cause;
    throw new ServiceError(
      'INVALID_JSON',
      'The body is not valid JSON. Check quotes, commas and the encoding (UTF-8).',
      { cause },
    );
  }
}

/** Reads a body of one media type as bytes, none where there is no body. Throws `BODY_TOO_LARGE` or `UNSUPPORTED_MEDIA_TYPE`. */
export async function readRawBody(
  incoming: IncomingMessage,
  { type, limit }: { type: string; limit: number },
): Promise<Buffer> {
  const [sent = ''] = (incoming.headers['content-type'] ?? '').split(';');
  if (sent.trim().toLowerCase() !== type) {
    throw new ServiceError('UNSUPPORTED_MEDIA_TYPE', `Send the body as ${type}.`);
  }
  return readBytes(incoming, limit);
}

async function readBytes(incoming: IncomingMessage, limit: number): Promise<Buffer> {
  const declared = Number(incoming.headers['content-length'] ?? 0);
  if (declared > limit) throw tooLarge(limit);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming) {
    size += chunk.length;
    if (size > limit) throw tooLarge(limit);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(limit: number): ServiceError {
  return new ServiceError('BODY_TOO_LARGE', `This body may have at most ${limit / 1024} KiB.`, {
    headers: { connection: 'close' },
  });
}
