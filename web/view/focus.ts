/** Keeps the focus in the page: where the focused element goes away, what stands around it takes its place. */

import { type RefObject, useEffect } from 'react';

/**
 * Watches what stands in `frame`. When the element with the focus is removed or disabled, the nearest element around it
 * that is still there and says where (`data-focus`, a selector of what is in it) hands the focus on.
 */
export function useKeptFocus(frame: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const element = frame.current;
    if (element === null) return;
    const root = element.getRootNode() as Document | ShadowRoot;
    /** The element with the focus, and what it stands in. */
    let path: HTMLElement[] = [];
    const remember = (event: FocusEvent) => {
      path = event
        .composedPath()
        .filter((one) => one instanceof HTMLElement && element.contains(one)) as HTMLElement[];
    };
    // Whoever clicks elsewhere takes the focus away on purpose.
    const forget = () => {
      path = [];
    };
    const look = () => {
      const [held] = path;
      if (held === undefined || isThere(held)) return;
      const active = root.activeElement;
      if (active !== null && active !== document.body && active !== held) return;
      for (const around of path) {
        const target = around.isConnected && around.dataset.focus;
        if (target) around.querySelector<HTMLElement>(target)?.focus({ preventScroll: true });
        if (root.activeElement !== active) return;
      }
    };
    const observer = new MutationObserver(look);
    observer.observe(element, {
      subtree: true,
      childList: true,
      attributes: true,
      attributeFilter: ['disabled', 'inert'],
    });
    element.addEventListener('focusin', remember);
    document.addEventListener('pointerdown', forget, true);
    return () => {
      observer.disconnect();
      element.removeEventListener('focusin', remember);
      document.removeEventListener('pointerdown', forget, true);
    };
  }, [frame]);
}

function isThere(element: HTMLElement): boolean {
  return element.isConnected && !element.matches(':disabled') && element.closest('[inert]') === null;
}
