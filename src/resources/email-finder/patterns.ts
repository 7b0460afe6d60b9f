/** How companies make addresses of names: eight patterns, and how likely each is where some addresses are known. */

import { splitName } from '../uploads/lead-row.ts';

/** A name as the left side of an address can hold it: lower-case ASCII letters. */
export interface PlainName {
  first: string;
  last: string;
}

interface Pattern {
  name: string;
  /** How often companies use it, roughly: all there is to go by where no address is known. */
  share: number;
  render(name: PlainName): string;
}

/** Most common first. The rest of the shares is for schemes that are none of these. */
const PATTERNS: readonly Pattern[] = [
  { name: '{first}.{last}', share: 0.33, render: ({ first, last }) => `${first}.${last}` },
  { name: '{f}{last}', share: 0.2, render: ({ first, last }) => `${first.charAt(0)}${last}` },
  { name: '{first}', share: 0.15, render: ({ first }) => first },
  { name: '{first}{last}', share: 0.07, render: ({ first, last }) => `${first}${last}` },
  { name: '{first}{l}', share: 0.05, render: ({ first, last }) => `${first}${last.charAt(0)}` },
  { name: '{f}.{last}', share: 0.05, render: ({ first, last }) => `${first.charAt(0)}.${last}` },
  { name: '{first}_{last}', share: 0.03, render: ({ first, last }) => `${first}_${last}` },
  { name: '{last}.{first}', share: 0.02, render: ({ first, last }) => `${last}.${first}` },
];

/** What is assumed before any address is known counts as much as so many known addresses. */
const ASSUMED = 2;

/** Letters that are no base letter with a mark. */
const LETTERS: Record<string, string> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  đ: 'd',
  ł: 'l',
  þ: 'th',
  ð: 'd',
};

/** A person's name without titles, marks and signs; parts that have no Latin letters are empty. */
export function plainName(name: string): PlainName {
  const { first, last } = splitName(name.trim().replaceAll(/\s+/g, ' '));
  return { first: letters(first), last: letters(last) };
}

function letters(part: string): string {
  return part
    .toLowerCase()
    .replaceAll(/[ßæœøđłþð]/g, (letter) => LETTERS[letter] ?? '')
    .normalize('NFD')
    .replaceAll(/[^a-z]/g, '');
}

/** A person whose address is known. */
export interface KnownAddress {
  /** Lower case. */
  address: string;
  name: PlainName;
}

export interface PatternCount {
  pattern: string;
  /** Known addresses that were made by it. */
  count: number;
  /** 0 to 1: its part among the known addresses and what is assumed before. */
  confidence: number;
}

/** All eight, the likeliest first. Addresses whose person has no whole name say nothing. */
export function weighPatterns(known: readonly KnownAddress[]): PatternCount[] {
  const telling = known.filter(({ name }) => isWhole(name));
  const counts = new Map<string, number>();
  for (const { address, name } of telling) {
    // A hyphen of a double name may have been kept or dropped.
    const local = address.slice(0, address.lastIndexOf('@')).replaceAll('-', '');
    const pattern = PATTERNS.find((one) => one.render(name) === local);
    if (pattern !== undefined) counts.set(pattern.name, (counts.get(pattern.name) ?? 0) + 1);
  }
  return PATTERNS.map(({ name, share }) => {
    const count = counts.get(name) ?? 0;
    const confidence = (count + ASSUMED * share) / (telling.length + ASSUMED);
    return { pattern: name, count, confidence: Math.round(confidence * 100) / 100 };
  }).sort((one, other) => other.confidence - one.confidence);
}

export interface Candidate extends PatternCount {
  email: string;
}

/** The addresses that the person may have at the domain, the likeliest first; one that is somebody else's is left out. */
export function candidatesFor(name: PlainName, domain: string, known: readonly KnownAddress[]): Candidate[] {
  const taken = new Set(known.map(({ address }) => address));
  const seen = new Set<string>();
  return weighPatterns(known).flatMap((weight) => {
    const pattern = PATTERNS.find((one) => one.name === weight.pattern);
    const possible = isWhole(name) || (weight.pattern === '{first}' && name.first !== '');
    if (pattern === undefined || !possible) return [];
    const email = `${pattern.render(name)}@${domain}`;
    if (taken.has(email) || seen.has(email)) return [];
    seen.add(email);
    return [{ ...weight, email }];
  });
}

/** Whether the two are the same person, as far as names tell. */
export function sameName(one: PlainName, other: PlainName): boolean {
  return one.first !== '' && one.first === other.first && one.last === other.last;
}

function isWhole({ first, last }: PlainName): boolean {
  return first !== '' && last !== '';
}
