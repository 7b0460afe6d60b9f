/** Wake-ups between processes: one connection that listens; rows are the truth, so a lost one only means "look again". */

import pg from 'pg';
import type { Log } from '../log.ts';
import { BatchingSocket, PROBE_AFTER_MS } from './pool.ts';

export interface ListenerNeeds {
  url: string;
  /** This process's name, to skip its own journal wake-ups: its readers read from memory. */
  origin: string;
  log: Log;
}

export type Wakeup =
  | { kind: 'journal'; threadId: string }
  /** A conversation changed for the lists of its workspace. */
  | { kind: 'list'; workspaceId: string; threadId: string }
  | { kind: 'cancel' | 'inbox'; turnId: string }
  /** A turn was given back and can be taken over at once. */
  | { kind: 'released' }
  /** The connection was lost for a while, so anything may have been missed: look again. */
  | { kind: 'missed' };

export interface Listener {
  start(): Promise<void>;
  stop(): Promise<void>;
  onWakeup(callback: (wakeup: Wakeup) => void): () => void;
  onJournal(threadId: string, callback: () => void): () => void;
}

const RECONNECT_MS = 500;
/** A listener only hears, so it would never hear that nobody speaks any more: it asks from time to time … */
const ASK_MS = 15_000;
/** … and takes this long without an answer for the end of the connection. */
const ANSWER_MS = 10_000;

/** Makes the listener; `start` resolves when it listens. It connects again by itself and then wakes everybody. */
export function createListener({ url, origin, log }: ListenerNeeds): Listener {
  const callbacks = new Set<(wakeup: Wakeup) => void>();
  const followers = new Map<string, Set<() => void>>();
  let client: pg.Client | null = null;
  let stopped = false;

  function receive(payload: string): void {
    const wakeup = parse(payload, origin);
    if (wakeup === null) return;
    if (wakeup.kind === 'journal') {
      for (const callback of [...(followers.get(wakeup.threadId) ?? [])]) callback();
      return;
    }
    for (const callback of [...callbacks]) callback(wakeup);
  }

  async function connect(): Promise<void> {
    const next = new pg.Client({
      connectionString: url,
      application_name: 'overture_listener',
      keepAlive: true,
      keepAliveInitialDelayMillis: PROBE_AFTER_MS,
      connectionTimeoutMillis: ANSWER_MS,
      stream: () => new BatchingSocket(ANSWER_MS),
    });
    let ended = false;
    // What comes of it is told by the connection's own events.
    const asking = setInterval(() => next.query('select 1').catch(() => {}), ASK_MS).unref();
    const lost = (error?: Error) => {
      clearInterval(asking);
      if (ended) return;
      ended = true;
      if (stopped) return;
      log.warn({ err: error }, 'the listening connection was lost');
      setTimeout(reconnect, RECONNECT_MS).unref();
    };
    next.on('error', lost);
    next.on('end', () => lost());
    next.on('notification', (message) => receive(message.payload ?? ''));
    try {
      await next.connect();
      await next.query('listen overture');
      client = next;
    } catch (error) {
      ended = true;
      clearInterval(asking);
      await next.end().catch(() => {});
      throw error;
    }
  }

  function reconnect(): void {
    if (stopped) return;
    connect().then(
      () => {
        for (const waiting of [...followers.values()]) for (const callback of [...waiting]) callback();
        for (const callback of [...callbacks]) callback({ kind: 'missed' });
      },
      () => setTimeout(reconnect, RECONNECT_MS).unref(),
    );
  }

  return {
    start: connect,
    async stop() {
      stopped = true;
      await client?.end();
    },
    onWakeup(callback) {
      callbacks.add(callback);
      return () => callbacks.delete(callback);
    },
    onJournal(threadId, callback) {
      const waiting = followers.get(threadId) ?? new Set();
      waiting.add(callback);
      followers.set(threadId, waiting);
      return () => {
        waiting.delete(callback);
        if (waiting.size === 0 && followers.get(threadId) === waiting) followers.delete(threadId);
      };
    },
  };
}

function parse(payload: string, origin: string): Wakeup | null {
  const [kind, first = '', second = ''] = payload.split(' ');
  switch (kind) {
    case 'journal':
      return second === origin ? null : { kind, threadId: first };
    case 'list':
      return { kind, workspaceId: first, threadId: second };
    case 'cancel':
    case 'inbox':
      return { kind, turnId: first };
    case 'released':
      return { kind };
    default:
      return null;
  }
}
