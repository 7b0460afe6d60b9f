/** A process is killed at a point of a turn, a fresh one goes on, and nothing is lost or doubled. */

import { afterAll, beforeAll } from 'vitest';
import type { KillPoint } from '../support/kill-points.ts';
import { proves } from '../support/proves.ts';
import { JUDGED, type Judged } from './judge.ts';
import { SCENARIOS, type ScenarioName } from './scenarios.ts';
import { openSweep, type Sweep } from './sweep.ts';

export type Kill = [ScenarioName, KillPoint];

/** Declares the kills that `choose` names; `atOnce` of them are under way at a time. */
export function provesKills(
  choose: (sweep: Sweep) => Promise<readonly Kill[]>,
  { bar, atOnce }: { bar: number; atOnce: number },
): void {
  let sweep: Sweep;
  beforeAll(async () => {
    sweep = await openSweep();
  });
  afterAll(() => sweep.close());

  proves('P1', JUDGED.P1, bar, async (tally) => {
    const { P1: _first, ...others } = JUDGED;
    const tallies = new Map<Judged, typeof tally>([['P1', tally]]);
    for (const promise of Object.keys(others) as (keyof typeof others)[])
      tallies.set(promise, tally.also(promise, JUDGED[promise]));
    const missed: Kill[] = [];
    let asked = 0;
    const kills = [...(await choose(sweep))].entries();
    const work = async () => {
      for (const [, [scenario, point]] of kills) {
        const verdict = await sweep.kill(scenario, point).catch((error: unknown) => ({
          reached: true,
          asked: false,
          faults: [{ promise: 'P2' as const, text: String(error instanceof Error ? error.stack : error) }],
        }));
        if (verdict.asked) asked += 1;
        // On another machine statements travel together that go one by one here: such a run counts only where it fails.
        if (!verdict.reached) missed.push([scenario, point]);
        for (const [promise, row] of tallies) {
          const faults = verdict.faults.filter((fault) => fault.promise === promise);
          const { cards, effects } = SCENARIOS[scenario];
          const applies = promise !== 'P3' || cards + effects > 0;
          if (faults.length > 0 || (verdict.reached && applies))
            row.count(faults.map(({ text }) => `${scenario} at ${point}: ${text}`));
        }
      }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
    tally.remark(`${missed.length} points not reached`);
    tallies.get('P3')?.remark(`${asked} outcomes asked`);
  });
}
