import { provesBindings } from './bindings.ts';

provesBindings(40);
