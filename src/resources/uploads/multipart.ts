/** Reads a multipart/form-data request: one file named `file`, and a few text fields before or after it. */

import type { IncomingMessage } from 'node:http';
import busboy from 'busboy';
import { ServiceError } from '../../errors.ts';
import { FILE_LIMIT, fileTooLarge, type SpooledFile, spool } from './spool.ts';

export interface Upload {
  file: SpooledFile;
  /** The text fields by name. */
  fields: Record<string, string>;
}

/** What was sent, as two uploads are compared: the bytes of the file by their hash. */
export function toSent({ file, fields }: Upload): Record<string, unknown> {
  return { file: file.name, sha256: file.sha256, fields };
}

/** Characters of a file's name that are kept. */
const NAME_LIMIT = 255;

/**
 * Receives the upload, hands it to `work`, and gives its disk space back whatever happens.
 * Throws `UNSUPPORTED_MEDIA_TYPE`, `INVALID_UPLOAD` or `UPLOAD_TOO_LARGE`.
 */
export async function withUpload<T>(
  incoming: IncomingMessage,
  work: (upload: Upload) => Promise<T>,
): Promise<T> {
  if (!/^multipart\/form-data\b/i.test(incoming.headers['content-type'] ?? '')) {
    throw new ServiceError('UNSUPPORTED_MEDIA_TYPE', 'Send multipart/form-data with a part named "file".');
  }
  const upload = await receive(incoming);
  try {
    return await work(upload);
  } finally {
    await upload.file.close();
  }
}

async function receive(incoming: IncomingMessage): Promise<Upload> {
  const parser = openParser(incoming);
  const fields = new Map<string, string>();
  let spooling: Promise<SpooledFile> | undefined;
  let fault: unknown;
  // The first fault ends the parsing and is told; what still comes is dropped, so that the sender gets to read the answer.
  const stop = (error: unknown) => {
    fault ??= error;
    incoming.unpipe(parser);
    incoming.resume();
    // Not at once: this may be called by the parser, which is not made to be destroyed from within.
    process.nextTick(() => parser.destroy());
  };

  parser.on('file', (name: string | undefined, stream, { filename }) => {
    // The form may break before anyone reads this stream; whoever reads it later is told.
    stream.on('error', () => undefined);
    stream.on('limit', () => stop(fileTooLarge()));
    if (name !== 'file') return stop(invalid('The file must come in the part named "file".'));
    spooling = spool(stream, cleanName(filename));
    // Nobody reads the stream any more, so the parser would wait for ever.
    spooling.catch(stop);
  });
  parser.on('field', (name: string | undefined, value: string | undefined, info) => {
    if (name === undefined || value === undefined || info.valueTruncated || info.nameTruncated) {
      stop(invalid('A field of the form has no name, is too long, or is in an unknown character set.'));
    } else if (fields.has(name)) {
      stop(invalid('A field of the form comes twice.'));
    } else {
      fields.set(name, value);
    }
  });
  parser.on('filesLimit', () => stop(invalid('Send one file at a time.')));
  parser.on('fieldsLimit', () => stop(invalid('The form has too many fields.')));
  parser.on('partsLimit', () => stop(invalid('The form has too many parts.')));
  // Not once: busboy goes on after some faults, and a second one must not end the process.
  parser.on('error', (cause: Error) =>
    stop(invalid('The form is cut off or not well-formed multipart/form-data.', cause)),
  );
  const leave = () => {
    if (!incoming.readableEnded) stop(invalid('The sender left before the end of the form.'));
  };
  incoming.once('error', leave);
  incoming.once('close', leave);
  // Who left before we came tells it no second time.
  if (incoming.destroyed) leave();

  await new Promise<void>((resolve) => {
    parser.once('close', resolve);
    incoming.pipe(parser);
  });
  const file = await spooling?.catch((error: unknown) => {
    throw fault ?? error;
  });
  if (file !== undefined && fault === undefined) return { file, fields: Object.fromEntries(fields) };
  await file?.close();
  throw fault ?? invalid('There is no file. Send it in the part named "file".');
}

function openParser(incoming: IncomingMessage): busboy.Busboy {
  try {
    return busboy({
      headers: incoming.headers,
      defParamCharset: 'utf8',
      // busboy calls a file that just reaches its limit truncated.
      limits: {
        fileSize: FILE_LIMIT + 1,
        files: 1,
        fields: 10,
        fieldSize: 64 * 1024,
        parts: 12,
        headerPairs: 50,
      },
    });
  } catch (cause) {
    throw invalid('The Content-Type of the form names no boundary.', cause);
  }
}

function invalid(message: string, cause?: unknown): ServiceError {
  return new ServiceError('INVALID_UPLOAD', message, { cause });
}

function cleanName(name: string | undefined): string {
  const clean = (name ?? '')
    .toWellFormed()
    .replaceAll(/\p{Cc}/gu, '')
    .trim();
  return clean.slice(0, NAME_LIMIT).toWellFormed() || 'upload.csv';
}
