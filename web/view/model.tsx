/** How views reach the page's model: a context, a hook for stores, and the time. */

import {
  type ComponentType,
  createContext,
  useContext,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react';
import type { Approval } from '../../src/client/events.ts';
import type { PageModel } from '../state/page.ts';
import type { Store } from '../state/store.ts';
import type { TestMailProps } from './approval/TestMail.tsx';

export interface Surroundings {
  model: PageModel;
  /** `widget`: in a corner of somebody else's page. */
  kind: 'page' | 'widget';
  /** Null where this browser has none, or the page may not. */
  notifications: Notifications | null;
  /** What cards can do beyond deciding; null in a widget, which is small and leads to the page for it. */
  extras: CardExtras | null;
}

export interface CardExtras {
  TestMail: ComponentType<TestMailProps>;
  Asked: ComponentType<{ approval: Approval }>;
  LaunchEnd: ComponentType<{ approval: Approval }>;
  Recipients: ComponentType<{ approval: Approval }>;
}

export interface Notifications {
  state(): 'default' | 'granted' | 'denied';
  ask(): Promise<void>;
}

export const SurroundingsContext = createContext<Surroundings | null>(null);

export function useSurroundings(): Surroundings {
  const surroundings = useContext(SurroundingsContext);
  if (surroundings === null) throw new Error('a view stands outside of the page');
  return surroundings;
}

export function useModel(): PageModel {
  return useSurroundings().model;
}

/** What `select` takes from the store; it must answer the same value for the same state. */
export function useStore<State, Selected>(store: Store<State>, select: (state: State) => Selected): Selected {
  return useSyncExternalStore(store.subscribe, () => select(store.get()));
}

/** The time in milliseconds, told anew each `every` milliseconds. */
export function useNow(every: number): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

/** Focuses the element when `when` becomes true; attributes such as autoFocus do not work everywhere. */
export function useFocusWhen<E extends HTMLElement>(when: boolean) {
  const element = useRef<E>(null);
  useEffect(() => {
    if (when) element.current?.focus();
  }, [when]);
  return element;
}
