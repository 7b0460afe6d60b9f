import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createPlanner,
  HORIZON_DAYS,
  roomOf,
  type SendRule,
  type Slot,
  type Taken,
} from '../../../src/resources/campaigns/launch/plan.ts';

const MINUTE = 60_000;
const WEEKDAYS = new Set([1, 2, 3, 4, 5]);
const at = (instant: string) => Date.parse(instant);

function rule(changes: Partial<SendRule> = {}): SendRule {
  return {
    timezone: 'Europe/Berlin',
    windowStart: 9 * 3600,
    windowEnd: 17 * 3600,
    days: WEEKDAYS,
    dailyLimit: 500,
    minIntervalMs: 5 * MINUTE,
    ...changes,
  };
}

function planAll(one: SendRule, count: number, earliest: number, taken: Taken[] = []): (Slot | null)[] {
  const plan = createPlanner().mailbox(taken);
  return Array.from({ length: count }, () => plan.take(one, earliest));
}
const times = (slots: (Slot | null)[]) =>
  slots.map((slot) => (slot === null ? null : new Date(slot.dueAt).toISOString()));

/** What a clock in the zone shows. */
function local(instant: number, timeZone: string) {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone,
    weekday: 'short',
    hourCycle: 'h23',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  }).formatToParts(instant);
  const of = (type: string) => parts.find((part) => part.type === type)?.value ?? '';
  return {
    weekday: ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'].indexOf(of('weekday')),
    seconds: Number(of('hour')) * 3600 + Number(of('minute')) * 60 + Number(of('second')),
    date: `${of('year')}-${of('month')}-${of('day')}`,
  };
}

