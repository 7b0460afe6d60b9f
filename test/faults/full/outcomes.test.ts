import { provesOutcomes } from '../outcomes.ts';

provesOutcomes(60);
