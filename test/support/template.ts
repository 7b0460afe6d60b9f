/** The migrated database that every test's own is copied from. */

import type { TestProject } from 'vitest/node';
import { migrate } from '../../src/db/migrate.ts';
import { createLog } from '../../src/log.ts';
import { createDatabase, dropDatabase } from './cluster.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A URL of the server on which tests make their databases. */
    serverUrl: string;
    /** The name of the migrated database. */
    template: string;
  }
}

/** Makes the template on the server and tells the project's tests of it; answers what drops it again. */
export async function provideTemplate(project: TestProject, serverUrl: string): Promise<() => Promise<void>> {
  const log = createLog({ level: 'error', write: (line) => process.stderr.write(line), secrets: [] });
  const { name, url } = await createDatabase(serverUrl);
  await migrate({ url, folder: new URL('../../migrations', import.meta.url).pathname, log });
  project.provide('serverUrl', serverUrl);
  project.provide('template', name);
  return () => dropDatabase(serverUrl, name);
}
