import { provesBindings } from '../bindings.ts';

provesBindings(1000);
