/** Waiting and chance, injected, so that a test rules over both. */

export interface Clock {
  /** Uniform in [0, 1). */
  random(): number;
  /** Calls back after that many milliseconds; the answer takes the appointment back. */
  schedule(milliseconds: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  random: Math.random,
  schedule(milliseconds, callback) {
    const timer = setTimeout(callback, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** The promise's outcome, or an error where it takes longer than `milliseconds`. The promise itself is not stopped. */
export function within<T>(clock: Clock, milliseconds: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.schedule(milliseconds, () => reject(new Error(`Silent for ${milliseconds} ms.`)));
    promise.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}

/** Waits; an abort ends the wait early (look at the signal afterwards). */
export function pause(
  clock: Pick<Clock, 'schedule'>,
  milliseconds: number,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = (): void => {
      cancel();
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const cancel = clock.schedule(milliseconds, wake);
    signal.addEventListener('abort', wake);
  });
}
