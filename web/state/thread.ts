/** One open conversation: it is read, followed while something runs, written to, and never tells anything twice. */

import type { Client } from '../../src/client/client.ts';
import {
  applyEvent,
  type ConversationState,
  createConversationState,
  pendingApprovals,
} from '../../src/client/conversation.ts';
import { ClientError } from '../../src/client/errors.ts';
import type {
  ConversationDetail,
  ConversationSummary,
  JournalEvent,
  Message,
} from '../../src/client/events.ts';
import { type Fault, faultOf } from './faults.ts';
import type { Memory } from './memory.ts';
import { createStore, type Soon, type Store } from './store.ts';

/** A message that the service has not told yet. It keeps its key, so that no repeat makes a second turn. */
export interface Sending {
  key: string;
  text: string;
  body: Record<string, unknown>;
  /** `waiting`: the service is gone and the message is sent when it is back; `refused`: only a person can go on. */
  phase: 'sending' | 'waiting' | 'refused';
  fault: Fault | null;
  at: string;
}

export interface ThreadState {
  readonly phase: 'new' | 'loading' | 'ready' | 'missing' | 'failed';
  /** Null until the first message has made the conversation. */
  readonly threadId: string | null;
  readonly conversation: ConversationState;
  readonly sending: Sending | null;
  /** Reads the page before the oldest message; null where there is none. */
  readonly olderCursor: string | null;
  readonly loadingOlder: boolean;
  /** The turn that was asked to stop. */
  readonly stopping: string | null;
}

export interface Thread {
  /** Tells one opening of a conversation from another, also before it has an id. */
  readonly serial: string;
  store: Store<ThreadState>;
  /** Begins to read; without an id there is nothing to read yet. */
  open(): Promise<void>;
  /** Stops following; what was sent goes on. */
  close(): void;
  /** Sends a message; false where one is on its way already. */
  send(text: string, pageContext?: Record<string, unknown>): boolean;
  /** Sends the message again that was refused. */
  resend(): void;
  /** Gives the refused message up and answers its text. */
  unsend(): string;
  stop(): Promise<void>;
  loadOlder(): Promise<void>;
  /** Takes what the watch tells of this conversation. */
  hear(summary: ConversationSummary): void;
  /** Looks for what is new: after a decision, or when the connection is back. */
  catchUp(): void;
}

export interface ThreadNeeds {
  client: Client;
  soon: Soon;
  /** For messages on their way, kept over a reload of this tab. */
  memory: Memory;
  schedule(milliseconds: number, callback: () => void): () => void;
  newKey(): string;
  now(): number;
  threadId: string | null;
  /** The first message has made the conversation. */
  onCreated(threadId: string): void;
  onEvent?(event: JournalEvent, state: ConversationState): void;
}

/** A key is good for a day; a message that waited longer is shown and not sent by itself. */
const KEY_LIFE_MS = 20 * 3_600_000;
const RETRY_MS = 2_000;

