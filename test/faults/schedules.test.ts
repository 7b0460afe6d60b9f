import { provesSchedules } from './schedules.ts';

provesSchedules({ count: 80, seed: 1 });
