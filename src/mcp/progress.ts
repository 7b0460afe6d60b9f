/** Progress of a call, as MCP tells it: only to who asked for it, and only upwards. */

import type { ProgressNotification, ProgressToken } from '@modelcontextprotocol/sdk/types.js';

/** Told how much of a call is done, of how much. */
export type TellProgress = (done: number, total: number, note: string) => void;

export interface Progress {
  tell: TellProgress;
  /** Resolves when all that was told is on its way: the answer comes behind it. */
  told(): Promise<void>;
}

/**
 * Makes what tells the progress of one request, by its token. A number that is not above the one before is left out, as
 * MCP wants ascending ones and a run that was taken over counts anew.
 */
export function createProgress(
  progressToken: ProgressToken,
  send: (notification: ProgressNotification) => Promise<void>,
): Progress {
  let last = Number.NEGATIVE_INFINITY;
  let sent = Promise.resolve();
  return {
    tell(progress, total, message) {
      if (progress <= last) return;
      last = progress;
      const notification: ProgressNotification = {
        method: 'notifications/progress',
        params: { progressToken, progress, total, message },
      };
      // A client that has left is told nothing more, and the call goes on.
      sent = sent.then(() => send(notification)).catch(() => undefined);
    },
    told: () => sent,
  };
}
