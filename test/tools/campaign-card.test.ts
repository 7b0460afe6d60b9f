import { describe, expect, it } from 'vitest';
import { daysTold, intervalTold } from '../../src/tools/campaign-card.ts';

describe('a campaign’s card', () => {
  it.each([
    [['mon', 'tue', 'wed', 'thu', 'fri'], 'Mon–Fri'],
    [['fri', 'mon', 'wed'], 'Mon, Wed, Fri'],
    [['mon', 'tue', 'thu', 'fri', 'sat'], 'Mon, Tue, Thu–Sat'],
    [['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'], 'Mon–Sun'],
    [['sun'], 'Sun'],
    [[], ''],
  ])('tells the days %j as “%s”', (days, told) => {
    expect(daysTold(days)).toBe(told);
  });

  it.each([
    [0, '0 s'],
    [90, '90 s'],
    [120, '2 min'],
    [300, '5 min'],
    [330, '5 min 30 s'],
    [86_400, '1440 min'],
  ])('tells an interval of %i seconds as “%s”', (seconds, told) => {
    expect(intervalTold(seconds)).toBe(told);
  });
});
