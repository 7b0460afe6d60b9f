/** A service process that does nothing but use the embedded database of a data directory until told to stop. */

import { createInterface } from 'node:readline';
import { createEmbeddedDatabase } from '../../src/db/embedded.ts';
import { quietLog } from './cluster.ts';

const [dataDir = ''] = process.argv.slice(2);
const database = await createEmbeddedDatabase({ dataDir, log: quietLog }).start();
process.stdout.write(`${database.url}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'stop') break;
}
await database.stop();
