/** What stands below a mail's text. */

/** The text as it leaves: the sender's postal address stands below it, unless the text has it already. */
export function withFooter(body: string, postalAddress: string | null): string {
  const written = body.replaceAll('\r\n', '\n').replaceAll('\r', '\n');
  const postal = (postalAddress ?? '').trim().replaceAll(/\s*[\r\n]+\s*/g, ', ');
  if (postal === '' || flat(written).includes(flat(postal))) return written;
  return `${written}\n\n-- \n${postal}`;
}

function flat(value: string): string {
  return value.replaceAll(/[\s,]+/g, ' ').toLowerCase();
}
