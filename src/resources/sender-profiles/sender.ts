/** What of a sender profile stands in a mail, and the fingerprint by which a change of it is seen. */

import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { SenderProfile } from './schema.ts';

export interface Sender {
  from_name: string | null;
  from_email: string | null;
  postal_address: string | null;
}

/** The fields of the profile that recipients get to see; null where the profile lacks one. */
export function senderOf(profile: SenderProfile): Sender {
  const { from_name, from_email, postal_address } = profile.sender_data.data;
  return {
    from_name: textOrNull(from_name),
    from_email: textOrNull(from_email),
    postal_address: textOrNull(postal_address),
  };
}

/** SHA-256 (hex) over the canonical JSON (RFC 8785) of id, name, address and postal address: what an approval was given for. */
export function fingerprint(profile: SenderProfile): string {
  const canonical = canonicalize({ id: profile.id, ...senderOf(profile) }) ?? '';
  return createHash('sha256').update(canonical).digest('hex');
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
