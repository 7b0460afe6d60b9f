/** How much of a wish a profile is known to fulfil. */

import { wordsOf } from '../leads/search.ts';
import type { Profile, RankedProfile, Wish, WishField } from './ports.ts';

/** What each part of a wish counts among those that are given. */
const WEIGHTS: Record<WishField, number> = { name: 5, company: 3, title: 2, location: 1, keywords: 1 };
const FIELDS: readonly WishField[] = ['name', 'company', 'title', 'location', 'keywords'];

/** What a field that holds the wanted words, but is not the same, is worth against one that is. */
const PARTLY = 0.8;

/** Words that say nothing: two names of one company, or of one job, may differ in them. */
const SMALL_WORDS = new Set(
  'the of and for in at to inc incorporated llc ltd limited corp corporation co company plc gmbh ag kg se sa sas srl bv nv ab as oy'.split(
    ' ',
  ),
);

/** The words of a company's name or a job that tell it from others; all of them where none does. */
export function essentialWords(text: string): string[] {
  const words = wordsOf(text);
  const telling = words.filter((word) => !SMALL_WORDS.has(plain(word)));
  return telling.length === 0 ? words : telling;
}

/** Ways to say the same job, in lower case. */
const JOBS: readonly (readonly string[])[] = [
  ['ceo', 'chief executive officer'],
  ['cto', 'chief technology officer', 'chief technical officer'],
  ['cfo', 'chief financial officer'],
  ['coo', 'chief operating officer'],
  ['cmo', 'chief marketing officer'],
  ['cio', 'chief information officer'],
  ['ciso', 'chief information security officer'],
  ['cpo', 'chief product officer'],
  ['cro', 'chief revenue officer'],
  ['chro', 'chief human resources officer', 'chief people officer'],
  ['vp', 'vice president'],
  ['svp', 'senior vice president'],
  ['evp', 'executive vice president'],
  ['hr', 'human resources'],
  ['sdr', 'sales development representative'],
  ['pm', 'product manager'],
];

/** The job as it was said, and other ways to say it. */
export function titlesFor(title: string): string[] {
  const said = plain(title);
  if (said === '') return [];
  const others = JOBS.flatMap((ways) => {
    const way = ways.find((one) => ` ${said} `.includes(` ${one} `));
    if (way === undefined) return [];
    return ways.filter((one) => one !== way).map((one) => ` ${said} `.replace(` ${way} `, ` ${one} `).trim());
  });
  return [title.trim(), ...others];
}

/** A profile with what is known to hold of the wish. */
export function rank(profile: Profile, wish: Wish): RankedProfile {
  const matched: WishField[] = [];
  let most = 0;
  let holds = 0;
  for (const field of FIELDS) {
    const wanted = wish[field] ?? '';
    if (wordsOf(wanted).length === 0) continue;
    most += WEIGHTS[field];
    const likeness = likenessOf(profile, field, wanted);
    if (likeness === 0) continue;
    matched.push(field);
    holds += likeness * WEIGHTS[field];
  }
  return { ...profile, confidence: most === 0 ? 0 : holds / most, matched };
}

function likenessOf(profile: Profile, field: WishField, wanted: string): number {
  const { first_name, last_name, company, title, city, country, email, website } = profile;
  switch (field) {
    case 'name':
      return alike([[first_name, last_name].filter(Boolean).join(' ')], [wanted]);
    case 'company':
      return alike([company], [wanted]);
    case 'title':
      return alike([title], titlesFor(wanted));
    case 'location':
      return alike([city, country, `${city ?? ''} ${country ?? ''}`], [wanted]);
    case 'keywords':
      return alike(
        [[first_name, last_name, company, title, city, country, email, website].filter(Boolean).join(' ')],
        [wanted],
      );
  }
}

/** 1 where one of the texts is the same as one of the wanted, `PARTLY` where it holds its words, else 0. */
function alike(texts: readonly (string | null)[], wanted: readonly string[]): number {
  let best = 0;
  for (const text of texts) {
    const words = essentialWords(text ?? '').map(plain);
    for (const one of wanted) {
      const asked = essentialWords(one).map(plain);
      if (words.join(' ') === asked.join(' ')) return 1;
      if (asked.every((word) => words.some((other) => other.startsWith(word)))) best = PARTLY;
    }
  }
  return best;
}

/** Lower case, without marks and signs. */
function plain(text: string): string {
  return text
    .normalize('NFD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}
