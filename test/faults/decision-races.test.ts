import { provesDecisionRaces } from './decision-races.ts';

provesDecisionRaces({ contradictions: 16, agreements: 4 });
