/** The service as a process that ends itself with SIGKILL at the point that KILL_AT names (`ledger.settle:after:1`). */

import { createApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { createKillPoints } from './kill-points.ts';
import { realClock } from './service.ts';

// The test that started it holds the other end; where that is gone, so is the reason to live.
process.stdin.resume().on('end', () => process.exit());

const killAt = process.env.KILL_AT;
const config = readConfig();
const app = await createApp({
  config,
  databaseUrl: config.databaseUrl ?? '',
  log: createLog({
    level: config.logLevel,
    write: (line) => process.stderr.write(line),
    secrets: config.secrets,
  }),
  clock: realClock,
  wrap: createKillPoints((point) => {
    if (point === killAt) process.kill(process.pid, 'SIGKILL');
  }),
});
const { url } = await app.start();
process.stdout.write(`listening ${url}\n`);
