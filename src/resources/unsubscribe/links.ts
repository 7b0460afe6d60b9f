/** The links by which recipients unsubscribe: each names one mail and is signed, so that nobody can make another's. */

import { createHmac, createSecretKey, hkdfSync, timingSafeEqual } from 'node:crypto';

/** The mail that a link came with. */
export interface LinkedMail {
  workspaceId: string;
  mailId: string;
}

export interface UnsubscribeLinks {
  /** Whether links can be made: they need an address by which the world reaches us. */
  readonly possible: boolean;
  urlFor(workspaceId: string, mailId: string): string | null;
  /** What the token of a link names; null where it is none of ours. */
  read(token: string): LinkedMail | null;
}

export interface UnsubscribeLinkNeeds {
  signingSecret: string;
  publicUrl: string | null;
}

const IDS_BYTES = 32;
const MAC_BYTES = 24;

export function createUnsubscribeLinks({ signingSecret, publicUrl }: UnsubscribeLinkNeeds): UnsubscribeLinks {
  // A key of its own: what is signed here means nothing anywhere else, and the other way round (RFC 5869).
  // As a key object: of bytes each HMAC makes one anew, at five times the cost.
  const bytes = hkdfSync('sha256', signingSecret, '', 'overture/unsubscribe/1', 32);
  const key = createSecretKey(Buffer.from(bytes));
  const macOf = (ids: Buffer) => createHmac('sha256', key).update(ids).digest().subarray(0, MAC_BYTES);
  return {
    possible: publicUrl !== null,

    urlFor(workspaceId, mailId) {
      if (publicUrl === null) return null;
      const ids = Buffer.from(`${workspaceId}${mailId}`.replaceAll('-', ''), 'hex');
      const token = Buffer.concat([ids, macOf(ids)]).toString('base64url');
      return `${publicUrl.replace(/\/+$/, '')}/unsubscribe/${token}`;
    },

    read(token) {
      if (!/^[A-Za-z0-9_-]{70,80}$/.test(token)) return null;
      const bytes = Buffer.from(token, 'base64url');
      if (bytes.length !== IDS_BYTES + MAC_BYTES) return null;
      const [ids, mac] = [bytes.subarray(0, IDS_BYTES), bytes.subarray(IDS_BYTES)];
      if (!timingSafeEqual(mac, macOf(ids))) return null;
      return { workspaceId: uuidOf(ids.subarray(0, 16)), mailId: uuidOf(ids.subarray(16)) };
    },
  };
}

function uuidOf(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
