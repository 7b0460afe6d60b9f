import { provesLongNetworkFaults, provesNetworkFaults } from '../network-faults.ts';

provesNetworkFaults({ silences: 10, slow: 50, cuts: 20 });
provesLongNetworkFaults();
