import { provesDecisionRaces } from '../decision-races.ts';

provesDecisionRaces({ contradictions: 200, agreements: 50 });
