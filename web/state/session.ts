/** Who uses the page: the token, if one is needed, and what the installation can do. */

import type { Client } from '../../src/client/client.ts';
import { ClientError } from '../../src/client/errors.ts';
import type { Memory } from './memory.ts';
import { createStore, type Soon, type Store } from './store.ts';

export interface User {
  userId: string;
  email: string;
  workspaceId: string;
}

export interface SessionState {
  /** `needed`: the service wants a token and there is none; `expired`: the one there is holds no more. */
  phase: 'checking' | 'open' | 'needed' | 'expired';
  user: User | null;
  capabilities: Readonly<Record<string, boolean>>;
}

export interface Session {
  store: Store<SessionState>;
  /** The token for the next request. */
  token(): Promise<string | undefined>;
  /** Takes a token and asks the service about it; false where it is not accepted. Throws as `check` does. */
  give(token: string): Promise<boolean>;
  /** Asks who the caller is; false where the service did not let them in. Throws where it cannot be reached. */
  check(): Promise<boolean>;
  /** The service refused the token of a request. */
  refused(): void;
}

export interface SessionNeeds {
  memory: Memory;
  soon: Soon;
  client(): Client;
  /** Where the embedding page hands the token over. */
  tokenSource?: (() => string | undefined | Promise<string | undefined>) | undefined;
}

interface Me {
  user_id: string;
  email: string;
  app_metadata: { workspace_id: string };
}

export function createSession({ memory, soon, client, tokenSource }: SessionNeeds): Session {
  const store = createStore<SessionState>({ phase: 'checking', user: null, capabilities: {} }, soon);
  let given: string | undefined;

  /** Another tab may have been given a newer one. */
  async function token(): Promise<string | undefined> {
    return (await tokenSource?.()) ?? memory.read<string>('token') ?? given;
  }

  async function check(): Promise<boolean> {
    try {
      const me = await client().request<Me>('GET', '/api/v1/auth/me');
      const capabilities = await client().request<Record<string, boolean>>('GET', '/api/v1/capabilities');
      const user = { userId: me.user_id, email: me.email, workspaceId: me.app_metadata.workspace_id };
      store.set({ phase: 'open', user, capabilities });
      return true;
    } catch (error) {
      if (error instanceof ClientError && error.status === 401) return false;
      throw error;
    }
  }

  return {
    store,
    token,
    check,
    async give(value) {
      const { phase } = store.get();
      given = value.trim().replace(/^Bearer\s+/i, '') || undefined;
      memory.write('token', given);
      if (await check()) return true;
      given = undefined;
      memory.write('token', null);
      store.set({ phase });
      return false;
    },
    refused() {
      void token().then((held) => store.set({ phase: held === undefined ? 'needed' : 'expired' }));
    },
  };
}
