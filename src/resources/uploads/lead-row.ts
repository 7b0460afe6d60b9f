/** A row of a file as a lead, or the reason why it is none. */

import { type CsvRow, FIELD_LIMIT } from './csv.ts';
import { isEmail } from './email.ts';
import type { LeadField, Mapping } from './mapping.ts';

export type Refusal = 'missing_email' | 'invalid_email' | 'duplicate_email' | 'field_too_long';

export interface LeadValues {
  email: string;
  first_name: string | null;
  last_name: string | null;
  company: string | null;
  title: string | null;
  city: string | null;
  country: string | null;
  website: string | null;
  phone: string | null;
  /** Every column of the file as it came. */
  data: Record<string, string>;
}

export type RowOutcome = { lead: LeadValues } | { refusal: Refusal; value: string };

/** Makes the reader of one file's rows: it remembers the addresses it has seen, so a second one is refused. */
export function createLeadReader(columns: readonly string[], mapping: Mapping): (row: CsvRow) => RowOutcome {
  const places = new Map(Object.entries(mapping).map(([field, column]) => [field, columns.indexOf(column)]));
  const seen = new Set<string>();
  return ({ values }) => {
    const read = (field: LeadField) => oneLine(values[places.get(field) ?? -1] ?? '');
    const email = read('email');
    if (values.some((value) => value.length > FIELD_LIMIT))
      return { refusal: 'field_too_long', value: email };
    if (email === '') return { refusal: 'missing_email', value: '' };
    if (!isEmail(email)) return { refusal: 'invalid_email', value: email };
    const address = email.toLowerCase();
    if (seen.has(address)) return { refusal: 'duplicate_email', value: email };
    seen.add(address);
    const whole = splitName(read('full_name'));
    return {
      lead: {
        email,
        first_name: read('first_name') || whole.first || null,
        last_name: read('last_name') || whole.last || null,
        company: read('company') || null,
        title: read('title') || null,
        city: read('city') || null,
        country: read('country') || null,
        website: read('website') || null,
        phone: read('phone') || null,
        data: Object.fromEntries(columns.map((column, index) => [column, values[index] ?? ''])),
      },
    };
  };
}

/** Splits "Dr. Ada King Lovelace, PhD" and "Lovelace, Ada" into first and last name. */
export function splitName(name: string): { first: string; last: string } {
  const bare = name
    .replace(/^((dr|mr|mrs|ms|miss|prof|herr|frau|sir)\.?\s+)+/i, '')
    .replace(/(,\s*(ph\.?d|m\.?d|mba|jr|sr|esq|cpa|i{2,3})\.?)+$/i, '');
  const [before = '', after = ''] = bare.split(',').map((part) => part.trim());
  if (after !== '') return { first: after, last: before };
  const [first = '', ...rest] = before.split(' ');
  return { first, last: rest.join(' ') };
}

/** The value without line breaks and control characters: it may come to stand in a mail's header. */
function oneLine(value: string): string {
  return value.replaceAll(/[\p{Cc}\s]+/gu, ' ').trim();
}
