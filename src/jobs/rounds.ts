/** Work that a process does again and again in the background, each kind never twice at once. */

import type { Log } from '../log.ts';
import type { Clock } from '../runtime/ports.ts';

export type Rounds = ReturnType<typeof createRounds>;

export function createRounds({ clock, log }: { clock: Clock; log: Log }) {
  let stopped = false;
  const cancels = new Set<() => void>();
  const atWork = new Set<Promise<void>>();

  return {
    /**
     * Does `work` at once and then every `ms`, never twice at once; a failure is logged and the next round tries again.
     * Answers what begins a round now, or right after the one that is at work.
     */
    every(ms: number, what: string, work: () => Promise<unknown>): () => void {
      let busy = false;
      let again = false;
      let cancel = () => {};
      const round = (): void => {
        cancel();
        cancels.delete(cancel);
        if (stopped) return;
        if (busy) {
          again = true;
          return;
        }
        busy = true;
        const done = work()
          .then(
            () => {},
            (error) => log.warn({ err: error }, `${what} failed; it is tried again`),
          )
          .finally(() => {
            atWork.delete(done);
            busy = false;
            if (stopped) return;
            if (again) {
              again = false;
              round();
              return;
            }
            cancel = clock.after(ms, round);
            cancels.add(cancel);
          });
        atWork.add(done);
      };
      round();
      return round;
    },

    /** Begins no round any more; resolves when those at work have ended. */
    async stop(): Promise<void> {
      stopped = true;
      for (const cancel of cancels) cancel();
      await Promise.allSettled(atWork);
    },
  };
}
