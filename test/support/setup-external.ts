/** Runs the tests on the PostgreSQL that TEST_DATABASE_URL names. */

import type { TestProject } from 'vitest/node';
import { provideTemplate } from './template.ts';

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const url = process.env.TEST_DATABASE_URL;
  if (url === undefined) throw new Error('TEST_DATABASE_URL is not set');
  return provideTemplate(project, url);
}
