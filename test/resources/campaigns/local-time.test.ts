import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createZone, isTimeZone, weekdayOf } from '../../../src/resources/campaigns/launch/local-time.ts';

const DAY = 86_400_000;
const day = (date: string) => Date.parse(`${date}T00:00:00Z`) / DAY;
const clock = (hours: number, minutes = 0) => hours * 3600 + minutes * 60;
const iso = (span: { start: number; end: number } | null) =>
  span === null ? null : [new Date(span.start).toISOString(), new Date(span.end).toISOString()];

describe('a time zone', () => {
  it('knows the local day and its weekday', () => {
    const berlin = createZone('Europe/Berlin');
    expect(berlin.dayOf(Date.parse('2026-03-28T22:59:59.999Z'))).toBe(day('2026-03-28'));
    expect(berlin.dayOf(Date.parse('2026-03-28T23:00:00Z'))).toBe(day('2026-03-29'));
    expect(createZone('America/New_York').dayOf(Date.parse('2026-03-08T04:59:59Z'))).toBe(day('2026-03-07'));
    expect(weekdayOf(day('2026-03-29'))).toBe(0);
    expect(weekdayOf(day('1969-12-31'))).toBe(3);
  });

  it('counts the hours that a day really has', () => {
    const hours = (zone: string, date: string) => {
      const span = createZone(zone).wholeDay(day(date));
      return span === null ? 0 : (span.end - span.start) / 3_600_000;
    };
    expect(hours('Europe/Berlin', '2026-03-29')).toBe(23);
    expect(hours('Europe/Berlin', '2026-10-25')).toBe(25);
    expect(hours('America/New_York', '2026-03-08')).toBe(23);
    expect(hours('America/New_York', '2026-11-01')).toBe(25);
    expect(hours('Australia/Lord_Howe', '2026-04-05')).toBe(24.5);
    // Samoa went over the date line and had no such day.
    expect(hours('Pacific/Apia', '2011-12-30')).toBe(0);
  });

  it('begins a span where clocks jump when they skip its first moment', () => {
    const berlin = createZone('Europe/Berlin');
    expect(iso(berlin.between(day('2026-03-29'), clock(2, 30), clock(5)))).toEqual([
      '2026-03-29T01:00:00.000Z',
      '2026-03-29T03:00:00.000Z',
    ]);
    expect(iso(berlin.between(day('2026-03-29'), clock(1), clock(2, 30)))).toEqual([
      '2026-03-29T00:00:00.000Z',
      '2026-03-29T01:00:00.000Z',
    ]);
    expect(berlin.between(day('2026-03-29'), clock(2), clock(3))).toBeNull();
    const newYork = createZone('America/New_York');
    expect(newYork.between(day('2026-03-08'), clock(2, 10), clock(2, 50))).toBeNull();
  });

  it('shows no time outside the span when clocks go back', () => {
    const berlin = createZone('Europe/Berlin');
    // 02:30 comes twice (00:30Z and 01:30Z); only behind the second are all clock times after it.
    expect(iso(berlin.between(day('2026-10-25'), clock(2, 30), clock(5)))).toEqual([
      '2026-10-25T01:30:00.000Z',
      '2026-10-25T04:00:00.000Z',
    ]);
    expect(iso(berlin.between(day('2026-10-25'), clock(1), clock(2, 30)))).toEqual([
      '2026-10-24T23:00:00.000Z',
      '2026-10-25T00:30:00.000Z',
    ]);
    expect(iso(berlin.between(day('2026-10-25'), clock(2, 10), clock(2, 40)))).toEqual([
      '2026-10-25T00:10:00.000Z',
      '2026-10-25T00:40:00.000Z',
    ]);
  });

  it('has no span that ends before it begins', () => {
    expect(createZone('UTC').between(day('2026-01-01'), clock(17), clock(9))).toBeNull();
    expect(createZone('UTC').between(day('2026-01-01'), clock(9), clock(9))).toBeNull();
  });

  it('tells what is no time zone', () => {
    expect(['Europe/Berlin', 'UTC', 'America/Argentina/Ushuaia'].every(isTimeZone)).toBe(true);
    expect(['', 'Berlin', 'Europe/Atlantis', 'x'.repeat(50)].some(isTimeZone)).toBe(false);
  });

  it('agrees with the clocks of every zone in any span of any day', () => {
    const zones = Intl.supportedValuesOf('timeZone');
    const shown = (zone: string, instant: number) => {
      const format = new Intl.DateTimeFormat('sv-SE', {
        timeZone: zone,
        dateStyle: 'short',
        timeStyle: 'medium',
      });
      return format.format(instant);
    };
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        fc.integer({ min: day('2015-01-01'), max: day('2035-01-01') }),
        fc.integer({ min: 0, max: 86_398 }),
        fc.integer({ min: 1, max: 86_399 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (zone, date, from, length, share) => {
          const to = Math.min(86_399, from + length);
          const span = createZone(zone).between(date, from, to);
          if (span === null) return;
          const instant = Math.floor(span.start + share * (span.end - span.start));
          const local = `${new Date(date * DAY).toISOString().slice(0, 10)} `;
          const time = (seconds: number) => new Date(seconds * 1000).toISOString().slice(11, 19);
          const seen = shown(zone, instant);
          expect(seen >= local + time(from)).toBe(true);
          expect(seen < local + time(to)).toBe(true);
          expect(createZone(zone).dayOf(instant)).toBe(date);
        },
      ),
      { numRuns: 200 },
    );
  });
});
