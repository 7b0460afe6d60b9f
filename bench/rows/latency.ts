/** One turn at a time: how long a person waits for the first token, and for the last. */

import { interleave, type Lab } from '../lab.ts';
import { type Row, ratios, short } from '../report.ts';
import { median } from '../statistics.ts';

export async function latency(lab: Lab): Promise<Row[]> {
  const script = { tokens: 200, everyMs: 0 };
  const rounds = await interleave(lab, [lab.bare, lab.relay, lab.service, lab.peer], (kind) => ({
    script,
    // The peer's streams end half a second after their last token.
    turns: kind === 'peer' || lab.quick ? 10 : 60,
    atOnce: 1,
  }));
  const lasts = (kind: 'model' | 'relay' | 'service' | 'peer') => rounds(kind).map((round) => round.lastMs);
  const firsts = (kind: 'model' | 'service') => rounds(kind).map((round) => round.firstMs);
  const figures = (['model', 'relay', 'service', 'peer'] as const)
    .filter((kind) => rounds(kind).length > 0)
    .map((kind) => {
      const first = median(rounds(kind).map((round) => round.firstMs));
      const cpu = median(rounds(kind).map((round) => round.cpuMs / round.turns));
      const postgres = median(rounds(kind).map((round) => round.postgresMs / round.turns));
      const beside = kind === 'service' ? ` + PostgreSQL ${short(postgres)} ms` : '';
      return `${kind}: first token ${short(first)} ms, last ${short(median(lasts(kind)))} ms, CPU ${short(cpu)} ms${beside} a turn`;
    });
  return [
    {
      what: 'one turn at a time, 200 tokens: last token',
      bars: [
        {
          unit: '× relay',
          must: 'at most',
          first: 3.5,
          goal: 2,
          rounds: ratios(lasts('service'), lasts('relay')),
        },
        {
          unit: '× peer',
          must: 'at most',
          first: 0.2,
          goal: 0.12,
          rounds: ratios(lasts('service'), lasts('peer')),
        },
      ],
      figures,
    },
    {
      what: "first token beyond the model's own",
      bars: [
        {
          unit: 'ms',
          must: 'at most',
          first: 12,
          goal: 5,
          rounds: firsts('service').map((value, index) => value - (firsts('model')[index] ?? Number.NaN)),
        },
      ],
      figures: [],
    },
  ];
}
