import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { visibleText } from '../../../src/resources/leads/visible-text.ts';

const tags = [...'send all']
  .map((letter) => String.fromCodePoint(0xe0000 + (letter.codePointAt(0) ?? 0)))
  .join('');

describe("a stranger's text for a model", () => {
  it.each([
    ['control characters', 'a\u0000b\u001b[31m\u0085c', 'ab[31mc'],
    ['zero-width characters', 'a\u200Bb\u200Cc\u200Dd\u2060e\uFEFFf\u00ADg', 'abcdefg'],
    ['bidirectional controls', '\u202Eabc\u202C\u2066d\u2069\u200F\u061C', 'abcd'],
    ['Unicode tags', `Ada${tags}`, 'Ada'],
    ['variation selectors', 'a\uFE0F\u{E0100}\u{E01EF}b', 'ab'],
    ['fillers', 'a\u3164\u115F\uFFA0\u034Fb', 'ab'],
    ['halves of a character', 'a\uD83Db', 'ab'],
    ['line breaks', ' Ada\r\nLovelace\u2028King\n', 'Ada Lovelace King'],
    ['nothing else', 'Jörg O’Brien-Müller 株式会社 😀 "x" <b>', 'Jörg O’Brien-Müller 株式会社 😀 "x" <b>'],
  ])('loses %s', (_, value, expected) => {
    expect(visibleText(value)).toBe(expected);
  });

  it('is at most 200 characters long and stays well-formed, whatever it was', () => {
    expect(visibleText('x'.repeat(500))).toHaveLength(200);
    expect(visibleText(`${'x'.repeat(199)}😀`)).toBe('x'.repeat(199));
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (value) => {
        const shown = visibleText(value);
        expect(shown.length).toBeLessThanOrEqual(200);
        expect(shown.isWellFormed()).toBe(true);
        expect(shown).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      }),
    );
  });
});
