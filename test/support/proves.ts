/** A row of the table of `npm run test:faults`: a promise of the README, how often it was tried, how often it held. */

import { expect, it } from 'vitest';

/** What a test reports; the reporter (fault-reporter.ts) prints it. */
export interface FaultRow {
  /** `P4`: as the promises are numbered. */
  promise: string;
  what: string;
  tried: number;
  held: number;
  /** A measured figure or a number of faults that somebody should know beside the count. */
  remark?: string;
}

declare module 'vitest' {
  interface TaskMeta {
    faultRows?: FaultRow[];
  }
}

export interface Tally {
  /** Counts one try; it held where there is no fault to tell. */
  count(faults: readonly string[]): void;
  /** Tries once with each, `atOnce` of them at a time; a try that throws has not held. */
  each<Case>(
    cases: Iterable<Case>,
    atOnce: number,
    attempt: (one: Case) => Promise<readonly string[]>,
  ): Promise<void>;
  /** Says something beside the count. */
  remark(text: string): void;
  /** Another row of the same test, for one run that proves several promises. */
  also(promise: string, what: string): Tally;
}

/**
 * Declares a test that proves a promise by trying many times: it passes where at least `bar` tries were counted and all of
 * them held. In the full run it becomes a row of the table; in `npm test` the same test runs with smaller numbers.
 */
export function proves(
  promise: string,
  what: string,
  bar: number,
  prove: (tally: Tally) => Promise<void>,
): void {
  it(`${promise}: ${what}`, async ({ task }) => {
    const rows: FaultRow[] = [];
    task.meta.faultRows = rows;
    const faults: string[] = [];
    await prove(createTally(rows, faults, promise, what));
    // The reporter prints messages, not differences.
    expect(faults, faults.slice(0, 20).join('\n')).toEqual([]);
    for (const row of rows) expect(row.held, `of ${row.tried} tries of ${row.promise}`).toBe(row.tried);
    expect(rows[0]?.tried).toBeGreaterThanOrEqual(bar);
  });
}

function createTally(rows: FaultRow[], faults: string[], promise: string, what: string): Tally {
  const row: FaultRow = { promise, what, tried: 0, held: 0 };
  rows.push(row);
  const count = (found: readonly string[]) => {
    row.tried += 1;
    if (found.length === 0) row.held += 1;
    faults.push(...found.map((fault) => `${promise}: ${fault}`));
  };
  return {
    count,
    async each(cases, atOnce, attempt) {
      const left = [...cases].entries();
      const work = async () => {
        for (const [index, one] of left) {
          count(
            await attempt(one).catch((error: unknown) => [
              `try ${index}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
            ]),
          );
        }
      };
      await Promise.all(Array.from({ length: atOnce }, work));
    },
    remark(text) {
      row.remark = text;
    },
    also: (another, whatElse) => createTally(rows, faults, another, whatElse),
  };
}
