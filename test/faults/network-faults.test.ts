import { provesNetworkFaults } from './network-faults.ts';

provesNetworkFaults({ silences: 1, slow: 4, cuts: 2 });
