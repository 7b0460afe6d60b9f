/** Builds the page at the start where it is missing or older than its source, and the build tool is installed. */

import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Log } from '../../log.ts';

export interface PageBuildNeeds {
  /** The folder of package.json. */
  root: string;
  log: Log;
}

/** Where the built page is. */
export function pageFolder(root: string): string {
  return path.join(root, 'web', 'dist');
}

/**
 * Makes sure that there is a page, as new as its source. Never throws: a service without its page still serves its API,
 * and says so at `/`. Several processes may do this at once; the first to end wins.
 */
export async function ensurePage({ root, log }: PageBuildNeeds): Promise<void> {
  try {
    const { built, fresh } = await stateOf(root);
    if (fresh) return;
    const tool = findTool();
    if (tool === null) {
      if (built === 0) log.warn({}, 'the page is not built, and its build tool is not installed');
      return;
    }
    const began = performance.now();
    await build(root, tool);
    log.info({ ms: Math.round(performance.now() - began) }, 'the page was built');
  } catch (error) {
    log.warn({ err: error }, 'the page could not be built');
  }
}

/** When the page was built, 0 where it is not, and whether that is as new as its source. */
async function stateOf(root: string): Promise<{ built: number; fresh: boolean }> {
  const built = await newest([
    path.join(pageFolder(root), 'index.html'),
    path.join(pageFolder(root), 'embed.js'),
  ]);
  const sources = ['web', 'src/client', 'vite.config.ts', 'package-lock.json'].map((name) =>
    path.join(root, name),
  );
  return { built, fresh: built >= (await newest(sources)) };
}

function findTool(): string | null {
  try {
    const manifest = createRequire(import.meta.url).resolve('vite/package.json');
    return path.join(path.dirname(manifest), 'bin', 'vite.js');
  } catch {
    return null;
  }
}

/** In processes of their own: the tool takes memory and changes its process's environment. */
async function build(root: string, tool: string): Promise<void> {
  // Beside the packages: the same file system, and nothing that is kept or checked.
  const made = await mkdtemp(path.join(root, 'node_modules', '.page-'));
  try {
    const run = (...args: string[]) =>
      promisify(execFile)(
        process.execPath,
        [tool, 'build', '--outDir', made, '--logLevel', 'error', ...args],
        {
          cwd: root,
        },
      );
    await run('--emptyOutDir');
    await run('--mode', 'embed');
    // Where another process was first its build is as good as ours, and may be read at this moment.
    if ((await stateOf(root)).fresh) return;
    const old = `${made}-old`;
    await rename(pageFolder(root), old).catch(() => {});
    await rename(made, pageFolder(root)).catch(() => {});
    await rm(old, { recursive: true, force: true });
  } finally {
    await rm(made, { recursive: true, force: true });
  }
}

/** The newest time of change below these paths, in milliseconds; 0 where the first of them is missing. Builds do not count. */
async function newest(paths: readonly string[]): Promise<number> {
  let latest = 0;
  for (const [place, one] of paths.entries()) {
    const found = await stat(one).catch(() => null);
    if (found === null) {
      if (place === 0) return 0;
      continue;
    }
    if (!found.isDirectory()) {
      latest = Math.max(latest, found.mtimeMs);
      continue;
    }
    // Not the folder's own time: putting the build in its place changes that.
    const names = await readdir(one);
    const inner = names.filter((name) => !name.startsWith('dist')).map((name) => path.join(one, name));
    if (inner.length > 0) latest = Math.max(latest, await newest(inner));
  }
  return latest;
}
