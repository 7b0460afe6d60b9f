/** `npm run test:faults`: the promises at their full numbers, on TEST_DATABASE_URL's server or else on an embedded one. */

import { defineConfig } from 'vitest/config';
import { createFaultReporter } from './test/support/fault-reporter.ts';

const database = process.env.TEST_DATABASE_URL === undefined ? 'embedded' : 'external';

export default defineConfig({
  test: {
    include: ['test/faults/full/**/*.test.ts'],
    globalSetup: [`test/support/setup-${database}.ts`],
    reporters: [createFaultReporter()],
    testTimeout: 3_600_000,
    hookTimeout: 120_000,
    maxWorkers: 1,
    fileParallelism: false,
  },
});
