/** A value that views can watch: changes are seen at once by whoever asks, and told together, once a frame. */

export interface Store<State> {
  get(): State;
  /** Replaces the state, or merges what the function answers. The same state again is no change. */
  set(change: Partial<State> | ((state: State) => Partial<State>)): void;
  /** Calls back after changes; answers how to stop. */
  subscribe(listener: () => void): () => void;
}

/** Calls back soon: in a page at the next frame, and in a hidden one (which has no frames) after a moment. */
export type Soon = (callback: () => void) => void;

/** Makes a store. Many changes before `soon` calls back are told as one. */
export function createStore<State extends object>(initial: State, soon: Soon): Store<State> {
  let state = initial;
  let waiting = false;
  const listeners = new Set<() => void>();
  return {
    get: () => state,
    set(change) {
      const part = typeof change === 'function' ? change(state) : change;
      const changed = (Object.keys(part) as (keyof State)[]).some(
        (name) => !Object.is(part[name], state[name]),
      );
      if (!changed) return;
      state = { ...state, ...part };
      if (waiting) return;
      waiting = true;
      soon(() => {
        waiting = false;
        for (const listener of [...listeners]) listener();
      });
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
