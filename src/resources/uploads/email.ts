/** What passes for an e-mail address in a file. */

import { emailAddress } from '../suppression/schema.ts';

/** Whether the trimmed text is one address that mail can be sent to. */
export function isEmail(value: string): boolean {
  const candidate = value.trim();
  // The length comes first: the pattern need not run over a long text.
  return (
    candidate.length >= 3 &&
    candidate.length <= 254 &&
    candidate.includes('@') &&
    emailAddress.safeParse(candidate).success
  );
}
