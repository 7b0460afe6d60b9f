/** Prints which stock client was driven through what, and how it went: the table of `npm run test:compat`. */

import type { Reporter, TestCase, TestModule } from 'vitest/node';

/** What every client is to be driven through, by what the tests of it are called. */
const SCENARIOS: [name: string, title: RegExp][] = [
  ['text', /streams a (turn|run) of text/],
  ['tools', /shows the calls of tools|reads at once/],
  ['approve', /goes on when it is given|when a person approves/],
  ['edit', /carries out what was edited/],
  ['reject', /does not carry out what is rejected/],
  ['reconnect', /joins a run in its middle|resumes in mid-stream|takes up a broken stream/],
  ['reopen', /reopened page|after a restart too/],
  ['restart', /after the server was restarted|after a restart|process died/],
  ['cancel', /cancels|ends it when it is stopped|no longer waits for/],
  ['error', /how a (turn|run) failed|a faulty call/],
];

interface Client {
  protocol: string;
  name: string;
  tests: TestCase[];
}

/** One row a client, one column a scenario; then every test, and what failed. */
export function createCompatReporter(): Reporter {
  return {
    onTestRunEnd(modules) {
      const tests = modules.flatMap((module) => [...module.children.allTests()]);
      const clients = byClient(tests);
      const header = ['protocol', 'client', ...SCENARIOS.map(([name]) => name), 'tests'];
      const rows = clients.map((client) => [
        client.protocol,
        client.name,
        ...SCENARIOS.map(([, title]) => verdict(client.tests.filter((test) => title.test(test.fullName)))),
        `${client.tests.filter(passed).length} of ${client.tests.length}`,
      ]);
      const list = clients.flatMap(({ protocol, name, tests: driven }) => [
        '',
        `${protocol}, ${name}:`,
        ...driven.map((test) => `- ${titleOf(test)}: ${test.result().state}`),
      ]);
      const lines = [...tableOf(header, rows), ...list, '', ...failuresOf(modules, tests)];
      process.stdout.write(`${lines.join('\n')}\n`);
    },
  };
}

/** A dash where a protocol has no word for it, or nobody tried. */
function verdict(tests: readonly TestCase[]): string {
  if (tests.length === 0) return '–';
  return tests.every(passed) ? 'ok' : 'FAILED';
}

function passed(test: TestCase): boolean {
  return test.result().state === 'passed';
}

/** A test's suites say the protocol and the client; tests of no client in particular are one row a protocol. */
function byClient(tests: readonly TestCase[]): Client[] {
  const clients = new Map<string, Client>();
  for (const test of tests) {
    const [protocol = '', ...names] = test.fullName.split(' > ');
    const name = names.length > 1 ? (names[0] ?? '') : 'any';
    const client = clients.get(`${protocol} ${name}`) ?? { protocol, name, tests: [] };
    clients.set(`${protocol} ${name}`, client);
    client.tests.push(test);
  }
  return [...clients.values()].sort((one, other) => (one.protocol < other.protocol ? -1 : 1));
}

function titleOf(test: TestCase): string {
  const [, ...names] = test.fullName.split(' > ');
  return (names.length > 1 ? names.slice(1) : names).join(', ');
}

function tableOf(header: string[], rows: string[][]): string[] {
  const widths = header.map((name, index) =>
    Math.max(name.length, ...rows.map((row) => row[index]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')} |`;
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)];
}

function failuresOf(modules: readonly TestModule[], tests: readonly TestCase[]): string[] {
  return [
    ...modules.flatMap((module) => module.errors().map((error) => error.message)),
    ...tests.flatMap(
      (test) => test.result().errors?.map((error) => `${test.fullName}: ${error.message}`) ?? [],
    ),
  ];
}
