import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createCursors } from '../../src/http/cursors.ts';

const SECRET = 'one secret of at least 32 characters';
const cursors = createCursors({ signingSecret: SECRET });
const position = z.tuple([z.string(), z.int()]);
const refused = expect.objectContaining({ code: 'VALIDATION_ERROR' });

describe('cursors', () => {
  it('come back as what they were made of, in every process with the same secret', () => {
    const elsewhere = createCursors({ signingSecret: SECRET });
    fc.assert(
      fc.property(fc.string(), fc.maxSafeInteger(), (text, number) => {
        expect(elsewhere.decode(cursors.encode([text, number]), position)).toEqual([text, number]);
      }),
    );
  });

  it('are refused once any bit of them was changed', () => {
    const bytes = Buffer.from(cursors.encode(['2026-01-01', 7]), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const forged = Buffer.from(bytes);
      forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => cursors.decode(forged.toString('base64url'), position)).toThrow(refused);
    }
  });

  it('are refused when nobody signed them, when another secret did, and when they are another list’s', () => {
    const unsigned = Buffer.from(JSON.stringify(['2026-01-01', 7])).toString('base64url');
    const foreign = createCursors({ signingSecret: 'another secret of 32 characters or more' });
    for (const cursor of ['', 'x', unsigned, foreign.encode(['2026-01-01', 7]), cursors.encode([7])])
      expect(() => cursors.decode(cursor, position)).toThrow(refused);
  });
});
