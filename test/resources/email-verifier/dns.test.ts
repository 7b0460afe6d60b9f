/** The built-in verifier against a DNS server that answers, refuses, fails and says nothing. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDnsVerifier } from '../../../src/resources/email-verifier/dns.ts';
import { type DnsServer, startDnsServer, type Zone } from '../../support/dns-server.ts';
import { realClock } from '../../support/service.ts';

let dns: DnsServer;
beforeAll(async () => {
  dns = await startDnsServer();
});
afterAll(() => dns.close());

const forever = new AbortController().signal;

/** Milliseconds for a domain whose servers say nothing: short, as it is waited for. */
const SHORT = 100;

function judge(address: string, timeout?: number, limitMs = 30_000, signal = forever) {
  const createResolver = () => dns.createResolver(timeout);
  return createDnsVerifier({ createResolver, after: realClock.after, price: 1, limitMs }).verify(
    address,
    signal,
  );
}

async function codes(address: string, timeout?: number): Promise<[string, string[]]> {
  const { verdict, reasons } = await judge(address, timeout);
  return [verdict, reasons.map(({ code }) => code)];
}

const A_SERVER: [number, string][] = [[10, 'mx.mail.example']];

describe('a domain', () => {
  it.each<[string, Zone, string, string[]]>([
    ['with a mail server', { mx: A_SERVER }, 'valid', ['MAIL_SERVER', 'MAILBOX_NOT_ASKED']],
    [
      'with several, of which one is no name',
      {
        mx: [
          [0, '.'],
          [5, 'mx.mail.example'],
        ],
      },
      'valid',
      ['MAIL_SERVER', 'MAILBOX_NOT_ASKED'],
    ],
    ['that takes no mail (RFC 7505)', { mx: [[0, '.']], a: ['192.0.2.1'] }, 'invalid', ['NULL_MX']],
    ['that does not exist', 'nxdomain', 'invalid', ['NO_SUCH_DOMAIN']],
    ['without any record', {}, 'invalid', ['NO_MAIL_SERVER']],
    ['with an address only', { a: ['192.0.2.1'] }, 'risky', ['IMPLICIT_MX', 'MAILBOX_NOT_ASKED']],
    ['with an IPv6 address only', { aaaa: ['2001:db8::1'] }, 'risky', ['IMPLICIT_MX', 'MAILBOX_NOT_ASKED']],
    [
      'whose only address is an inner one',
      { a: ['10.1.2.3'], aaaa: ['fd00::1'] },
      'invalid',
      ['NO_MAIL_SERVER'],
    ],
    ['parked on the loopback', { a: ['127.0.0.1'], aaaa: ['::1'] }, 'invalid', ['NO_MAIL_SERVER']],
    ['whose servers fail', 'servfail', 'unknown', ['DNS_UNANSWERED']],
    ['whose servers refuse', 'refused', 'unknown', ['DNS_UNANSWERED']],
    [
      'whose servers fail after the first question',
      (type) => (type === 'MX' ? {} : 'servfail'),
      'unknown',
      ['DNS_UNANSWERED'],
    ],
    [
      'whose servers fail for one kind of address, and name another',
      (type) => (type === 'AAAA' ? 'servfail' : { a: ['192.0.2.1'] }),
      'risky',
      ['IMPLICIT_MX', 'MAILBOX_NOT_ASKED'],
    ],
    [
      'whose answer is too long for UDP',
      { mx: A_SERVER, truncated: { tcp: true } },
      'valid',
      ['MAIL_SERVER', 'MAILBOX_NOT_ASKED'],
    ],
    [
      'whose answer is too long for UDP, and who breaks TCP off',
      { mx: A_SERVER, truncated: { tcp: false } },
      'unknown',
      ['DNS_UNANSWERED'],
    ],
  ])('%s', async (_what, zone, verdict, reasons) => {
    dns.set('asked.example', zone);
    expect(await codes('maria@asked.example')).toEqual([verdict, reasons]);
  });

  it.each<[string, Zone]>([
    ['at all', 'silence'],
    ['to the second question', (type) => (type === 'MX' ? {} : 'silence')],
  ])('whose server says nothing %s is unknown, in the time that is given', async (_what, zone) => {
    dns.set('quiet.example', zone);
    const silent = { code: 'DNS_UNANSWERED', message: 'The DNS did not answer in time.' };
    expect(await judge('maria@quiet.example', SHORT)).toMatchObject({
      verdict: 'unknown',
      reasons: [silent],
    });
    // Also where the resolver itself would wait on.
    expect(await judge('maria@quiet.example', undefined, SHORT)).toMatchObject({ reasons: [silent] });
  });

  it('whose server answers nonsense is unknown', async () => {
    dns.set('mad.example', 'nonsense');
    expect(await codes('maria@mad.example', SHORT)).toEqual(['unknown', ['DNS_UNANSWERED']]);
  });

  it.each<[string, Zone]>([
    ['does not exist', 'nxdomain'],
    ['has no record', {}],
  ])('that %s, as a resolver says that knows nothing of the internet, is unknown', async (_what, zone) => {
    const closed = await startDnsServer();
    closed.set('asked.example', zone);
    const verifier = createDnsVerifier({
      createResolver: () => closed.createResolver(),
      after: realClock.after,
      price: 1,
      limitMs: 30_000,
    });
    const judged = () => verifier.verify('maria@asked.example', forever);
    // It knows the root, or the servers of the top-level domain.
    expect((await judged()).verdict).toBe('invalid');
    closed.set('.', 'nxdomain');
    expect(await judged()).toMatchObject({ verdict: 'unknown', reasons: [{ code: 'DNS_BLIND' }] });
    closed.set('.', 'servfail');
    expect((await judged()).verdict).toBe('unknown');
    closed.set('example', { ns: ['ns.example'] });
    expect((await judged()).verdict).toBe('invalid');
    await closed.close();
  });

  it('is given up with whoever asked', async () => {
    dns.set('slow.example', 'silence');
    const leaving = new AbortController();
    const judged = judge('maria@slow.example', undefined, 60_000, leaving.signal);
    leaving.abort();
    expect((await judged).verdict).toBe('unknown');
    expect((await judge('maria@slow.example', undefined, 60_000, leaving.signal)).verdict).toBe('unknown');
  });

  it('is asked of the resolver by its name, and nothing else is', async () => {
    dns.set('whole.example', { mx: A_SERVER });
    dns.asked.length = 0;
    await judge('maria@whole.example');
    expect(dns.asked).toEqual(['MX whole.example']);
  });
});

