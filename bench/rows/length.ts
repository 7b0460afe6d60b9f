/** One more turn on a conversation of 1,000 messages against one of 10: a turn must not pay for the past. */

import { type Lab, measure } from '../lab.ts';
import { type Row, ratios, short } from '../report.ts';
import { median } from '../statistics.ts';

const TURNS = 40;
const SCRIPT = { tokens: 20, everyMs: 0 };
const LONG = 1000;
const SHORT = 10;

export async function conversationLength(lab: Lab): Promise<Row[]> {
  // A turn is two messages. The short ones are many, as each turn makes its conversation longer.
  const [long] = (await begin(lab, 1)).values();
  if (long === undefined) throw new Error('no conversation was begun');
  await goOn(lab, [long], (lab.quick ? 200 : LONG) / 2 - 1);
  const cpu = { long: [] as number[], short: [] as number[] };
  const postgres = { long: [] as number[], short: [] as number[] };
  const bytes = { long: [] as number[], short: [] as number[] };
  for (let round = 0; round < lab.rounds; round += 1) {
    const fresh = await begin(lab, TURNS);
    await goOn(lab, fresh, TURNS * (SHORT / 2 - 1));
    for (const name of ['short', 'long'] as const) {
      const threads = name === 'long' ? [long] : fresh;
      const before = await walPosition(lab);
      const measured = await measure(lab, lab.service, { script: SCRIPT, turns: TURNS, atOnce: 1, threads });
      bytes[name].push(((await walPosition(lab)) - before) / TURNS);
      cpu[name].push(measured.cpuMs / TURNS);
      postgres[name].push(measured.postgresMs / TURNS);
    }
  }
  const figure = (name: 'long' | 'short', messages: number) =>
    `${messages} messages: CPU ${short(median(cpu[name]))} ms + PostgreSQL ${short(median(postgres[name]))} ms, ${short(median(bytes[name]) / 1024)} KiB of WAL a turn`;
  return [
    {
      what: 'one more turn on 1,000 messages against 10: CPU',
      bars: [{ unit: '×', must: 'at most', first: 1.3, goal: 1.1, rounds: ratios(cpu.long, cpu.short) }],
      figures: [figure('short', SHORT), figure('long', lab.quick ? 200 : LONG)],
    },
    {
      what: 'the same: bytes written',
      bars: [{ unit: '×', must: 'at most', first: 1.3, goal: 1.1, rounds: ratios(bytes.long, bytes.short) }],
      figures: [],
    },
  ];
}

async function begin(lab: Lab, count: number) {
  return (await measure(lab, lab.service, { script: SCRIPT, turns: count, atOnce: 1 })).threads;
}

/** Further turns, shared out among the conversations; two of one conversation never run at once. */
async function goOn(lab: Lab, threads: { threadId: string; key: string }[], turns: number) {
  await measure(lab, lab.service, { script: SCRIPT, turns, atOnce: Math.min(4, threads.length), threads });
}

async function walPosition({ database }: Lab): Promise<number> {
  const [row] = await database.query<{ bytes: string }>(
    `select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') as bytes`,
  );
  return Number(row?.bytes);
}