export function createThread(needs: ThreadNeeds): Thread {
  const { client, memory, schedule } = needs;
  const store = createStore<ThreadState>(
    {
      phase: needs.threadId === null ? 'new' : 'loading',
      threadId: needs.threadId,
      conversation: createConversationState(),
      sending: null,
      olderCursor: null,
      loadingOlder: false,
      stopping: null,
    },
    needs.soon,
  );
  let threadId = needs.threadId;
  let following: AbortController | null = null;
  let reading: Promise<void> | null = null;
  /** Something happened that the follower at work may have missed. */
  let again = false;
  let closed = false;
  let cancelRetry = () => {};

  const slot = () => `sending:${threadId ?? 'new'}`;
  const state = () => store.get().conversation;
  const hasArrived = (key: string) => state().messages.some((message) => keyOf(message) === key);

  function apply(event: JournalEvent): void {
    const before = store.get();
    const conversation = applyEvent(before.conversation, event);
    if (conversation === before.conversation) return;
    store.set({
      conversation,
      ...(event.type === 'user-message' && keyOf(event.data.message) === before.sending?.key
        ? { sending: null }
        : {}),
      ...(event.type === 'run-end' && event.data.status !== 'lost' ? { stopping: null } : {}),
      ...(event.type === 'snapshot' ? { olderCursor: event.data.conversation.next_cursor } : {}),
    });
    needs.onEvent?.(event, conversation);
  }

  /** Reads the journal from where this page stands until nothing runs. */
  async function follow(): Promise<void> {
    if (closed || threadId === null) return;
    if (following !== null) {
      again = true;
      return;
    }
    const mine = new AbortController();
    following = mine;
    again = false;
    try {
      const after = Math.max(0, state().lastSeq);
      for await (const event of client.follow(threadId, { after, until: 'idle', signal: mine.signal })) {
        apply(event);
      }
    } catch (error) {
      if (error instanceof ClientError && error.status === 404) store.set({ phase: 'missing' });
    } finally {
      if (following === mine) following = null;
    }
    const { status } = state().run;
    if (again) return follow();
    // It said that something runs, yet the service has no more to tell: it may be between two runs.
    if (!mine.signal.aborted && (status === 'running' || status === 'recovering')) {
      cancelRetry();
      cancelRetry = schedule(RETRY_MS, () => void follow());
    }
  }

  /** Reads the conversation; whoever asks while it is being read waits for the same answer. */
  function read(): Promise<void> {
    if (threadId === null) return Promise.resolve();
    reading ??= readNow(threadId).finally(() => {
      reading = null;
    });
    return reading;
  }

  async function readNow(id: string): Promise<void> {
    try {
      const detail: ConversationDetail = await client.conversation(id);
      // A follower would go on from where it is, and the state no longer stands there.
      following?.abort();
      following = null;
      store.set({
        phase: 'ready',
        conversation: createConversationState(detail),
        olderCursor: detail.next_cursor,
      });
      const { sending } = store.get();
      if (sending !== null && hasArrived(sending.key)) settle();
      if (detail.status !== 'idle') void follow();
    } catch (error) {
      const gone = error instanceof ClientError && (error.status === 404 || error.status === 422);
      store.set({ phase: gone ? 'missing' : 'failed' });
    }
  }

  /** The message on its way has arrived. */
  function settle(): void {
    memory.write(slot(), null);
    store.set({ sending: null });
  }

  async function post(message: Sending): Promise<void> {
    store.set({ sending: { ...message, phase: 'sending', fault: null } });
    memory.write(slot(), message);
    try {
      const answer = await client.request<{ thread_id: string }>('POST', '/api/v1/agent/chat', message.body, {
        idempotencyKey: message.key,
        headers: { Prefer: 'respond-async' },
      });
      memory.write(slot(), null);
      if (hasArrived(message.key)) settle();
      if (threadId === null) {
        threadId = answer.thread_id;
        store.set({ phase: 'ready', threadId });
        needs.onCreated(threadId);
      }
      if (store.get().phase !== 'ready') await read();
      void follow();
    } catch (error) {
      // The answer was lost, yet the journal has told the message.
      if (hasArrived(message.key)) return settle();
      const fault = faultOf(error);
      const signedOut = fault.code === 'UNAUTHORIZED';
      const gone = fault.code === 'OFFLINE' || fault.code === 'DRAINING';
      store.set({ sending: { ...message, phase: gone || signedOut ? 'waiting' : 'refused', fault } });
      if (gone) {
        cancelRetry();
        cancelRetry = schedule(RETRY_MS, retryWaiting);
      } else if (error instanceof ClientError && error.status === 409) {
        // Another tab was first, or a card came meanwhile.
        void follow();
      }
    }
  }

  function retryWaiting(): void {
    const { sending } = store.get();
    if (sending?.phase === 'waiting' && !closed) void post(sending);
  }

  return {
    serial: needs.newKey(),
    store,

    async open() {
      const kept = memory.read<Sending>(slot());
      if (kept !== null) {
        const fresh = needs.now() - Date.parse(kept.at) < KEY_LIFE_MS;
        store.set({ sending: { ...kept, phase: fresh ? 'waiting' : 'refused' } });
      }
      await read();
      // Sent once more under its key: a message that had arrived joins its own turn.
      retryWaiting();
    },

    close() {
      closed = true;
      cancelRetry();
      following?.abort();
    },

    send(text, pageContext) {
      if (store.get().sending !== null) return false;
      const key = needs.newKey();
      const waiting = pendingApprovals(state()).length > 0;
      const body = {
        ...(threadId === null ? {} : { thread_id: threadId }),
        message: text,
        client_message_id: key,
        ...(pageContext === undefined ? {} : { page_context: pageContext }),
        ...(waiting ? { on_pending: 'supersede' } : {}),
      };
      const at = new Date(needs.now()).toISOString();
      void post({ key, text, body, phase: 'sending', fault: null, at });
      return true;
    },

    resend() {
      const { sending } = store.get();
      if (sending === null || sending.phase === 'sending') return;
      // What was refused was no turn; a new key lets it be judged anew, and as the conversation stands now.
      const key = sending.phase === 'waiting' ? sending.key : needs.newKey();
      const waiting = pendingApprovals(state()).length > 0;
      const body = {
        ...sending.body,
        client_message_id: key,
        ...(waiting && key !== sending.key ? { on_pending: 'supersede' } : {}),
      };
      void post({ ...sending, key, body });
    },

    unsend() {
      const { sending } = store.get();
      settle();
      return sending?.text ?? '';
    },

    async stop() {
      const { turnId } = state().run;
      if (threadId === null || turnId === null) return;
      store.set({ stopping: turnId });
      try {
        await client.cancel(threadId, turnId);
        void follow();
      } catch {
        store.set({ stopping: null });
        void follow();
      }
    },

    async loadOlder() {
      const { olderCursor, loadingOlder } = store.get();
      if (threadId === null || olderCursor === null || loadingOlder) return;
      store.set({ loadingOlder: true });
      try {
        const page = await client.conversation(threadId, olderCursor);
        store.set(({ conversation }) => ({
          conversation: { ...conversation, messages: withOlder(page.messages, conversation.messages) },
          olderCursor: page.next_cursor,
          loadingOlder: false,
        }));
      } catch {
        store.set({ loadingOlder: false });
      }
    },

    hear(summary) {
      if (summary.thread_id !== threadId || store.get().phase !== 'ready') return;
      const { run, lastSeq, title, archived } = state();
      if (title === null && summary.title !== null) {
        store.set(({ conversation }) => ({ conversation: { ...conversation, title: summary.title } }));
      }
      const status = run.status === 'recovering' ? 'running' : run.status;
      const told = summary.last_seq <= lastSeq && summary.status === status;
      if (!told || ((summary.archived_at ?? null) !== null) !== archived) void follow();
    },

    catchUp() {
      const { phase } = store.get();
      if (phase === 'failed' || phase === 'loading') void read();
      else if (phase === 'ready') {
        // The follower at work may be waiting long for a connection that is there again.
        following?.abort();
        following = null;
        void follow();
      }
      retryWaiting();
    },
  };
}

/** The key under which a message was sent from a page. */
export function keyOf(message: Message): unknown {
  return message.metadata.client_message_id;
}

function withOlder(older: readonly Message[], newer: readonly Message[]): Message[] {
  const known = new Set(newer.map((message) => message.id));
  return [...older.filter((message) => !known.has(message.id)), ...newer];
}
