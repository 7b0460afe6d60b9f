/** A world of processes, people and readers around stores in memory, moved one step at a time by a list of numbers. */

import type {
  Model,
  ModelAnswer,
  ModelCall,
  ModelToolCall,
  PlainMessage,
} from '../../../src/engine/model.ts';
import { ServiceError } from '../../../src/errors.ts';
import type { Caller } from '../../../src/runtime/caller.ts';
import type { Approval, Decision, JournalEvent } from '../../../src/runtime/events.ts';
import type { Reader } from '../../../src/runtime/journal.ts';
import type { Begun } from '../../../src/runtime/turn.ts';
import { createMemoryDatabase, type MemoryDatabase } from '../../support/memory/database.ts';
import { CARD_HOURS, createProcess, LEASE_SECONDS, type Process, type Timer } from './process.ts';
import { createOutside, type Outside } from './tools.ts';
import { type Crossing, createTurnstile, type Owner } from './turnstile.ts';

const WORKSPACE = '019a0000-0000-7000-8000-00000000aaaa';
const PROCESSES = 2;
const THREADS = 2;
/** Rounds of "everything goes on, leases run out, everybody sweeps" within which each turn must have ended or wait. */
const LIVENESS_ROUNDS = 12;
const STEPS_A_ROUND = 20_000;

export const person: Caller = {
  workspaceId: WORKSPACE,
  userId: 'user',
  kind: 'person',
  scopes: null,
  sandbox: false,
  email: null,
  keyId: null,
  plan: 'standard',
};

/** A client that follows a conversation and comes back with its cursor when its connection breaks. */
export interface Follower {
  threadId: string;
  from: number;
  heard: JournalEvent[];
  process: Process;
  reader: Reader;
}

export interface World {
  database: MemoryDatabase;
  outside: Outside;
  followers: Follower[];
  /** Conversations in the order they were begun. */
  threads: string[];
  /** Messages that somebody was told are kept. */
  acknowledged: { threadId: string; turnId: string; words: string }[];
  /** What was found wrong on the way. */
  faults: string[];
  /** How often each thing happened, so that nobody takes a schedule without anything for a proof. */
  happened: Map<string, number>;
}

