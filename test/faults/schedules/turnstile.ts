/** Holds every crossing of a port until a schedule lets it go on: first to be done, then to be answered. */

/** A process, as the turnstile knows it. */
export interface Owner {
  readonly id: string;
  /** Killed: nothing is answered to it any more. */
  gone: boolean;
  /** Stopped (SIGSTOP): its statements may still be carried out, their answers wait. */
  frozen: boolean;
}

export interface Crossing {
  readonly owner: Owner;
  readonly name: string;
  readonly done: boolean;
  /** Does the work, once; later calls do nothing. `fault` makes it fail, with or without the work done. */
  carryOut(fault?: 'before' | 'after'): Promise<void>;
  /** Tells the caller how it ended. */
  answer(): void;
}

export type Turnstile = ReturnType<typeof createTurnstile>;

/** What a fault of the database looks like. */
export function connectionLost(): Error {
  return Object.assign(new Error('the connection was lost'), { code: '08006' });
}

export function createTurnstile() {
  const waiting: Crossing[] = [];
  let activity = 0;

  function remove(crossing: Crossing): void {
    const index = waiting.indexOf(crossing);
    if (index >= 0) waiting.splice(index, 1);
  }

  return {
    waiting,

    /** Something happened of which more may follow by itself. */
    stir(): void {
      activity += 1;
    },

    /** Waits to be let through. With a signal the caller gives up at once when that aborts; work not done then never is. */
    pass<T>(owner: Owner, name: string, work: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
      activity += 1;
      return new Promise<T>((resolve, reject) => {
        let outcome: { value: T } | { error: unknown } | null = null;
        const giveUp = () => {
          remove(crossing);
          if (!owner.gone) reject(signal?.reason);
        };
        const crossing: Crossing = {
          owner,
          name,
          get done() {
            return outcome !== null;
          },
          async carryOut(fault) {
            if (outcome !== null) return;
            if (fault === 'before') {
              outcome = { error: connectionLost() };
              return;
            }
            try {
              outcome = { value: await work() };
            } catch (error) {
              outcome = { error };
            }
            if (fault === 'after') outcome = { error: connectionLost() };
          },
          answer() {
            remove(crossing);
            signal?.removeEventListener('abort', giveUp);
            activity += 1;
            if (owner.gone || outcome === null) return;
            if ('value' in outcome) resolve(outcome.value);
            else reject(outcome.error);
          },
        };
        waiting.push(crossing);
        if (signal?.aborted === true) giveUp();
        else signal?.addEventListener('abort', giveUp, { once: true });
      });
    },

    /** Resolves when nothing moves any more unless something is let through. */
    async quiet(): Promise<void> {
      for (let still = 0, before = activity; still < 3; before = activity) {
        await new Promise<void>((resolve) => setImmediate(resolve));
        still = activity === before ? still + 1 : 0;
      }
    },
  };
}
