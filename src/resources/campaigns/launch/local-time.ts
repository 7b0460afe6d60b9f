/** The calendar of a time zone: which local day an instant is of, and when a span of local times happens on a day. */

const DAY_MS = 86_400_000;

/** A stretch of time in milliseconds since 1970 (UTC); `end` is the first instant behind it. */
export interface Span {
  start: number;
  end: number;
}

export interface Zone {
  /** The local day of an instant, in days since 1970-01-01. */
  dayOf(instant: number): number;
  /** The whole local day; null where the zone skipped it. */
  wholeDay(day: number): Span | null;
  /**
   * The stretch of a local day between two local times (seconds since its midnight); null where there is none. A time
   * that clocks skip is where they jump. A time that happens twice begins the stretch at its second and ends it at its
   * first, so that clocks show no time outside; a stretch that lies within the repeated hour is the first of the two.
   */
  between(day: number, fromSeconds: number, toSeconds: number): Span | null;
}

/** Whether this is the name of a time zone ("Europe/Berlin"). */
export function isTimeZone(name: string): boolean {
  try {
    formatterOf(name);
    return true;
  } catch {
    return false;
  }
}

/** The day of the week of a local day, 0 for Sunday. */
export function weekdayOf(day: number): number {
  // 1970-01-01 was a Thursday.
  return (((day + 4) % 7) + 7) % 7;
}

/** Throws a RangeError for a name that is no time zone. */
export function createZone(timezone: string): Zone {
  const formatter = formatterOf(timezone);
  const days = new Map<number, Span | null>();
  const windows = new Map<string, Span | null>();
  let last: { day: number; span: Span } | null = null;

  /** What local clocks are ahead of UTC at an instant, in milliseconds. */
  function offsetAt(instant: number): number {
    const part: Record<string, number> = {};
    for (const { type, value } of formatter.formatToParts(instant)) part[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(instant / 1000) * 1000;
  }

  /** The instants at which clocks show a local time (given as if it were UTC); where they skip it, the one at which they jump. */
  function instantsOf(local: number): [first: number, last: number] {
    const [before, after] = [offsetAt(local - DAY_MS), offsetAt(local + DAY_MS)];
    const found = [local - before, local - after]
      .filter((instant) => instant + offsetAt(instant) === local)
      .sort((one, other) => one - other);
    const [first] = found;
    if (first !== undefined) return [first, found.at(-1) ?? first];
    const jump = jumpBetween(local - Math.max(before, after), local - Math.min(before, after));
    return [jump, jump];
  }

  /** The first second whose offset is not that of `early`. */
  function jumpBetween(early: number, late: number): number {
    const offset = offsetAt(early);
    let [low, high] = [Math.floor(early / 1000), Math.ceil(late / 1000)];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (offsetAt(middle * 1000) === offset) low = middle;
      else high = middle;
    }
    return high * 1000;
  }

  function between(day: number, fromSeconds: number, toSeconds: number): Span | null {
    const key = `${day} ${fromSeconds} ${toSeconds}`;
    const known = windows.get(key);
    if (known !== undefined) return known;
    const [firstStart, lastStart] = instantsOf(day * DAY_MS + fromSeconds * 1000);
    const [end] = instantsOf(day * DAY_MS + toSeconds * 1000);
    const start = lastStart < end ? lastStart : firstStart;
    const span = start < end ? { start, end } : null;
    windows.set(key, span);
    return span;
  }

  function wholeDay(day: number): Span | null {
    const known = days.get(day);
    if (known !== undefined) return known;
    const [start] = instantsOf(day * DAY_MS);
    const [end] = instantsOf((day + 1) * DAY_MS);
    const span = start < end ? { start, end } : null;
    days.set(day, span);
    return span;
  }

  return {
    between,
    wholeDay,
    dayOf(instant) {
      // Most questions are about the same day or one that was asked for before, and asking Intl costs microseconds.
      if (last !== null) {
        if (instant >= last.span.start && instant < last.span.end) return last.day;
        const near = last.day + Math.floor((instant - last.span.start) / DAY_MS);
        for (const day of [near, near - 1, near + 1]) {
          const span = days.get(day) ?? null;
          if (span === null || instant < span.start || instant >= span.end) continue;
          last = { day, span };
          return day;
        }
      }
      const day = Math.floor((instant + offsetAt(instant)) / DAY_MS);
      const span = wholeDay(day);
      if (span !== null) last = { day, span };
      return day;
    },
  };
}

function formatterOf(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
}
