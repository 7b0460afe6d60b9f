/** The stores that the schedules run on keep the same promises as those of the service. */

import { beforeAll } from 'vitest';
import { describeApprovals } from '../contracts/approvals.ts';
import { describeCheckpointStore } from '../contracts/checkpoint-store.ts';
import { describeJournalStore } from '../contracts/journal-store.ts';
import { describeLedger } from '../contracts/ledger.ts';
import { beginTurn, settlementOf, takeOver } from '../contracts/turn-ports.ts';
import { describeTurnStore } from '../contracts/turn-store.ts';
import { createMemoryTurnPorts, type TurnPorts } from '../support/turn-ports.ts';

let ports: TurnPorts;
beforeAll(() => {
  ports = createMemoryTurnPorts();
});

describeTurnStore('memory', () => ports);
describeJournalStore('memory', () => ports);
describeApprovals('memory', () => ports);
describeLedger('memory', () => ports);
describeCheckpointStore('memory beside its turns', () => ({
  store: ports.checkpoints,
  startTurn: async () => (await beginTurn(ports)).turn.turnId,
  takeOver: async (turnId) => void (await takeOver(ports, turnId)),
  async end(turnId) {
    const { turn } = await takeOver(ports, turnId);
    await ports.turns.settle(turn, settlementOf(turn, 'completed'));
  },
}));
