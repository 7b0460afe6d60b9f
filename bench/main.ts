/**
 * The benchmark: this service beside a bare relay and LangGraph's development server, in one run on one machine.
 *
 *   npm run bench                         all rows without the peer
 *   npm run bench -- --peer               installs the peer into a temporary folder (npm, about 200 MB)
 *   BENCH_PEER_DIR=… npm run bench        takes the peer that is installed there
 *   npm run bench -- --quick              few rounds and little warm-up: shows that it runs, its figures mean little
 *   npm run bench -- --only burst,tool    only these rows (see ROWS)
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Lab, measure } from './lab.ts';
import { findPeer, startPeer } from './peer.ts';
import { type Child, type ModelStatus, startChild } from './processes.ts';
import { format, heading, type Row, short, summary } from './report.ts';
import { burst, longBurst } from './rows/burst.ts';
import { dispatch } from './rows/dispatch.ts';
import { latency } from './rows/latency.ts';
import { launch } from './rows/launch.ts';
import { conversationLength } from './rows/length.ts';
import { memory } from './rows/memory.ts';
import { paced } from './rows/paced.ts';
import { statements } from './rows/statements.ts';
import { TOOL_SCRIPT, toolTurn } from './rows/tool.ts';
import { startDatabase, startService } from './service.ts';

const ROWS: Record<string, (lab: Lab) => Promise<Row[]>> = {
  latency,
  burst,
  'long-burst': longBurst,
  paced,
  length: conversationLength,
  tool: toolTurn,
  statements,
  memory,
  launch,
  dispatch,
};

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    peer: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
});
const chosen = flags.only?.split(',') ?? Object.keys(ROWS);
const unknown = chosen.filter((name) => !(name in ROWS));
if (unknown.length > 0) {
  say(`There is no row ${unknown.join(', ')}. Rows: ${Object.keys(ROWS).join(', ')}.`);
  process.exit(1);
}

/** Undone in the opposite order. */
const undo: (() => Promise<unknown>)[] = [];
let failed = false;
try {
  await run();
} catch (error) {
  failed = true;
  say(error instanceof Error ? (error.stack ?? error.message) : String(error));
} finally {
  for (const step of undo.reverse()) await step().catch((error) => say(`In the end: ${error}`));
}
process.exit(failed ? 1 : 0);

async function run(): Promise<void> {
  const lab = await setUp();
  await warmUp(lab);
  say(heading());
  const all: Row[] = [];
  for (const name of chosen) {
    const began = performance.now();
    const load = short(loadavg()[0] ?? Number.NaN);
    const rows = (await ROWS[name]?.(lab)) ?? [];
    all.push(...rows);
    for (const row of rows) say(format(row));
    // The benchmark itself keeps two cores busy; what is above that comes from others.
    say(`    (load average ${load} before, ${short(loadavg()[0] ?? Number.NaN)} after ${seconds(began)} s)`);
  }
  say(`\n${summary(all)}`);
  say(`Load average at the end: ${loadavg().map(short).join(' ')}; ${seconds(0)} s in all.`);
}

async function setUp(): Promise<Lab> {
  const folder = await mkdtemp(path.join(tmpdir(), 'overture-bench-'));
  undo.push(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const started = async (file: string, args: string[] = []): Promise<Child> => {
    const child = await startChild(file, args);
    undo.push(() => child.stop());
    return child;
  };
  const model = await started('model.ts');
  const relay = await started('relay.ts', [model.url]);
  const load = await started('load.ts');
  const database = await startDatabase(folder);
  undo.push(() => database.stop());
  const service = await startService({
    databaseUrl: database.url,
    modelUrl: model.url,
    folder,
    callers: 16,
  });
  undo.push(() => service.stop());
  const lab: Lab = {
    model,
    load,
    database,
    bare: { door: { kind: 'model', url: model.url, keys: [''] }, pid: model.pid },
    relay: { door: { kind: 'relay', url: relay.url, keys: [''] }, pid: relay.pid },
    service: { door: { kind: 'service', url: service.url, keys: service.keys }, pid: service.pid },
    peer: null,
    rounds: flags.quick ? 2 : 5,
    quick: flags.quick,
    folder,
  };
  const peer = await addPeer(lab);
  say(
    `Overture's benchmark · Node ${process.version} · ${availableParallelism()} × ${cpus()[0]?.model} · load average ${loadavg().map(short).join(' ')}`,
  );
  say(peer);
  return lab;
}

/** Puts the peer into the lab, or answers why it is not there. */
async function addPeer(lab: Lab): Promise<string> {
  const found = await findPeer(lab.folder, { named: process.env.BENCH_PEER_DIR, install: flags.peer });
  if ('reason' in found) return `The rows against the peer are left out: ${found.reason}.`;
  // One turn of ours shows what the peer has to send to the model.
  await measure(lab, lab.service, { script: { tokens: 1, everyMs: 0 }, turns: 1, atOnce: 1 });
  const { lastRequest } = await lab.model.ask<ModelStatus>('status');
  const peer = await startPeer(found.folder, {
    folder: lab.folder,
    modelUrl: lab.model.url,
    request: lastRequest,
  });
  undo.push(() => peer.stop());
  lab.peer = {
    door: { kind: 'peer', url: peer.url, keys: [''] },
    pid: peer.pid,
    truncate: peer.truncate,
  };
  return `Peer: @langchain/langgraph-api ${peer.version}, its storage emptied before each round.`;
}

/** Before about a thousand turns a part of what is measured is the compiler. */
async function warmUp(lab: Lab): Promise<void> {
  const turns = flags.quick ? 100 : 1000;
  for (const contender of [lab.bare, lab.relay, lab.service, lab.peer]) {
    if (contender === null) continue;
    await measure(lab, contender, { script: { tokens: 200, everyMs: 0 }, turns, atOnce: 16 });
    if (contender === lab.relay || contender === lab.bare) continue;
    await measure(lab, contender, { script: TOOL_SCRIPT, turns: turns / 5, atOnce: 16 });
  }
  say(`Warmed up with ${turns} turns each (and ${turns / 5} with a tool).\n`);
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(0);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
