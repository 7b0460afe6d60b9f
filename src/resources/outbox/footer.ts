/** What stands below a mail's text. */

/** The text as it leaves: the sender's postal address stands below it, unless the text has it already. */
export function withFooter(body: string, postalAddress: string | null): string {
  const written = body.replaceAll('\r\n', '\n').replaceAll('\r', '\n');
  const postal = (postalAddress ?? '').trim().replaceAll(/\s*[\r\n]+\s*/g, ', ');
  if (postal === '' || holds(written, flat(postal))) return written;
  return `${written}\n\n-- \n${postal}`;
}

/** Whether the text has the flat words somewhere. */
function holds(text: string, words: string): boolean {
  // Few texts have the first word, and to flatten them all is what writing ten thousand mails would mostly be.
  const [first = ''] = words.trim().split(' ');
  return text.toLowerCase().includes(first) && flat(text).includes(words);
}

function flat(value: string): string {
  return value.replaceAll(/[\s,]+/g, ' ').toLowerCase();
}
