/** Guesses which column holds what, by its name and, where the name does not tell, by its values. */

import { ServiceError } from '../../errors.ts';
import { isEmail } from './email.ts';

/** What a lead has; `full_name` is split where first and last name have no columns of their own. */
export const LEAD_FIELDS = [
  'email',
  'first_name',
  'last_name',
  'full_name',
  'company',
  'title',
  'city',
  'country',
  'website',
  'phone',
] as const;
export type LeadField = (typeof LEAD_FIELDS)[number];

/** The column that each field is read from. */
export type Mapping = Partial<Record<LeadField, string>>;
/** What a caller says of it: a column, or null for "none". */
export type GivenMapping = Partial<Record<LeadField, string | null>>;

/** Share of a column's values that must be addresses for it to be the e-mail column whatever it is called. */
const ADDRESS_SHARE = 0.8;

/** Names as `plainName` leaves them, the most telling first. */
const NAMES: Record<LeadField, readonly string[]> = {
  email: [
    'email',
    'email address',
    'work email',
    'business email',
    'company email',
    'email work',
    'primary email',
    'contact email',
    'person email',
    'personal email',
    'mail',
    'mail address',
    'emailadresse',
    'email adresse',
    'mailadresse',
    'adresse email',
    'courriel',
    'correo',
    'correo electronico',
    'emails',
  ],
  first_name: [
    'first name',
    'firstname',
    'given name',
    'forename',
    'first',
    'fname',
    'vorname',
    'prenom',
    'nombre',
  ],
  last_name: [
    'last name',
    'lastname',
    'surname',
    'family name',
    'last',
    'lname',
    'nachname',
    'familienname',
    'nom',
    'nom de famille',
    'apellido',
    'apellidos',
  ],
  full_name: [
    'full name',
    'fullname',
    'contact name',
    'person name',
    'lead name',
    'display name',
    'name',
    'contact',
  ],
  company: [
    'company',
    'company name',
    'organization',
    'organisation',
    'organization name',
    'organisation name',
    'account name',
    'company account',
    'employer',
    'current company',
    'business name',
    'account',
    'firm',
    'firma',
    'unternehmen',
    'entreprise',
    'societe',
    'empresa',
    'security',
    'security name',
    'issuer',
  ],
  title: [
    'job title',
    'jobtitle',
    'position',
    'title',
    'job role',
    'role',
    'designation',
    'occupation',
    'job',
    'berufsbezeichnung',
    'funktion',
    'poste',
    'cargo',
    'puesto',
  ],
  city: [
    'city',
    'town',
    'person city',
    'contact city',
    'business city',
    'mailing city',
    'stadt',
    'ort',
    'ville',
    'ciudad',
    'location',
    'company city',
    'headquarters location',
    'headquarters',
    'hq location',
  ],
  country: [
    'country',
    'country region',
    'person country',
    'contact country',
    'business country',
    'mailing country',
    'land',
    'pays',
    'pais',
    'company country',
  ],
  website: [
    'website',
    'website url',
    'web site',
    'company website',
    'homepage',
    'web page',
    'company domain',
    'domain',
    'company url',
    'web',
    'webseite',
    'site web',
    'sitio web',
  ],
  phone: [
    'phone',
    'phone number',
    'telephone',
    'telephone number',
    'mobile',
    'mobile phone',
    'mobile number',
    'cell',
    'cell phone',
    'direct phone',
    'work direct phone',
    'work phone',
    'business phone',
    'corporate phone',
    'company phone',
    'tel',
    'telefon',
    'telefonnummer',
    'telefono',
  ],
};

/** Columns that only a list of companies has: beside them "Name" is the company's. */
const COMPANY_LIST = ['symbol', 'ticker', 'cik', 'sector', 'gics sector', 'industry', 'employees', 'revenue'];

/**
 * Maps the columns. What the caller gives wins, null included; the rest is guessed from the columns left.
 * Throws `VALIDATION_ERROR` where a given column does not exist, and leaves `email` out where nothing looks like it.
 */
export function mapColumns(
  columns: readonly string[],
  sample: readonly (readonly string[])[],
  given: GivenMapping = {},
): Mapping {
  const mapping: Mapping = {};
  for (const field of LEAD_FIELDS) {
    const column = given[field];
    if (column === undefined || column === null) continue;
    if (!columns.includes(column)) throw unknownColumn(field, column, columns);
    mapping[field] = column;
  }
  const plain = columns.map(plainName);
  const open = LEAD_FIELDS.filter((field) => given[field] === undefined);
  for (const field of open) {
    const taken = Object.values(mapping);
    const free = columns.filter((column) => !taken.includes(column));
    const named = namesOf(field, plain).flatMap((name) =>
      free.filter((column) => plain[columns.indexOf(column)] === name),
    );
    const column = field === 'email' ? pickEmail(columns, free, named, sample) : named[0];
    if (column !== undefined) mapping[field] = column;
  }
  return mapping;
}

function namesOf(field: LeadField, plain: readonly string[]): readonly string[] {
  const aboutCompanies = plain.some((name) => COMPANY_LIST.includes(name)) && !plain.some(isPersonal);
  if (!aboutCompanies || !plain.includes('name')) return NAMES[field];
  if (field === 'full_name') return NAMES.full_name.filter((name) => name !== 'name');
  return field === 'company' ? [...NAMES.company, 'name'] : NAMES[field];
}

/** Whether a column of this name tells that the rows are people. */
function isPersonal(name: string): boolean {
  return (
    NAMES.first_name.includes(name) ||
    NAMES.last_name.includes(name) ||
    NAMES.company.slice(0, 10).includes(name)
  );
}

/** Takes the first column that is called e-mail and holds an address; else one full of addresses; else one that is called so. */
function pickEmail(
  columns: readonly string[],
  free: readonly string[],
  named: readonly string[],
  sample: readonly (readonly string[])[],
): string | undefined {
  const share = (column: string) => {
    const index = columns.indexOf(column);
    const filled = sample.map((values) => values[index] ?? '').filter((value) => value !== '');
    return filled.length === 0 ? 0 : filled.filter(isEmail).length / filled.length;
  };
  return (
    named.find((column) => share(column) > 0) ??
    free.find((column) => share(column) >= ADDRESS_SHARE) ??
    named[0]
  );
}

/** "E-mail 1 - Value", "emailAddress" and "Prénom" as words in lower case: "email", "email address", "prenom". */
function plainName(column: string): string {
  return column
    .replaceAll(/(\p{Ll})(\p{Lu})/gu, '$1 $2')
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
    .replaceAll(/\be mail/g, 'email')
    .replaceAll(/(\D)\d+(?=\s|$)/g, '$1')
    .replaceAll(/\bvalue$|\s+(?=\s|$)/g, '')
    .trim();
}

function unknownColumn(field: LeadField, column: string, columns: readonly string[]): ServiceError {
  return new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
    details: [
      {
        loc: ['body', 'mapping', field],
        msg: `The file has no column "${column.slice(0, 100)}". Its columns: ${listColumns(columns)}.`,
        type: 'unknown_column',
      },
    ],
  });
}

/** The names for a sentence, at most some 1,000 characters of them. */
export function listColumns(columns: readonly string[]): string {
  const names = columns.map((column) => `"${column}"`).join(', ');
  return names.length <= 1000 ? names : `${names.slice(0, 1000).toWellFormed()}…`;
}
