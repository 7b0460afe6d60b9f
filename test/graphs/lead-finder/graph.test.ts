/** The lead-finder graph over a source that a test scripts. */

import { describe, expect, it } from 'vitest';
import { createFindProfiles } from '../../../graphs/lead-finder/graph.ts';
import { ServiceError } from '../../../src/errors.ts';
import type { LeadSource, Profile, SourceQuery, Wish } from '../../../src/resources/lead-finder/ports.ts';

const find = createFindProfiles();

function person(name: string, changes: Partial<Profile> = {}): Profile {
  const [first = '', last = ''] = name.split(' ');
  return {
    lead_id: null,
    email: `${first}.${last}@x.example`.toLowerCase(),
    first_name: first,
    last_name: last,
    company: null,
    title: null,
    city: null,
    country: null,
    website: null,
    linkedin_url: null,
    suppressed: false,
    ...changes,
  };
}

/** A source that answers each search by what it asks for, and remembers what it was asked. */
function sourceOf(answer: (query: SourceQuery) => Profile[]) {
  const asked: SourceQuery[] = [];
  const source: LeadSource = {
    name: 'test',
    title: 'a test',
    operation: 'lead_finder',
    async search(_scope, query) {
      asked.push(query);
      return answer(query);
    },
  };
  return { source, asked };
}

function look(source: LeadSource, wish: Wish, limit = 5) {
  const progress: [number, number, string][] = [];
  const scope = {
    workspaceId: 'workspace',
    within: () => Promise.reject(new Error('this source reads no rows')),
    signal: new AbortController().signal,
  };
  const request = { wish, limit, progress: (...step: [number, number, string]) => progress.push(step) };
  return find(source, scope, request).then((profiles) => ({ profiles, progress }));
}

describe('looking for a person', () => {
  const wish = { name: 'Ada Lovelace', company: 'Acme', title: 'CTO', location: 'Berlin' };

  it('searches with all that is known first, and no further once somebody is found', async () => {
    const { source, asked } = sourceOf(() => [person('Ada Lovelace', { company: 'Acme', title: 'CTO' })]);
    const { profiles, progress } = await look(source, wish);
    expect(profiles).toMatchObject([{ confidence: 0.91, matched: ['name', 'company', 'title'] }]);
    expect(asked).toMatchObject([{ name: 'Ada Lovelace', company: 'Acme', location: 'Berlin' }]);
    expect(progress).toEqual([
      [1, 4, 'Name and all that is known: 1'],
      [4, 4, 'Ranked: 1'],
    ]);
  });

  it('gives up place and job, then the company, as long as nobody is found', async () => {
    const { source, asked } = sourceOf(({ company }) =>
      company === '' ? [person('Ada Lovelace', { company: 'Elsewhere' })] : [],
    );
    const { profiles } = await look(source, { name: 'Ada Lovelace', company: 'Acme', title: 'CTO' });
    expect(asked.map(({ company, titles }) => [company, titles.length])).toEqual([
      ['Acme', 3],
      ['Acme', 0],
      ['', 0],
    ]);
    expect(profiles).toMatchObject([{ company: 'Elsewhere', confidence: 0.5, matched: ['name'] }]);
  });

  it('does not search twice for the same', async () => {
    const { source, asked } = sourceOf(() => []);
    expect((await look(source, { name: 'Ada Lovelace' })).profiles).toEqual([]);
    expect(asked).toHaveLength(1);
  });

  it('takes nobody of another name, and nobody of whom too little is sure', async () => {
    const grace = sourceOf(() => [person('Grace Hopper', { company: 'Acme', title: 'CTO', city: 'Berlin' })]);
    expect((await look(grace.source, wish)).profiles).toEqual([]);
    const elsewhere = sourceOf(() => [person('Ada Lovelace', { company: 'Elsewhere' })]);
    expect((await look(elsewhere.source, wish)).profiles).toEqual([]);
  });

  it('is less sure of each of several namesakes, and sure of none of many', async () => {
    const namesakes = (count: number) =>
      sourceOf(() =>
        Array.from({ length: count }, (_, index) => person('Ada Lovelace', { email: `${index}@x.example` })),
      ).source;
    const confidences = async (count: number) =>
      (await look(namesakes(count), { name: 'Ada Lovelace' })).profiles.map(({ confidence }) => confidence);
    expect(await confidences(1)).toEqual([1]);
    expect(await confidences(2)).toEqual([0.5, 0.5]);
    expect(await confidences(3)).toEqual([]);
  });
});

describe('looking for leads', () => {
  it('ranks them by how much of the wish holds, each person once, and no more than are wanted', async () => {
    const { source, asked } = sourceOf(() => [
      person('Alan Turing', { title: 'CTO and founder', city: 'London' }),
      person('Ada Lovelace', { title: 'CTO', city: 'Berlin' }),
      person('Ada Lovelace', { title: 'CTO', city: 'Berlin' }),
      person('Grace Hopper', { title: 'CTO' }),
      person('Kurt Gödel', { title: 'Engineer' }),
    ]);
    const { profiles, progress } = await look(source, { title: 'CTO', location: 'Berlin' }, 3);
    expect(profiles.map(({ first_name, confidence }) => [first_name, confidence])).toEqual([
      ['Ada', 1],
      ['Grace', 0.67],
      ['Alan', 0.53],
    ]);
    expect(asked).toMatchObject([
      { titles: ['CTO', 'chief technology officer', 'chief technical officer'], limit: 3 },
    ]);
    expect(progress.at(-1)).toEqual([2, 2, 'Ranked: 3']);
  });

  it('answers nobody where there is nobody', async () => {
    expect((await look(sourceOf(() => []).source, { title: 'CTO' })).profiles).toEqual([]);
  });

  it('throws what the source throws', async () => {
    const { source } = sourceOf(() => {
      throw new ServiceError('NOT_SUPPORTED', 'This source takes no titles.');
    });
    await expect(look(source, { title: 'CTO' })).rejects.toMatchObject({ code: 'NOT_SUPPORTED' });
  });
});
