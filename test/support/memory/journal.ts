/** The journal's rows in memory: the twin of resources/turns/journal-store.ts. */

import type { JournalStore } from '../../../src/runtime/ports.ts';
import { insertEvents, jsonb, type MemoryDatabase } from './database.ts';
import { forgetInbox } from './lease.ts';

export function createMemoryJournalStore({
  database,
  origin,
}: {
  database: MemoryDatabase;
  origin: string;
}): JournalStore {
  return {
    append: (batches) =>
      database.transact(() => {
        const owned = batches.filter((batch) => {
          const turn = database.turns.get(batch.turnId);
          return turn?.leaseEpoch === batch.epoch && turn.status === 'running';
        });
        for (const batch of owned) {
          insertEvents(database, batch.threadId, batch.rows, origin);
          forgetInbox(database, batch.threadId, batch.inboxIds);
        }
        return new Set(batches.filter((batch) => !owned.includes(batch)));
      }),

    read: ({ workspaceId, threadId }, after, before, limit) =>
      database.transact(() =>
        database.conversations.get(threadId)?.workspaceId !== workspaceId
          ? []
          : (database.events.get(threadId) ?? [])
              .filter((row) => row.seq > after && (before === null || row.seq < before))
              .slice(0, limit)
              .map(jsonb),
      ),
  };
}
