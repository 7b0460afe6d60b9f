/** Builds the page as `npm start` does, and empties the folder of pictures. */

import { mkdirSync, rmSync } from 'node:fs';
import { createLog } from '../../src/log.ts';
import { ensurePage } from '../../src/resources/page/build.ts';

export async function setup(): Promise<void> {
  const root = new URL('../..', import.meta.url).pathname;
  const shots = new URL('./shots', import.meta.url).pathname;
  rmSync(shots, { recursive: true, force: true });
  mkdirSync(shots, { recursive: true });
  const log = createLog({ level: 'warn', write: (line) => process.stderr.write(line), secrets: [] });
  await ensurePage({ root, log });
}
