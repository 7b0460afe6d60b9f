/** Writes a dataset's leads as CSV or JSON, one after another. */

export interface ExportedLead {
  lead_id: string;
  data: Record<string, unknown>;
}

/** Gathers text until a chunk is worth sending. */
const CHUNK = 64 * 1024;

/** RFC 4180, in the columns of the imported file. A cell that a spreadsheet would run as a formula is made text by a leading `'`. */
export async function* toCsv(
  columns: readonly string[],
  leads: AsyncIterable<ExportedLead>,
): AsyncGenerator<string> {
  let text = csvLine(columns);
  for await (const { data } of leads) {
    text += csvLine(columns.map((column) => String(data[column] ?? '')));
    if (text.length < CHUNK) continue;
    yield text;
    text = '';
  }
  yield text;
}

/** A JSON array of `{lead_id, data}`. */
export async function* toJson(leads: AsyncIterable<ExportedLead>): AsyncGenerator<string> {
  let text = '[';
  let separator = '\n';
  for await (const lead of leads) {
    text += separator + JSON.stringify(lead);
    separator = ',\n';
    if (text.length < CHUNK) continue;
    yield text;
    text = '';
  }
  yield `${text}\n]\n`;
}

function csvLine(cells: readonly string[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

function csvCell(value: string): string {
  // OWASP, "CSV injection": these first characters start a formula.
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
