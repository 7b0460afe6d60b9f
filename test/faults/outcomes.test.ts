import { provesOutcomes } from './outcomes.ts';

provesOutcomes(6);
