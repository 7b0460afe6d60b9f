import { provesZombies } from './zombies.ts';

provesZombies({ stops: 1, turns: 4 });
