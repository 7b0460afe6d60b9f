/** One connection that tells what changes in the caller's conversations and approvals, shared by all tabs of a browser. */

import type { Client } from '../../src/client/client.ts';
import { pause } from '../../src/client/clock.ts';
import { ClientError } from '../../src/client/errors.ts';
import type { CallerEvent, ConversationSummary } from '../../src/client/events.ts';

/** Tries again so often while the service is gone, so that the page is back soon after it is. */
const RETRY_MS = 4_000;

/** How tabs find each other. */
export interface Tabs {
  /** Runs `hold` in one tab at a time; `hold` lasts until the signal aborts. */
  alone(name: string, signal: AbortSignal, hold: () => Promise<void>): Promise<void>;
  /** Says and hears what the other tabs say. */
  channel(
    name: string,
    hear: (message: TabMessage) => void,
  ): { say(message: TabMessage): void; close(): void };
}

export type TabMessage =
  | { kind: 'hello' }
  | { kind: 'connection'; state: Connection }
  | { kind: 'event'; event: CallerEvent };

export type Connection = 'connecting' | 'open' | 'lost';

export interface WatchNeeds {
  client: Client;
  /** Null: this tab holds a connection of its own. */
  tabs: Tabs | null;
  /** Tells the tabs of one user and service from others. */
  name: string;
  schedule(milliseconds: number, callback: () => void): () => void;
  onConnection(state: Connection): void;
  onConversation(summary: ConversationSummary): void;
  onApprovals(pending: number): void;
}

export interface Watch {
  /** Tries now, where the connection is lost. */
  poke(): void;
  stop(): void;
}

/** Begins to watch. Whoever hears `open` reads its lists again: a gap is possible. */
export function startWatch(needs: WatchNeeds): Watch {
  const { client, tabs, name, schedule } = needs;
  const ended = new AbortController();
  let attempt = new AbortController();
  let state: Connection = 'connecting';
  let leads = false;
  let cancelRetry = () => {};

  const channel = tabs?.channel(name, (message) => {
    if (leads) {
      if (message.kind === 'hello') channel?.say({ kind: 'connection', state });
    } else if (message.kind === 'connection') {
      changed(message.state);
    } else if (message.kind === 'event') {
      tell(message.event);
    }
  });

  function changed(next: Connection): void {
    if (next === state) return;
    state = next;
    needs.onConnection(next);
  }

  /** What the tab that holds the connection hears of it. */
  function hear(next: 'open' | 'lost'): void {
    if (next === state) return;
    changed(next);
    channel?.say({ kind: 'connection', state });
  }

  function tell(event: CallerEvent): void {
    if (event.type === 'conversation') needs.onConversation(event.data);
    if (event.type === 'approvals') needs.onApprovals(event.data.pending);
  }

  /** Holds the connection until the watch ends. */
  async function lead(): Promise<void> {
    leads = true;
    while (!ended.signal.aborted) {
      attempt = new AbortController();
      const { signal } = attempt;
      let wait = RETRY_MS;
      try {
        const heard = (next: 'open' | 'lost') => {
          cancelRetry();
          if (next === 'lost') cancelRetry = schedule(RETRY_MS, () => attempt.abort());
          hear(next);
        };
        for await (const event of client.watch(signal, heard)) {
          tell(event);
          channel?.say({ kind: 'event', event });
        }
        if (signal.aborted) wait = 0;
      } catch (error) {
        if (error instanceof ClientError) wait = Math.max(wait, (error.retryAfter ?? 0) * 1_000);
      }
      if (wait === 0 || ended.signal.aborted) continue;
      hear('lost');
      await pause({ schedule }, wait, attempt.signal);
    }
  }

  if (tabs === null) {
    void lead();
  } else {
    channel?.say({ kind: 'hello' });
    void tabs.alone(name, ended.signal, lead).catch(() => {});
  }

  return {
    poke() {
      if (leads && state === 'lost') attempt.abort();
    },
    stop() {
      ended.abort();
      attempt.abort();
      cancelRetry();
      channel?.close();
    },
  };
}
