import { provesDatabaseFaults } from '../database-faults.ts';

provesDatabaseFaults({ restarts: 50, connections: 50, commits: 40 });
