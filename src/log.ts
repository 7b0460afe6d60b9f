/** The log: pino lines, with every secret that could slip into a line scrubbed from it. */

import pino from 'pino';

export interface Log {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
  child(facts: Record<string, unknown>): Log;
}

/** What must never stand in a log line, wherever it is nested: our keys, JWTs, provider keys, bearer headers, passwords in URLs. */
const SECRETS: [RegExp, string][] = [
  [/bav_(live|test)_[A-Za-z0-9_-]+/g, 'bav_$1_[scrubbed]'],
  [/eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+/g, '[scrubbed jwt]'],
  [/sk-[A-Za-z0-9_-]{8,}/g, '[scrubbed key]'],
  [/whsec_[A-Za-z0-9+/=_-]+/g, '[scrubbed secret]'],
  [/(bearer\s+)[A-Za-z0-9._~+/=-]+/gi, '$1[scrubbed]'],
  [/([a-z][a-z0-9+.-]*:\/\/[^\s:/@"']*:)[^\s@"']+@/gi, '$1[scrubbed]@'],
];

/** Removes everything that looks like a secret from a text. */
export function scrub(text: string): string {
  let clean = text;
  for (const [pattern, replacement] of SECRETS) clean = clean.replace(pattern, replacement);
  return clean;
}

export interface LogNeeds {
  level: string;
  /** Where the lines go; each ends with a newline. */
  write(line: string): void;
  /** Secrets of this process (configured keys, passwords), scrubbed by value. */
  secrets: readonly string[];
}

/** A secret as it may stand in a line: in JSON, in JSON that is text in JSON, and in an address. The longest first. */
function spellings(secret: string): string[] {
  const inJson = JSON.stringify(secret.toWellFormed()).slice(1, -1);
  const all = [
    inJson,
    JSON.stringify(inJson).slice(1, -1),
    encodeURIComponent(secret.toWellFormed()),
    secret,
  ];
  return [...new Set(all)].sort((one, other) => other.length - one.length);
}

/** Makes the process's log. A line is scrubbed after it was serialised, so nesting cannot hide a secret. */
export function createLog({ level, write, secrets }: LogNeeds): Log {
  const known = secrets.filter((secret) => secret.length >= 6).flatMap(spellings);
  return pino(
    { level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime },
    {
      write(line: string) {
        let clean = scrub(line);
        for (const secret of known) clean = clean.replaceAll(secret, '[scrubbed]');
        write(clean);
      },
    },
  );
}
