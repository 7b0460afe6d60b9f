/** Sixty fictional people at `.example` addresses (RFC 2606), with the flaws that real lists have. */

export interface DemoLead {
  email: string;
  first_name: string | null;
  last_name: string | null;
  company: string | null;
  title: string | null;
  city: string;
  country: string;
}

const FIRST_NAMES = [
  'Ana',
  'Ben',
  'Chloe',
  'Daniel',
  'Elif',
  'Felix',
  'Greta',
  'Hugo',
  'Ines',
  'Jonas',
  'Kira',
  'Liam',
];
const LAST_NAMES = [
  'Albrecht',
  'Bauer',
  'Costa',
  'Dubois',
  'Eriksen',
  'Fischer',
  'Garcia',
  'Hansen',
  'Ito',
  'Jansen',
];
const COMPANIES = [
  'Northwind Freight',
  'Bluefin Analytics',
  'Larkspur Health',
  'Quarry Robotics',
  'Tidewater Energy',
  'Fable Studios',
  'Granite Insurance',
  'Meadow Foods',
  'Orbit Telecom',
  'Harbor Logistics',
];
const TITLES = ['CTO', 'Head of Sales', 'Marketing Manager', 'VP Operations', 'Founder', 'Procurement Lead'];
const PLACES: [string, string][] = [
  ['Berlin', 'Germany'],
  ['Paris', 'France'],
  ['Lisbon', 'Portugal'],
  ['Oslo', 'Norway'],
  ['Boston', 'United States'],
  ['Austin', 'United States'],
];

/** The address that the demo's do-not-contact list holds. */
export const SUPPRESSED_ADDRESS = 'hugo.bauer@quarry-robotics.example';

const COUNT = 60;
const pick = <Item>(items: readonly Item[], index: number): Item => items[index % items.length] as Item;

/** The list, the same on every machine. */
export function demoLeads(): DemoLead[] {
  const leads = Array.from({ length: COUNT - 3 }, (_, index): DemoLead => {
    const first = pick(FIRST_NAMES, index);
    const last = pick(LAST_NAMES, index * 3 + Math.floor(index / FIRST_NAMES.length));
    const company = pick(COMPANIES, index * 7 + Math.floor(index / 10));
    const [city, country] = pick(PLACES, index);
    return {
      email: `${first}.${last}@${company.toLowerCase().replaceAll(' ', '-')}.example`.toLowerCase(),
      first_name: first,
      last_name: last,
      company,
      title: pick(TITLES, index * 5 + Math.floor(index / 6)),
      city,
      country,
    };
  });
  // Missing merge fields, as real lists have them.
  for (const index of [8, 21, 34]) Object.assign(leads[index] ?? {}, { first_name: null, last_name: null });
  Object.assign(leads[45] ?? {}, { company: null });
  const twice = leads[3];
  return [
    ...leads,
    {
      email: SUPPRESSED_ADDRESS,
      first_name: 'Hugo',
      last_name: 'Bauer',
      company: 'Quarry Robotics',
      title: 'CTO',
      city: 'Berlin',
      country: 'Germany',
    },
    {
      email: 'info@meadow-foods.example',
      first_name: null,
      last_name: null,
      company: 'Meadow Foods',
      title: null,
      city: 'Lisbon',
      country: 'Portugal',
    },
    ...(twice === undefined ? [] : [{ ...twice, email: twice.email.toUpperCase() }]),
  ];
}
