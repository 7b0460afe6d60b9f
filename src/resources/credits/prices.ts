/** What each operation costs, in whole credits a unit (contract, x-policies.credit_costs). */

/**
 * By operation type. The price of finding leads is its source's: that of `lead_finder` is for sources outside, one's own
 * data is free (design.md §7). The contract leaves the price of a personalised email to this service.
 */
export const PRICES = {
  email_finder_find: 3,
  email_finder_bulk: 3,
  email_finder_verify: 1,
  email_finder_verify_cached: 0,
  email_finder_search: 0,
  lead_finder: 3,
  lead_finder_own_data: 0,
  personalization: 1,
} as const satisfies Record<string, number>;

export type OperationType = keyof typeof PRICES;

/** The contract's own wording of two of them. */
const OTHER_NAMES: Record<string, OperationType> = {
  email_finder_bulk_per_row: 'email_finder_bulk',
  lead_finder_per_name: 'lead_finder',
};

/** The operation of this name however its words are joined ("email-finder find"), or null. */
export function operationOf(name: string): OperationType | null {
  const plain = name
    .trim()
    .toLowerCase()
    .replaceAll(/[^a-z]+/g, '_');
  const known = Object.hasOwn(OTHER_NAMES, plain) ? OTHER_NAMES[plain] : plain;
  return known !== undefined && isOperation(known) ? known : null;
}

function isOperation(name: string): name is OperationType {
  return Object.hasOwn(PRICES, name);
}
