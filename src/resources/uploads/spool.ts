/** A received file on disk: a slow sender then holds neither memory nor a transaction, and the encoding is known before the first row. */

import { createHash, randomUUID } from 'node:crypto';
import { open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { TextDecoder } from 'node:util';
import { ServiceError } from '../../errors.ts';

/** Bytes a file may have. */
export const FILE_LIMIT = 50 * 1024 * 1024;

const CHUNK = 64 * 1024;

export type Encoding = 'utf-8' | 'windows-1252' | 'utf-16le' | 'utf-16be';

export interface SpooledFile {
  /** As the sender calls it, without a path. */
  name: string;
  /** In bytes. */
  size: number;
  /** SHA-256 (hex) of its bytes. */
  sha256: string;
  encoding: Encoding;
  /** Whether it begins like an Excel workbook, new or old. */
  excel: boolean;
  /** The whole as text, from the start at every call, without a byte order mark. */
  text(): AsyncGenerator<string>;
  /** Gives the disk space back. */
  close(): Promise<void>;
}

/** Writes `source` to disk and looks at its encoding. Throws `UPLOAD_TOO_LARGE` beyond `FILE_LIMIT` bytes. */
export async function spool(source: AsyncIterable<Buffer>, name: string): Promise<SpooledFile> {
  const place = path.join(tmpdir(), `overture-${randomUUID()}`);
  const handle = await open(place, 'wx+', 0o600);
  try {
    // Without a name the file is gone with its handle, also when the process is killed: it holds people's data.
    await unlink(place);
    const strict = new TextDecoder('utf-8', { fatal: true });
    let utf8 = true;
    let size = 0;
    let head = Buffer.alloc(0);
    const hash = createHash('sha256');
    for await (const chunk of source) {
      if (size + chunk.length > FILE_LIMIT) throw fileTooLarge();
      await handle.writeFile(chunk);
      size += chunk.length;
      hash.update(chunk);
      if (head.length < 4) head = Buffer.concat([head, chunk.subarray(0, 4)]).subarray(0, 4);
      utf8 &&= isText(strict, chunk);
    }
    utf8 &&= isText(strict);
    const encoding = encodingOf(head, utf8);
    return {
      name,
      size,
      sha256: hash.digest('hex'),
      encoding,
      excel: ['504b0304', 'd0cf11e0'].includes(head.toString('hex')),
      async *text() {
        const decoder = new TextDecoder(encoding);
        const chunk = Buffer.alloc(CHUNK);
        for (let position = 0; ; ) {
          const { bytesRead } = await handle.read(chunk, 0, CHUNK, position);
          if (bytesRead === 0) break;
          position += bytesRead;
          yield decoder.decode(chunk.subarray(0, bytesRead), { stream: true });
        }
        yield decoder.decode();
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

export function fileTooLarge(): ServiceError {
  return new ServiceError(
    'UPLOAD_TOO_LARGE',
    `A file may have at most ${FILE_LIMIT / 1024 / 1024} MiB. Split it and upload the parts.`,
  );
}

/** Feeds the strict decoder; false from the first byte on that is not UTF-8. */
function isText(strict: TextDecoder, chunk?: Buffer): boolean {
  try {
    strict.decode(chunk, { stream: chunk !== undefined });
    return true;
  } catch {
    return false;
  }
}

function encodingOf(head: Buffer, utf8: boolean): Encoding {
  if (head[0] === 0xff && head[1] === 0xfe) return 'utf-16le';
  if (head[0] === 0xfe && head[1] === 0xff) return 'utf-16be';
  // What is called Latin-1 is in practice Windows-1252, which agrees with it on every printable character.
  return utf8 ? 'utf-8' : 'windows-1252';
}
