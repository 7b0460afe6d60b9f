/** When mails leave: the first moments that window, days, daily limit and interval leave free. Pure; time is handed in. */

import { createZone, weekdayOf, type Zone } from './local-time.ts';

/** How a campaign sends. Days are local calendar days of `timezone`; times are seconds since local midnight. */
export interface SendRule {
  timezone: string;
  windowStart: number;
  windowEnd: number;
  /** 0 for Sunday. */
  days: ReadonlySet<number>;
  /** Mails of one mailbox on one local day, whichever campaign they are of. */
  dailyLimit: number;
  /** Between two mails of one mailbox, whichever campaign they are of. */
  minIntervalMs: number;
}

/** A mail of the mailbox that was sent or has its time. `rule` is its campaign's; null where that is gone. */
export interface Taken {
  at: number;
  rule: Pick<SendRule, 'timezone' | 'dailyLimit' | 'minIntervalMs'> | null;
}

/** A mail leaves at `dueAt` or later, but before `dueUntil`, when its window closes. Milliseconds since 1970, UTC. */
export interface Slot {
  dueAt: number;
  dueUntil: number;
}

export interface MailboxPlan {
  /**
   * Takes the first free moment from `earliest` on; null where there is none within `HORIZON_DAYS`. Mails of one rule
   * that may leave equally early get their moments in the order in which they ask.
   */
  take(rule: SendRule, earliest: number): Slot | null;
}

/** How far ahead a mail is planned. */
export const HORIZON_DAYS = 366;

/** How many mails of a mailbox a full day has room for by window and interval, whatever the limit says. */
export function roomOf(rule: SendRule): number {
  const seconds = rule.windowEnd - rule.windowStart;
  return seconds <= 0 ? 0 : Math.ceil((seconds * 1000) / rule.minIntervalMs);
}

/** Makes the plans of mailboxes; zones are kept, as making one is dear. */
export function createPlanner() {
  const zones = new Map<string, Zone>();
  const zoneOf = (timezone: string): Zone => {
    const zone = zones.get(timezone) ?? createZone(timezone);
    zones.set(timezone, zone);
    return zone;
  };

  return {
    zoneOf,

    /** Lays out one mailbox with what it has sent and is going to send. */
    mailbox(taken: readonly Taken[]): MailboxPlan {
      const mails = taken.toSorted((one, other) => one.at - other.at);
      const quotas = new Map<string, Quota>();
      /** By rule: the last search and its answer. What was not free then is not free now. */
      const answers = new Map<SendRule, { earliest: number; dueAt: number }>();

      /** The daily limit of a rule, counted over all mails of the mailbox. */
      function quotaOf(rule: Pick<SendRule, 'timezone' | 'dailyLimit'>): Quota {
        const key = keyOf(rule);
        const known = quotas.get(key);
        if (known !== undefined) return known;
        const made = createQuota(key, zoneOf(rule.timezone), rule.dailyLimit);
        for (const mail of mails) made.add(mail);
        quotas.set(key, made);
        return made;
      }
      for (const { rule } of taken) if (rule !== null) quotaOf(rule);

      function add(mail: Taken): void {
        mails.splice(indexBehind(mails, mail.at), 0, mail);
        for (const quota of quotas.values()) quota.add(mail);
      }

      /** Another campaign's limit that the day of this moment has reached. */
      function fullAt(own: Quota, at: number): Quota | undefined {
        for (const quota of quotas.values()) if (quota !== own && quota.isFull(at)) return quota;
        return undefined;
      }

      /** The first free moment of a stretch, or null. */
      function freeIn(rule: SendRule, own: Quota, start: number, end: number): number | null {
        let at = start;
        while (at < end) {
          const next = indexBehind(mails, at);
          const [before, behind] = [mails[next - 1], mails[next]];
          const afterBefore = before === undefined ? at : before.at + gapOf(before, rule);
          if (afterBefore > at) {
            at = afterBefore;
          } else if (behind !== undefined && behind.at - gapOf(behind, rule) < at) {
            at = behind.at + gapOf(behind, rule);
          } else {
            const full = fullAt(own, at);
            if (full === undefined) return at;
            at = full.dayEnd(at);
          }
        }
        return null;
      }

      return {
        take(rule, earliest) {
          const zone = zoneOf(rule.timezone);
          const own = quotaOf(rule);
          const known = answers.get(rule);
          const from = known !== undefined && known.earliest <= earliest ? known.dueAt : earliest;
          const start = Math.max(earliest, from);
          const horizon = zone.dayOf(earliest) + HORIZON_DAYS;
          for (let day = zone.dayOf(start); day <= horizon; day += 1) {
            if (!rule.days.has(weekdayOf(day)) || own.countOn(day) >= rule.dailyLimit) continue;
            const window = zone.between(day, rule.windowStart, rule.windowEnd);
            if (window === null) continue;
            const dueAt = freeIn(rule, own, Math.max(start, window.start), window.end);
            if (dueAt === null) continue;
            add({ at: dueAt, rule });
            answers.set(rule, { earliest, dueAt });
            return { dueAt, dueUntil: window.end };
          }
          return null;
        },
      };
    },
  };
}

export type Planner = ReturnType<typeof createPlanner>;

/** A daily limit: how many mails of the mailbox each local day has. It binds the days on which a mail of its rule is. */
interface Quota {
  add(mail: Taken): void;
  countOn(day: number): number;
  isFull(at: number): boolean;
  /** The first instant of the next day. */
  dayEnd(at: number): number;
}

function createQuota(key: string, zone: Zone, limit: number): Quota {
  const counts = new Map<number, number>();
  const bound = new Set<number>();
  return {
    add({ at, rule }) {
      const day = zone.dayOf(at);
      counts.set(day, (counts.get(day) ?? 0) + 1);
      if (rule !== null && keyOf(rule) === key) bound.add(day);
    },
    countOn: (day) => counts.get(day) ?? 0,
    isFull(at) {
      const day = zone.dayOf(at);
      return bound.has(day) && (counts.get(day) ?? 0) >= limit;
    },
    // A day that an instant is of has not been skipped.
    dayEnd: (at) => zone.wholeDay(zone.dayOf(at))?.end ?? at + 86_400_000,
  };
}

function keyOf(rule: Pick<SendRule, 'timezone' | 'dailyLimit'>): string {
  return `${rule.dailyLimit} ${rule.timezone}`;
}

/** What two neighbours keep between them: the longer of their campaigns' intervals. */
function gapOf(mail: Taken, rule: SendRule): number {
  return Math.max(rule.minIntervalMs, mail.rule?.minIntervalMs ?? 0);
}

/** How many mails are at `at` or before. */
function indexBehind(mails: readonly Taken[], at: number): number {
  let [low, high] = [0, mails.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((mails[middle]?.at ?? 0) <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}
