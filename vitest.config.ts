import { defineConfig } from 'vitest/config';

/** Tests that need no database run once; the others on the embedded server, and on TEST_DATABASE_URL's where that is set. */
const ON_EVERY_DATABASE = [
  'test/{resources,http,turns,tools,faults,security}/**/*.test.ts',
  'test/engine/checkpoint*.test.ts',
];

const common = {
  // Only a fact that never comes about should end a test: the machine may be busy with other things.
  testTimeout: 240_000,
  hookTimeout: 120_000,
  // CI prints "retry x1" of a test that needed it. Where somebody looks, nothing is tried twice.
  retry: process.env.CI === undefined ? 0 : 1,
  exclude: ['test/browser/**', 'test/faults/full/**'],
};

const external = {
  test: {
    ...common,
    name: 'external',
    include: ON_EVERY_DATABASE,
    // Each kill starts two processes; `npm run test:faults` does them on any database.
    exclude: [...common.exclude, 'test/faults/kills.test.ts'],
    globalSetup: ['test/support/setup-external.ts'],
  },
};

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      { test: { name: 'house', include: ['test/house.test.ts'] } },
      {
        test: {
          ...common,
          name: 'embedded',
          include: ['test/**/*.test.ts'],
          exclude: [...common.exclude, 'test/house.test.ts'],
          globalSetup: ['test/support/setup-embedded.ts'],
        },
      },
      ...(process.env.TEST_DATABASE_URL === undefined ? [] : [external]),
    ],
  },
});
