/**
 * The service as a process that ends itself with SIGKILL at a point: `KILL_AT=ledger.settle:after:1`. Without it the
 * process tells each point that it passes on standard output, a line `point <name>` each.
 */

import { createApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { createKillPoints } from './kill-points.ts';
import { realClock } from './service.ts';

const killAt = process.env.KILL_AT ?? null;
const config = readConfig();
const app = await createApp({
  config,
  databaseUrl: config.databaseUrl ?? '',
  log: createLog({ level: config.logLevel, write: (line) => process.stderr.write(line), secrets: config.secrets }),
  clock: realClock,
  wrap: createKillPoints((point) => {
    if (killAt === null) process.stdout.write(`point ${point}\n`);
    else if (killAt === point) process.kill(process.pid, 'SIGKILL');
  }),
});
const { url } = await app.start();
process.stdout.write(`listening ${url}\n`);
