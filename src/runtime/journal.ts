/** The journal as a process sees it: live runs tell numbered events, readers follow from any number, rows follow in group commits. */

import {
  type DeltaType,
  type EventType,
  isDelta,
  isStoredFirst,
  type JournalEvent,
  type NewEvent,
} from './events.ts';
import type { Clock, InboxFact, JournalStore, LeasedTurn, RunBatch, StoredEvent, Wake } from './ports.ts';

export interface JournalNeeds {
  store: JournalStore;
  wake: Wake;
  clock: Clock;
  /** Told when a flush failed; it is tried again. */
  onFlushError(error: unknown): void;
}

/** Text is stored at most this often (design.md §4). */
const FLUSH_EVERY_MS = 100;
/**
 * After an event of text the next of its run waits so long, and takes along what comes meanwhile: a screen shows no more
 * in that time, and a model that is faster costs one event where it would cost dozens.
 */
const TELL_EVERY_MS = 16;
/** A batch that the database refuses this often, other than by being away, is given up with its runs. */
const MAX_REFUSALS = 5;
const READ_PAGE = 500;

export interface ReadScope {
  workspaceId: string;
  threadId: string;
}

/**
 * Of a number that a reader says to have had, although no more than `floor` is stored: another process may have told it and
 * not stored it yet, or nobody ever told it. An event below it that is stored before it is told proves the latter; the
 * reader then begins again behind `floor`.
 */
export interface Doubt {
  floor: number;
  /** Is given what the reader has had, as it is stored, by whoever has to know the whole story. */
  onSkipped?(event: JournalEvent): void;
  /** All that was skipped comes again, and is told. */
  onDisproved?(): void;
}

/** Follows a conversation. Not an async iterator: a live token must not cost a promise. */
export interface Reader {
  /** The next events, up to `max`; none when there is nothing now. A promise only where rows have to be read. */
  next(max: number): JournalEvent[] | Promise<JournalEvent[]>;
  /** Calls back once as soon as there may be more. */
  onMore(callback: () => void): void;
  close(): void;
}

/** A run as its owner tells it. */
export interface LiveRun {
  /** Tells now, stores with the next flush. */
  tell(event: NewEvent): void;
  /** Tells text; what waits at the same moment for the same part travels as one event. */
  delta(event: DeltaEvent): void;
  /** Stores, then tells. Rejects when the lease is lost. */
  commit(event: NewEvent, inbox?: InboxFact): Promise<void>;
  /** Numbers the last events without telling them, and hands over all rows that are not stored yet. */
  seal(events: readonly NewEvent[]): Promise<Seal>;
  /** Ends the telling here; readers go on from the rows. */
  close(): void;
  /** Calls back when the lease turned out to be lost. */
  onLost(callback: () => void): void;
  /** Resolves when all that was told is stored. */
  flushed(): Promise<void>;
}

export interface Seal {
  rows: StoredEvent[];
  inboxIds: string[];
  /** The rows are committed: tell them. */
  confirm(): void;
  /** They were refused: forget the last events, keep the rest for the next flush. */
  discard(): void;
}

export type DeltaEvent = Extract<NewEvent, { type: DeltaType }>;

interface Entry {
  row: StoredEvent;
  /** Readers may see it. */
  ready: boolean;
  /** Of a delta: what its last number added, which is all that a reader who keeps up is told. */
  last?: string;
}

interface Live {
  scope: ReadScope;
  firstSeq: number;
  entries: Entry[];
  /** How many entries readers may see: all before the first that is not ready. */
  visible: number;
  listeners: Set<() => void>;
}

export type Journal = ReturnType<typeof createJournal>;

