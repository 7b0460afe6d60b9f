import { describe, expect, it } from 'vitest';
import { ServiceError } from '../../../src/errors.ts';
import { createLeadReader, splitName } from '../../../src/resources/uploads/lead-row.ts';
import { mapColumns } from '../../../src/resources/uploads/mapping.ts';

describe('guessing what columns mean', () => {
  it.each([
    [
      'our sample leads',
      'Index,Account Id,Lead Owner,First Name,Last Name,Company,Phone 1,Phone 2,Email 1,Email 2,Website,Source,Deal Stage,Notes',
      {
        first_name: 'First Name',
        last_name: 'Last Name',
        company: 'Company',
        phone: 'Phone 1',
        email: 'Email 1',
        website: 'Website',
      },
    ],
    [
      'a list of companies',
      'Symbol,Security,GICS Sector,GICS Sub-Industry,Headquarters Location,Date added,CIK,Founded',
      { company: 'Security', city: 'Headquarters Location' },
    ],
    ['a list of companies by name', 'Symbol,Name,Sector', { company: 'Name' }],
    ['people by name', 'Name,E-Mail,Company', { full_name: 'Name', email: 'E-Mail', company: 'Company' }],
    [
      'names in camel case',
      'firstName,lastName,emailAddress,jobTitle,companyName',
      {
        first_name: 'firstName',
        last_name: 'lastName',
        email: 'emailAddress',
        title: 'jobTitle',
        company: 'companyName',
      },
    ],
    [
      'names in snake case',
      'FIRST_NAME,LAST_NAME,WORK_EMAIL,COMPANY_NAME,JOB_TITLE,PHONE_NUMBER',
      {
        first_name: 'FIRST_NAME',
        last_name: 'LAST_NAME',
        email: 'WORK_EMAIL',
        company: 'COMPANY_NAME',
        title: 'JOB_TITLE',
        phone: 'PHONE_NUMBER',
      },
    ],
    [
      'an address book',
      'Given Name,Family Name,Organization Name,Organization Title,E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Value',
      {
        first_name: 'Given Name',
        last_name: 'Family Name',
        company: 'Organization Name',
        email: 'E-mail 1 - Value',
        phone: 'Phone 1 - Value',
      },
    ],
    [
      'a sales tool',
      'First Name,Last Name,Title,Company,Email,Email Status,Work Direct Phone,Mobile Phone,Person Linkedin Url,Website,City,State,Country,Company City',
      {
        first_name: 'First Name',
        last_name: 'Last Name',
        title: 'Title',
        company: 'Company',
        email: 'Email',
        phone: 'Mobile Phone',
        website: 'Website',
        city: 'City',
        country: 'Country',
      },
    ],
    [
      'German',
      'Vorname;Nachname;Firma;E-Mail-Adresse;Ort;Land;Telefon'.replaceAll(';', ','),
      {
        first_name: 'Vorname',
        last_name: 'Nachname',
        company: 'Firma',
        email: 'E-Mail-Adresse',
        city: 'Ort',
        country: 'Land',
        phone: 'Telefon',
      },
    ],
    [
      'French',
      'Prénom,Nom,Société,Courriel',
      { first_name: 'Prénom', last_name: 'Nom', company: 'Société', email: 'Courriel' },
    ],
    ['nothing it knows', 'foo,bar', {}],
  ])('understands %s', (_, header, expected) => {
    expect(mapColumns(header.split(','), [])).toEqual(expected);
  });

  const addresses = [
    ['x', 'ada@example.com'],
    ['y', 'bob@example.com'],
    ['z', 'cy@example.com'],
    ['', 'dee@example.com'],
  ];

  it('takes a column of addresses for the e-mail column, whatever it is called', () => {
    expect(mapColumns(['foo', 'bar'], addresses)).toEqual({ email: 'bar' });
  });

  it('needs four in five filled values to be addresses', () => {
    expect(mapColumns(['foo', 'bar'], [...addresses, ['', '']])).toEqual({ email: 'bar' });
    expect(mapColumns(['foo', 'bar'], [...addresses, ['', 'none']])).toEqual({ email: 'bar' });
    expect(mapColumns(['foo', 'bar'], [...addresses, ['', 'none'], ['', 'none']])).toEqual({});
  });

  it('passes over a column that is only called e-mail', () => {
    expect(mapColumns(['Email', 'Reach'], addresses)).toEqual({ email: 'Reach' });
  });

  it('lets the caller decide, null included, and guesses the rest from the columns left', () => {
    const columns = ['Email 1', 'Email 2', 'Company', 'Name'];
    expect(mapColumns(columns, [], { email: 'Email 2', company: null, title: 'Company' })).toEqual({
      email: 'Email 2',
      title: 'Company',
      full_name: 'Name',
    });
  });

  it('refuses a column that the file does not have, and names those that it has', () => {
    try {
      mapColumns(['a', 'b'], [], { email: 'c' });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ServiceError);
      expect(error).toMatchObject({
        code: 'VALIDATION_ERROR',
        details: [
          { loc: ['body', 'mapping', 'email'], msg: 'The file has no column "c". Its columns: "a", "b".' },
        ],
      });
    }
  });
});

