/** Statements that PostgreSQL was sent for a turn, as it counts them itself. */

import { type Lab, measure } from '../lab.ts';
import { type Row, short } from '../report.ts';
import type { Script } from '../script.ts';
import { sum } from '../statistics.ts';
import { TOOL_SCRIPT } from './tool.ts';

const TURNS = 100;

/** The journal's group commits and the renewal of leases serve all turns at once and come with time, not with turns. */
const APART = [/^\s*with batch as \(/i, /^\s*update turns t set lease_until = /i];

export async function statements(lab: Lab): Promise<Row[]> {
  return [
    await count(lab, 'statements for a turn without tools', { tokens: 200, everyMs: 0 }, 10, 6),
    await count(lab, 'statements for a turn with one tool', TOOL_SCRIPT, 20, 12),
  ];
}

async function count(lab: Lab, what: string, script: Script, first: number, goal: number): Promise<Row> {
  await lab.database.query('select pg_stat_statements_reset()');
  await measure(lab, lab.service, { script, turns: TURNS, atOnce: 1 });
  const rows = await lab.database.query<{ query: string; calls: string }>(
    `select query, sum(calls) as calls from pg_stat_statements s join pg_roles r on r.oid = s.userid
      where r.rolname in ('overture_app', 'overture_runtime') group by query order by 2 desc`,
  );
  const counted = rows
    .filter(({ query }) => !APART.some((pattern) => pattern.test(query)))
    .map(({ query, calls }) => ({
      query: query.replaceAll(/\s+/g, ' ').trim(),
      each: Number(calls) / TURNS,
    }));
  return {
    what,
    bars: [{ unit: '', must: 'at most', first, goal, rounds: [sum(counted.map(({ each }) => each))] }],
    // The sweeps of the background come with time too; they are small and stay in the sum.
    figures: counted
      .filter(({ each }) => each >= 0.05)
      .map(({ query, each }) => `${short(each)} × ${query.slice(0, 90)}`),
  };
}
