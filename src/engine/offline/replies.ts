/** Rows put into words: short Markdown in which nothing of a row can act as markup. */

import { asRow, numberAt, type Outcome, type Row, textAt } from './scene.ts';

const HARD_BREAK = '  \n';

/** A value as inline Markdown text: one line, with the characters that could open a cell, link, tag or code escaped. */
export function inline(value: unknown): string {
  const text = typeof value === 'boolean' ? (value ? 'yes' : '') : String(value ?? '');
  return text
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/[\\|`*[\]<]/g, '\\$&');
}

/** A Markdown table; a column that is empty in every row is left out. */
export function table(columns: Record<string, (row: Row) => unknown>, rows: readonly Row[]): string {
  const shown = Object.entries(columns)
    .map(([header, cell]) => ({ header, cells: rows.map((row) => inline(cell(row))) }))
    .filter((column) => column.cells.some((cell) => cell !== ''));
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    line(shown.map((column) => column.header)),
    line(shown.map(() => '---')),
    ...rows.map((_, index) => line(shown.map((column) => column.cells[index] ?? ''))),
  ].join('\n');
}

/** A column that shows the field as it is. */
export function field(key: string): (row: Row) => string {
  return (row) => textAt(row, key);
}

/** A field that holds an ISO time, to the minute. */
export function time(key: string): (row: Row) => string {
  return (row) => textAt(row, key).replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*$/, '$1 $2');
}

/** "1 lead", "3 leads". */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** "a", "a and b", "a, b and c". */
export function series(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

/** The paragraphs that are not empty, one below the other. */
export function paragraphs(...parts: (string | undefined)[]): string {
  return parts.filter((part) => part).join('\n\n');
}

/** Why something was not done: the error's own message, or the person's refusal and its reason. */
export function trouble(doing: string, outcome: Exclude<Outcome, { status: 'ok' }>): string {
  if (outcome.status === 'error') {
    return sentence(`I could not ${doing}: ${inline(outcome.message) || inline(outcome.code)}`);
  }
  return `I did not ${doing}: it was ${outcome.how}${because(outcome.reason)}.`;
}

/** The reason in brackets, quoted, or nothing. */
export function because(reason: string): string {
  // The gate tells a rejection in whole sentences; the person's own words are what is worth repeating.
  const told = /^The user rejected this\.(?: Their reason: (.*))? Nothing was done\.$/s.exec(reason);
  const own = told === null ? reason : (told[1] ?? '');
  return own ? ` (“${inline(own)}”)` : '';
}

/** A lead by name and address. */
export function leadLabel(lead: Row): string {
  const name = inline(leadName(lead));
  const email = inline(textAt(lead, 'email'));
  return name && email ? `**${name}** (${email})` : `**${name || email || 'a lead without a name'}**`;
}

/** A lead's full name; empty where the row has none. */
export function leadName(lead: Row): string {
  return textAt(lead, 'name') || `${textAt(lead, 'first_name')} ${textAt(lead, 'last_name')}`.trim();
}

export function leadTable(leads: readonly Row[]): string {
  return table(
    {
      Name: leadName,
      Email: field('email'),
      Company: field('company'),
      Title: field('title'),
      City: field('city'),
      'No mail': (lead) => lead.suppressed === true,
    },
    leads,
  );
}

export function leadDetails(lead: Row): string {
  const facts = {
    Email: textAt(lead, 'email'),
    Company: textAt(lead, 'company'),
    Title: textAt(lead, 'title'),
    City: [textAt(lead, 'city'), textAt(lead, 'country')].filter(Boolean).join(', '),
    Mail: lead.suppressed === true ? 'on the suppression list, must not be mailed' : '',
  };
  return [
    `**${inline(leadName(lead)) || 'Lead without a name'}**`,
    '',
    ...Object.entries(facts).flatMap(([label, fact]) => (fact ? [`- ${label}: ${inline(fact)}`] : [])),
  ].join('\n');
}

/** A draft as it would arrive: address, subject, text, and what it builds on. */
export function draftInFull(draft: Row): string {
  const body = textAt(draft, 'body').replace(/\r/g, '').trim().split('\n');
  return paragraphs(
    `**To:** ${inline(textAt(draft, 'to'))}${HARD_BREAK}**Subject:** ${inline(textAt(draft, 'subject'))}`,
    body.map((line) => `> ${inline(line)}`.trimEnd()).join(HARD_BREAK),
    buildsOn(draft),
  );
}

/** The field a draft's personal sentence stands on. */
export function buildsOn(draft: Row): string {
  const commonality = asRow(draft.commonality);
  const text = inline(textAt(commonality, 'text'));
  return text && `It builds on the lead's ${inline(textAt(commonality, 'field')) || 'row'}: ${text}`;
}

/** What truly became of a send, in one sentence. `to` is used where the outcome does not name the address. */
export function sendReport(outcome: Outcome, to: string): string {
  const address = inline((outcome.status === 'ok' && textAt(outcome.result, 'to')) || to);
  if (outcome.status === 'error') return trouble(`send the email to ${address}`, outcome);
  if (outcome.status === 'refused') {
    const who = outcome.how === 'rejected' ? 'You rejected' : 'The approval was';
    return outcome.how === 'rejected'
      ? `${who} the email to ${address}${because(outcome.reason)}, so nothing was sent.`
      : `${who} ${outcome.how}${because(outcome.reason)}, so nothing was sent to ${address}.`;
  }
  const { result } = outcome;
  const status = textAt(result, 'status');
  if (status === 'failed') return `The email to ${address} could not be sent.`;
  if (status === 'unknown') {
    return `It is not known whether the email to ${address} went out. It is not sent again by itself.`;
  }
  if (result.sandbox === true || status === 'sandbox') {
    return `The email to ${address} is kept in the outbox: this is the sandbox, nothing left this machine.`;
  }
  return status === 'sent'
    ? `The email to ${address} was sent.`
    : `The email to ${address} is in the outbox (${inline(status)}).`;
}

/** "You have 100 leads. Here are the first 20:" and the like. `what` is the noun with its qualification. */
export function heading(result: Row, shown: number, one: string, qualification = ''): string {
  const total = numberAt(result, 'total', shown);
  const many = `${count(total, one)}${qualification}`;
  return total > shown
    ? `There are ${many}. Here ${shown === 1 ? 'is the first' : `are the first ${shown}`}:`
    : `There ${total === 1 ? 'is' : 'are'} ${many}:`;
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
