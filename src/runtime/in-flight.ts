/** The turns that this process holds: what must be renewed, can be cancelled from here, and has to end before it leaves. */

import type { LeasedTurn } from './ports.ts';

export interface Flight {
  readonly turn: LeasedTurn;
  /** Aborts the run's model call and tools. */
  readonly signal: AbortSignal;
  cancel(): void;
  /** The lease is gone: stop, and write nothing more. */
  lose(): void;
  readonly lost: boolean;
  /** Somebody left facts for the run's owner. */
  onInbox(callback: () => void): void;
  inbox(): void;
}

export type InFlight = ReturnType<typeof createInFlight>;

/** Cancels of turns that are not held here that are remembered. */
const REMEMBERED = 1_000;

export function createInFlight() {
  const flights = new Map<string, Flight>();
  /** Turns whose cancel came while they were on their way into this process, or that are held elsewhere; the oldest first. */
  const cancelled = new Set<string>();
  const done = new Map<string, Promise<void>>();

  return {
    add(turn: LeasedTurn): Flight {
      const controller = new AbortController();
      let lost = false;
      let inboxCallback = () => {};
      const flight: Flight = {
        turn,
        signal: controller.signal,
        cancel() {
          turn.cancelRequested = true;
          controller.abort(new Error('the turn was cancelled'));
        },
        lose() {
          lost = true;
          controller.abort(new Error('the lease of this turn is lost'));
        },
        get lost() {
          return lost;
        },
        onInbox(callback) {
          inboxCallback = callback;
        },
        inbox: () => inboxCallback(),
      };
      // A process that stood still past its lease may take a turn over from itself.
      flights.get(turn.turnId)?.lose();
      flights.set(turn.turnId, flight);
      if (cancelled.delete(turn.turnId)) flight.cancel();
      return flight;
    },

    /**
     * Aborts the turn's run if it is driven here. A run that is just beginning is aborted as it begins: its row may have
     * been read before the cancel was recorded.
     */
    cancel(turnId: string): void {
      const flight = flights.get(turnId);
      flight?.cancel();
      if (flight !== undefined) return;
      cancelled.add(turnId);
      const [oldest] = cancelled;
      if (cancelled.size > REMEMBERED && oldest !== undefined) cancelled.delete(oldest);
    },

    remove(flight: Flight): void {
      if (flights.get(flight.turn.turnId) === flight) flights.delete(flight.turn.turnId);
    },

    /** Keeps the promise of a turn's drive until it ends, for whoever waits for all of them. */
    track(turnId: string, drive: Promise<void>): void {
      const kept = drive.finally(() => {
        if (done.get(turnId) === kept) done.delete(turnId);
      });
      done.set(turnId, kept);
    },

    get: (turnId: string) => flights.get(turnId),
    held: () => [...flights.values()].map(({ turn }) => ({ turnId: turn.turnId, epoch: turn.epoch })),
    count: () => flights.size,
    /** Resolves when no turn is driven here any more. */
    async idle(): Promise<void> {
      while (done.size > 0) await Promise.allSettled(done.values());
    },
  };
}
