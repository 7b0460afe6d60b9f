import { provesSchedules } from '../schedules.ts';

provesSchedules({ count: 5_000, seed: Date.now() });
