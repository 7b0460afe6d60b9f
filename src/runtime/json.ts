/** How deep a JSON text nests, told before it is parsed: what walks a value later has only so much stack. */

/** Deeper than anything that people or programs mean. */
export const DEEPEST_JSON = 100;

/** Whether brackets outside of strings nest deeper than `deepest`. The text need not be valid. */
export function nestsTooDeep(text: string, deepest = DEEPEST_JSON): boolean {
  // A text of so many characters cannot.
  if (text.length <= deepest) return false;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (inString) {
      if (code === BACKSLASH) at += 1;
      else if (code === QUOTE) inString = false;
    } else if (code === QUOTE) inString = true;
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth += 1;
      if (depth > deepest) return true;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth -= 1;
  }
  return false;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