export function createJournal({ store, wake, clock, onFlushError }: JournalNeeds) {
  const live = new Map<string, Live>();
  const writers = new Set<Writer>();
  /** Readers that wait for a conversation in which nothing is live here. */
  const idle = new Map<string, Set<() => void>>();
  /** Readers that are not closed. */
  let readers = 0;
  let timer: (() => void) | null = null;
  let flushing: Promise<void> | null = null;
  let following: Promise<void> | null = null;

  interface Writer {
    turn: LeasedTurn;
    pending: StoredEvent[];
    inboxIds: string[];
    refusals: number;
    /** The last row whose storing failed: it may be stored for all that, so it must not grow any more. */
    tried: StoredEvent | undefined;
    lose(): void;
  }

  function scheduleFlush(): void {
    if (timer !== null || flushing !== null) return;
    timer = clock.after(FLUSH_EVERY_MS, () => {
      timer = null;
      void flushNow();
    });
  }

  /** Resolves after a flush that began no earlier than this call. */
  function flushNow(): Promise<void> {
    if (flushing === null) {
      timer?.();
      timer = null;
      flushing = flushOnce().finally(() => {
        flushing = null;
        if ([...writers].some((writer) => writer.pending.length > 0)) scheduleFlush();
      });
      return flushing;
    }
    following ??= flushing.then(() => {
      following = null;
      return flushNow();
    });
    return following;
  }

  async function flushOnce(): Promise<void> {
    const taken = [...writers]
      .filter((writer) => writer.pending.length > 0)
      .map((writer) => ({ writer, batch: takePending(writer) }));
    if (taken.length > 0) await storeTaken(taken);
  }

  async function storeTaken(taken: { writer: Writer; batch: RunBatch }[]): Promise<void> {
    try {
      const lost = await store.append(taken.map(({ batch }) => batch));
      for (const { writer, batch } of taken) {
        writer.refusals = 0;
        if (lost.has(batch)) writer.lose();
      }
    } catch (error) {
      onFlushError(error);
      if (!isTransient(error) && taken.length > 1) {
        // One run's bad row must not cost the others theirs.
        for (const one of taken) await storeTaken([one]);
        return;
      }
      for (const { writer, batch } of taken) {
        writer.tried = batch.rows.at(-1);
        writer.pending = [...batch.rows, ...writer.pending];
        writer.inboxIds = [...batch.inboxIds, ...writer.inboxIds];
        writer.refusals += isTransient(error) ? 0 : 1;
        if (writer.refusals >= MAX_REFUSALS) writer.lose();
      }
      await new Promise<void>((resolve) => clock.after(FLUSH_EVERY_MS * 2, resolve));
      if (taken.some(({ writer }) => writers.has(writer))) await flushOnce();
    }
  }

  function wakeIdle(threadId: string): void {
    const waiting = idle.get(threadId);
    if (waiting === undefined) return;
    idle.delete(threadId);
    for (const callback of waiting) callback();
  }

  /** Opens the telling of a run; `told` are the events that began it, committed already. */
  function open(turn: LeasedTurn, told: readonly StoredEvent[]): LiveRun {
    const scope = { workspaceId: turn.workspaceId, threadId: turn.threadId };
    const entries = told.map((row) => ({ row, ready: true }));
    const state: Live = {
      scope,
      firstSeq: told[0]?.seqFrom ?? turn.nextSeq,
      entries,
      visible: entries.length,
      listeners: new Set(),
    };
    let lost = false;
    let closed = false;
    const lostListeners = new Set<() => void>();
    const writer: Writer = {
      turn,
      pending: [],
      inboxIds: [],
      refusals: 0,
      tried: undefined,
      lose() {
        lost = true;
        writers.delete(writer);
        writer.pending = [];
        for (const callback of lostListeners) callback();
      },
    };
    writers.add(writer);
    live.set(turn.threadId, state);
    wakeIdle(turn.threadId);

    let waiting: DeltaEvent | null = null;
    /** When text was told last, in milliseconds since 1970. */
    let toldAt = 0;
    /** A high surrogate whose other half is still to come. */
    let carry = '';

    function nextSeq(): number {
      turn.nextSeq += 1;
      return turn.nextSeq - 1;
    }

    function number(event: NewEvent, seq = nextSeq()): StoredEvent {
      return {
        seq,
        seqFrom: seq,
        marks: null,
        turnId: turn.turnId,
        runId: turn.runId,
        at: new Date(clock.now()).toISOString(),
        event,
      };
    }

    function announce(): void {
      const before = state.visible;
      while (state.visible < state.entries.length && state.entries[state.visible]?.ready === true)
        state.visible += 1;
      // A merge into the last visible entry does not move the count, so the listeners are called in any case.
      if (before === state.visible && state.visible < state.entries.length) return;
      const listeners = [...state.listeners];
      state.listeners.clear();
      for (const callback of listeners) callback();
    }

    function tellWaiting(): void {
      if (waiting === null) return;
      const event = waiting;
      waiting = null;
      let text = carry + event.data.delta;
      carry = '';
      const last = text.charCodeAt(text.length - 1);
      if (last >= 0xd800 && last <= 0xdbff) {
        carry = text.slice(-1);
        text = text.slice(0, -1);
      }
      if (text === '') return;
      event.data.delta = storable(text);
      toldAt = clock.now();
      const seq = nextSeq();
      const memory = state.entries.at(-1);
      if (memory !== undefined && mergeInto(memory.row, event, seq)) memory.last = event.data.delta;
      else state.entries.push({ row: number(event, seq), ready: true, last: event.data.delta });
      const stored = writer.pending.at(-1);
      // The stored row must be its own object: it may be flushed while the one in memory still grows.
      if (stored === undefined || stored === writer.tried || !mergeInto(stored, event, seq))
        writer.pending.push(number({ ...event, data: { ...event.data } } as NewEvent, seq));
      scheduleFlush();
      announce();
    }

    function flushWaiting(): void {
      tellWaiting();
      carry = '';
    }

    const run: LiveRun = {
      tell(event) {
        if (closed || lost) return;
        flushWaiting();
        const row = number(event);
        state.entries.push({ row, ready: true });
        writer.pending.push(row);
        scheduleFlush();
        announce();
      },
      delta(event) {
        if (closed || lost) return;
        if (waiting !== null && samePart(waiting, event)) {
          waiting.data.delta += event.data.delta;
          return;
        }
        if (waiting !== null) flushWaiting();
        waiting = event;
        const rest = toldAt + TELL_EVERY_MS - clock.now();
        if (rest > 0) clock.after(rest, tellWaiting);
        else setImmediate(tellWaiting);
      },
      async commit(event, inbox) {
        if (closed || lost) throw new Error('the lease of this turn is lost');
        flushWaiting();
        const row = number(event);
        const entry = { row, ready: false };
        state.entries.push(entry);
        writer.pending.push(row);
        if (inbox !== undefined) writer.inboxIds.push(inbox.id);
        await flushNow();
        if (lost) throw new Error('the lease of this turn is lost');
        entry.ready = true;
        announce();
      },
      async seal(events) {
        flushWaiting();
        // A critical commit never overtakes a flush in flight: a follower would jump over the text in it.
        while (flushing !== null) await flushing;
        const kept = writer.pending;
        const inboxIds = writer.inboxIds;
        writer.pending = [];
        writer.inboxIds = [];
        const last = events.map((event) => ({ row: number(event), ready: false }));
        state.entries.push(...last);
        return {
          rows: [...kept, ...last.map((entry) => entry.row)],
          inboxIds,
          confirm() {
            for (const entry of last) entry.ready = true;
            announce();
          },
          discard() {
            state.entries = state.entries.filter((entry) => !last.includes(entry));
            writer.pending = [...kept, ...writer.pending];
            writer.inboxIds = [...inboxIds, ...writer.inboxIds];
            scheduleFlush();
          },
        };
      },
      close() {
        if (closed) return;
        closed = true;
        writers.delete(writer);
        if (live.get(turn.threadId) === state) live.delete(turn.threadId);
        const listeners = [...state.listeners];
        state.listeners.clear();
        for (const callback of listeners) callback();
        wakeIdle(turn.threadId);
      },
      onLost(callback) {
        lostListeners.add(callback);
      },
      async flushed() {
        flushWaiting();
        if (writer.pending.length > 0 || flushing !== null) await flushNow();
      },
    };
    return run;
  }

  /** Reads a conversation from behind `after`, first what is stored, then what is live here or told by others. */
  function follow(scope: ReadScope, after: number, doubt?: Doubt): Reader {
    const floor = Math.min(after, doubt?.floor ?? after);
    let cursor = floor;
    /** What the reader is said to have had. */
    let claimed = after;
    let index = 0;
    let joined: Live | null = null;
    let closed = false;
    let more: (() => void) | null = null;
    /** Set by a wake-up that came while rows were being read. */
    let stale = true;
    const stop = wake.onJournal(scope.threadId, woken);
    readers += 1;

    function woken(): void {
      stale = true;
      const callback = more;
      more = null;
      callback?.();
    }

    /** Moves on to a row; answers what is new to the reader, or null. */
    function pass(row: StoredEvent, last?: string): JournalEvent | null {
      const before = cursor;
      const known = Math.max(before, claimed);
      cursor = row.seq;
      if (row.seq > known) {
        const event = cutEvent(row, known, last);
        if (known > before && row.seqFrom <= known) doubt?.onSkipped?.(headOf(row, before, known));
        return event;
      }
      if (!isStoredFirst(row.event.type)) {
        doubt?.onSkipped?.(cutEvent(row, before));
        return null;
      }
      claimed = floor;
      cursor = floor;
      joined = null;
      stale = true;
      doubt?.onDisproved?.();
      return null;
    }

    /** From the live run's memory; null where the rows must be read first. */
    function fromMemory(max: number): JournalEvent[] | null {
      const current = joined ?? live.get(scope.threadId) ?? null;
      if (current === null || cursor < current.firstSeq - 1) return null;
      if (joined === null) {
        joined = current;
        index = 0;
      }
      const events: JournalEvent[] = [];
      while (index < current.visible && events.length < max) {
        const entry = current.entries[index];
        if (entry !== undefined && entry.row.seq > cursor) {
          const event = pass(entry.row, entry.last);
          if (event !== null) events.push(event);
          else if (joined === null) return fromMemory(max);
        }
        // The last one may still grow.
        if (index + 1 >= current.entries.length) break;
        index += 1;
      }
      if (events.length === 0 && live.get(scope.threadId) !== current) {
        // All of that run was read; what comes next is in the rows, or in the next live run.
        joined = null;
        stale = true;
        return live.has(scope.threadId) ? fromMemory(max) : null;
      }
      return events;
    }

    async function fromRows(max: number): Promise<JournalEvent[]> {
      const current = live.get(scope.threadId);
      stale = false;
      const before = current?.firstSeq ?? null;
      const rows = await store.read(scope, cursor, before, Math.min(max, READ_PAGE));
      const events: JournalEvent[] = [];
      for (const row of rows) {
        if (row.seq <= cursor) continue;
        const event = pass(row);
        if (event !== null) events.push(event);
        else if (cursor < row.seq) break;
      }
      if (events.length > 0) {
        stale = true;
        return events;
      }
      if (rows.length > 0) return fromRows(max);
      // A run began or ended here while the rows were read: it woke nobody who was reading, and who waits now is not woken.
      if (live.get(scope.threadId) !== current) return fromMemory(max) ?? fromRows(max);
      if (before === null) return events;
      // Nothing is stored between here and the live run: go on in memory.
      cursor = Math.max(cursor, before - 1);
      return fromMemory(max) ?? [];
    }

    return {
      next(max) {
        if (closed) return [];
        const events = fromMemory(max);
        if (events !== null) return events;
        return stale || live.has(scope.threadId) ? fromRows(max) : [];
      },
      onMore(callback) {
        if (closed) return;
        more = callback;
        const current = joined ?? live.get(scope.threadId);
        if (current !== undefined) {
          const last = current.entries[current.visible - 1]?.row.seq ?? 0;
          const caughtUp = cursor >= current.firstSeq - 1 && last <= cursor;
          // What came between the last look and this call would otherwise be waited for in vain.
          if (!caughtUp || live.get(scope.threadId) !== current) queueMicrotask(woken);
          else current.listeners.add(woken);
        } else if (stale) {
          queueMicrotask(woken);
        } else {
          const waiting = idle.get(scope.threadId) ?? new Set();
          waiting.add(woken);
          idle.set(scope.threadId, waiting);
        }
      },
      close() {
        if (closed) return;
        closed = true;
        readers -= 1;
        more = null;
        stop();
        joined?.listeners.delete(woken);
        idle.get(scope.threadId)?.delete(woken);
        if (idle.get(scope.threadId)?.size === 0) idle.delete(scope.threadId);
      },
    };
  }

  return {
    open,
    follow,
    /** Whether a run of the conversation is live in this process. */
    isLive: (threadId: string) => live.has(threadId),
    /** The last number that a run which is live in this process has told; null where none is. */
    reached(threadId: string): number | null {
      const run = live.get(threadId);
      return run === undefined ? null : (run.entries[run.visible - 1]?.row.seq ?? run.firstSeq - 1);
    },
    /** How many readers are open. */
    readers: () => readers,
  };
}

