/** `npm run test:compat`: every stock client through everything, and the table of it; `npm test` drives the first of each. */

import { defineConfig } from 'vitest/config';
import { createCompatReporter } from './test/support/compat-reporter.ts';

export default defineConfig({
  test: {
    include: ['test/compat/**/*.test.ts'],
    globalSetup: ['test/support/setup-embedded.ts'],
    reporters: [createCompatReporter()],
    env: { COMPAT: 'all' },
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 1,
  },
});
