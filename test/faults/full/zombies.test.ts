import { provesZombies } from '../zombies.ts';

provesZombies({ stops: 6, turns: 6 });