function takePending(writer: { turn: LeasedTurn; pending: StoredEvent[]; inboxIds: string[] }): RunBatch {
  const batch = {
    turnId: writer.turn.turnId,
    threadId: writer.turn.threadId,
    epoch: writer.turn.epoch,
    rows: writer.pending,
    inboxIds: writer.inboxIds,
  };
  writer.pending = [];
  writer.inboxIds = [];
  return batch;
}

/** The database is away or busy, as opposed to refusing these very rows. */
function isTransient(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return !/^(22|23|42)/.test(code);
}

/** PostgreSQL's jsonb holds neither NUL nor half a surrogate pair. */
export function storable(text: string): string {
  const clean = text.includes('\u0000') ? text.replaceAll('\u0000', '\ufffd') : text;
  return clean.isWellFormed() ? clean : clean.toWellFormed();
}

function samePart(one: NewEvent, other: DeltaEvent): boolean {
  if (one.type !== other.type) return false;
  const { call, part } = (one as DeltaEvent).data;
  return call === other.data.call && part === other.data.part;
}

/** Appends a delta to the row before it, if that is the same part's and the numbers touch. */
function mergeInto(row: StoredEvent, next: DeltaEvent, seq: number): boolean {
  if (row.seq + 1 !== seq || !samePart(row.event, next)) return false;
  const into = (row.event as DeltaEvent).data;
  row.marks ??= [into.delta.length];
  into.delta += next.data.delta;
  row.marks.push(into.delta.length);
  row.seq = seq;
  return true;
}

