/** A browser's window for React hooks: a document to render into, and a way to wait for what it shows. */

import { JSDOM } from 'jsdom';
import { createElement, type FunctionComponent } from 'react';
import { createRoot, type Root } from 'react-dom/client';

export interface Page<Value> {
  /** What the hook gave in the last render. */
  readonly value: Value;
  /** Waits until a render's value fits. */
  until(what: string, fits: (value: Value) => boolean): Promise<Value>;
  /** Leaves the page: the component is unmounted. */
  close(): void;
}

const WAIT_MS = 40_000;

/** Gives this test file a window, for as long as it runs: React still looks for one after the last unmount. */
export function openWindow(): void {
  const { window } = new JSDOM('<!doctype html>', { url: 'http://localhost/', pretendToBeVisual: true });
  for (const name of ['document', 'sessionStorage', 'HTMLElement', 'HTMLIFrameElement']) {
    Object.defineProperty(globalThis, name, { value: Reflect.get(window, name), configurable: true });
  }
  Object.defineProperty(globalThis, 'window', { value: window, configurable: true });
}

/** Renders a component that does nothing but use the hook. */
export function renderHook<Value>(hook: () => Value): Page<Value> {
  let rendered: { value: Value } | null = null;
  const waiting = new Set<() => void>();
  const Component: FunctionComponent = () => {
    rendered = { value: hook() };
    queueMicrotask(() => {
      for (const look of [...waiting]) look();
    });
    return null;
  };
  const root: Root = createRoot(Reflect.get(globalThis, 'document').createElement('div'));
  root.render(createElement(Component));
  const now = (): { value: Value } | null => rendered;
  return {
    get value() {
      const last = now();
      if (last === null) throw new Error('nothing was rendered yet');
      return last.value;
    },
    until(what, fits) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(look);
          reject(new Error(`the page never showed ${what}`));
        }, WAIT_MS);
        const look = () => {
          const last = now();
          if (last === null || !fits(last.value)) return;
          clearTimeout(timer);
          waiting.delete(look);
          resolve(last.value);
        };
        waiting.add(look);
        look();
      });
    },
    close: () => root.unmount(),
  };
}
