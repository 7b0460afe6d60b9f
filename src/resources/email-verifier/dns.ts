/**
 * The built-in verifier: the form of an address, and what the DNS says of its domain. It asks the operator's resolver and
 * nobody else: it never connects to a domain or a mail server that an address names. Mail servers are not asked whether a
 * mailbox exists (RCPT without a mail is what spammers do, and harms the name of whoever asks), so it never claims that.
 */

import { BlockList, isIPv6 } from 'node:net';
import type { Clock } from '../../runtime/ports.ts';
import { isRoleAddress } from '../role-address.ts';
import type { EmailVerifier } from './ports.ts';
import type { Reason, Verdict } from './schema.ts';

/** What is asked of the DNS; `Resolver` of `node:dns/promises` is one. It asks only the servers it was given. */
export interface DomainResolver {
  resolveMx(domain: string): Promise<{ exchange: string; priority: number }[]>;
  resolve4(domain: string): Promise<string[]>;
  resolve6(domain: string): Promise<string[]>;
  resolveNs(domain: string): Promise<string[]>;
  /** Ends what is still asked: its promises reject. */
  cancel(): void;
}

export interface DnsVerifierNeeds {
  /** One for each address, so that giving one up ends no other. */
  createResolver(): DomainResolver;
  after: Clock['after'];
  /** Whole credits for a verdict. */
  price: number;
  /** Milliseconds that all questions about one address may take together. */
  limitMs: number;
}

/** Octets (RFC 5321 §4.5.3.1, RFC 1035 §2.3.4). */
const LOCAL_PART_LIMIT = 64;
const DOMAIN_LIMIT = 253;
const LABEL_LIMIT = 63;

/**
 * Names that are no domains of the internet (RFC 6761, 6762, 7686, 8375, 9476, and what networks use inside): mail cannot
 * go there, and to ask for them would tell whoever chose the address what is in the operator's own network.
 */
const INNER =
  /(?:^|\.)(?:localhost|localdomain|local|internal|intranet|private|corp|home|lan|onion|alt|invalid|test|arpa)$/;