/** What a row of text says to one behind `cursor`, up to the number `last` inside it. */
function headOf(row: StoredEvent, cursor: number, last: number): JournalEvent {
  const [whole, rest] = [cutEvent(row, cursor), cutEvent(row, last)];
  const { data } = whole as JournalEvent<DeltaType>;
  const length = data.delta.length - (rest as JournalEvent<DeltaType>).data.delta.length;
  return { ...whole, seq: last, data: { ...data, delta: data.delta.slice(0, length) } };
}

/** The row as a reader behind `cursor` gets it: of merged deltas the exact suffix. `last` is what its last number added. */
export function cutEvent(row: StoredEvent, cursor: number, last?: string): JournalEvent {
  const event = {
    seq: row.seq,
    type: row.event.type as EventType,
    turn_id: row.turnId,
    run_id: row.runId,
    at: row.at,
  };
  if (!isDelta(row.event.type)) return { ...event, data: row.event.data };
  const { data } = row.event as DeltaEvent;
  // The whole has grown piece by piece: to cut it for each piece would copy it each time.
  if (last !== undefined && cursor === row.seq - 1) return { ...event, data: { ...data, delta: last } };
  const told = cursor < row.seqFrom ? 0 : (row.marks?.[cursor - row.seqFrom] ?? 0);
  return { ...event, data: { ...data, delta: told === 0 ? data.delta : data.delta.slice(told) } };
}
