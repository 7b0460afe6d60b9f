/** How much of a wish a profile fulfils. */

import { describe, expect, it } from 'vitest';
import { essentialWords, rank, titlesFor } from '../../../src/resources/lead-finder/likeness.ts';
import type { Profile, Wish } from '../../../src/resources/lead-finder/ports.ts';

const ada: Profile = {
  lead_id: '1',
  email: 'ada@acme.example',
  first_name: 'Ada',
  last_name: 'Lovelace',
  company: 'Acme, Inc.',
  title: 'Chief Technology Officer & Co-founder',
  city: 'Berlin',
  country: 'Germany',
  website: null,
  linkedin_url: null,
  suppressed: false,
};

function likeness(wish: Wish, changes: Partial<Profile> = {}) {
  const { confidence, matched } = rank({ ...ada, ...changes }, wish);
  return { confidence: Math.round(confidence * 100) / 100, matched };
}

describe('the likeness of a profile to a wish', () => {
  it('is whole where all that is given is the same, whatever the legal form, case, marks and signs', () => {
    const wish = { name: 'ada lovelace', company: 'ACME GmbH', location: 'Berlin, Germany' };
    expect(likeness(wish)).toEqual({ confidence: 1, matched: ['name', 'company', 'location'] });
    expect(likeness({ name: 'José Núñez' }, { first_name: 'Jose', last_name: 'Nunez' }).confidence).toBe(1);
  });

  it('is less where only a part is the same', () => {
    expect(likeness({ title: 'CTO' })).toEqual({ confidence: 0.8, matched: ['title'] });
    expect(likeness({ company: 'Acm' }).confidence).toBe(0.8);
  });

  it('lacks what does not hold or is not known, by its weight', () => {
    expect(likeness({ name: 'Ada Lovelace', company: 'Other' })).toEqual({
      confidence: 0.63,
      matched: ['name'],
    });
    expect(likeness({ name: 'Ada Lovelace', title: 'CTO' }, { title: null })).toEqual({
      confidence: 0.71,
      matched: ['name'],
    });
    expect(likeness({ name: 'Grace Hopper' })).toEqual({ confidence: 0, matched: [] });
  });

  it('asks for nothing where nothing was said', () => {
    expect(likeness({})).toEqual({ confidence: 0, matched: [] });
    expect(likeness({ name: 'Ada Lovelace', company: ' ', title: null, keywords: '!!' }).confidence).toBe(1);
  });

  it('finds keywords in any field', () => {
    expect(likeness({ keywords: 'berlin founder acme' }).matched).toEqual([]);
    expect(likeness({ keywords: 'berlin acme officer' })).toMatchObject({ matched: ['keywords'] });
  });
});

describe('titlesFor', () => {
  it.each([
    ['CTO', ['CTO', 'chief technology officer', 'chief technical officer']],
    ['VP of Sales', ['VP of Sales', 'vice president of sales']],
    ['Chief Executive Officer', ['Chief Executive Officer', 'ceo']],
    ['Engineer', ['Engineer']],
    ['  ', []],
  ])('says %s in other ways too', (title, ways) => {
    expect(titlesFor(title)).toEqual(ways);
  });
});

describe('essentialWords', () => {
  it('leaves out what tells nothing, unless there is nothing else', () => {
    expect(essentialWords('The Head of Sales')).toEqual(['Head', 'Sales']);
    expect(essentialWords('Crosby, Inc.')).toEqual(['Crosby']);
    expect(essentialWords('The Inc')).toEqual(['The', 'Inc']);
  });
});