/** What no other network reaches (RFC 6890). */
const UNREACHABLE = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const) {
  UNREACHABLE.addSubnet(net, bits, 'ipv4');
}
for (const [net, bits] of [
  ['::', 96],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const) {
  UNREACHABLE.addSubnet(net, bits, 'ipv6');
}

const MALFORMED = 'The address is longer than mail allows: 64 characters before the @, 253 after it.';
const INNER_NAME = 'The domain is no domain of the internet, so no mail from outside goes there.';
const NO_SUCH_DOMAIN = 'The domain does not exist.';
const NULL_MX = 'The domain says that it takes no mail (null MX, RFC 7505).';
const NO_MAIL_SERVER = 'The domain names no mail server and has no address that mail could go to.';
const IMPLICIT_MX =
  'The domain names no mail server, so mail is tried at the domain’s own address, where often nothing takes it.';
const MAIL_SERVER = 'The domain names mail servers.';
const ROLE_ACCOUNT = 'It is a shared mailbox and not one person.';
const MAILBOX_NOT_ASKED =
  'Whether this mailbox exists is not known: only a mail shows that, and mail servers are not asked without one.';

/** Why nothing was learned, by the codes of `node:dns`. */
const UNANSWERED: Record<string, string> = {
  ETIMEOUT: 'The DNS did not answer in time.',
  ECANCELLED: 'The DNS did not answer in time.',
  ESERVFAIL: 'The DNS servers of the domain fail.',
  EREFUSED: 'The DNS refuses to answer for the domain.',
  ECONNREFUSED: 'The DNS cannot be reached from this service.',
};
const UNREADABLE = 'The DNS gave no answer that can be read.';
const BLIND =
  'The DNS that this service may ask does not know the internet, so nothing can be said of the domain.';

/** Makes the built-in verifier. */
export function createDnsVerifier({
  createResolver,
  after,
  price,
  limitMs,
}: DnsVerifierNeeds): EmailVerifier {
  return {
    name: 'dns',
    price,
    async verify(address, signal) {
      const at = address.lastIndexOf('@');
      const [localPart, domain] = [address.slice(0, at), address.slice(at + 1)];
      if (!fits(localPart, domain)) return invalid('MALFORMED', MALFORMED);
      if (INNER.test(domain)) return invalid('INNER_DOMAIN', INNER_NAME);
      const resolver = createResolver();
      const cancel = () => resolver.cancel();
      const stop = after(limitMs, cancel);
      signal.addEventListener('abort', cancel, { once: true });
      try {
        if (signal.aborted) return unknown({ code: 'ECANCELLED' });
        return withRole(address, await judgeDomain(resolver, domain));
      } catch (error) {
        return unknown(error);
      } finally {
        stop();
        signal.removeEventListener('abort', cancel);
      }
    },
  };
}

/** Rejects where the DNS did not answer. */
async function judgeDomain(resolver: DomainResolver, domain: string): Promise<Verdict> {
  const records = await found(resolver.resolveMx(domain));
  if (records === 'no such domain') {
    return believed(resolver, domain, invalid('NO_SUCH_DOMAIN', NO_SUCH_DOMAIN));
  }
  const servers = records.filter(({ exchange }) => exchange !== '' && exchange !== '.');
  if (servers.length > 0) return takesMail('valid', { code: 'MAIL_SERVER', message: MAIL_SERVER });
  if (records.length > 0) return invalid('NULL_MX', NULL_MX);
  // Without one the domain itself is the mail server (RFC 5321 §5.1), by either family of addresses.
  const asked = await Promise.allSettled([
    found(resolver.resolve4(domain)),
    found(resolver.resolve6(domain)),
  ]);
  const addresses = asked.flatMap((one) =>
    one.status === 'fulfilled' && one.value !== 'no such domain' ? one.value : [],
  );
  if (addresses.some(isReachable)) {
    return takesMail('risky', { code: 'IMPLICIT_MX', message: IMPLICIT_MX });
  }
  const failure = asked.find((one) => one.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
  return believed(resolver, domain, invalid('NO_MAIL_SERVER', NO_MAIL_SERVER));
}

/**
 * What stands on nothing having been found, if the resolver is one that could have found it: in a closed network all names
 * "do not exist". One that knows the internet names the servers of the top-level domain, or of the root.
 */
async function believed(resolver: DomainResolver, domain: string, judged: Verdict): Promise<Verdict> {
  const topLevel = domain.slice(domain.lastIndexOf('.') + 1);
  const asked = await Promise.allSettled([resolver.resolveNs(topLevel), resolver.resolveNs('.')]);
  const knows = asked.some((one) => one.status === 'fulfilled' && one.value.length > 0);
  return knows ? judged : unanswered('DNS_BLIND', BLIND);
}

/** The records; none where there are none of this kind. Rejects where the DNS did not answer. */
async function found<Entry>(asked: Promise<Entry[]>): Promise<Entry[] | 'no such domain'> {
  try {
    return await asked;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENODATA') return [];
    if (code === 'ENOTFOUND') return 'no such domain';
    throw error;
  }
}

function codeOf(error: unknown): string {
  const { code } = (typeof error === 'object' && error !== null ? error : {}) as { code?: unknown };
  return typeof code === 'string' ? code : '';
}

function fits(localPart: string, domain: string): boolean {
  const labels = domain.split('.');
  return (
    localPart.length >= 1 &&
    localPart.length <= LOCAL_PART_LIMIT &&
    domain.length <= DOMAIN_LIMIT &&
    labels.length >= 2 &&
    labels.every((label) => label.length >= 1 && label.length <= LABEL_LIMIT)
  );
}

function isReachable(address: string): boolean {
  return !UNREACHABLE.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

function takesMail(verdict: 'valid' | 'risky', why: Reason): Verdict {
  const unasked = { code: 'MAILBOX_NOT_ASKED', message: MAILBOX_NOT_ASKED };
  return { verdict, mailbox: 'unconfirmed', reasons: [why, unasked] };
}

function invalid(code: string, message: string): Verdict {
  return { verdict: 'invalid', mailbox: 'unconfirmed', reasons: [{ code, message }] };
}

function unknown(error: unknown): Verdict {
  return unanswered('DNS_UNANSWERED', UNANSWERED[codeOf(error)] ?? UNREADABLE);
}

function unanswered(code: string, message: string): Verdict {
  return { verdict: 'unknown', mailbox: 'unconfirmed', reasons: [{ code, message }] };
}

function withRole(address: string, judged: Verdict): Verdict {
  if (!isRoleAddress(address)) return judged;
  const role = { code: 'ROLE_ACCOUNT', message: ROLE_ACCOUNT };
  const verdict = judged.verdict === 'valid' ? 'risky' : judged.verdict;
  const [first, ...rest] = judged.reasons;
  const reasons =
    judged.verdict === 'valid' || first === undefined ? [role, ...judged.reasons] : [first, role, ...rest];
  return { ...judged, verdict, reasons };
}
