import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createLog } from '../../../src/log.ts';
import { ensurePage, pageFolder } from '../../../src/resources/page/build.ts';
import { readPageFiles } from '../../../src/resources/page/files.ts';

let root: string;
let lines: { msg?: string }[];
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'overture-build-'));
  lines = [];
  await mkdir(path.join(root, 'node_modules'));
  await mkdir(path.join(root, 'web'));
  await writeFile(path.join(root, 'vite.config.ts'), `export default { root: 'web' };`);
  await write('One');
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function write(title: string): Promise<string> {
  const page = path.join(root, 'web', 'index.html');
  await writeFile(page, `<!doctype html><title>${title}</title>`);
  return page;
}

/** Starts so many processes' look at the page at once; answers the title that is served after. */
async function ensure(processes = 1): Promise<string> {
  const log = createLog({ level: 'info', secrets: [], write: (line) => lines.push(JSON.parse(line)) });
  await Promise.all(Array.from({ length: processes }, () => ensurePage({ root, log })));
  const page = (await readPageFiles(pageFolder(root)))?.get('index.html');
  return /<title>(.*)<\/title>/.exec(String(page?.body))?.[1] ?? '';
}

it('is built where it is missing, once, and again when its source is newer', async () => {
  expect(await ensure()).toBe('One');
  expect(lines.map(({ msg }) => msg)).toEqual(['the page was built']);
  expect(await ensure()).toBe('One');
  expect(lines).toHaveLength(1);
  const later = new Date(Date.now() + 60_000);
  await utimes(await write('Two'), later, later);
  expect(await ensure()).toBe('Two');
  expect(lines).toHaveLength(2);
});

it('is there for all that start at once', async () => {
  expect(await ensure(3)).toBe('One');
  expect(lines.map(({ msg }) => msg)).toEqual([
    'the page was built',
    'the page was built',
    'the page was built',
  ]);
});
