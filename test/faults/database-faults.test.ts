import { provesDatabaseFaults } from './database-faults.ts';

provesDatabaseFaults({ restarts: 5, connections: 5, commits: 6 });
