import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkDraft, supports } from '../../../graphs/personalize/check.ts';
import type { Draft, Facts } from '../../../graphs/personalize/state.ts';

const facts: Facts = {
  email: 'maureen@acme.example',
  first_name: 'Maureen',
  company: 'Acme',
  title: 'Head of Sales',
  city: 'Berlin',
  industry: 'Logistics',
};
const sender: Facts = {
  from_name: 'Jane Doe',
  from_email: 'jane@example.com',
  website: 'https://www.example.com/',
  company: 'Example Ltd',
};
const good: Draft = {
  subject: 'A question for Acme',
  body: 'Hello Maureen,\n\nI am writing to you as Head of Sales at Acme in Berlin. We at Example Ltd build maps.\n\nWould you have 15 minutes in March?\n\nJane Doe',
  claims: [
    { field: 'title', quote: 'Head of Sales' },
    { field: 'company', quote: 'Acme' },
  ],
};

function check(
  changes: Partial<Draft>,
  template: { subject: string; body: string } | null = null,
  words = '',
) {
  return checkDraft({ draft: { ...good, ...changes }, facts, sender, template, words });
}

describe('the check of a draft', () => {
  it('finds nothing in a mail whose statements stand on fields', () => {
    expect(check({})).toEqual([]);
  });

  it('fails every citation of a field that is not there, or that does not say what is quoted', () => {
    const cited = fc.record({ field: fc.string({ maxLength: 30 }), quote: fc.string({ maxLength: 30 }) });
    fc.assert(
      fc.property(cited, (claim) => {
        const value = Object.hasOwn(facts, claim.field) ? facts[claim.field] : undefined;
        fc.pre(value === undefined || !value.toLowerCase().includes(claim.quote.trim().toLowerCase()));
        // The quote stands in the mail, so only the citation can be at fault.
        const body = `${good.body}\n${claim.quote}`;
        expect(check({ body, claims: [...good.claims, claim] }).length).toBeGreaterThan(0);
        const text = `You are ${claim.quote}.`;
        expect(supports({ text, ...claim }, facts, sender)).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it('fails a citation of an empty field, of a part of a word, and of nothing', () => {
    const claim = { field: 'title', quote: 'Head of Sales' };
    const text = 'You are Head of Sales.';
    expect(supports({ text, ...claim }, facts, sender)).toBe(true);
    expect(supports({ text, ...claim }, { ...facts, title: ' ' }, sender)).toBe(false);
    expect(supports({ text: 'You are ale.', field: 'title', quote: 'ale' }, facts, sender)).toBe(false);
    expect(supports({ text, field: 'title', quote: ' . ' }, facts, sender)).toBe(false);
    expect(supports({ text: 'x', field: 'constructor', quote: 'x' }, facts, sender)).toBe(false);
    expect(supports({ text: 'You like tea.', ...claim }, facts, sender)).toBe(false);
  });

  it('passes any quote of a filled field that the mail uses', () => {
    const value = fc.stringMatching(/^[A-Za-z]{2,12}( [A-Za-z]{2,12}){0,3}$/);
    fc.assert(
      fc.property(value, (title) => {
        const body = `Hello,\n\nthis is for ${title}.`;
        const claims = [{ field: 'title', quote: title }];
        const draft = { subject: 'Hi', body, claims };
        const found = checkDraft({ draft, facts: { title }, sender: {}, template: null, words: '' });
        expect(found).toEqual([]);
      }),
    );
  });

  it.each([
    'I noticed your recent funding round.',
    'Congratulations on your Series B at Acme!',
    'Acme raised a lot of money.',
    'You lead a team of 40 people.',
    'You must know our friends at Globex.',
    'I read what you wrote about maps.',
    'We recently helped others.',
  ])('fails a statement that nothing given supports: %s', (sentence) => {
    expect(check({ body: `${good.body}\n${sentence}` })).not.toEqual([]);
  });

  it.each([
    'Would you like to hear how Globex grew by 40%?',
    'If you like, I can show you more.',
    'I came across your work in Logistics.',
    'Meet you at Example Ltd.',
  ])('passes what states nothing, or only what is given: %s', (sentence) => {
    const claims = [...good.claims, { field: 'industry', quote: 'Logistics' }];
    const body = `${good.body}\nIn Logistics.\n${sentence}`;
    expect(check({ body, claims })).toEqual([]);
  });

  it('lets names stand that the own people gave', () => {
    const body = `${good.body}\nYou are invited to our meetup in Lisbon.`;
    expect(check({ body })).not.toEqual([]);
    expect(check({ body }, null, 'invite her to our meetup in Lisbon')).toEqual([]);
  });

  it.each(['{{first_name}}', 'Dear [First Name],', '{{', '[Your Company]'])(
    'fails the placeholder %s',
    (words) => {
      expect(check({ body: `${good.body}\n${words}` })).not.toEqual([]);
      expect(check({ subject: words })).not.toEqual([]);
    },
  );

  it.each([
    'http://evil.example/x',
    'see www.evil.test',
    'evil.com/path',
    'write to x@evil.com',
    'e.com',
    'example.com.evil.io',
  ])('fails a link that the sender does not have: %s', (words) => {
    expect(check({ body: `${good.body}\n${words}` }).join()).toContain('link');
  });

  it("passes links of the sender and of the template, and a company's name that looks like one", () => {
    const body = `${good.body}\nhttps://example.com, jane@example.com and http://docs.example.org/a.`;
    expect(check({ body })).toHaveLength(1);
    expect(check({ body }, { subject: '', body: 'http://docs.example.org/a' })).toEqual([]);
    const draft = { subject: 'Hi', body: 'Hello at Booking.com', claims: [] };
    const input = { draft, sender, template: null, words: '' };
    expect(checkDraft({ ...input, facts: { company: 'Booking.com' } })).toEqual([]);
    expect(checkDraft({ ...input, facts: { company: 'Booking' } })).toHaveLength(1);
  });

  it('costs no more than its length, whatever is written', () => {
    for (const piece of ['a', 'a-', 'a.', '{{', '[your ', '@', 'a@', 'you A', 'www.']) {
      const body = piece.repeat(10_000 / piece.length);
      const began = performance.now();
      check({ body, claims: [] }, { subject: '', body: body.repeat(5) });
      // Quadratic, it would take many seconds.
      expect(performance.now() - began).toBeLessThan(2000);
    }
  });

  it('fails what is empty, too long, or a subject of several lines', () => {
    expect(check({ subject: ' ' })).not.toEqual([]);
    expect(check({ subject: 'a\nb' })).not.toEqual([]);
    expect(check({ subject: 'a'.repeat(201) })).not.toEqual([]);
    expect(check({ body: ' \n' })).not.toEqual([]);
    expect(check({ body: 'a '.repeat(5001) })).not.toEqual([]);
  });
});
