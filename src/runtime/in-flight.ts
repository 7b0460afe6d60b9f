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

export function createInFlight() {
  const flights = new Map<string, Flight>();
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
      return flight;
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
