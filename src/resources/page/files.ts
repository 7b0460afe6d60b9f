/** The built page, read into memory once: its files with their types, tags and packed forms. */

import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

export interface PageFile {
  type: string;
  /** A strong ETag, quotes included. */
  tag: string;
  body: Buffer;
  gzip: Buffer;
}

/** By path below the build's folder, such as `assets/index-abc.js`. */
export type PageFiles = ReadonlyMap<string, PageFile>;

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** How often a build that is replaced while it is read is read again. */
const TRIES = 20;

/**
 * Reads what `npm run build` has made; null where the page is not built. Files of other types are left out. Another
 * process may put a newer build in its place meanwhile: what is answered is one build, whole.
 */
export async function readPageFiles(folder: string): Promise<PageFiles | null> {
  for (let attempt = 1; ; attempt += 1) {
    const names = await list(folder);
    try {
      const files = await readNamed(folder, names);
      // The names hold the hashes of what is in the files.
      if (String(await list(folder)) === String(names)) return files.has('index.html') ? files : null;
      if (attempt === TRIES) throw new Error(`The page in ${folder} is replaced again and again.`);
    } catch (error) {
      const gone = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      if (!gone || attempt === TRIES) throw error;
    }
  }
}

async function readNamed(folder: string, names: readonly string[]): Promise<Map<string, PageFile>> {
  const files = new Map<string, PageFile>();
  for (const name of names) {
    const type = TYPES[path.extname(name)];
    if (type === undefined) continue;
    const body = await readFile(path.join(folder, name));
    files.set(name.split(path.sep).join('/'), {
      type,
      tag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
      body,
      gzip: await promisify(gzip)(body, { level: 9 }),
    });
  }
  return files;
}

async function list(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder, { recursive: true })).toSorted();
  } catch {
    return [];
  }
}
