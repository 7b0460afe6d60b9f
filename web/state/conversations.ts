/** The list of conversations: read in pages, searched, kept up to date by what the watch tells. */

import type { Client } from '../../src/client/client.ts';
import type { ConversationPage, ConversationSummary } from '../../src/client/events.ts';
import { type Fault, faultOf } from './faults.ts';
import { createStore, type Soon, type Store } from './store.ts';

export interface ListState {
  items: readonly ConversationSummary[];
  search: string;
  archived: boolean;
  phase: 'loading' | 'ready' | 'failed';
  cursor: string | null;
  /** What went wrong with the last change of a conversation. */
  fault: Fault | null;
}

export interface Conversations {
  store: Store<ListState>;
  /** Reads the list from its beginning, as it is searched now. */
  load(): Promise<void>;
  more(): Promise<void>;
  search(words: string): void;
  showArchived(archived: boolean): void;
  /** Takes what the watch tells of a conversation. */
  hear(summary: ConversationSummary): void;
  rename(threadId: string, title: string): Promise<void>;
  archive(threadId: string): Promise<void>;
  restore(threadId: string): Promise<void>;
}

export interface ConversationsNeeds {
  client: Client;
  soon: Soon;
  schedule(milliseconds: number, callback: () => void): () => void;
}

const PAGE = 40;
const TYPING_PAUSE_MS = 200;

export function createConversations({ client, soon, schedule }: ConversationsNeeds): Conversations {
  const store = createStore<ListState>(
    { items: [], search: '', archived: false, phase: 'loading', cursor: null, fault: null },
    soon,
  );
  /** An answer that was asked for before the last question is not shown. */
  let asked = 0;
  let stopTyping = () => {};

  async function read(cursor: string | null): Promise<void> {
    asked += 1;
    const mine = asked;
    const { search, archived } = store.get();
    try {
      const page: ConversationPage = await client.conversations({
        limit: PAGE,
        archived,
        search: search.trim() === '' ? undefined : search.trim(),
        cursor: cursor ?? undefined,
      });
      if (mine !== asked) return;
      store.set(({ items }) => ({
        items: cursor === null ? page.conversations : merge(items, page.conversations),
        cursor: page.next_cursor,
        phase: 'ready',
      }));
    } catch {
      if (mine === asked) store.set({ phase: 'failed' });
    }
  }

  async function change(act: () => Promise<ConversationSummary | null>, threadId: string): Promise<void> {
    try {
      const summary = await act();
      store.set({ fault: null });
      if (summary !== null) hear(summary);
      else drop(threadId);
    } catch (error) {
      store.set({ fault: faultOf(error) });
    }
  }

  function drop(threadId: string): void {
    store.set(({ items }) => ({ items: items.filter((item) => item.thread_id !== threadId) }));
  }

  function hear(summary: ConversationSummary): void {
    const { items, search, archived } = store.get();
    const known = items.some((item) => item.thread_id === summary.thread_id);
    if (((summary.archived_at ?? null) !== null) !== archived) drop(summary.thread_id);
    else if (known || search.trim() === '') store.set({ items: merge(items, [summary]) });
  }

  const path = (threadId: string) => `/api/v1/agent/conversations/${threadId}`;
  return {
    store,
    load: () => read(null),
    async more() {
      const { cursor } = store.get();
      if (cursor !== null) await read(cursor);
    },
    search(words) {
      store.set({ search: words });
      stopTyping();
      stopTyping = schedule(TYPING_PAUSE_MS, () => void read(null));
    },
    showArchived(archived) {
      store.set({ archived, items: [], phase: 'loading', cursor: null });
      void read(null);
    },
    hear,
    rename: (threadId, title) => change(() => client.request('PATCH', path(threadId), { title }), threadId),
    archive: (threadId) => change(() => client.request('DELETE', path(threadId)).then(() => null), threadId),
    restore: (threadId) => change(() => client.request('POST', `${path(threadId)}/restore`), threadId),
  };
}

/** Both lists, each conversation once, the last changed first. */
function merge(
  old: readonly ConversationSummary[],
  fresh: readonly ConversationSummary[],
): ConversationSummary[] {
  const all = new Map([...old, ...fresh].map((item) => [item.thread_id, item]));
  return [...all.values()].sort((one, other) => changedAt(other).localeCompare(changedAt(one)));
}

/** When it changed last, as ISO 8601 text. */
export function changedAt(item: ConversationSummary): string {
  return item.updated_at ?? item.created_at;
}
