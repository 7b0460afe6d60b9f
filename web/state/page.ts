/** The page without its looks: every part of it, wired together. It knows no React and no DOM, so it runs in tests. */

import { type Client, createClient } from '../../src/client/client.ts';
import type { ConversationState } from '../../src/client/conversation.ts';
import type { Approval, JournalEvent } from '../../src/client/events.ts';
import { type Conversations, createConversations } from './conversations.ts';
import { createDecisions, type Decisions } from './decisions.ts';
import { createInbox, type Inbox } from './inbox.ts';
import { createMemory, type Memory, type Storage } from './memory.ts';
import { type Browser, createRouter, type Router, threadPath } from './router.ts';
import { createSession, type Session } from './session.ts';
import { createStore, type Soon, type Store } from './store.ts';
import { createThread, type Thread } from './thread.ts';
import { createUpload, type Upload } from './uploads.ts';
import { type Connection, startWatch, type Tabs, type Watch } from './watch.ts';

export interface PageState {
  connection: Connection;
  thread: Thread;
  /** Credits that may be spent now. */
  credits: number | null;
  /** What a screen reader is told next; the same words again are told again. */
  announcement: { text: string; count: number };
  /** What the embedding page says of itself, sent along with each message. */
  hostContext: Record<string, unknown> | null;
  /** What is attached to the next message. */
  attached: Attached | null;
  /** The name of a campaign that could be launched. */
  draftCampaign: string | null;
}

export interface Attached {
  dataset_id: string;
  dataset_name: string;
  leads: number;
}

export interface PageModel {
  store: Store<PageState>;
  client: Client;
  session: Session;
  conversations: Conversations;
  inbox: Inbox;
  decisions: Decisions;
  upload: Upload;
  router: Router;
  memory: Memory;
  /** Lets the person in and begins; may be called again after a failure. */
  start(): Promise<void>;
  stop(): void;
  /** Tries the connection now. */
  reconnect(): void;
  announce(text: string): void;
  attach(attached: Attached | null): void;
  setHostContext(context: Record<string, unknown> | null): void;
  /** Sends the composer's text with what is attached; false where one is on its way. */
  send(text: string): boolean;
}

export interface PageNeeds {
  baseUrl: string;
  browser: Browser;
  /** Lasts: drafts, the token. */
  storage: Storage | null;
  /** Lasts as long as the tab: messages on their way. */
  tabStorage: Storage | null;
  tabs: Tabs | null;
  soon: Soon;
  schedule(milliseconds: number, callback: () => void): () => void;
  now(): number;
  fetch?: typeof globalThis.fetch;
  tokenSource?: (() => string | undefined | Promise<string | undefined>) | undefined;
  /** Tells a person who looks elsewhere that something waits. */
  notify?(approval: Approval): void;
}

/** Tries again so often to get in while the service is gone. */
const RETRY_MS = 2_000;

