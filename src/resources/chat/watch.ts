/** One connection for a caller's lists: which of their conversations changed, and how many cards wait in the workspace. */

import { Readable } from 'node:stream';
import type { Listener } from '../../db/listen.ts';
import { type Caller, mayDecide } from '../../runtime/caller.ts';
import type { Clock } from '../../runtime/ports.ts';
import type { Approvals } from '../approvals/approvals.ts';
import type { Conversations } from '../conversations/conversations.ts';

export interface WatchNeeds {
  listener: Listener;
  conversations: Conversations;
  approvals: Approvals;
  clock: Clock;
  draining: AbortSignal;
  report(error: unknown): void;
}

export type Watch = (caller: Caller) => Readable;

const PING_MS = 10_000;

/** Makes the function that opens a caller's watch. A slow client misses beats but never a conversation's latest state. */
export function createWatch({
  listener,
  conversations,
  approvals,
  clock,
  draining,
  report,
}: WatchNeeds): Watch {
  return (caller) => {
    /** What changed since it was told last. A set: many changes of one conversation are told as one. */
    const changed = new Set<string>();
    let telling = false;
    let stopPing = () => {};

    const stream = new Readable({
      read() {
        void tell();
      },
      destroy(error, callback) {
        stop();
        stopPing();
        draining.removeEventListener('abort', leave);
        callback(error);
      },
    });
    const stop = listener.onWakeup((wakeup) => {
      if (wakeup.kind !== 'list' || wakeup.workspaceId !== caller.workspaceId) return;
      changed.add(wakeup.threadId);
      void tell();
    });

    async function tell(): Promise<void> {
      if (telling || stream.destroyed) return;
      telling = true;
      try {
        while (changed.size > 0 && stream.readableLength < stream.readableHighWaterMark) {
          const [threadId] = changed;
          if (threadId === undefined) break;
          changed.delete(threadId);
          const conversation = await conversations.summary(caller, threadId);
          if (conversation !== null) push('conversation', conversation);
          if (mayDecide(caller)) push('approvals', { pending: await approvals.countPending(caller) });
        }
      } catch (error) {
        report(error);
      } finally {
        telling = false;
      }
    }

    function push(event: string, data: unknown): void {
      if (!stream.destroyed) stream.push(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    }

    function ping(): void {
      stopPing = clock.after(PING_MS, () => {
        if (stream.destroyed) return;
        if (stream.readableLength < stream.readableHighWaterMark) stream.push(': ping\n\n');
        ping();
      });
    }

    function leave(): void {
      stream.push('retry: 500\n\n');
      stream.push(null);
    }

    stream.push('retry: 1000\n\n');
    ping();
    draining.addEventListener('abort', leave);
    return stream;
  };
}
