import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readPageFiles } from '../../../src/resources/page/files.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'overture-page-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A build as the tool makes it: what a file is called holds its hash, and the page names the file. */
async function build(name: string): Promise<string> {
  const folder = path.join(root, name);
  await mkdir(path.join(folder, 'assets'), { recursive: true });
  for (const part of ['a', 'b', 'c'])
    await writeFile(path.join(folder, 'assets', `${part}-${name}.js`), name);
  await writeFile(path.join(folder, 'index.html'), name);
  return folder;
}

it('is read whole, by its paths, without what has no type', async () => {
  const folder = await build('one');
  await writeFile(path.join(folder, 'notes.xyz'), 'none of the page');
  const files = await readPageFiles(folder);
  expect([...(files ?? new Map()).keys()].toSorted()).toEqual([
    'assets/a-one.js',
    'assets/b-one.js',
    'assets/c-one.js',
    'index.html',
  ]);
});

it('is none where nothing was built', async () => {
  expect(await readPageFiles(path.join(root, 'nowhere'))).toBeNull();
});

it('is one build, whole, where another process puts a newer one in its place again and again', async () => {
  const served = await build('dist');
  const spare = [await build('one'), await build('two')];
  let swaps = 0;
  async function swap(): Promise<void> {
    const aside = path.join(root, `aside-${swaps}`);
    await rename(served, aside);
    await rename(spare.shift() ?? '', served);
    spare.push(aside);
    swaps += 1;
  }
  let whole = 0;
  while (whole < 200) {
    // A build ends while the one before is read, at another moment each time.
    const [files] = await Promise.all([
      readPageFiles(served),
      (async () => {
        for (let turn = 0; turn < swaps % 8; turn += 1) await new Promise((resolve) => setImmediate(resolve));
        await swap();
      })(),
    ]);
    // Between two renames there is nothing there.
    if (files === null) continue;
    const texts = new Set([...files.values()].map(({ body }) => body.toString()));
    expect([texts.size, files.size]).toEqual([1, 4]);
    whole += 1;
  }
});