/** Puts the page together; it does nothing before `start`. */
export function createPage(needs: PageNeeds): PageModel {
  const { soon, now } = needs;
  let stopped = false;
  /** What is to be called back; nothing is once the page was left. */
  const appointments = new Set<() => void>();
  const schedule: PageNeeds['schedule'] = (milliseconds, callback) => {
    const cancel = needs.schedule(milliseconds, () => {
      appointments.delete(cancel);
      if (!stopped) callback();
    });
    appointments.add(cancel);
    return () => {
      appointments.delete(cancel);
      cancel();
    };
  };
  const memory = createMemory(needs.storage, 'overture:');
  const tabMemory = createMemory(needs.tabStorage, 'overture:');
  const doFetch = needs.fetch ?? ((input, init) => globalThis.fetch(input, init));
  const session = createSession({ memory, soon, client: () => client, tokenSource: needs.tokenSource });
  const client = createClient({
    baseUrl: needs.baseUrl,
    token: session.token,
    async fetch(input, init) {
      const response = await doFetch(input, init);
      if (response.status === 401) session.refused();
      return response;
    },
  });
  const router = createRouter({ browser: needs.browser, soon });
  const conversations = createConversations({ client, soon, schedule });
  const decisions = createDecisions({
    client,
    soon,
    newKey,
    onChange(threadId) {
      if (threadId === shown()) store.get().thread.catchUp();
      void inbox.load();
    },
  });
  const inbox = createInbox({
    client,
    soon,
    schedule,
    onNew: (approvals) => {
      for (const approval of approvals) needs.notify?.(approval);
    },
  });
  const upload = createUpload({ client, soon });
  let watch: Watch | null = null;
  let cancelStart = () => {};

  /** The conversation that is open; it may have got its id after it was opened. */
  let openId: string | null = null;
  const shown = () => openId;

  function openThread(threadId: string | null): Thread {
    openId = threadId;
    return createThread({
      client,
      soon,
      memory: tabMemory,
      schedule,
      newKey,
      now,
      threadId,
      onCreated(id) {
        // The person may have gone elsewhere meanwhile.
        const { place } = router.store.get();
        if (place.at !== 'chat' || place.threadId !== null || openId !== null) return;
        openId = id;
        router.go(threadPath(id), { replace: true });
      },
      onEvent: hearEvent,
    });
  }

  function hearEvent(event: JournalEvent, state: ConversationState): void {
    if (event.type === 'run-start' && event.data.kind === 'message') announce('Overture is answering.');
    if (event.type === 'approval-request') announce(`Needs your approval: ${event.data.approval.title}`);
    if (event.type === 'approval-end') announce(`The approval is ${event.data.status} now.`);
    if (event.type !== 'run-end') return;
    void readCredits();
    if (event.data.status === 'completed') {
      const content = state.messages.findLast((message) => message.role === 'assistant')?.content ?? '';
      announce(content.length > 300 ? 'The answer is there.' : `Overture: ${content}`);
    }
    if (event.data.status === 'failed') announce('The answer failed.');
    if (event.data.status === 'cancelled') announce('Stopped.');
  }

  function announce(text: string): void {
    store.set(({ announcement }) => ({ announcement: { text, count: announcement.count + 1 } }));
  }

  async function readCredits(): Promise<void> {
    try {
      const balance = await client.request<{ available_credits: number }>('GET', '/api/v1/credits/balance');
      store.set({ credits: balance.available_credits });
    } catch {
      // The number is only shown; the next run's end asks again.
    }
  }

  async function readDraftCampaign(): Promise<void> {
    try {
      const { items } = await client.request<{ items: { name: string }[] }>(
        'GET',
        '/api/v1/campaigns/',
        undefined,
        { query: { status_filter: 'draft', limit: 1 } },
      );
      store.set({ draftCampaign: items[0]?.name ?? null });
    } catch {
      // It is only a suggestion.
    }
  }

  const store: Store<PageState> = createStore<PageState>(
    {
      connection: 'connecting',
      thread: openThread(
        (() => {
          const { place } = router.store.get();
          return place.at === 'chat' ? place.threadId : null;
        })(),
      ),
      credits: null,
      announcement: { text: '', count: 0 },
      hostContext: null,
      attached: null,
      draftCampaign: null,
    },
    soon,
  );

  router.store.subscribe(() => {
    const { place } = router.store.get();
    if (place.at !== 'chat' || place.threadId === openId) return;
    store.get().thread.close();
    const thread = openThread(place.threadId);
    store.set({ thread, attached: null });
    void thread.open();
  });

  function beginToWatch(): void {
    const { user } = session.store.get();
    watch?.stop();
    watch = startWatch({
      client,
      tabs: needs.tabs,
      name: `overture ${needs.baseUrl} ${user?.workspaceId} ${user?.userId}`,
      schedule,
      onConnection(connection) {
        store.set({ connection });
        if (connection !== 'open') return;
        void conversations.load();
        void inbox.load();
        void readCredits();
        store.get().thread.catchUp();
      },
      onConversation(summary) {
        conversations.hear(summary);
        store.get().thread.hear(summary);
      },
      onApprovals: inbox.hear,
    });
  }

  async function start(): Promise<void> {
    cancelStart();
    try {
      await session.check();
    } catch {
      if (stopped) return;
      store.set({ connection: 'lost' });
      cancelStart = schedule(RETRY_MS, () => void start());
    }
  }

  let lastPhase = session.store.get().phase;
  session.store.subscribe(() => {
    const { phase } = session.store.get();
    if (phase === lastPhase || stopped) return;
    lastPhase = phase;
    if (phase === 'open') {
      beginToWatch();
      void readDraftCampaign();
      void conversations.load();
      void inbox.load();
      void readCredits();
      void store.get().thread.open();
    } else {
      watch?.stop();
      watch = null;
    }
  });

  return {
    store,
    client,
    session,
    conversations,
    inbox,
    decisions,
    upload,
    router,
    memory,
    announce,

    start,
    stop() {
      stopped = true;
      for (const cancel of appointments) cancel();
      appointments.clear();
      watch?.stop();
      store.get().thread.close();
    },
    reconnect() {
      if (watch === null) void start();
      else watch.poke();
    },
    attach: (attached) => store.set({ attached }),
    setHostContext: (hostContext) => store.set({ hostContext }),
    send(text) {
      const { thread, attached, hostContext } = store.get();
      const context = {
        ...(hostContext ?? {}),
        ...(attached === null ? {} : { attached_dataset: attached }),
      };
      const sent = thread.send(text, Object.keys(context).length === 0 ? undefined : context);
      if (sent) store.set({ attached: null });
      return sent;
    },
  };
}

/** 128 random bits; `crypto.randomUUID` is absent in pages served without TLS. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
