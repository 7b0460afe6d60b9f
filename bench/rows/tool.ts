/** A turn with one tool: how long until the answer begins, and what it costs. */

import { interleave, type Lab } from '../lab.ts';
import { type Bar, type Row, ratios, short } from '../report.ts';
import { median } from '../statistics.ts';

/** It reads one row; the peer's tool answers the same without reading anything. */
export const TOOL_SCRIPT = { tokens: 50, everyMs: 0, tool: 'get_credit_balance' };

export async function toolTurn(lab: Lab): Promise<Row[]> {
  const rounds = await interleave(lab, [lab.service, lab.peer], (kind) => ({
    script: TOOL_SCRIPT,
    turns: kind === 'peer' || lab.quick ? 10 : 40,
    atOnce: 1,
  }));
  const firsts = (kind: 'service' | 'peer') => rounds(kind).map((round) => round.firstMs);
  const cpu = (kind: 'service' | 'peer') => rounds(kind).map((round) => round.cpuMs / round.turns);
  const postgres = median(rounds('service').map((round) => round.postgresMs / round.turns));
  const bars = (figure: typeof cpu): Bar[] => [
    {
      unit: '× peer',
      must: 'at most',
      first: 0.4,
      goal: 0.3,
      rounds: ratios(figure('service'), figure('peer')),
    },
  ];
  const figures = (['service', 'peer'] as const)
    .filter((kind) => rounds(kind).length > 0)
    .map((kind) => {
      const beside = kind === 'service' ? ` + PostgreSQL ${short(postgres)} ms` : '';
      return `${kind}: first token of the answer ${short(median(firsts(kind)))} ms, CPU ${short(median(cpu(kind)))} ms${beside} a turn`;
    });
  return [
    { what: "a turn with one tool: answer's first token", bars: bars(firsts), figures },
    { what: 'a turn with one tool: CPU', bars: bars(cpu), figures: [] },
  ];
}
