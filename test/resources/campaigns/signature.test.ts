import { describe, expect, it } from 'vitest';
import { signatureFindings } from '../../../src/resources/campaigns/findings.ts';

const from = (...addresses: string[]) => ({
  steps: [],
  pool: [],
  sandbox: false,
  senders: addresses.map((address) => ({
    id: address,
    name: null,
    address,
    postal_address: null,
    fingerprint: '',
  })),
});
const codes = (signedFor: string | null, ...addresses: string[]) =>
  signatureFindings(from(...addresses), signedFor).map(({ code, level }) => `${code} ${level}`);

describe('the signature of mails', () => {
  it('is missed where nobody signs here', () => {
    expect(codes(null, 'a@acme.example')).toEqual(['NOT_SIGNED low']);
  });

  it('counts for the domain, what is under it and what it is under', () => {
    expect(codes('Acme.example', 'a@acme.EXAMPLE', 'b@mail.acme.example')).toEqual([]);
    expect(codes('mail.acme.example', 'a@acme.example')).toEqual([]);
  });

  it('does not count for another domain, however alike', () => {
    const found = signatureFindings(
      from('a@acme.example', 'b@notacme.example', 'c@acme.example.evil'),
      'acme.example',
    );
    expect(found.map(({ level }) => level)).toEqual(['medium', 'medium']);
    expect(found[0]?.message).toContain('b@notacme.example');
  });
});
