/** What the page asks of a browser, in the shapes that the model wants. */

import type { Storage } from './state/memory.ts';
import type { Browser } from './state/router.ts';
import type { Soon } from './state/store.ts';
import type { TabMessage, Tabs } from './state/watch.ts';

/** A hidden page has no frames; a busy one must not be told more often than this. */
const LATEST_MS = 60;

/** At the next frame, or after a moment where there are no frames. */
export const soon: Soon = (callback) => {
  let done = false;
  const once = () => {
    if (done) return;
    done = true;
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    callback();
  };
  const frame = requestAnimationFrame(once);
  const timer = setTimeout(once, LATEST_MS);
};

export function schedule(milliseconds: number, callback: () => void): () => void {
  const timer = setTimeout(callback, milliseconds);
  return () => clearTimeout(timer);
}

/** The storage, or null where the browser forbids it. */
export function storageOf(name: 'localStorage' | 'sessionStorage'): Storage | null {
  try {
    return window[name];
  } catch {
    return null;
  }
}

/** How tabs of one origin share a connection; null where the browser (or a page without TLS) has no locks. */
export function tabsOf(): Tabs | null {
  if (!('locks' in navigator) || !('BroadcastChannel' in window)) return null;
  return {
    async alone(name, signal, hold) {
      await navigator.locks.request(name, { signal }, hold);
    },
    channel(name, hear) {
      const channel = new BroadcastChannel(name);
      channel.onmessage = (event: MessageEvent<TabMessage>) => hear(event.data);
      return { say: (message) => channel.postMessage(message), close: () => channel.close() };
    },
  };
}

/** The address bar. */
export const addressBar: Browser = {
  path: () => `${location.pathname}${location.hash}`,
  go(path, replace) {
    if (replace) history.replaceState(null, '', path);
    else history.pushState(null, '', path);
  },
  onBack: (callback) => window.addEventListener('popstate', callback),
};
