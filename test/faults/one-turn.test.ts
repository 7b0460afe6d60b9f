import { provesOneTurn } from './one-turn.ts';

provesOneTurn({ posts: 40, sequential: 20, concurrent: 30, crashes: 2 });
