/** What a turn of the benchmark asks of the model: it stands in the user's message, so every server passes it on. */

export interface Script {
  /** Tokens of the answer. */
  tokens: number;
  /** Milliseconds from token to token; 0: as fast as the socket takes them. */
  everyMs: number;
  /** A tool that is called before the answer. */
  tool?: string;
  /** The model says nothing until it is released. */
  hold?: boolean;
}

/** Twelve tokens of everyday length, said again and again. */
const WORDS = [
  'The',
  ' next',
  ' step',
  ' is',
  ' to',
  ' write',
  ' a',
  ' short',
  ' mail',
  ' for',
  ' each',
  ' lead.',
];

/** The token at a place of every answer. */
export function tokenAt(index: number): string {
  return WORDS[index % WORDS.length] ?? '';
}

/** The whole answer, for the check that no token was lost. */
export function answerOf({ tokens }: Script): string {
  return Array.from({ length: tokens }, (_, index) => tokenAt(index)).join('');
}

/** The user's message that carries a script. */
export function messageOf(script: Script): string {
  return JSON.stringify(script);
}
