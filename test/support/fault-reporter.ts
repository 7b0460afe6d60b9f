/** Prints which promise was tried how often, how often it held and how long that took: the table of `npm run test:faults`. */

import type { Reporter, TestCase, TestModule } from 'vitest/node';

const COLUMNS = ['promise', 'what', 'tried', 'held', 'seconds', 'beside it'] as const;
type Line = Record<(typeof COLUMNS)[number], string>;

/** Each test that `proves` declared becomes a row, in the order of the promises; any other one only where it failed. */
export function createFaultReporter(): Reporter {
  return {
    onTestCaseResult(test) {
      for (const line of linesOf(test)) process.stdout.write(`${written(line)}\n`);
    },
    onTestRunEnd(modules) {
      const tests = modules.flatMap((module) => [...module.children.allTests()]);
      const lines = tests.flatMap(linesOf).sort((one, other) => rank(one) - rank(other));
      const widths = COLUMNS.map((name) => Math.max(name.length, ...lines.map((line) => line[name].length)));
      const row = (cells: readonly string[]) =>
        `| ${cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')} |`;
      const table = [
        row(COLUMNS),
        row(widths.map((width) => '-'.repeat(width))),
        ...lines.map((line) => row(COLUMNS.map((name) => line[name]))),
      ];
      const text = ['', ...table, '', ...failuresOf(modules, tests)].join('\n');
      process.stdout.write(`${text}\n`);
    },
  };
}

function linesOf(test: TestCase): Line[] {
  const rows = test.meta().faultRows ?? [];
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
