/** Gives a test run one embedded PostgreSQL, and a migrated database to copy. */

import type { TestProject } from 'vitest/node';
import { startTestCluster } from './cluster.ts';
import { provideTemplate } from './template.ts';

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cluster = await startTestCluster();
  const drop = await provideTemplate(project, cluster.url);
  return async () => {
    await drop();
    await cluster.stop();
  };
}
