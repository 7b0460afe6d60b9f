/** Prints which stock client was driven through what, and how it went: the table of `npm run test:compat`. */

import type { Reporter, TestCase, TestModule } from 'vitest/node';

interface Row {
  protocol: string;
  client: string;
  driven: string;
  result: string;
}

// biome-ignore lint/style/noDefaultExport: vitest loads a reporter by its default export
export default class CompatReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const rows = modules.flatMap((module) => [...module.children.allTests()].map(rowOf));
    const columns = ['protocol', 'client', 'driven', 'result'] as const;
    const widths = columns.map((name) => Math.max(name.length, ...rows.map((row) => row[name].length)));
    const line = (cells: readonly string[]) =>
      `| ${cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')} |`;
    const table = [
      line(columns),
      line(widths.map((width) => '-'.repeat(width))),
      ...rows.map((row) => line(columns.map((name) => row[name]))),
    ];
    const failures = modules.flatMap((module) => [
      ...module.errors().map((error) => error.message),
      ...[...module.children.allTests()].flatMap(
        (test) => test.result().errors?.map((error) => `${test.fullName}: ${error.message}`) ?? [],
      ),
    ]);
    process.stdout.write(`${[...table, ...failures].join('\n')}\n`);
  }
}

/** A test's suites say the protocol and the client; deeper ones belong to what was driven. */
function rowOf(test: TestCase): Row {
  const [protocol = '', ...names] = test.fullName.split(' > ');
  const client = names.length > 1 ? (names[0] ?? '') : 'any';
  const driven = (names.length > 1 ? names.slice(1) : names).join(', ');
  return { protocol, client, driven, result: test.result().state };
}
