import { provesFraming } from './framing.ts';

provesFraming({ turns: 1 });
