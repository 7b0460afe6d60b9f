/** Text and JSON as PostgreSQL can keep them: well-formed Unicode, no U+0000, not nested without end. */

import { z } from 'zod';

/** Levels of nesting that stored JSON may have. */
const DEEPEST = 20;

/** Text of any length with line breaks; set the length with `.min()` and `.max()`. */
export const text = z.string().refine(isStorable, 'This text holds a character that cannot be kept.');

/** Text of one line, fit for a mail header: no control characters. */
export const line = text.refine(
  (value) => !/\p{Cc}/u.test(value),
  'Line breaks and control characters are not possible here.',
);

/** Whether free-form JSON can be kept as it is. */
export function isStorableJson(value: unknown): boolean {
  // An own stack: input that is nested thousands of levels deep must not overflow ours.
  const waiting: { value: unknown; depth: number }[] = [{ value, depth: 1 }];
  for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) {
    if (typeof item.value === 'string' && !isStorable(item.value)) return false;
    if (typeof item.value !== 'object' || item.value === null) continue;
    if (item.depth > DEEPEST) return false;
    for (const [name, inner] of Object.entries(item.value)) {
      if (!isStorable(name)) return false;
      waiting.push({ value: inner, depth: item.depth + 1 });
    }
  }
  return true;
}

function isStorable(value: string): boolean {
  return value.isWellFormed() && !value.includes('\0');
}
