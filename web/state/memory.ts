/** What the page remembers on this device: drafts, messages on their way, the token. A full or forbidden storage is no error. */

/** The part of `localStorage` that is used. */
export interface Storage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface Memory {
  read<Value>(key: string): Value | null;
  /** Null or undefined forgets. */
  write(key: string, value: unknown): void;
}

/** Keeps JSON values under keys that begin with `prefix`. */
export function createMemory(storage: Storage | null, prefix: string): Memory {
  return {
    read(key) {
      try {
        return JSON.parse(storage?.getItem(prefix + key) ?? 'null');
      } catch {
        return null;
      }
    },
    write(key, value) {
      try {
        if (value === null || value === undefined) storage?.removeItem(prefix + key);
        else storage?.setItem(prefix + key, JSON.stringify(value));
      } catch {
        // What cannot be kept is lost at a reload and not before.
      }
    },
  };
}
