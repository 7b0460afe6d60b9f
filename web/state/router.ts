/** Where the page is: `/`, `/t/:id`, `/approvals`, with `#approval-:id` for one card and `#turn-:id` for the message that began a turn. A widget keeps its place where its page's address is not touched. */

import { createStore, type Soon, type Store } from './store.ts';

export type Place = { at: 'chat'; threadId: string | null } | { at: 'approvals' };

export interface RouteState {
  place: Place;
  /** The card that a link points at. */
  approvalId: string | null;
  /** The turn whose message a link points at. */
  turnId: string | null;
}

/** Where the place is kept: the address bar, or what stands in for it. */
export interface Browser {
  path(): string;
  go(path: string, replace: boolean): void;
  onBack(callback: () => void): void;
}

export interface Router {
  store: Store<RouteState>;
  go(path: string, options?: { replace?: boolean }): void;
}

/** Makes the router; it begins where the browser is. */
export function createRouter({ browser, soon }: { browser: Browser; soon: Soon }): Router {
  const store = createStore<RouteState>(readPath(browser.path()), soon);
  browser.onBack(() => store.set(readPath(browser.path())));
  return {
    store,
    go(path, { replace = false } = {}) {
      browser.go(path, replace);
      store.set(readPath(path));
    },
  };
}

/** Reads an address; one that is not known is the beginning. */
export function readPath(path: string): RouteState {
  const [address = '/', anchor = ''] = path.split('#');
  const approvalId = /^approval-([\w-]+)$/.exec(anchor)?.[1] ?? null;
  const turnId = /^turn-([\w-]+)$/.exec(anchor)?.[1] ?? null;
  const threadId = /^\/t\/([\w-]+)\/?$/.exec(address)?.[1];
  if (threadId !== undefined) return { place: { at: 'chat', threadId }, approvalId, turnId };
  if (/^\/approvals\/?$/.test(address)) return { place: { at: 'approvals' }, approvalId, turnId };
  return { place: { at: 'chat', threadId: null }, approvalId: null, turnId: null };
}

/** The address of a conversation, or of one card in it. */
export function threadPath(threadId: string, approvalId?: string): string {
  return `/t/${threadId}${approvalId === undefined ? '' : `#approval-${approvalId}`}`;
}

/** The address of the message that began a turn. */
export function turnPath(threadId: string, turnId: string): string {
  return `${threadPath(threadId)}#turn-${turnId}`;
}