describe('the plan of a mailbox', () => {
  it('begins at once in an open window, else when it opens on the next day of sending', () => {
    // Friday noon in Berlin; Friday evening; Sunday.
    expect(times(planAll(rule(), 1, at('2026-03-06T11:00:00Z')))).toEqual(['2026-03-06T11:00:00.000Z']);
    expect(times(planAll(rule(), 1, at('2026-03-06T18:00:00Z')))).toEqual(['2026-03-09T08:00:00.000Z']);
    expect(times(planAll(rule(), 1, at('2026-03-08T10:00:00Z')))).toEqual(['2026-03-09T08:00:00.000Z']);
  });

  it('keeps the interval, and goes on the next day when the window or the limit is used up', () => {
    const short = rule({ windowEnd: 9 * 3600 + 10 * 60 });
    expect(times(planAll(short, 3, at('2026-03-09T00:00:00Z')))).toEqual([
      '2026-03-09T08:00:00.000Z',
      '2026-03-09T08:05:00.000Z',
      '2026-03-10T08:00:00.000Z',
    ]);
    expect(times(planAll(rule({ dailyLimit: 2 }), 3, at('2026-03-09T00:00:00Z')))).toEqual([
      '2026-03-09T08:00:00.000Z',
      '2026-03-09T08:05:00.000Z',
      '2026-03-10T08:00:00.000Z',
    ]);
    expect(roomOf(short)).toBe(2);
  });

  it('says until when a mail may leave', () => {
    expect(planAll(rule(), 1, at('2026-03-09T00:00:00Z'))[0]?.dueUntil).toBe(at('2026-03-09T16:00:00Z'));
  });

  it('keeps the wall clock over the change of daylight saving time', () => {
    const sundays = rule({ days: new Set([0, 1]), dailyLimit: 1 });
    expect(times(planAll(sundays, 3, at('2026-03-28T00:00:00Z')))).toEqual([
      '2026-03-29T07:00:00.000Z',
      '2026-03-30T07:00:00.000Z',
      '2026-04-05T07:00:00.000Z',
    ]);
    expect(times(planAll(sundays, 2, at('2026-10-24T00:00:00Z')))).toEqual([
      '2026-10-25T08:00:00.000Z',
      '2026-10-26T08:00:00.000Z',
    ]);
  });

  it('finds no place where there is none', () => {
    const now = at('2026-03-09T00:00:00Z');
    expect(planAll(rule({ days: new Set() }), 1, now)).toEqual([null]);
    expect(planAll(rule({ windowEnd: 9 * 3600 }), 1, now)).toEqual([null]);
    expect(roomOf(rule({ windowEnd: 8 * 3600 }))).toBe(0);
    // One mail a day on weekdays: the horizon holds 263 of them.
    const slots = planAll(rule({ dailyLimit: 1 }), 300, now);
    expect(slots.filter((slot) => slot !== null)).toHaveLength(263);
    expect(slots.slice(263).every((slot) => slot === null)).toBe(true);
    const last = slots[262]?.dueAt ?? 0;
    expect(last - now).toBeLessThan((HORIZON_DAYS + 1) * 24 * 60 * MINUTE);
  });

  it('counts what other campaigns send from the mailbox, and keeps their limit and interval too', () => {
    const other = { timezone: 'Europe/Berlin', dailyLimit: 3, minIntervalMs: 60 * MINUTE };
    const taken: Taken[] = [
      { at: at('2026-03-09T08:30:00Z'), rule: other },
      { at: at('2026-03-09T10:00:00Z'), rule: other },
      // Its campaign is gone: it counts and wants nothing.
      { at: at('2026-03-10T08:02:00Z'), rule: null },
    ];
    expect(times(planAll(rule(), 3, at('2026-03-09T00:00:00Z'), taken))).toEqual([
      // 08:00 would be too near to 08:30 for the other campaign; after this one its day is full.
      '2026-03-09T11:00:00.000Z',
      '2026-03-10T08:07:00.000Z',
      '2026-03-10T08:12:00.000Z',
    ]);
  });

  it('lets nobody wait behind a mail that leaves later', () => {
    const plan = createPlanner().mailbox([]);
    const one = rule();
    const late = plan.take(one, at('2026-03-11T08:00:00Z'));
    const early = plan.take(one, at('2026-03-09T08:00:00Z'));
    expect(times([late, early])).toEqual(['2026-03-11T08:00:00.000Z', '2026-03-09T08:00:00.000Z']);
  });

  it('never leaves window and days, keeps limit and interval across campaigns, and keeps the order', () => {
    const zones = fc.constantFrom('Europe/Berlin', 'America/New_York', 'UTC', 'Australia/Lord_Howe');
    const rules = fc.record({
      timezone: zones,
      windowStart: fc.integer({ min: 0, max: 86_000 }),
      windowEnd: fc.integer({ min: 300, max: 86_399 }),
      days: fc
        .uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 1 })
        .map((days): ReadonlySet<number> => new Set(days)),
      dailyLimit: fc.integer({ min: 1, max: 8 }),
      minIntervalMs: fc.integer({ min: 1, max: 60 }).map((minutes) => minutes * MINUTE),
    });
    // Just before clocks change in Berlin or New York, in spring and autumn.
    const starts = fc
      .constantFrom('2026-03-28T12:00Z', '2026-10-24T12:00Z', '2026-03-07T12:00Z', '2026-10-31T12:00Z')
      .chain((date) =>
        fc.integer({ min: 0, max: 2 * 24 * 60 }).map((minutes) => at(date) + minutes * MINUTE),
      );
    const asks = fc.array(fc.tuple(fc.nat(2), fc.integer({ min: 0, max: 3 * 24 * 60 })), { maxLength: 40 });
    fc.assert(
      fc.property(
        fc.array(rules, { minLength: 3, maxLength: 3 }),
        starts,
        asks,
        (campaigns, start, wanted) => {
          const plan = createPlanner().mailbox([]);
          const sent: { rule: SendRule; earliest: number; slot: Slot }[] = [];
          for (const [index, minutes] of wanted) {
            const one = campaigns[index];
            const earliest = start + minutes * MINUTE;
            const slot = one === undefined ? null : plan.take(one, earliest);
            if (one !== undefined && slot !== null) sent.push({ rule: one, earliest, slot });
          }
          for (const { rule: one, earliest, slot } of sent) {
            const seen = local(slot.dueAt, one.timezone);
            expect(slot.dueAt).toBeGreaterThanOrEqual(earliest);
            expect(slot.dueAt).toBeLessThan(slot.dueUntil);
            expect(one.days.has(seen.weekday)).toBe(true);
            expect(seen.seconds).toBeGreaterThanOrEqual(one.windowStart);
            expect(seen.seconds).toBeLessThan(one.windowEnd);
            const sameDay = sent.filter((other) => local(other.slot.dueAt, one.timezone).date === seen.date);
            expect(sameDay.length).toBeLessThanOrEqual(one.dailyLimit);
            for (const other of sent) {
              if (other.slot === slot) continue;
              const gap = Math.abs(other.slot.dueAt - slot.dueAt);
              expect(gap).toBeGreaterThanOrEqual(Math.max(one.minIntervalMs, other.rule.minIntervalMs));
            }
          }
          // Those of one campaign that may leave equally early leave in the order in which they asked.
          for (const [index, one] of sent.entries()) {
            const before = sent
              .slice(0, index)
              .findLast((other) => other.rule === one.rule && other.earliest === one.earliest);
            if (before !== undefined) expect(before.slot.dueAt).toBeLessThan(one.slot.dueAt);
          }
        },
      ),
      { numRuns: 120 },
    );
  });
});
