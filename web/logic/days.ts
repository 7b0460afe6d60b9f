/** Groups a list by day, in the words a person would use. */

export interface Day<Item> {
  label: string;
  items: Item[];
}

/** Groups items, newest first as they come; `at` is ISO 8601 text, `now` milliseconds. Days are those of the local time zone. */
export function byDay<Item>(items: readonly Item[], at: (item: Item) => string, now: number): Day<Item>[] {
  const days: Day<Item>[] = [];
  for (const item of items) {
    const label = dayLabel(at(item), now);
    const last = days.at(-1);
    if (last?.label === label) last.items.push(item);
    else days.push({ label, items: [item] });
  }
  return days;
}

/** "Today", "Yesterday", the weekday within a week, else the date. */
export function dayLabel(at: string, now: number): string {
  const date = new Date(at);
  const days = Math.round((startOfDay(now) - startOfDay(date.getTime())) / 86_400_000);
  if (days <= 0) return 'Today';
  if (days === 1) return 'Yesterday';
  if (days < 7) return date.toLocaleDateString(undefined, { weekday: 'long' });
  const sameYear = date.getFullYear() === new Date(now).getFullYear();
  return date.toLocaleDateString(undefined, {
    day: 'numeric',
    month: 'long',
    ...(sameYear ? {} : { year: 'numeric' }),
  });
}

function startOfDay(time: number): number {
  const date = new Date(time);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

/** "in 3 hours", "5 minutes ago": the largest unit that fits. */
export function relative(at: string, now: number): string {
  const seconds = Math.round((Date.parse(at) - now) / 1000);
  const size = Math.abs(seconds);
  const words = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'long' });
  if (size < 45) return seconds > 0 ? 'in a moment' : 'just now';
  if (size < 3_600 * 1.5) return words.format(Math.round(seconds / 60), 'minute');
  if (size < 86_400 * 1.5) return words.format(Math.round(seconds / 3_600), 'hour');
  return words.format(Math.round(seconds / 86_400), 'day');
}

/** Date and time in the person's own format. */
export function absolute(at: string): string {
  return new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}
