/** Names to addresses: the eight patterns and their weights. */

import { describe, expect, it } from 'vitest';
import {
  candidatesFor,
  type KnownAddress,
  plainName,
  sameName,
  weighPatterns,
} from '../../../src/resources/email-finder/patterns.ts';

function known(address: string, name: string): KnownAddress {
  return { address, name: plainName(name) };
}

describe('plainName', () => {
  it.each([
    ['Ada Lovelace', 'ada', 'lovelace'],
    ['  Dr. José  García-Márquez, PhD ', 'jose', 'garciamarquez'],
    ['Søren Ørsted', 'soren', 'orsted'],
    ['Groß, Łukasz', 'lukasz', 'gross'],
    ["Sinéad O'Connor", 'sinead', 'oconnor'],
    ['Vincent van Gogh', 'vincent', 'vangogh'],
    ['Prince', 'prince', ''],
    ['李雷', '', ''],
  ])('makes of %s what an address can hold', (name, first, last) => {
    expect(plainName(name)).toEqual({ first, last });
  });
});

describe('candidatesFor', () => {
  it('gives eight addresses in the order of habit where no address is known', () => {
    const candidates = candidatesFor(plainName('Ada Lovelace'), 'acme.example', []);
    expect(candidates.map(({ email }) => email)).toEqual([
      'ada.lovelace@acme.example',
      'alovelace@acme.example',
      'ada@acme.example',
      'adalovelace@acme.example',
      'adal@acme.example',
      'a.lovelace@acme.example',
      'ada_lovelace@acme.example',
      'lovelace.ada@acme.example',
    ]);
    expect(candidates[0]).toMatchObject({ pattern: '{first}.{last}', confidence: 0.33, count: 0 });
  });

  it('puts the pattern of the known addresses first, the surer the more of them there are', () => {
    const one = [known('ghopper@acme.example', 'Grace Hopper')];
    const four = [
      ...one,
      known('aturing@acme.example', 'Alan Turing'),
      known('jean@acme.example', 'Jean Sammet'),
    ];
    four.push(known('bliskov@acme.example', 'Barbara Liskov'));
    const best = (addresses: KnownAddress[]) =>
      candidatesFor(plainName('Ada Lovelace'), 'acme.example', addresses)[0];
    expect(best(one)).toMatchObject({ email: 'alovelace@acme.example', count: 1, confidence: 0.47 });
    expect(best(four)).toMatchObject({ email: 'alovelace@acme.example', count: 3, confidence: 0.57 });
  });

  it('knows a double name with its hyphen and without', () => {
    const weights = weighPatterns([
      known('marie.curie-sklodowska@acme.example', 'Marie Curie-Sklodowska'),
      known('annemarie.schmidt@acme.example', 'Anne-Marie Schmidt'),
    ]);
    expect(weights[0]).toMatchObject({ pattern: '{first}.{last}', count: 2 });
  });

  it('leaves out an address that is somebody else’s', () => {
    const addresses = [known('alovelace@acme.example', 'Anna Lovelace')];
    const candidates = candidatesFor(plainName('Ada Lovelace'), 'acme.example', addresses);
    expect(candidates.map(({ email }) => email)).not.toContain('alovelace@acme.example');
    expect(candidates).toHaveLength(7);
  });

  it('gives only the first name where there is no other, and nothing where no letter can stand in an address', () => {
    const emails = (name: string) =>
      candidatesFor(plainName(name), 'acme.example', []).map(({ email }) => email);
    expect(emails('Prince')).toEqual(['prince@acme.example']);
    expect(emails('李雷')).toEqual([]);
  });

  it('never gives the same address twice, and only addresses', () => {
    for (const name of ['A B', 'Al Al', 'X Ä', 'Jo J']) {
      const emails = candidatesFor(plainName(name), 'acme.example', []).map(({ email }) => email);
      expect(new Set(emails).size).toBe(emails.length);
      for (const email of emails) expect(email).toMatch(/^[a-z]+[._]?[a-z]*@acme\.example$/);
    }
  });
});

describe('sameName', () => {
  it('ignores case, titles and marks, and needs a first name', () => {
    expect(sameName(plainName('Dr. JOSÉ García'), plainName('jose garcia'))).toBe(true);
    expect(sameName(plainName('Ada Lovelace'), plainName('Ada Byron'))).toBe(false);
    expect(sameName(plainName('李雷'), plainName('王芳'))).toBe(false);
  });
});
