/** One process of the service on stores in memory: the real runtime, engine and gate; every port through the turnstile. */

import path from 'node:path';
import { createOutreachGraph } from '../../../graphs/outreach/graph.ts';
import { createContext, OUTREACH_PROMPTS } from '../../../src/engine/context.ts';
import { createGate } from '../../../src/engine/gate.ts';
import type { Model } from '../../../src/engine/model.ts';
import { createPrompts } from '../../../src/engine/prompts.ts';
import { createProposer, createToolBox } from '../../../src/engine/proposals.ts';
import { createEngine } from '../../../src/engine/runner.ts';
import { createInFlight } from '../../../src/runtime/in-flight.ts';
import { createJournal, type Journal } from '../../../src/runtime/journal.ts';
import { createTurns, type Turns } from '../../../src/runtime/turn.ts';
import { createMemoryApprovals } from '../../support/memory/approvals.ts';
import { createMemoryTurnCheckpoints } from '../../support/memory/checkpoints.ts';
import { createMemoryConversations } from '../../support/memory/conversations.ts';
import type { MemoryDatabase, Notice } from '../../support/memory/database.ts';
import { createMemoryJournalStore } from '../../support/memory/journal.ts';
import { createMemoryLedger } from '../../support/memory/ledger.ts';
import { createMemoryTurnStore } from '../../support/memory/turns.ts';
import { createScheduleTools, type Outside } from './tools.ts';
import type { Owner, Turnstile } from './turnstile.ts';

export const LEASE_SECONDS = 15;
export const CARD_HOURS = 1;
const BUDGET = { modelCalls: 5, toolCalls: 8, tokens: 1_000_000, runMs: Number.POSITIVE_INFINITY };

export interface Timer {
  owner: Owner;
  due: number;
  callback: () => void;
}

export interface ProcessNeeds {
  owner: Owner;
  database: MemoryDatabase;
  turnstile: Turnstile;
  outside: Outside;
  timers: Timer[];
  newId(): string;
  model(owner: Owner): Model;
  fate: Parameters<typeof createScheduleTools>[0]['fate'];
  report(error: unknown): void;
}

export interface Process {
  owner: Owner;
  turns: Turns;
  journal: Journal;
  approvals: ReturnType<typeof createMemoryApprovals>;
  conversations: ReturnType<typeof createMemoryConversations>;
  proposer: ReturnType<typeof createProposer>;
  /** Notices that were sent to this process and not delivered yet. */
  notices: Notice[];
  /** Hears the oldest notice. */
  hear(): void;
  /** The listening connection was lost: what was not delivered never is, and everything is looked at again. */
  missAll(): void;
  /** Hears nothing more. */
  leave(): void;
}

const prompts = createPrompts({
  folder: path.resolve(import.meta.dirname, '../../../prompts'),
  required: OUTREACH_PROMPTS,
});

export function createProcess(needs: ProcessNeeds): Process {
  const { owner, database, turnstile, outside, timers, newId, report } = needs;
  const now = () => database.now();
  const clock = {
    now,
    after(ms: number, callback: () => void) {
      turnstile.stir();
      const timer = { owner, due: now() + ms, callback };
      timers.push(timer);
      return () => {
        const index = timers.indexOf(timer);
        if (index >= 0) timers.splice(index, 1);
      };
    },
  };

  /** Every call of the port waits to be let through. */
  function wrap<Port extends object>(name: string, port: Port): Port {
    return new Proxy(port, {
      get(target, key, receiver) {
        const method: unknown = Reflect.get(target, key, receiver);
        if (typeof method !== 'function') return method;
        return (...inputs: unknown[]) =>
          turnstile.pass(owner, `${name}.${String(key)}`, () => method.apply(target, inputs));
      },
    });
  }

  const lease = {
    owner: owner.id,
    leaseSeconds: LEASE_SECONDS,
    modelName: 'scripted',
    newId,
    now,
    database,
  };
  const toolBox = createToolBox(createScheduleTools({ owner, turnstile, outside, fate: needs.fate }));
  const proposer = createProposer({ toolBox });
  const approvals = wrap('approvals', createMemoryApprovals({ ...lease, proposer }));
  const gate = createGate({
    toolBox,
    ledger: wrap('ledger', createMemoryLedger({ database })),
    cardOf: approvals.ofCall,
    newId,
    now,
    report,
  });
  const graph = createOutreachGraph({ model: needs.model(owner), toolBox, gate, budget: BUDGET, now });
  const engine = createEngine({
    graphOf: () => graph,
    checkpoints: wrap('checkpoints', createMemoryTurnCheckpoints({ database })),
    modelName: 'scripted',
    readContext: createContext({
      read: (turn) =>
        turnstile.pass(owner, 'context.read', () => ({
          workspaceName: 'Test',
          autoSpendCredits: 10,
          approvalTtlHours: CARD_HOURS,
          creditsSpent: 0,
          past: {
            summary: null,
            triedSeq: 0,
            gap: { messages: 0, tainted: false },
            messages: [...database.messages.values()]
              .filter((message) => message.thread_id === turn.threadId && message.turn_id !== turn.turnId)
              .sort((one, other) => one.seq - other.seq),
          },
        })),
      prompts,
      // No conversation here outgrows the model's window.
      summaries: { recall: async (_run, past) => past },
      isUntrusted: (name) => toolBox.get(name)?.untrusted ?? true,
      sandbox: true,
      now,
    }),
    answerBegun: gate.answerBegun,
    recursionLimit: BUDGET.modelCalls * 3 + 3,
    now,
    report,
  });

  const followers = new Map<string, Set<() => void>>();
  const journal = createJournal({
    store: wrap('journal', createMemoryJournalStore({ database, origin: owner.id })),
    wake: {
      onJournal(threadId, callback) {
        const waiting = followers.get(threadId) ?? new Set();
        waiting.add(callback);
        followers.set(threadId, waiting);
        return () => void waiting.delete(callback);
      },
    },
    clock,
    onFlushError: report,
  });
  const turns = createTurns({
    store: wrap('turns', createMemoryTurnStore(lease)),
    journal,
    engine,
    inFlight: createInFlight(),
    report,
  });

  const notices: Notice[] = [];
  const leave = database.listen((notice) => {
    if (notice.kind !== 'journal' || notice.origin !== owner.id) notices.push(notice);
  });

  return {
    owner,
    turns,
    journal,
    approvals,
    conversations: wrap('conversations', createMemoryConversations(lease)),
    proposer,
    notices,
    hear() {
      const notice = notices.shift();
      turnstile.stir();
      if (notice?.kind === 'journal')
        for (const callback of [...(followers.get(notice.threadId) ?? [])]) callback();
      if (notice?.kind === 'cancel') turns.cancelHere(notice.turnId);
      if (notice?.kind === 'inbox') turns.inbox(notice.turnId);
      if (notice?.kind === 'released') turns.takeOver(8).catch(report);
    },
    missAll() {
      notices.length = 0;
      turnstile.stir();
      for (const waiting of [...followers.values()]) for (const callback of [...waiting]) callback();
      turns.renew().catch(report);
      turns.inbox();
      turns.takeOver(8).catch(report);
    },
    leave,
  };
}
