/** The process: serves, or with `migrate` brings the database up to date and ends. */

import './node-check.mjs';
import { run } from './process.ts';

await run(process.argv.slice(2));
