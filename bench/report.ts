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
      spread,
      `${sign} ${bar.first}`,
      verdict(bar, value),
      `${sign} ${bar.goal}${holds(bar, value, bar.goal) ? ' ok' : ''}`,
    ]);
  });
  return [...lines, ...figures.map((figure) => `    ${figure}`)].join('\n');
}

function holds(bar: Bar, value: number, limit: number): boolean {
  return bar.must === 'at most' ? value <= limit : value >= limit;
}

function verdict(bar: Bar, value: number): string {
  if (Number.isNaN(value)) return 'n/a';
  return holds(bar, value, bar.first) ? 'ok' : 'MISS';
}

/** Three digits that count. */
export function short(value: number): string {
  if (Number.isNaN(value)) return '?';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3;
  return value.toFixed(digits);
}

/** The same pairs of rounds as ratios. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((value, index) => value / (theirs[index] ?? Number.NaN));
}
