/** Rows as a CSV file for spreadsheets (RFC 4180), as the service writes its own. */

/** A cell that a spreadsheet would run as a formula is made text by a leading `'`. */
export function toCsv(rows: readonly (readonly string[])[]): string {
  return rows.map((cells) => `${cells.map(cell).join(',')}\r\n`).join('');
}

function cell(value: string): string {
  // OWASP, "CSV injection": these first characters start a formula.
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
