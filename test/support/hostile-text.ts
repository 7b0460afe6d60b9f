/** Text that looks like an event stream, ends lines in every way there is, and holds what no line should. */

import fc from 'fast-check';

const BREAKS = ['\n', '\r', '\r\n', '\n\n', '\r\r', '\u2028', '\u2029', '\u0085', '\v', '\f', '\u001c'];
const LOOKS = [
  'id: 999999',
  'event: forged',
  'data: {"forged":true}',
  'data:',
  'data: [DONE]',
  'retry: 1',
  ': ping',
  ':',
  'id',
];
const SIGNS = ['\0', '\ud83d', '\ude00', '\ufeff', '😀', '\u200d', '"', '\\', '\\n', '</script>', '%0a', ' '];

/** Any mixture of them. */
export const hostileText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.constantFrom(...BREAKS),
      fc.constantFrom(...LOOKS),
      fc.constantFrom(...SIGNS),
      fc.string({ maxLength: 6, unit: 'binary' }),
    ),
    { minLength: 1, maxLength: 24 },
  )
  .map((pieces) => pieces.join(''));

/** One line without an end. */
export const longLine = 'data: x\ud83d\ude00'.repeat(40_000);

/** The text as every field takes it: well-formed, without U+0000. */
export function kept(text: string): string {
  return text.replaceAll('\0', '\ufffd').toWellFormed();
}

/** The text as a field of one line takes it: no control characters, but the separators that are none. */
export function keptLine(text: string): string {
  return kept(text).replaceAll(/\p{Cc}/gu, '\u2028');
}
