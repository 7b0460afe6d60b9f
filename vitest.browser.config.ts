/** `npm run test:browser`: the page in a headless Chromium against the real service. */

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/browser/**/*.test.ts'],
    globalSetup: ['test/support/setup-embedded.ts', 'test/browser/setup-page.ts'],
    // Only a fact that never comes about should end a test: the machine may be busy with other things.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
    retry: process.env.CI === undefined ? 0 : 1,
    maxWorkers: 1,
    fileParallelism: false,
  },
});
