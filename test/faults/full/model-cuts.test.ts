import { provesModelCuts } from '../model-cuts.ts';

provesModelCuts({ offsets: 200 });
