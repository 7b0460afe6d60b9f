/** The approvals of the workspace that wait, and those that were decided. */

import type { Client } from '../../src/client/client.ts';
import type { Approval } from '../../src/client/events.ts';
import { createStore, type Soon, type Store } from './store.ts';

export interface InboxState {
  /** How many wait, as told last. */
  pending: number;
  /** Newest first; null until they were read. */
  waiting: readonly Approval[] | null;
  decided: readonly Approval[] | null;
  cursor: string | null;
  failed: boolean;
}

export interface Inbox {
  store: Store<InboxState>;
  load(): Promise<void>;
  /** The next page of those that were decided; the first where none was read. */
  loadDecided(fresh: boolean): Promise<void>;
  /** Takes the number that the watch tells. */
  hear(pending: number): void;
}

export interface InboxNeeds {
  client: Client;
  soon: Soon;
  schedule(milliseconds: number, callback: () => void): () => void;
  /** Cards that were not there when the list was read before. */
  onNew(approvals: readonly Approval[]): void;
}

interface ApprovalPage {
  approvals: Approval[];
  next_cursor: string | null;
}

const PATH = '/api/v1/agent/approvals';
const SETTLE_MS = 100;

export function createInbox({ client, soon, schedule, onNew }: InboxNeeds): Inbox {
  const store = createStore<InboxState>(
    { pending: 0, waiting: null, decided: null, cursor: null, failed: false },
    soon,
  );
  let cancel = () => {};

  async function load(): Promise<void> {
    try {
      const { approvals } = await client.request<ApprovalPage>('GET', PATH, undefined, {
        query: { status: 'pending', limit: 100 },
      });
      const known = store.get().waiting;
      store.set((state) => ({
        waiting: approvals,
        pending: approvals.length < 100 ? approvals.length : Math.max(state.pending, approvals.length),
        failed: false,
      }));
      if (known === null) return;
      const ids = new Set(known.map((approval) => approval.approval_id));
      const fresh = approvals.filter((approval) => !ids.has(approval.approval_id));
      if (fresh.length > 0) onNew(fresh);
    } catch {
      store.set({ failed: true });
    }
  }

  return {
    store,
    load,
    async loadDecided(fresh) {
      const { decided, cursor } = store.get();
      if (!fresh && decided !== null && cursor === null) return;
      try {
        const { approvals, next_cursor } = await client.request<ApprovalPage>('GET', PATH, undefined, {
          query: { status: 'all', limit: 50, cursor: fresh ? undefined : (cursor ?? undefined) },
        });
        const ended = approvals.filter((approval) => approval.status !== 'pending');
        store.set({
          decided: fresh ? ended : [...(decided ?? []), ...ended],
          cursor: next_cursor,
          failed: false,
        });
      } catch {
        store.set({ failed: true });
      }
    },
    hear(pending) {
      store.set({ pending });
      // Several facts of one turn come at once; they are read together.
      cancel();
      cancel = schedule(SETTLE_MS, () => void load());
    },
  };
}
