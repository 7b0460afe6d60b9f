/** The ports of a turn for their contract suites: on a database of PostgreSQL's, and in memory. */

import { randomUUID } from 'node:crypto';
import { v7 } from 'uuid';
import { createDatabase } from '../../src/db/database.ts';
import { createPool } from '../../src/db/pool.ts';
import { createPostgresCheckpointStore } from '../../src/engine/checkpoint-postgres.ts';
import type { CheckpointStore } from '../../src/engine/checkpoint-store.ts';
import { createLog } from '../../src/log.ts';
import { type Approvals, createApprovals, type Proposer } from '../../src/resources/approvals/approvals.ts';
import { createChat } from '../../src/resources/chat/chat.ts';
import { createConversations } from '../../src/resources/conversations/conversations.ts';
import { createContextReader } from '../../src/resources/turns/context.ts';
import { createLedger, type Ledger } from '../../src/resources/turns/effects.ts';
import { createJournalStore } from '../../src/resources/turns/journal-store.ts';
import { createTurnStore } from '../../src/resources/turns/turn-store.ts';
import type { Caller } from '../../src/runtime/caller.ts';
import { createInFlight } from '../../src/runtime/in-flight.ts';
import { createJournal } from '../../src/runtime/journal.ts';
import type { Engine, JournalStore, TurnStore } from '../../src/runtime/ports.ts';
import { createTurns } from '../../src/runtime/turn.ts';
import { cursors } from './cursors.ts';
import { openDatabase } from './database.ts';
import { createMemoryApprovals } from './memory/approvals.ts';
import { createMemoryTurnCheckpoints } from './memory/checkpoints.ts';
import { createMemoryConversations } from './memory/conversations.ts';
import { createMemoryDatabase } from './memory/database.ts';
import { createMemoryJournalStore } from './memory/journal.ts';
import { createMemoryLedger } from './memory/ledger.ts';
import { createMemoryTurnStore } from './memory/turns.ts';
import { realClock } from './service.ts';

export interface TurnPorts {
  turns: TurnStore;
  journal: JournalStore;
  checkpoints: CheckpointStore;
  approvals: Pick<Approvals, 'decide' | 'ofCall' | 'expire'>;
  ledger: Ledger;
  conversations: {
    rename(caller: Caller, threadId: string, title: string): Promise<unknown>;
    archive(caller: Caller, threadId: string): Promise<unknown>;
    restore(caller: Caller, threadId: string): Promise<unknown>;
    cancel(
      caller: Caller,
      threadId: string,
      turnId?: string,
    ): Promise<{ turn_id: string | null; status: string }>;
  };
  caller: Caller;
  /** Lets the lease of a turn run out. */
  lapse(turnId: string): Promise<void>;
  /** Lets the time of a card run out. */
  expireCard(approvalId: string): Promise<void>;
  /** The message as it is stored. */
  message(id: string): Promise<{ status: string; content: string; parts: unknown[] } | undefined>;
  close(): Promise<void>;
}

/** What an edit of any card would show: its hash is made of the changed arguments' names. */
export const EDITED_HASH = 'e'.repeat(64);
const proposer: Proposer = {
  async propose(_caller, card, args) {
    const { title, facts, warnings, preview, consequence } = card;
    return { args, args_hash: EDITED_HASH, title, facts, warnings, preview, consequence };
  },
  recipients: async (_caller, card) => ({ args_hash: card.args_hash, recipients: [] }),
};

function callerOf(workspaceId: string): Caller {
  return {
    workspaceId,
    userId: 'user',
    kind: 'person',
    scopes: null,
    sandbox: false,
    email: null,
    keyId: null,
    plan: 'standard',
  };
}

const LEASE = { leaseSeconds: 30, modelName: 'scripted', newId: () => v7(), now: () => Date.now() };

/** No turn is driven here: the suites call the ports themselves. */
const idleEngine: Engine = {
  modelName: 'scripted',
  perform: () => Promise.reject(new Error('no turn is driven here')),
  answerBegun: async () => {},
  completedCalls: async () => 0,
};

