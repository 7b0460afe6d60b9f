/** 100 turns at the pace of a real model, begun one after the other: how evenly their tokens come. */

import { interleave, type Lab } from '../lab.ts';
import { type Row, ratios, short } from '../report.ts';
import { median } from '../statistics.ts';

const AT_ONCE = 100;
const EVERY_MS = 20;
const STAGGER_MS = 40;

export async function paced(lab: Lab): Promise<Row[]> {
  const tokens = lab.quick ? 100 : 250;
  const rounds = await interleave(lab, [lab.relay, lab.service], () => ({
    script: { tokens, everyMs: EVERY_MS },
    turns: AT_ONCE,
    atOnce: AT_ONCE,
    staggerMs: STAGGER_MS,
  }));
  const gaps = (kind: 'relay' | 'service') => rounds(kind).map((round) => round.gapMs);
  const cpu = (kind: 'relay' | 'service') => rounds(kind).map((round) => round.cpuMs);
  const figures = (['relay', 'service'] as const).map((kind) => {
    const token = median(rounds(kind).map((round) => (round.cpuMs * 1000) / round.tokens));
    const postgres = median(rounds(kind).map((round) => (round.postgresMs * 1000) / round.tokens));
    const beside = kind === 'service' ? ` + PostgreSQL ${short(postgres)} µs` : '';
    return `${kind}: p99 gap ${short(median(gaps(kind)))} ms, CPU ${short(token)} µs${beside} a token`;
  });
  return [
    {
      what: '100 turns at 50 tokens/s: p99 gap',
      bars: [
        {
          unit: '× relay',
          must: 'at most',
          first: 2,
          goal: 1.3,
          rounds: ratios(gaps('service'), gaps('relay')),
        },
      ],
      figures,
    },
    {
      what: '100 turns at 50 tokens/s: CPU',
      bars: [
        { unit: '× relay', must: 'at most', first: 3, goal: 2, rounds: ratios(cpu('service'), cpu('relay')) },
      ],
      figures: [],
    },
  ];
}
