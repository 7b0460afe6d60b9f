import { provesDrains } from '../drains.ts';

provesDrains({ turns: 20, streams: 100, exitMs: 25_000 });
