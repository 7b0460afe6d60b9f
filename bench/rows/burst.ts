/** 64 turns that begin in the same instant, at full speed: throughput and what a token costs. */

import { interleave, type Lab, type Measurement } from '../lab.ts';
import { type Bar, type Row, ratios, short } from '../report.ts';
import { median, sum } from '../statistics.ts';

const AT_ONCE = 64;

const tokensPerSecond = (round: Measurement) => round.tokens / (round.wallMs / 1000);
const microsPerToken = (round: Measurement) => (round.cpuMs * 1000) / round.tokens;

export async function burst(lab: Lab): Promise<Row[]> {
  const rounds = await bursts(lab, 200, true, 3);
  const speed = (kind: 'relay' | 'service' | 'peer') => rounds(kind).map(tokensPerSecond);
  const cost = (kind: 'relay' | 'service' | 'peer') => rounds(kind).map(microsPerToken);
  const speeds: Bar[] = [
    {
      unit: '× relay',
      must: 'at least',
      first: 0.33,
      goal: 0.5,
      rounds: ratios(speed('service'), speed('relay')),
    },
    {
      unit: '× peer',
      must: 'at least',
      first: 5,
      goal: 8,
      rounds: ratios(speed('service'), speed('peer')),
    },
  ];
  const costs: Bar[] = [
    { unit: '× relay', must: 'at most', first: 4, goal: 2.5, rounds: ratios(cost('service'), cost('relay')) },
    {
      unit: '× peer',
      must: 'at most',
      first: 0.3,
      goal: 0.15,
      rounds: ratios(cost('service'), cost('peer')),
    },
  ];
  return [
    { what: '64 turns at once, 200 tokens: tokens/s', bars: speeds, figures: figuresOf(rounds) },
    { what: '64 turns at once, 200 tokens: CPU a token', bars: costs, figures: [] },
  ];
}

export async function longBurst(lab: Lab): Promise<Row[]> {
  const rounds = await bursts(lab, 1000, false, 1);
  const speed = (kind: 'relay' | 'service') => rounds(kind).map(tokensPerSecond);
  return [
    {
      what: '64 turns at once, 1,000 tokens: tokens/s',
      bars: [
        {
          unit: '× relay',
          must: 'at least',
          first: 0.6,
          goal: 0.8,
          rounds: ratios(speed('service'), speed('relay')),
        },
      ],
      figures: figuresOf(rounds),
    },
  ];
}

/** A round is several bursts, each after the one before has ended. */
async function bursts(lab: Lab, tokens: number, withPeer: boolean, burstsEach: number) {
  const times = lab.quick ? 1 : burstsEach;
  const once = await interleave(
    { ...lab, rounds: lab.rounds * times },
    [lab.relay, lab.service, withPeer ? lab.peer : null],
    () => ({ script: { tokens, everyMs: 0 }, turns: AT_ONCE, atOnce: AT_ONCE }),
  );
  return (kind: 'relay' | 'service' | 'peer') => gather(once(kind), times);
}

/** Joins neighbours to rounds: tokens, time and CPU are summed. */
function gather(single: readonly Measurement[], times: number): Measurement[] {
  return single
    .filter((_, index) => index % times === 0)
    .map((first, index) => {
      const group = single.slice(index * times, (index + 1) * times);
      return {
        ...first,
        turns: sum(group.map((one) => one.turns)),
        tokens: sum(group.map((one) => one.tokens)),
        wallMs: sum(group.map((one) => one.wallMs)),
        cpuMs: sum(group.map((one) => one.cpuMs)),
        postgresMs: sum(group.map((one) => one.postgresMs)),
        firstMs: median(group.map((one) => one.firstMs)),
        lastMs: median(group.map((one) => one.lastMs)),
      };
    });
}

function figuresOf(rounds: (kind: 'relay' | 'service' | 'peer') => Measurement[]): string[] {
  return (['relay', 'service', 'peer'] as const)
    .filter((kind) => rounds(kind).length > 0)
    .map((kind) => {
      const of = (figure: (round: Measurement) => number) => short(median(rounds(kind).map(figure)));
      const postgres = of((round) => (round.postgresMs * 1000) / round.tokens);
      const beside = kind === 'service' ? ` + PostgreSQL ${postgres} µs` : '';
      return `${kind}: ${of(tokensPerSecond)} tokens/s, CPU ${of(microsPerToken)} µs${beside} a token, first token ${of((round) => round.firstMs)} ms`;
    });
}