describe('reading a row as a lead', () => {
  it.each([
    ['Ada Lovelace', 'Ada', 'Lovelace'],
    ['Ada King Lovelace', 'Ada', 'King Lovelace'],
    ['Lovelace, Ada', 'Ada', 'Lovelace'],
    ['Dr. Ada Lovelace, PhD', 'Ada', 'Lovelace'],
    ['Prof. Dr. Ada Lovelace', 'Ada', 'Lovelace'],
    ['Madonna', 'Madonna', ''],
    ['Drew Barrymore', 'Drew', 'Barrymore'],
    ['', '', ''],
  ])('splits the name "%s"', (name, first, last) => {
    expect(splitName(name)).toEqual({ first, last });
  });

  it('keeps every column as it came and the known ones on one line', () => {
    const read = createLeadReader(['Mail', 'Name', '__proto__'], { email: 'Mail', full_name: 'Name' });
    const outcome = read({ row: 2, values: [' Ada@Example.com ', 'Ada\r\nLovelace', 'x'] });
    expect(outcome).toMatchObject({
      lead: { email: 'Ada@Example.com', first_name: 'Ada', last_name: 'Lovelace', company: null },
    });
    expect('lead' in outcome && Object.entries(outcome.lead.data)).toEqual([
      ['Mail', ' Ada@Example.com '],
      ['Name', 'Ada\r\nLovelace'],
      ['__proto__', 'x'],
    ]);
  });

  it.each([
    ['', 'missing_email'],
    ['  ', 'missing_email'],
    ['ada', 'invalid_email'],
    ['ada@example', 'invalid_email'],
    ['ada@@example.com', 'invalid_email'],
    ['ada@example.com, bob@example.com', 'invalid_email'],
    ['Ada <ada@example.com>', 'invalid_email'],
    ['ada@example.com\nBcc: eve@example.com', 'invalid_email'],
    [`${'a'.repeat(250)}@example.com`, 'invalid_email'],
  ])('refuses the address "%s"', (value, refusal) => {
    expect(createLeadReader(['Email'], { email: 'Email' })({ row: 2, values: [value] })).toMatchObject({
      refusal,
    });
  });

  it('takes role addresses, and refuses the same address in other letters as its second', () => {
    const read = createLeadReader(['Email'], { email: 'Email' });
    expect(read({ row: 2, values: ['info@example.com'] })).toHaveProperty('lead');
    expect(read({ row: 3, values: ['INFO@example.com'] })).toEqual({
      refusal: 'duplicate_email',
      value: 'INFO@example.com',
    });
  });

  it('refuses a field of more than 10,000 characters', () => {
    const read = createLeadReader(['Email', 'Note'], { email: 'Email' });
    expect(read({ row: 2, values: ['a@example.com', 'x'.repeat(10_000)] })).toHaveProperty('lead');
    expect(read({ row: 3, values: ['b@example.com', 'x'.repeat(10_001)] })).toMatchObject({
      refusal: 'field_too_long',
    });
  });
});
