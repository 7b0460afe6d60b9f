import { provesReaders } from '../readers.ts';

provesReaders({ numbers: 300, step: 1, stalled: 200, turns: 20, comers: 1_000, ahead: 200 });
