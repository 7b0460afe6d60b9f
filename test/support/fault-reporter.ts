/** Prints which promise was tried how often, how often it held and how long that took: the table of `npm run test:faults`. */

import type { Reporter, TestCase, TestModule } from 'vitest/node';

const COLUMNS = ['promise', 'what', 'tried', 'held', 'seconds', 'beside it'] as const;
type Line = Record<(typeof COLUMNS)[number], string>;

/** Where the rows ran that do not say that they had a server of their own. */
const DATABASE =
  process.env.TEST_DATABASE_URL === undefined ? 'an embedded PostgreSQL' : "TEST_DATABASE_URL's PostgreSQL";

/** Each test that `proves` declared becomes a row, and each suite named by a promise, in the order of the promises; any other test only where it failed. */
export function createFaultReporter(): Reporter {
  return {
    onTestCaseResult(test) {
      for (const line of linesOf(test)) process.stdout.write(`${written(line)}\n`);
    },
    onTestRunEnd(modules) {
      const tests = modules.flatMap((module) => [...module.children.allTests()]);
      const lines = [...tests.flatMap(linesOf), ...suiteLines(tests)].sort(
        (one, other) => rank(one) - rank(other),
      );
      const widths = COLUMNS.map((name) => Math.max(name.length, ...lines.map((line) => line[name].length)));
      const row = (cells: readonly string[]) =>
        `| ${cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')} |`;
      const table = [
        row(COLUMNS),
        row(widths.map((width) => '-'.repeat(width))),
        ...lines.map((line) => row(COLUMNS.map((name) => line[name]))),
      ];
      const text = ['', `On ${DATABASE}:`, '', ...table, '', ...failuresOf(modules, tests)].join('\n');
      process.stdout.write(`${text}\n`);
    },
  };
}

/** A suite whose name begins with a promise is a row too; each of its tests is a try. */
function suiteLines(tests: readonly TestCase[]): Line[] {
  const suites = new Map<string, TestCase[]>();
  for (const test of tests) {
    const [suite = ''] = test.fullName.split(' > ');
    if (ofSuite(test)) suites.set(suite, [...(suites.get(suite) ?? []), test]);
  }
  return [...suites].map(([suite, cases]) => {
    const [promise = '', what = ''] = suite.split(/: (.*)/);
    const held = cases.filter((test) => test.result().state === 'passed').length;
    const ms = cases.reduce((sum, test) => sum + (test.diagnostic()?.duration ?? 0), 0);
    return {
      promise,
      what,
      tried: String(cases.length),
      held: String(held),
      seconds: (ms / 1000).toFixed(0),
      'beside it': '',
    };
  });
}

function ofSuite(test: TestCase): boolean {
  return test.meta().faultRows === undefined && /^P\d+: .* > /.test(test.fullName);
}

function linesOf(test: TestCase): Line[] {
  const rows = test.meta().faultRows ?? [];
  if (ofSuite(test)) return [];
  const failed = test.result().state === 'failed';
  const seconds = ((test.diagnostic()?.duration ?? 0) / 1000).toFixed(0);
  if (rows.length === 0 && failed) {
    return [{ promise: '–', what: test.fullName, tried: '–', held: 'failed', seconds, 'beside it': '' }];
  }
  return rows.map(({ promise, what, tried, held, remark = '' }) => ({
    promise,
    what,
    tried: String(tried),
    held: String(held),
    seconds,
    'beside it': failed && tried === held ? `failed; ${remark}` : remark,
  }));
}

function written(line: Line): string {
  return COLUMNS.map((name) => line[name]).join('  ');
}

function rank({ promise }: Line): number {
  return Number(promise.slice(1)) || Number.POSITIVE_INFINITY;
}

function failuresOf(modules: readonly TestModule[], tests: readonly TestCase[]): string[] {
  return [
    ...modules.flatMap((module) => module.errors().map((error) => error.message)),
    ...tests.flatMap(
      (test) => test.result().errors?.map((error) => `${test.fullName}: ${error.message}`) ?? [],
    ),
  ];
}
