/**
 * A turn's life, top to bottom: accept → keep the user's words → run the graph, each event into the journal → keep the
 * assistant's words → end. A run is not a request: whoever asked may leave, whoever wants to know follows the journal.
 */

import { type ErrorFact, errorFact, ServiceError } from '../errors.ts';
import type { NewEvent, RunEndStatus } from './events.ts';
import type { createInFlight, Flight } from './in-flight.ts';
import type { Journal, LiveRun } from './journal.ts';
import type {
  AcceptRequest,
  Engine,
  LeasedTurn,
  LegOutcome,
  Settled,
  Settlement,
  StoredEvent,
  TurnStore,
} from './ports.ts';
import { createReply, type OpenReply } from './reply.ts';

export interface TurnNeeds {
  store: TurnStore;
  journal: Journal;
  engine: Engine;
  inFlight: ReturnType<typeof createInFlight>;
  /** Told of what could not be told to anybody else. */
  report(error: unknown, turn: LeasedTurn): void;
}

/** Where a reader of the turn begins. */
export interface Begun {
  threadId: string;
  turnId: string;
  runId: string;
  /** The number of the turn's (or run's) first event. */
  firstSeq: number;
}

/** After so many takeovers without a new checkpoint a turn is failed rather than tried again. */
const TAKEOVER_LIMIT = 3;

export type Turns = ReturnType<typeof createTurns>;

