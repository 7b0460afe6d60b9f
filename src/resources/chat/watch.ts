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
  /** Whether the caller's key or session still holds. */
  stillHolds(caller: Caller): Promise<boolean>;
  report(error: unknown): void;
}

export type Watch = (caller: Caller) => Readable;

const PING_MS = 10_000;
const RECHECK_MS = 60_000;

/** Makes the function that opens a caller's watch. A slow client misses beats but never a conversation's latest state. */
export function createWatch({
  listener,
  conversations,
  approvals,
  clock,
  draining,
  stillHolds,
  report,
}: WatchNeeds): Watch {
  return (caller) => {
    /** What changed since it was told last. A set: many changes of one conversation are told as one. */
    const changed = new Set<string>();
    let telling = false;
    let ended = false;
    let stopPing = () => {};
    let stopRecheck = () => {};

    const stream = new Readable({
      read() {
        void tell();
      },
      destroy(error, callback) {
        end();
        callback(error);
      },
    });
    const stop = listener.onWakeup((wakeup) => {
      // A client reads its lists again when it comes back.
      if (wakeup.kind === 'missed') leave();
      if (wakeup.kind !== 'list' || wakeup.workspaceId !== caller.workspaceId) return;
      changed.add(wakeup.threadId);
      void tell();
    });

    function end(): void {
      ended = true;
      stop();
      stopPing();
      stopRecheck();
      draining.removeEventListener('abort', leave);
    }

    async function tell(): Promise<void> {
      if (telling || ended) return;
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
      if (!ended) stream.push(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    }

    function ping(): void {
      stopPing = clock.after(PING_MS, () => {
        if (stream.readableLength < stream.readableHighWaterMark) stream.push(': ping\n\n');
        ping();
      });
    }

    function recheck(): void {
      if (ended) return;
      stopRecheck = clock.after(RECHECK_MS, () => {
        stillHolds(caller).then(
          (may) => (may ? recheck() : finish()),
          () => recheck(),
        );
      });
    }

    function finish(last?: string): void {
      if (ended) return;
      end();
      if (last !== undefined) stream.push(last);
      stream.push(null);
    }

    function leave(): void {
      finish('retry: 500\n\n');
    }

    stream.push('retry: 1000\n\n');
    ping();
    recheck();
    if (draining.aborted) queueMicrotask(leave);
    else draining.addEventListener('abort', leave);
    return stream;
  };
}
