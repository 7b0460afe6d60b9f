/** The table of the benchmark: what was measured, against which bar, and whether it holds. */

import { median } from './statistics.ts';

/** What must hold (design.md §11): the first bar to call the work done, the goal beyond it. */
export interface Bar {
  /** What the figure is: "× relay", "ms", "statements". */
  unit: string;
  /** Whether the figure may be at most, or must be at least, the bar. */
  must: 'at most' | 'at least';
  first: number;
  goal: number;
  /** The figure of each round; the median counts. */
  rounds: readonly number[];
}

export interface Row {
  what: string;
  bars: Bar[];
  /** Plain figures under the ratios, for the reader who wants to know of what. */
  figures: string[];
}

const WIDTHS = [44, 13, 15, 10, 6, 10];

function line(cells: readonly string[]): string {
  return cells
    .map((cell, index) => cell.padEnd(WIDTHS[index] ?? 0))
    .join(' ')
    .trimEnd();
}

export function heading(): string {
  const cells = line(['what', 'figure', 'rounds', 'first bar', '', 'goal']);
  return `${cells}\n${'-'.repeat(cells.length + 6)}`;
}

/** One row of the table, its figures below it. */
export function format({ what, bars, figures }: Row): string {
  const lines = bars.map((bar, index) => {
    const value = median(bar.rounds);
    const sign = bar.must === 'at most' ? '≤' : '≥';
    const spread =
      bar.rounds.length > 1 ? `${short(Math.min(...bar.rounds))}–${short(Math.max(...bar.rounds))}` : '';
    return line([
      index === 0 ? what : '',
      `${short(value)} ${bar.unit}`,
      Number.isNaN(value) ? '' : spread,
      `${sign} ${bar.first}`,
      VERDICTS[verdictOf(bar, bar.first)],
      `${sign} ${bar.goal}${verdictOf(bar, bar.goal) === 'holds' ? ' ok' : ''}`,
    ]);
  });
  return [...lines, ...figures.map((figure) => `    ${figure}`)].join('\n');
}

/** What all rows come to: how many first bars and goals hold, and which first bars do not. */
export function summary(rows: readonly Row[]): string {
  const all = rows.flatMap(({ what, bars }) => bars.map((bar) => ({ what, bar })));
  const measured = all.filter(({ bar }) => verdictOf(bar, bar.first) !== 'unknown');
  const count = (limit: 'first' | 'goal') =>
    measured.filter(({ bar }) => verdictOf(bar, bar[limit]) === 'holds').length;
  const misses = measured
    .filter(({ bar }) => verdictOf(bar, bar.first) === 'misses')
    .map(({ what, bar }) => (bar.unit === '' ? what : `${what} (${bar.unit})`));
  return [
    `First bars: ${count('first')} of ${measured.length} hold. Goals: ${count('goal')} of ${measured.length} reached.`,
    ...(misses.length === 0 ? [] : [`Missed: ${misses.join('; ')}.`]),
    ...(measured.length === all.length
      ? []
      : [`Not measured, as the peer is not there: ${all.length - measured.length}.`]),
  ].join('\n');
}

const VERDICTS = { holds: 'ok', misses: 'MISS', unknown: 'n/a' };

function verdictOf(bar: Bar, limit: number): keyof typeof VERDICTS {
  const value = median(bar.rounds);
  if (Number.isNaN(value)) return 'unknown';
  return (bar.must === 'at most' ? value <= limit : value >= limit) ? 'holds' : 'misses';
}

/** Three digits that count. */
export function short(value: number): string {
  if (Number.isNaN(value)) return '–';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3;
  return value.toFixed(digits);
}

/** The same pairs of rounds as ratios. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((value, index) => value / (theirs[index] ?? Number.NaN));
}
