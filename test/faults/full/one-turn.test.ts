import { provesOneTurn } from '../one-turn.ts';

provesOneTurn({ posts: 200, sequential: 100, concurrent: 100, crashes: 50 });
