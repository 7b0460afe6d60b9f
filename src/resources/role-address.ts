/** Mailboxes that nobody in particular reads (RFC 2142 and what companies use). */

const ROLE =
  /^(?:info|contact|hello|office|mail|admin|administrator|support|help|sales|marketing|press|media|jobs|careers|hr|billing|accounts?|accounting|privacy|service|team|abuse|postmaster|webmaster|hostmaster|security|noc|no-?reply|do-?not-?reply)(?:[.+-][^@]*)?@/i;

/** Whether the address belongs to a role and not to a person. */
export function isRoleAddress(address: string): boolean {
  return ROLE.test(address);
}
