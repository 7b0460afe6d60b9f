/** Waiting for facts where a part of the service may be away for a while. */

import { ClientError } from '../../src/client/errors.ts';

/** What faults interrupt must be well within this after them. */
export const PATIENCE_MS = 60_000;

/** Asks again while the service says 503 or cannot be reached, as a client does; any other refusal is thrown. */
export async function again<T>(work: () => Promise<T>): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const away =
        !(error instanceof ClientError) || error.status === 503 || error.code === 'IDEMPOTENCY_IN_FLIGHT';
      if (!away || Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Looks until it is so. */
export async function until(isSo: () => boolean): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!isSo()) {
    if (Date.now() > end) throw new Error('it did not come');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