/** Opens a migrated database of its own with the service's roles. */
export async function openPostgresTurnPorts(): Promise<TurnPorts> {
  const { url, query, close } = await openDatabase();
  const log = createLog({ level: 'error', write: (line) => process.stderr.write(line), secrets: [] });
  const appPool = createPool({ url, role: 'overture_app', size: 4, log });
  const runtimePool = createPool({ url, role: 'overture_runtime', size: 4, log });
  const workspaceId = randomUUID();
  await query(`insert into workspaces (id, name) values ($1, 'Test')`, [workspaceId]);
  const lease = { ...LEASE, owner: v7() };
  const approvals = createApprovals({ ...lease, appPool, runtimePool, cursors, proposer });
  const conversations = createConversations({
    ...lease,
    appPool,
    cursors,
    pendingApprovals: approvals.pendingWithin,
  });
  const turnStore = createTurnStore({
    ...lease,
    appPool,
    runtimePool,
    pendingApprovals: approvals.pendingWithin,
    context: createContextReader({ appPool, now: Date.now, leaseSeconds: 5 }),
  });
  const journalStore = createJournalStore({ runtimePool, appPool, origin: lease.owner });
  const journal = createJournal({
    store: journalStore,
    wake: { onJournal: () => () => {} },
    clock: realClock,
    onFlushError: (error) => log.error({ err: error }, 'a flush failed'),
  });
  const turns = createTurns({
    store: turnStore,
    journal,
    engine: idleEngine,
    inFlight: createInFlight(),
    report: (error) => log.error({ err: error }, 'a turn failed'),
  });
  const chat = createChat({ ...lease, appPool, turns, journal, approvals, conversations });
  return {
    turns: turnStore,
    journal: journalStore,
    checkpoints: createPostgresCheckpointStore({ pool: runtimePool, now: Date.now, leaseSeconds: 5 }),
    approvals,
    ledger: createLedger({ database: createDatabase({ pool: appPool }), ...lease }),
    conversations: {
      rename: conversations.rename,
      archive: conversations.archive,
      restore: conversations.restore,
      cancel: (caller, threadId, turnId) => chat.cancel(caller, threadId, turnId),
    },
    caller: callerOf(workspaceId),
    lapse: async (turnId) =>
      void (await query(`update turns set lease_until = now() - interval '1 second' where id = $1`, [
        turnId,
      ])),
    expireCard: async (id) =>
      void (await query(`update approvals set expires_at = now() - interval '1 second' where id = $1`, [id])),
    async message(id) {
      const [row] = await query<{ status: string; content: string; parts: unknown[] }>(
        'select status, content, parts from conversation_messages where id = $1',
        [id],
      );
      return row;
    },
    async close() {
      await Promise.all([appPool.end(), runtimePool.end()]);
      await close();
    },
  };
}

/** The same in memory. */
export function createMemoryTurnPorts(): TurnPorts {
  const database = createMemoryDatabase({ now: () => Date.now() });
  const needs = { ...LEASE, owner: v7(), database };
  const workspaceId = randomUUID();
  return {
    turns: createMemoryTurnStore(needs),
    journal: createMemoryJournalStore({ database, origin: needs.owner }),
    checkpoints: createMemoryTurnCheckpoints({ database }),
    approvals: createMemoryApprovals({ ...needs, proposer }),
    ledger: createMemoryLedger({ database }),
    conversations: createMemoryConversations(needs),
    caller: callerOf(workspaceId),
    async lapse(turnId) {
      const turn = database.turns.get(turnId);
      if (turn !== undefined) turn.leaseUntil = Date.now() - 1000;
    },
    async expireCard(id) {
      const card = database.cards.get(id);
      if (card !== undefined) card.expiresAt = Date.now() - 1000;
    },
    async message(id) {
      const found = database.messages.get(id);
      return found === undefined
        ? undefined
        : { status: found.status, content: found.content, parts: found.parts };
    },
    close: async () => {},
  };
}
