/** What an open stream needs: a turn that waits for its model, and a stream on which nothing happens. */

import { randomUUID } from 'node:crypto';
import path from 'node:path';
import type { Lab } from '../lab.ts';
import type { Door, Measured, Opening } from '../load.ts';
import { type Child, type ModelStatus, startChild } from '../processes.ts';
import { type Row, ratios, short } from '../report.ts';
import { startService } from '../service.ts';
import { median } from '../statistics.ts';

const COLLECT = ['--expose-gc', '--import', path.join(import.meta.dirname, '../collect.ts')];
/** The first ones fill pools and caches; the slope is taken over the rest. */
const FIRST = 300;
const MORE = 900;
/** A key may hold 200 streams. */
const CALLERS = 12;

type What = Opening['what'];

export async function memory(lab: Lab): Promise<Row[]> {
  const passes = lab.quick ? 1 : 3;
  const rows: Row[] = [];
  for (const what of ['turn', 'stream'] as const) {
    const relay: number[] = [];
    const service: number[] = [];
    for (let pass = 0; pass < passes; pass += 1) {
      relay.push(await withRelay(lab, what));
      service.push(await withService(lab, what));
    }
    rows.push({
      what: what === 'turn' ? 'a turn waiting for its model: memory' : 'an idle stream: memory',
      bars: [{ unit: '× relay', must: 'at most', first: 3, goal: 2, rounds: ratios(service, relay) }],
      figures: [`relay ${short(median(relay))} KiB, service ${short(median(service))} KiB each, of ${MORE}`],
    });
  }
  return rows;
}

async function withRelay(lab: Lab, what: What): Promise<number> {
  const relay = await startChild('relay.ts', [lab.model.url], COLLECT.slice(0, 1));
  try {
    return await slope(lab, relay, { kind: 'relay', url: relay.url, keys: [''] }, what);
  } finally {
    await relay.stop();
  }
}

async function withService(lab: Lab, what: What): Promise<number> {
  const service = await startService({
    databaseUrl: lab.database.url,
    modelUrl: lab.model.url,
    folder: path.join(lab.folder, randomUUID()),
    callers: CALLERS,
    execArgv: COLLECT,
  });
  try {
    return await slope(lab, service, { kind: 'service', url: service.url, keys: service.keys }, what);
  } finally {
    await ended(lab);
    await service.stop();
  }
}

/** Resolves when the turns that were let go have ended: what a killed process leaves the next row's service would take over. */
async function ended({ database }: Lab): Promise<void> {
  for (let looks = 0; looks < 600; looks += 1) {
    const running = await database.query(`select 1 from turns where status = 'running' limit 1`);
    if (running.length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** KiB that one more stream needs, in a process that has just begun: the larger of what the system and V8 say. */
async function slope(lab: Lab, process: Child, door: Door, what: What): Promise<number> {
  const script = { tokens: 20, everyMs: 0 };
  const { threads } = await lab.load.ask<Measured>('run', {
    door,
    script,
    turns: 200,
    atOnce: 8,
    staggerMs: 0,
  });
  const open = async (count: number, all: number) => {
    await lab.load.ask('open', { door, count, what, threads });
    while (what === 'turn' && (await lab.model.ask<ModelStatus>('status')).held < all) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    // What the last requests left behind is written and let go of.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return process.ask<NodeJS.MemoryUsage>('memory');
  };
  try {
    const before = await open(FIRST, FIRST);
    const after = await open(MORE, FIRST + MORE);
    const heap = (usage: NodeJS.MemoryUsage) => usage.heapUsed + usage.external;
    // Pages that were free before hide growth from the system's figure, native memory hides it from V8's.
    return Math.max(after.rss - before.rss, heap(after) - heap(before)) / MORE / 1024;
  } finally {
    await lab.load.ask('close');
    await lab.model.ask('release');
  }
}
