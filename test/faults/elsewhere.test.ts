import { provesElsewhere } from './elsewhere.ts';

provesElsewhere({ turns: 2, kills: 0 });
