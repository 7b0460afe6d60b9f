import { type Kill, provesKills } from '../kills.ts';
import { SCENARIOS, type ScenarioName } from '../scenarios.ts';
import { OUTSIDE_POINTS } from '../sweep.ts';

const OUTSIDE: Kill[] = [
  ['plain', OUTSIDE_POINTS[0]],
  ['tool', OUTSIDE_POINTS[0]],
  ...(['mails', 'together', 'edit', 'repeated'] as const).map((name): Kill => [name, OUTSIDE_POINTS[1]]),
];

/** A slow machine may do with fewer: KILLS of the points, evenly spread. */
const KILLS = Number(process.env.KILLS ?? Number.POSITIVE_INFINITY);

provesKills(
  async (sweep) => {
    const kills: Kill[] = [...OUTSIDE];
    for (const scenario of Object.keys(SCENARIOS) as ScenarioName[])
      for (const point of await sweep.points(scenario)) kills.push([scenario, point]);
    const step = Math.max(1, kills.length / KILLS);
    return kills.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step));
  },
  { bar: 200, atOnce: 4 },
);
