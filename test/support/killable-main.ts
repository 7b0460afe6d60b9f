/**
 * The service as a process that ends itself with SIGKILL at the point that KILL_AT names (`ledger.settle:after:1`; where
 * it names none, it tells which it passes), and waits at the one that HOLD_AT names until it is sent a line. SIGTERM lets
 * it leave in good order.
 */

import { createApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { createKillPoints, deduplicating } from './kill-points.ts';
import { realClock } from './service.ts';

// The test that started it holds the other end; where that is gone, so is the reason to live.
process.stdin.resume().on('end', () => process.exit());

const { KILL_AT: killAt, HOLD_AT: holdAt, DEDUPLICATES: deduplicates } = process.env;
const config = readConfig();
const points = createKillPoints((point) => {
  if (point === killAt) process.kill(process.pid, 'SIGKILL');
  if (killAt === '') process.stdout.write(`passed ${point}\n`);
  if (point !== holdAt) return undefined;
  process.stdout.write('held\n');
  return new Promise((resolve) => process.stdin.once('data', resolve));
});
const app = await createApp({
  config,
  databaseUrl: config.databaseUrl ?? '',
  log: createLog({
    level: config.logLevel,
    write: (line) => process.stderr.write(line),
    secrets: config.secrets,
  }),
  clock: realClock,
  wrap: (name, port) => points(name, deduplicates === undefined ? port : deduplicating(name, port)),
});
const { url } = await app.start();
process.once('SIGTERM', async () => {
  await app.drain();
  await app.stop();
  process.exit();
});
process.stdout.write(`listening ${url}\n`);
