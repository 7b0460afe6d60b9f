/** An event stream's bytes read twice: as the standard says, line by line, and by the parser that clients use. */

import { createParser } from 'eventsource-parser';

/** What a reader is handed at an empty line. */
export interface Dispatched {
  id: string | undefined;
  event: string | undefined;
  data: string;
}

/** Reads a whole stream by the letter of WHATWG HTML §9.2.6; what stands after the last empty line is dropped, as there. */
export function readByStandard(text: string): Dispatched[] {
  const found: Dispatched[] = [];
  const fields = { data: [] as string[], event: '', id: undefined as string | undefined };
  const whole = text.startsWith('\ufeff') ? text.slice(1) : text;
  const lines = whole.split(/\r\n|\n|\r/);
  // What follows the last line end is no line.
  lines.pop();
  for (const line of lines) {
    if (line === '') {
      const { data, event, id } = fields;
      if (data.length > 0) found.push({ id, event: event === '' ? undefined : event, data: data.join('\n') });
      Object.assign(fields, { data: [], event: '', id: undefined });
      continue;
    }
    const colon = line.indexOf(':');
    if (colon === 0) continue;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') fields.data.push(value);
    else if (name === 'event') fields.event = value;
    else if (name === 'id' && !value.includes('\0')) fields.id = value;
  }
  return found;
}

/** The same by `eventsource-parser`, fed in pieces that end behind each of `cuts`. Throws for a line that it cannot take. */
export function readByParser(text: string, cuts: readonly number[] = []): Dispatched[] {
  const found: Dispatched[] = [];
  const parser = createParser({
    onEvent: ({ id, event, data }) => found.push({ id, event, data }),
    onError: (error) => {
      throw error;
    },
  });
  const ends = [...new Set([...cuts.map((cut) => cut % (text.length + 1)), text.length])].sort(
    (one, other) => one - other,
  );
  let from = 0;
  for (const end of ends) {
    parser.feed(text.slice(from, end));
    from = end;
  }
  return found;
}
