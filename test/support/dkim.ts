/** Checks a mail's DKIM signature as its receiver would (RFC 6376, relaxed/relaxed, RSA with SHA-256). */

import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';

export interface DkimCheck {
  valid: boolean;
  /** Why not. */
  fault: 'unsigned' | 'body' | 'headers' | null;
  /** The tags of the signature, by name. */
  tags: Record<string, string>;
  /** The names of the signed fields, in lower case. */
  signed: string[];
}

/** `raw` is the message as it came over the wire; `key` is what the domain publishes, or the private key that it is made of. */
export function checkDkim(raw: string, key: KeyObject | string): DkimCheck {
  const end = raw.indexOf('\r\n\r\n');
  const fields = raw.slice(0, end).split(/\r\n(?![ \t])/);
  const signature = fields.find((field) => nameOf(field) === 'dkim-signature');
  if (signature === undefined) return { valid: false, fault: 'unsigned', tags: {}, signed: [] };
  const tags = Object.fromEntries(
    textOf(signature)
      .split(';')
      .filter((tag) => tag.trim() !== '')
      .map((tag) => {
        const at = tag.indexOf('=');
        return [tag.slice(0, at).trim(), tag.slice(at + 1).trim()];
      }),
  );
  const signed = (tags.h ?? '').toLowerCase().split(':');
  const bodyHash = createHash('sha256')
    .update(relaxedBody(raw.slice(end + 4)))
    .digest('base64');
  if (tags.bh !== bodyHash) return { valid: false, fault: 'body', tags, signed };
  // Of several fields of one name the last counts first.
  const left = [...fields];
  const canonical = signed.flatMap((name) => {
    const at = left.findLastIndex((field) => nameOf(field) === name);
    return at < 0 ? [] : left.splice(at, 1).map((field) => `${name}:${textOf(field)}\r\n`);
  });
  const unsignedSelf = `dkim-signature:${textOf(signature.replace(/(;\s*b=)[^;]*/, '$1'))}`;
  const data = Buffer.from(canonical.join('') + unsignedSelf, 'latin1');
  const bytes = Buffer.from((tags.b ?? '').replaceAll(/\s/g, ''), 'base64');
  const valid = verify('sha256', data, typeof key === 'string' ? createPublicKey(key) : key, bytes);
  return { valid, fault: valid ? null : 'headers', tags, signed };
}

function nameOf(field: string): string {
  return field.slice(0, field.indexOf(':')).trim().toLowerCase();
}

function textOf(field: string): string {
  return field
    .slice(field.indexOf(':') + 1)
    .replaceAll('\r\n', '')
    .replaceAll(/[ \t]+/g, ' ')
    .replaceAll(/^ | $/g, '');
}

function relaxedBody(body: string): Buffer {
  const lines = body.split('\r\n').map((line) => line.replaceAll(/[ \t]+/g, ' ').replace(/ $/, ''));
  while (lines.at(-1) === '') lines.pop();
  return Buffer.from(lines.map((line) => `${line}\r\n`).join(''), 'latin1');
}
