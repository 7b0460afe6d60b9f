import { provesDrains } from './drains.ts';

provesDrains({ turns: 4, streams: 20 });
