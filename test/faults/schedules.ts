/** Random schedules of everything that can happen to turns, on the real runtime: fast-check chooses, the oracle looks. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { proves } from '../support/proves.ts';
import { findFaults } from './schedules/oracle.ts';
import { play } from './schedules/world.ts';

/** Schedules that failed once: they run first. A new one is what a failure prints. */
const CASES: { what: string; choices: number[] }[] = JSON.parse(
  readFileSync(path.join(import.meta.dirname, 'schedules/cases.json'), 'utf8'),
);

const schedule = fc.array(fc.noBias(fc.nat(255)), { minLength: 50, maxLength: 850, size: 'max' });

/** What must happen often, for a run of schedules to prove anything; its row says how often. */
const TELLING = [
  'message taken',
  'decided',
  'crash',
  'taken over',
  'expired',
  'freeze',
  'model call',
] as const;

/** Declares the schedules: `count` of them, from a seed that a failure prints. */
export function provesSchedules({ count, seed }: { count: number; seed: number }): void {
  it.each(CASES)('a schedule that failed once: $what', async ({ choices }) => {
    expect(findFaults(await play(choices))).toEqual([]);
  });

  proves(
    'P10',
    'random schedules: cancel, supersede, decide, expire, archive, crash, zombie',
    count,
    async (tally) => {
      const happened = new Map<string, number>();
      const outcome = await fc.check(
        fc.asyncProperty(schedule, async (choices) => {
          const world = await play(choices);
          const faults = findFaults(world);
          for (const [what, times] of world.happened) happened.set(what, (happened.get(what) ?? 0) + times);
          if (faults.length > 0) throw new Error(faults.join('\n'));
          tally.count([]);
        }),
        { numRuns: count, seed },
      );
      if (outcome.failed) tally.count([fc.defaultReportMessage(outcome) ?? 'it failed']);
      // A schedule in which nothing happens proves nothing.
      for (const what of TELLING) expect(happened.get(what) ?? 0, what).toBeGreaterThan(count / 50);
      tally.remark(TELLING.map((what) => `${happened.get(what)} × ${what}`).join(', '));
    },
  );
}
