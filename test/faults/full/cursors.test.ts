import { provesCursors } from '../cursors.ts';

provesCursors({ chance: 200 });
