/** A stranger's text as it may be shown to a model: only what a person would see of it, and not too much. */

/** Characters that show nothing: control and format ones (zero-width, bidirectional, tags), fillers, variation selectors, halves. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;

/** Takes the invisible characters out, line breaks become blanks, and at most `limit` characters are left. */
export function visibleText(value: string, limit = 200): string {
  const seen = value
    .replaceAll(/[\t\r\n\u2028\u2029]+/g, ' ')
    .replaceAll(INVISIBLE, '')
    .trim();
  return seen.length <= limit ? seen : seen.slice(0, limit).replace(/\p{Cs}$/u, '');
}
