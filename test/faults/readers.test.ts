import { provesReaders } from './readers.ts';

provesReaders({ numbers: 150, step: 12, stalled: 12, turns: 4, comers: 60, ahead: 0 });