/** Plays a schedule: the numbers choose what happens next; when they are used up, faults stop and everything goes on to its end. */
export async function play(choices: readonly number[]): Promise<World> {
  let at = 0;
  let clockNow = Date.parse('2026-11-21T10:00:00.000Z');
  let ids = 0;
  let words = 0;
  const newId = () => {
    ids += 1;
    return `019a0000-0000-7000-8000-${ids.toString(16).padStart(12, '0')}`;
  };
  const turnstile = createTurnstile();
  const database = createMemoryDatabase({ now: () => clockNow });
  const timers: Timer[] = [];
  const processes: Process[] = [];
  const world: World = {
    database,
    outside: createOutside(),
    followers: [],
    threads: [],
    acknowledged: [],
    faults: [],
    happened: new Map(),
  };
  /** The next crossing of the database fails in this way. */
  let hiccup: 'before' | 'after' | null = null;

  /** The next number, below `below`; 0 where there is none left. */
  function choose(below: number): number {
    const value = choices[at] ?? 0;
    at += 1;
    return value % below;
  }

  function pick<T>(from: readonly T[]): T | undefined {
    return from[choose(Math.max(1, from.length))];
  }

  function note(what: string): void {
    world.happened.set(what, (world.happened.get(what) ?? 0) + 1);
  }

  /** What may go wrong where leases are lost and connections break; anything else is a fault. */
  function report(error: unknown): void {
    if (error instanceof ServiceError && error.code === 'LEASE_LOST') return;
    if (error instanceof Error && /the connection was lost|lease of this turn is lost/.test(error.message))
      return;
    if (error instanceof Error && error.message === 'an effect could not be recorded') return;
    world.faults.push(`it was reported: ${error instanceof Error ? error.stack : String(error)}`);
  }

  function startProcess(): Process {
    const owner: Owner = { id: newId(), gone: false, frozen: false };
    const process = createProcess({
      owner,
      database,
      turnstile,
      outside: world.outside,
      timers,
      newId,
      model: scriptedModel,
      fate: () =>
        pick(['done', 'done', 'done', 'unknown, done', 'unknown, not done', 'failed'] as const) ?? 'done',
      report,
    });
    processes.push(process);
    return process;
  }

  /** A model that says what the schedule chooses, and looks at what it is shown. */
  function scriptedModel(owner: Owner): Model {
    return {
      name: 'scripted',
      async call(request) {
        world.faults.push(...oddHistory(request.messages));
        note('model call');
        const kind = request.tools.length === 0 ? 0 : choose(8);
        const heard = async (tell: () => void) => {
          await turnstile.pass(owner, 'model', () => undefined, request.signal);
          tell();
        };
        let content = '';
        const say = async (pieces: number) => {
          for (let piece = 0; piece < pieces; piece += 1) {
            words += 1;
            const delta = `w${words} `;
            await heard(() => {
              content += delta;
              request.sink.text(delta);
            });
          }
        };
        await say(1 + choose(3));
        if (kind === 6) {
          note('model broke off');
          throw new ServiceError('MODEL_STREAM_BROKEN', 'the answer was cut');
        }
        const toolCalls = kind < 2 || kind === 6 ? [] : await callTools(request, heard, kind === 7);
        return answerOf(content, toolCalls, kind === 7);
      },
    };
  }

  async function callTools(
    { sink }: ModelCall,
    heard: (tell: () => void) => Promise<void>,
    cut: boolean,
  ): Promise<ModelToolCall[]> {
    const calls: ModelToolCall[] = [];
    for (let index = 0, count = 1 + choose(3); index < count; index += 1) {
      const name = pick(['look', 'note', 'mail', 'mail', 'order', 'nothing']) ?? 'look';
      const argsText = JSON.stringify({ text: `x${choose(3)}` });
      // Providers repeat their ids.
      await heard(() => sink.toolStart(index, 'call_0', name));
      await heard(() => sink.toolArgs(index, cut ? argsText.slice(0, 5) : argsText));
      const args = cut ? null : JSON.parse(argsText);
      calls.push({ index, providerId: 'call_0', name, argsText, args });
    }
    return calls;
  }

  const able = () => processes.filter(({ owner }) => !owner.gone && !owner.frozen);

  /** Somebody's request at a process: a refusal is an answer; a request whose process dies is never answered. */
  function request(what: string, work: () => Promise<void>): void {
    note(what);
    work().catch((error: unknown) => {
      if (error instanceof ServiceError) note(`${what}: ${error.code}`);
      else report(error);
    });
  }

  function follow(process: Process, threadId: string, from: number): void {
    const follower: Follower = {
      threadId,
      from,
      heard: [],
      process,
      reader: process.journal.follow({ workspaceId: WORKSPACE, threadId }, from),
    };
    world.followers.push(follower);
    read(follower, follower.reader);
  }

  /** Comes back at a process behind what was heard. */
  function reconnect(follower: Follower, process: Process): void {
    follower.reader.close();
    follower.process = process;
    follower.reader = process.journal.follow(
      { workspaceId: WORKSPACE, threadId: follower.threadId },
      follower.heard.at(-1)?.seq ?? follower.from,
    );
    read(follower, follower.reader);
  }

  /** Reads as an event stream does: what there is now, else when there is more. */
  function read(follower: Follower, reader: Reader): void {
    const hear = (events: readonly JournalEvent[]): boolean => {
      if (follower.reader !== reader || follower.process.owner.gone) return false;
      follower.heard.push(...structuredClone(events));
      if (events.length === 0) reader.onMore(pump);
      else turnstile.stir();
      return events.length > 0;
    };
    const pump = (): void => {
      turnstile.stir();
      for (;;) {
        if (follower.reader !== reader || follower.process.owner.gone) return;
        const next = reader.next(1 + (follower.heard.length % 5));
        if (next instanceof Promise) {
          next.then(
            (events) => {
              if (hear(events)) pump();
            },
            () => {
              // The stream breaks; the client comes back.
              if (follower.reader === reader) reconnect(follower, follower.process);
            },
          );
          return;
        }
        if (!hear(next)) return;
      }
    };
    pump();
  }

  function begin(process: Process, threadId: string | null, supersede: boolean): void {
    words += 1;
    const said = `message ${words}`;
    request('message', async () => {
      const begun: Begun = await process.turns.begin({
        caller: person,
        threadId,
        input: { message: said },
        clientMessageId: null,
        supersede,
        idempotency: null,
      });
      world.acknowledged.push({ threadId: begun.threadId, turnId: begun.turnId, words: said });
      if (!world.threads.includes(begun.threadId)) {
        world.threads.push(begun.threadId);
        follow(process, begun.threadId, 0);
      }
      note('message taken');
    });
  }

  function decide(process: Process, approval: Approval, decision: Decision): void {
    request(`decide ${decision}`, async () => {
      const args = { text: `edited ${choose(2)}` };
      const hash =
        decision === 'edit'
          ? (await process.proposer.propose(person, approval, args, false)).args_hash
          : approval.args_hash;
      const recorded = await process.approvals.decide(
        person,
        approval.thread_id,
        [
          {
            approval_id: approval.approval_id,
            decision,
            args_hash: hash,
            ...(decision === 'edit' ? { args } : {}),
          },
        ],
        true,
      );
      note('decided');
      if (recorded.kind === 'leased') process.turns.resume(recorded.turn, recorded.events);
      else process.turns.inbox(recorded.turnId);
    });
  }

  function pendingCards(): Approval[] {
    return [...database.cards.values()]
      .filter((card) => card.status === 'pending')
      .map((card) => structuredClone(card.card));
  }

  function cancel(process: Process, threadId: string): void {
    request('cancel', async () => {
      const outcome = await process.conversations.cancel(person, threadId);
      if (outcome.turn_id !== null && outcome.status === 'cancelling')
        process.turns.cancelHere(outcome.turn_id);
    });
  }

  /** A killed process: what it had sent to the database is carried out or not, and nobody hears of it. */
  function crash(process: Process): void {
    note('crash');
    const arrives = choose(2) === 1;
    for (const crossing of turnstile.waiting.filter(({ owner }) => owner === process.owner)) {
      const sent = arrives && crossing.name !== 'model' && crossing.name !== 'look';
      void (sent ? crossing.carryOut() : undefined);
    }
    replace(process);
  }

  function replace(process: Process): void {
    process.owner.gone = true;
    process.leave();
    process.notices.length = 0;
    for (const crossing of turnstile.waiting.filter(({ owner }) => owner === process.owner))
      crossing.answer();
    for (const timer of timers.filter(({ owner }) => owner === process.owner))
      timers.splice(timers.indexOf(timer), 1);
    processes.splice(processes.indexOf(process), 1);
    const next = startProcess();
    for (const follower of world.followers.filter((one) => one.process === process))
      reconnect(follower, next);
  }

  function drain(process: Process): void {
    note('drain');
    process.turns.drain().then(
      () => {
        if (!process.owner.gone) replace(process);
      },
      (error: unknown) => report(error),
    );
  }

  function letTimeRun(seconds: number): void {
    clockNow += seconds * 1000;
  }

  function sweep(): void {
    pick(able())
      ?.turns.takeOver(8)
      .then((count) => {
        if (count > 0) note('taken over');
      }, report);
  }

  function expire(): void {
    pick(able())
      ?.approvals.expire(50)
      .then((count) => {
        if (count > 0) note('expired');
      }, report);
  }

  const DECIDING: (() => void)[] = [
    () => {
      const process = pick(able());
      const card = pick(pendingCards());
      if (process === undefined || card === undefined) return;
      const decision = pick(card.allowed_decisions);
      // Two people, or two tabs.
      if (choose(3) === 0) decide(process, card, pick(card.allowed_decisions) ?? 'reject');
      if (decision !== undefined) decide(process, card, decision);
    },
    () => {
      const process = pick(able());
      const card = pick(pendingCards());
      if (process !== undefined && card?.kind === 'proposal') decide(process, card, 'approve');
    },
  ];

  const COMMANDS: (() => void)[] = [
    ...DECIDING,
    () => {
      const process = pick(able());
      const fresh = world.threads.length < THREADS && choose(2) === 0;
      const threadId = fresh ? null : (pick(world.threads) ?? null);
      if (process !== undefined) begin(process, threadId, choose(3) === 0);
    },
    () => {
      const process = pick(able());
      const threadId = pick(world.threads);
      if (process !== undefined && threadId !== undefined && choose(2) === 0) cancel(process, threadId);
    },
    () => {
      const process = pick(able());
      const threadId = pick(world.threads);
      if (process === undefined || threadId === undefined) return;
      const what = choose(3);
      request('change', async () => {
        if (what === 0) await process.conversations.rename(person, threadId, `title ${words}`);
        if (what === 1) await process.conversations.archive(person, threadId);
        if (what === 2) await process.conversations.restore(person, threadId);
      });
    },
    () => {
      const process = pick(able());
      const threadId = pick(world.threads);
      if (process === undefined || threadId === undefined) return;
      const rows = database.events.get(threadId) ?? [];
      const row = pick(rows);
      const inside = row === undefined ? 0 : row.seqFrom + choose(row.seq - row.seqFrom + 1);
      note('follow');
      follow(process, threadId, inside);
    },
    () => {
      const process = pick(able());
      const follower = pick(world.followers);
      if (process !== undefined && follower !== undefined) reconnect(follower, process);
    },
    () => {
      const process = pick(processes);
      if (process !== undefined && choose(2) === 0) crash(process);
    },
    () => {
      const process = pick(able());
      if (process === undefined || choose(2) === 0) return;
      note('freeze');
      process.owner.frozen = true;
    },
    () => {
      for (const process of processes) process.owner.frozen = false;
    },
    () => {
      note('lease time');
      letTimeRun(LEASE_SECONDS + 1);
      if (choose(2) === 0) sweep();
    },
    () => {
      // An hour with nothing to decide is no different from a lease that runs out.
      if (pendingCards().length === 0) return;
      note('card time');
      letTimeRun(CARD_HOURS * 3600 + 1);
      if (choose(3) > 0) expire();
    },
    () => {
      const process = pick(able());
      if (process !== undefined) process.turns.renew().catch(report);
    },
    sweep,
    expire,
    () => {
      const process = pick(able());
      if (process !== undefined) process.missAll();
    },
    () => {
      const process = pick(able());
      if (process !== undefined && choose(3) === 0) drain(process);
    },
    () => {
      if (choose(2) === 0) hiccup = pick(['before', 'after'] as const) ?? null;
    },
  ];

  /** What goes on by itself if it is let. */
  function going(): (() => void | Promise<void>)[] {
    const free: (() => void | Promise<void>)[] = [];
    for (const crossing of turnstile.waiting) {
      if (!crossing.owner.frozen) free.push(() => goOn(crossing));
      // A statement that is on its way arrives, whatever became of who sent it; a mail is not.
      else if (!crossing.done && crossing.name !== 'mail' && crossing.name !== 'model')
        free.push(() => crossing.carryOut());
    }
    for (const process of able()) if (process.notices.length > 0) free.push(() => process.hear());
    const due = timers.filter(({ owner }) => !owner.frozen).sort((one, other) => one.due - other.due)[0];
    if (due !== undefined) {
      free.push(() => {
        timers.splice(timers.indexOf(due), 1);
        clockNow = Math.max(clockNow, due.due);
        turnstile.stir();
        due.callback();
      });
    }
    return free;
  }

  /** Lets some things go on, one after the other. */
  async function goOnFor(steps: number, which: number): Promise<void> {
    for (let step = 1; step <= steps; step += 1) {
      const free = going();
      await free[(which * step) % Math.max(1, free.length)]?.();
      await turnstile.quiet();
    }
  }

  async function goOn(crossing: Crossing): Promise<void> {
    if (!crossing.done) {
      const database = !['model', 'mail', 'look'].includes(crossing.name);
      const fault = database && hiccup !== null ? hiccup : undefined;
      if (fault !== undefined) {
        note('hiccup');
        hiccup = null;
      }
      await crossing.carryOut(fault);
      // Sometimes the answer takes its time.
      if (choose(4) === 3) return;
    }
    crossing.answer();
  }

  for (let count = 0; count < PROCESSES; count += 1) startProcess();
  begin(processes[0] as Process, null, false);
  await turnstile.quiet();
  while (at < choices.length) {
    const kind = choose(8);
    if (kind < 5) await goOnFor(1 + choose(8), choose(256));
    else if (kind === 5 && pendingCards().length > 0) DECIDING[choose(DECIDING.length)]?.();
    else pick(COMMANDS)?.();
    await turnstile.quiet();
  }

  // Faults stop; progress must follow.
  hiccup = null;
  for (const process of processes) process.owner.frozen = false;
  const isOver = () =>
    turnstile.waiting.length === 0 &&
    timers.length === 0 &&
    [...database.turns.values()].every(({ status }) => status !== 'running') &&
    processes.every(({ notices }) => notices.length === 0);
  for (let round = 0; ; round += 1) {
    for (let step = 0; ; step += 1) {
      const [next] = going();
      if (next === undefined) break;
      if (step > STEPS_A_ROUND) throw new Error('it goes on and on');
      await next();
      await turnstile.quiet();
    }
    if (isOver()) break;
    if (round >= LIVENESS_ROUNDS) {
      for (const turn of database.turns.values())
        if (turn.status === 'running') world.faults.push(`turn ${turn.id} runs for ever`);
      break;
    }
    for (const process of processes) process.turns.renew().catch(report);
    await turnstile.quiet();
    for (let step = going(); step.length > 0; step = going()) {
      await step[0]?.();
      await turnstile.quiet();
    }
    letTimeRun(LEASE_SECONDS + 1);
    for (const process of processes) process.turns.takeOver(8).catch(report);
    await turnstile.quiet();
  }

  // And the next message works.
  const lastWords = new Map<string, number>();
  for (const threadId of world.threads) {
    const process = processes[0] as Process;
    lastWords.set(threadId, world.acknowledged.length);
    request('restore', async () => {
      await process.conversations.restore(person, threadId);
    });
    await settleDown();
    const before = world.acknowledged.length;
    begin(process, threadId, true);
    await settleDown();
    const taken = world.acknowledged[before];
    const turn = database.turns.get(taken?.turnId ?? '');
    if (turn?.status !== 'completed') world.faults.push(`the next message's turn is ${turn?.status}`);
  }
  for (const process of processes) process.leave();
  return world;

  async function settleDown(): Promise<void> {
    await turnstile.quiet();
    for (let step = going(); step.length > 0; step = going()) {
      await step[0]?.();
      await turnstile.quiet();
    }
  }
}

function answerOf(content: string, toolCalls: ModelToolCall[], cut: boolean): ModelAnswer {
  const finishReason = cut ? 'length' : toolCalls.length > 0 ? 'tool_calls' : 'stop';
  return { content, toolCalls, finishReason, usage: { inputTokens: 1, outputTokens: 1 } };
}

/** What no provider accepts: calls without exactly one result right behind them, results without a call. */
function oddHistory(messages: readonly PlainMessage[]): string[] {
  const faults: string[] = [];
  let open = new Set<string>();
  const seen = new Set<string>();
  const close = () => {
    for (const id of open) faults.push(`P10: the model was shown call ${id} without its result`);
    open = new Set();
  };
  for (const message of messages) {
    if (message.role === 'tool') {
      if (!open.delete(message.tool_call_id))
        faults.push(`P10: the model was shown a result too many, ${message.tool_call_id}`);
      continue;
    }
    close();
    if (message.role !== 'assistant') continue;
    for (const { id } of message.tool_calls ?? []) {
      if (seen.has(id)) faults.push(`P10: the model was shown call ${id} twice`);
      seen.add(id);
      open.add(id);
    }
  }
  close();
  return faults;
}
