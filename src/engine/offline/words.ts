/** What can be said about a person's words without knowing what they want. */

const OPENING = new RegExp(
  `^(?:${[
    'please',
    'pls',
    'kindly',
    '(?:hi|hello|hey)(?: there)?[,!.]*\\s+(?!there\\b)',
    'ok(?:ay)?',
    'so',
    'well',
    'now',
    'also',
    'then',
    'and',
    'just',
    'yes',
    'yeah',
    'yep',
    'sure',
    'great',
    'perfect',
    'thanks',
    'thank you',
    '(?:can|could|would|will) you(?: please)?(?: help me(?: to)?)?',
    '(?:can|could|may) (?:i|we)',
    "i(?:'d| would) (?:like|love)(?: you)? to",
    'i (?:want|need)(?: you)? to',
    'help me(?: to)?',
    "let(?:'s| us| me)",
    'go ahead and',
  ].join('|')})(?:[,!.:]*\\s+|(?<=\\s))(?=\\S)`,
  'i',
);
const CLOSING = /[\s,]+(?:please|pls|thanks|thank you|for me|(?:right )?(?:now|away)|if you can)$/i;

/** Only these get a plain apostrophe: in a name ("O’Reilly") it has to stay as it was typed, to find the row. */
const CONTRACTION = /\b(what|who|how|that|there|it|let|i|we|you|they|don|can|won)[‘’](s|t|d|m|re|ve|ll)\b/gi;

/** The words without greeting, politeness, doubled spaces and closing punctuation; letters keep their case. */
export function tidy(text: string): string {
  let words = text
    .replace(/[“”„«»]/g, '"')
    .replace(CONTRACTION, "$1'$2")
    .replace(/\s+/g, ' ')
    .trim();
  for (;;) {
    const less = words
      .replace(/(?<![\s.!?,;:…])[\s.!?,;:…]+$/, '')
      .replace(CLOSING, '')
      .replace(OPENING, '');
    if (less === words) return words;
    words = less;
  }
}

const SMALL_WORDS = new Set(
  `show display view see get give fetch print check open read tell look pull bring up at go through over
  i we you me us my our your the a an all every any some of in on inside is are was were be been am do does did
  have has had got what what's whats which who who's how many much there about left remaining available current
  currently still for to can could overview summary full complete whole entire latest recent last first top
  existing configured saved defined so far use want need like know please`.split(/\s+/),
);

/** What is left of a plain request or question without its small words: "what is in my outbox" → "outbox". */
export function core(said: string): string {
  return said
    .toLowerCase()
    .replace(/^list\s+/, '')
    .replace(/[^\p{L}\p{N}'\s-]/gu, ' ')
    .split(/\s+/)
    .filter((word) => word !== '' && !SMALL_WORDS.has(word) && !/^\d+$/.test(word))
    .join(' ');
}

/** The most rows the reading tools give at once. */
const MOST_ROWS = 25;

/** The number of rows the person named ("the first 10 leads"), as far as the tools can give them. */
export function limitIn(said: string): { limit?: number } {
  const limit = Number(/\b(\d{1,3})\b/.exec(said)?.[1]);
  return limit >= 1 ? { limit: Math.min(limit, MOST_ROWS) } : {};
}

/** The text without quotes around it. */
export function unquote(text: string): string {
  return text.trim().replace(/^["'](.*)["']$/, '$1');
}

/** Whether two texts are the same to a reader. */
export function sameText(one: string, other: string): boolean {
  return one.trim().toLowerCase() === other.trim().toLowerCase();
}
