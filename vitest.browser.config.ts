/** `npm run test:browser`: the page in a headless Chromium against the real service. */

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/browser/**/*.test.ts'],
    globalSetup: ['test/support/setup-embedded.ts', 'test/browser/setup-page.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 15_000 } },
    maxWorkers: 1,
    fileParallelism: false,
  },
});