describe('an address', () => {
  it.each([
    ['a'.repeat(65).concat('@mail.example'), 'MALFORMED'],
    [`maria@${'a'.repeat(64)}.example`, 'MALFORMED'],
    [`maria@${'a.'.repeat(126)}example`, 'MALFORMED'],
    ['maria@mail', 'MALFORMED'],
    ['maria@db.internal', 'INNER_DOMAIN'],
    ['maria@printer.local', 'INNER_DOMAIN'],
    ['maria@wiki.corp', 'INNER_DOMAIN'],
    ['maria@hidden.onion', 'INNER_DOMAIN'],
    ['maria@1.0.0.10.in-addr.arpa', 'INNER_DOMAIN'],
  ])('%s is invalid, and nobody is asked', async (address, code) => {
    dns.asked.length = 0;
    expect(await codes(address)).toEqual(['invalid', [code]]);
    expect(dns.asked).toEqual([]);
  });

  it('of a role is risky where it would be valid', async () => {
    dns.set('company.example', { mx: A_SERVER });
    expect(await codes('sales@company.example')).toEqual([
      'risky',
      ['ROLE_ACCOUNT', 'MAIL_SERVER', 'MAILBOX_NOT_ASKED'],
    ]);
    expect(await codes('info+list@company.example')).toMatchObject(['risky', expect.anything()]);
    expect(await codes('salesman@company.example')).toMatchObject(['valid', expect.anything()]);
    expect(await codes('sales@nobody.example')).toEqual(['invalid', ['NO_SUCH_DOMAIN', 'ROLE_ACCOUNT']]);
  });
});
