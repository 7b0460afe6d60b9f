import { provesElsewhere } from '../elsewhere.ts';

provesElsewhere({ turns: 20, kills: 10 });
