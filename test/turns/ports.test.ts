/** The ports of a turn on PostgreSQL, held against the contracts that the stores in memory pass too. */

import { afterAll, beforeAll } from 'vitest';
import { describeApprovals } from '../contracts/approvals.ts';
import { describeJournalStore } from '../contracts/journal-store.ts';
import { describeLedger } from '../contracts/ledger.ts';
import { describeTurnStore } from '../contracts/turn-store.ts';
import { openPostgresTurnPorts, type TurnPorts } from '../support/turn-ports.ts';

let ports: TurnPorts;
beforeAll(async () => {
  ports = await openPostgresTurnPorts();
});
afterAll(() => ports.close());

describeTurnStore('PostgreSQL', () => ports);
describeJournalStore('PostgreSQL', () => ports);
describeApprovals('PostgreSQL', () => ports);
describeLedger('PostgreSQL', () => ports);