export function createTurns({ store, journal, engine, inFlight, report }: TurnNeeds) {
  const draining = new AbortController();

  /** Accepts a message and runs its turn; resolves as soon as the user's words are kept. Throws the refusals of design.md §3. */
  async function begin(request: AcceptRequest): Promise<Begun> {
    refuseWhenDraining();
    const accepted = await store.accept(request);
    if (accepted.kind === 'same') return accepted;
    start(accepted.turn, accepted.events);
    return begun(accepted.turn, accepted.events);
  }

  /** Goes on with a turn for which a decision was recorded and a lease taken, in one transaction, by `approvals`. */
  function resume(turn: LeasedTurn, events: StoredEvent[]): Begun {
    start(turn, events);
    return begun(turn, events);
  }

  /** Takes over what dead processes left behind; answers how many turns that were. */
  async function takeOver(limit: number): Promise<number> {
    if (draining.signal.aborted) return 0;
    const taken = await store.takeOver(limit);
    for (const { turn, events } of taken) start(turn, events);
    return taken.length;
  }

  function start(turn: LeasedTurn, told: StoredEvent[]): void {
    inFlight.track(turn.turnId, drive(turn, told));
  }

  /** Runs the turn until it ends, waits for a person, or is given up to another process. Never rejects. */
  async function drive(turn: LeasedTurn, told: StoredEvent[]): Promise<void> {
    const run = journal.open(turn, told);
    const reply = createReply({ turn, run });
    const flight = inFlight.add(turn);
    const inbox = openInbox(flight, reply);
    run.onLost(() => flight.lose());
    flight.onInbox(inbox.pass);
    if (turn.cancelRequested) flight.cancel();
    try {
      if (turn.runKind === 'recovery') {
        // What a lost run told of unfinished model calls is taken back; what was left for it is told.
        reply.resetTo(await engine.completedCalls(turn));
        await inbox.pass();
      }
      let outcome = await perform(turn, reply, flight);
      for (;;) {
        if (flight.lost) return;
        if (outcome.status === 'drained') {
          await run.flushed();
          await store.release(turn);
          return;
        }
        await inbox.hold();
        if (outcome.status === 'cancelled' || outcome.status === 'failed')
          await engine.answerBegun({ turn, reply, signal: flight.signal });
        const settled = await settle(turn, run, reply, outcome);
        if (settled === 'settled') return;
        if (settled === 'inbox-waiting') return void (await store.tellInbox(turn.threadId));
        if (settled === 'lost') return flight.lose();
        if (settled === 'cancel-requested') flight.cancel();
        else turn.decisions = await store.countDecisions(turn);
        await inbox.resume();
        // A decision came while its siblings were carried out: a run that would wait goes on with it, one that ends has
        // carried it out already and ends now that it is told.
        if (outcome.status === 'waiting') outcome = await perform(turn, reply, flight);
      }
    } catch (error) {
      // The database refuses or is away: the lease runs out and whoever finds it goes on from the last checkpoint.
      report(error, turn);
    } finally {
      inFlight.remove(flight);
      run.close();
    }
  }

  async function perform(turn: LeasedTurn, reply: OpenReply, flight: Flight): Promise<LegOutcome> {
    if (turn.takeovers >= TAKEOVER_LIMIT) {
      return { status: 'failed', error: errorFact(new ServiceError('TAKEOVER_LIMIT', TAKEOVER_SENTENCE)) };
    }
    if (flight.signal.aborted) return { status: 'cancelled' };
    return engine.perform({ turn, reply, signal: flight.signal, drain: draining.signal });
  }

  /** Keeps the assistant's words, the approvals and the end of the run, in one transaction; then tells them. */
  async function settle(
    turn: LeasedTurn,
    run: LiveRun,
    reply: OpenReply,
    outcome: LegOutcome,
  ): Promise<Settled> {
    const status =
      outcome.status === 'waiting'
        ? 'awaiting_approval'
        : outcome.status === 'drained'
          ? 'failed'
          : outcome.status;
    const waiting = outcome.status === 'waiting' ? outcome.approvals : [];
    const error = outcome.status === 'failed' ? outcome.error : null;
    const closing = status === 'cancelled' || status === 'failed' ? reply.closing(status) : [];
    const requests = reply.requests(waiting);
    const message = reply.after([...closing, ...requests]);
    const sealed = await run.seal([...closing, ...requests, runEnd(turn, status, reply, error)]);
    const settlement: Settlement = {
      status,
      message: {
        status: status === 'completed' ? 'complete' : 'partial',
        ...message,
        metadata: {
          model: engine.modelName,
          tainted: reply.tainted,
          ended: status,
          usage: { ...reply.usage },
          ...(error === null ? {} : { error }),
        },
      },
      rows: sealed.rows,
      inboxIds: sealed.inboxIds,
      approvals: waiting,
      usage: reply.usage,
      tainted: reply.tainted,
      error,
    };
    const settled = await store.settle(turn, settlement);
    if (settled === 'settled' || settled === 'inbox-waiting') sealed.confirm();
    else sealed.discard();
    return settled;
  }

  /**
   * Numbers and tells what others did to the conversation meanwhile: one at a time, so that nothing is told twice, and
   * never while the run is being settled, as it would be numbered behind the run's end.
   */
  function openInbox(flight: Flight, reply: OpenReply) {
    let held = false;
    let last: Promise<void> = Promise.resolve();
    const work = async () => {
      if (held || flight.lost) return;
      for (const fact of await store.readInbox(flight.turn)) await reply.pass(fact);
    };
    const pass = (): Promise<void> => {
      last = last.then(work).catch((error) => {
        if (!flight.lost) report(error, flight.turn);
      });
      return last;
    };
    return {
      pass,
      hold(): Promise<void> {
        held = true;
        return last;
      },
      resume(): Promise<void> {
        held = false;
        return pass();
      },
    };
  }

  function refuseWhenDraining(): void {
    if (!draining.signal.aborted) return;
    throw new ServiceError(
      'DRAINING',
      'This process is shutting down. Send the request again; another one will answer.',
      {
        headers: { 'retry-after': '1', connection: 'close' },
      },
    );
  }

  return {
    begin,
    resume,
    takeOver,
    refuseWhenDraining,

    /** Aborts the turn's run if it is driven here, or is about to be. */
    cancelHere(turnId: string): void {
      inFlight.cancel(turnId);
    },

    /** Somebody left facts for the turn's owner, or may have for the owner of any turn. */
    inbox(turnId?: string): void {
      const ids = turnId === undefined ? inFlight.held().map((held) => held.turnId) : [turnId];
      for (const id of ids) inFlight.get(id)?.inbox();
    },

    /** Renews all leases held here; runs that lost theirs stop, runs that shall be cancelled are. */
    async renew(): Promise<void> {
      const held = inFlight.held();
      if (held.length === 0) return;
      const { lost, cancel } = await store.renew(held);
      for (const { turnId, epoch } of lost) {
        const flight = inFlight.get(turnId);
        if (flight?.turn.epoch === epoch) flight.lose();
      }
      for (const turnId of cancel) inFlight.cancel(turnId);
    },

    /** Takes no more turns, and resolves when those held here have reached a checkpoint and are released, or ended. */
    async drain(): Promise<void> {
      draining.abort();
      await inFlight.idle();
    },

    draining: draining.signal,
  };
}

const TAKEOVER_SENTENCE =
  'This turn was taken over three times without getting on. What was done until then is kept; send the message again to go on.';

function begun(turn: LeasedTurn, events: readonly StoredEvent[]): Begun {
  return {
    threadId: turn.threadId,
    turnId: turn.turnId,
    runId: turn.runId,
    firstSeq: events[0]?.seqFrom ?? turn.nextSeq,
  };
}

function runEnd(
  turn: LeasedTurn,
  status: Exclude<RunEndStatus, 'lost'>,
  reply: OpenReply,
  error: ErrorFact | null,
): NewEvent {
  return {
    type: 'run-end',
    data: {
      status,
      message_id: turn.messageId,
      usage: { ...reply.usage },
      ...(error === null ? {} : { error }),
    },
  };
}
