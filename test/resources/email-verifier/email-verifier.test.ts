/** Verifying addresses over HTTP against PostgreSQL and a DNS server: what is told, what it costs, and who sees it. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createCredits } from '../../../src/resources/credits/credits.ts';
import { createEmailFinder } from '../../../src/resources/email-finder/email-finder.ts';
import { createEmailFinderRoutes } from '../../../src/resources/email-finder/routes.ts';
import { createDnsVerifier } from '../../../src/resources/email-verifier/dns.ts';
import {
  createEmailVerification,
  type EmailVerification,
  KEPT_DAYS,
} from '../../../src/resources/email-verifier/email-verifier.ts';
import type { VerifyAnswer } from '../../../src/resources/email-verifier/schema.ts';
import { type DnsServer, startDnsServer } from '../../support/dns-server.ts';
import { type AskOptions, type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';
import { realClock } from '../../support/service.ts';

const DAY_MS = 86_400_000;

let dns: DnsServer;
let harness: HttpHarness;
let emailVerification: EmailVerification;
let now = Date.now();

beforeAll(async () => {
  dns = await startDnsServer();
  harness = await startHttpHarness({
    routes(needs) {
      const credits = createCredits(needs);
      const verifier = createDnsVerifier({
        createResolver: () => dns.createResolver(),
        after: realClock.after,
        price: 1,
        limitMs: 30_000,
      });
      emailVerification = createEmailVerification({ ...needs, now: () => now, credits, verifier });
      return createEmailFinderRoutes({
        emailFinder: createEmailFinder({ ...needs, credits }),
        emailVerification,
      });
    },
  });
  dns.set('acme.example', { mx: [[10, 'mx.acme.example']] });
  dns.set('broken.example', 'servfail');
});
afterAll(async () => {
  await harness.close();
  await dns.close();
});

beforeEach(async () => {
  now = Date.now();
  dns.asked.length = 0;
  const tables = [
    'email_verdicts',
    'email_finder_jobs',
    'credit_reservations',
    'credit_transactions',
    'suppression_entries',
    'outbox',
    'idempotency_keys',
  ];
  for (const table of tables) await harness.ownerQuery(`delete from ${table}`);
  await setBalance(10);
});

async function setBalance(balance: number): Promise<void> {
  await harness.ownerQuery('update credit_accounts set balance = $1, reserved = 0, used = 0', [balance]);
}

async function account(workspaceId = harness.caller.workspaceId): Promise<unknown> {
  const [row] = await harness.ownerQuery(
    'select balance, reserved, used from credit_accounts where workspace_id = $1',
    [workspaceId],
  );
  return row;
}

function verify(email: string, options: AskOptions = {}) {
  return harness.ask<VerifyAnswer>('POST', '/api/v1/email-finder/verify', { body: { email }, ...options });
}

const jobOf = (jobId: string, workspace: 'a' | 'b' = 'a') =>
  harness.ask<VerifyAnswer['result']>('GET', `/api/v1/email-finder/verify/${jobId}`, { workspace });

describe('verifying an address', () => {
  it('answers the verdict with its reasons, and charges one credit', async () => {
    const { status, body } = await verify('Maria@Acme.example');
    expect(status).toBe(200);
    expect(body).toEqual({
      cached: false,
      job_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      status: 'completed',
      credits_charged: 1,
      result: {
        job_id: body.job_id,
        job_type: 'verify',
        status: 'completed',
        found: null,
        email: 'maria@acme.example',
        pattern: null,
        result: 'valid',
        is_catch_all: null,
        confidence: null,
        error: null,
        mailbox: 'unconfirmed',
        reasons: [
          { code: 'MAIL_SERVER', message: 'The domain names mail servers.' },
          {
            code: 'MAILBOX_NOT_ASKED',
            message: expect.stringContaining('Whether this mailbox exists is not known'),
          },
        ],
        credits: 1,
      },
    });
    expect(await account()).toEqual({ balance: 9, reserved: 0, used: 1 });
    expect(await jobOf(body.job_id)).toMatchObject({ status: 200, body: body.result });
    expect(
      await harness.ownerQuery('select operation_type, amount, description from credit_transactions'),
    ).toEqual([
      { operation_type: 'email_finder_verify', amount: -1, description: 'Email verification: 1 address' },
    ]);
  });

  it('tells the same verdict again for free, however the address is spelled', async () => {
    const first = await verify('maria@acme.example');
    const again = await verify('MARIA@ACME.example');
    expect(again.body).toMatchObject({ cached: true, credits_charged: 0, result: { credits: 0 } });
    expect(again.body.result.reasons).toEqual(first.body.result.reasons);
    expect(again.body.job_id).not.toBe(first.body.job_id);
    expect((await jobOf(again.body.job_id)).body).toEqual(again.body.result);
    expect(dns.asked).toHaveLength(1);
    expect(await account()).toEqual({ balance: 9, reserved: 0, used: 1 });
  });

  it(`looks again after ${KEPT_DAYS} days, and forgets the others of that age`, async () => {
    await verify('maria@acme.example');
    await verify('paul@acme.example');
    now += KEPT_DAYS * DAY_MS - 1;
    expect((await verify('maria@acme.example')).body.cached).toBe(true);
    now += 1;
    expect((await verify('maria@acme.example')).body).toMatchObject({ cached: false, credits_charged: 1 });
    expect(await harness.ownerQuery('select address from email_verdicts')).toEqual([
      { address: 'maria@acme.example' },
    ]);
    expect(await account()).toEqual({ balance: 7, reserved: 0, used: 3 });
  });

  it('charges nothing for what could not be found out, says why, and does not keep it', async () => {
    await setBalance(1);
    const first = await verify('maria@broken.example');
    expect(first.body).toMatchObject({
      cached: false,
      credits_charged: 0,
      result: {
        result: 'unknown',
        error: 'The DNS servers of the domain fail. Nothing was charged; try again later.',
        reasons: [{ code: 'DNS_UNANSWERED' }],
      },
    });
    expect(await account()).toEqual({ balance: 1, reserved: 0, used: 0 });
    expect((await jobOf(first.body.job_id)).body).toEqual(first.body.result);
    dns.set('mended.example', 'servfail');
    await verify('maria@mended.example');
    dns.set('mended.example', { mx: [[0, '.']] });
    expect((await verify('maria@mended.example')).body.result.result).toBe('invalid');
  });

  it('answers 402 without credits and asks nobody; what is known is told all the same', async () => {
    await verify('maria@acme.example');
    await setBalance(0);
    dns.asked.length = 0;
    expect(await verify('paul@acme.example')).toMatchObject({
      status: 402,
      body: { detail: 'NOT_ENOUGH_CREDITS', required: 1, available: 0, missing: 1 },
    });
    expect(dns.asked).toEqual([]);
    expect((await verify('maria@acme.example')).body).toMatchObject({ cached: true, credits_charged: 0 });
    expect(await harness.ownerQuery(`select count(*)::int as jobs from email_finder_jobs`)).toEqual([
      { jobs: 2 },
    ]);
  });

  it.each([
    [''],
    ['maria'],
    ['maria@acme'],
    ['Maria <maria@acme.example>'],
    [`${'a'.repeat(250)}@acme.example`],
  ])('refuses what is no address: %s', async (email) => {
    expect(await verify(email)).toMatchObject({
      status: 422,
      body: { detail: 'VALIDATION_ERROR', details: [{ loc: ['body', 'email'] }] },
    });
    expect(dns.asked).toEqual([]);
  });

  it('gives the first answer again for the same Idempotency-Key', async () => {
    const headers = { 'idempotency-key': 'verify-1' };
    const first = await verify('maria@acme.example', { headers });
    const again = await verify('maria@acme.example', { headers });
    expect(again.body).toEqual(first.body);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(await verify('paul@acme.example', { headers })).toMatchObject({ status: 422 });
    expect(await account()).toEqual({ balance: 9, reserved: 0, used: 1 });
  });
});

describe('many at once', () => {
  it('are charged once for one address, also with the last credit', async () => {
    await setBalance(1);
    const held = dns.hold();
    const asked = Array.from({ length: 8 }, () => verify('maria@acme.example'));
    await held.reached;
    held.open();
    const answers = await Promise.all(asked);
    const told = answers.filter(({ status }) => status === 200);
    expect(told.filter(({ body }) => body.credits_charged === 1)).toHaveLength(1);
    expect(told.filter(({ body }) => body.cached)).toHaveLength(told.length - 1);
    for (const { body } of told) expect(body.result.result).toBe('valid');
    expect(await account()).toEqual({ balance: 0, reserved: 0, used: 1 });
  });

  it('never spend more than there is: 50 addresses on 7 credits', async () => {
    await setBalance(7);
    const held = dns.hold();
    const asked = Array.from({ length: 50 }, (_, index) => verify(`person${index}@acme.example`));
    await held.reached;
    held.open();
    const answers = await Promise.all(asked);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(7);
    expect(answers.filter(({ status }) => status === 402)).toHaveLength(43);
    expect(await account()).toEqual({ balance: 0, reserved: 0, used: 7 });
    // What was not paid for is not told later for free.
    expect(await harness.ownerQuery('select count(*)::int as kept from email_verdicts')).toEqual([
      { kept: 7 },
    ]);
    const [moved] = await harness.ownerQuery('select sum(amount)::int as sum from credit_transactions');
    expect(moved).toEqual({ sum: -7 });
  });
});

describe('another workspace', () => {
  it('neither sees a verdict nor gets it for free', async () => {
    const { body } = await verify('maria@acme.example');
    expect((await jobOf(body.job_id, 'b')).status).toBe(404);
    const theirs = await verify('maria@acme.example', { workspace: 'b' });
    expect(theirs.body).toMatchObject({ cached: false, credits_charged: 1 });
    expect(await account(harness.other.workspaceId)).toEqual({ balance: 9, reserved: 0, used: 1 });
    expect(dns.asked).toHaveLength(2);
    const seen = await harness.database.within(harness.other.workspaceId, (tx) =>
      tx.selectFrom('email_verdicts').select('workspace_id').execute(),
    );
    expect(seen).toEqual([{ workspace_id: harness.other.workspaceId }]);
  });

  it('is not told of refusals and suppressions that are not its own', async () => {
    await suppress('maria@acme.example');
    await refuse('maria@acme.example', '550 5.1.1 No such user');
    expect((await verify('maria@acme.example')).body.result.result).toBe('invalid');
    expect((await verify('maria@acme.example', { workspace: 'b' })).body.result.result).toBe('valid');
  });
});

async function suppress(email: string): Promise<void> {
  await harness.ownerQuery('insert into suppression_entries (id, workspace_id, email) values ($1, $2, $3)', [
    harness.newId(),
    harness.caller.workspaceId,
    email,
  ]);
}

/** A mail as it stands in the outbox after a server has refused it, or taken it (null). */
async function refuse(to: string, words: string | null, code = 'MAIL_REFUSED'): Promise<void> {
  const message = `The mail server refused the mail: ${words}`;
  await harness.ownerQuery(
    `insert into outbox (id, workspace_id, from_address, to_address, subject, body, message_id, status, error)
     values ($1, $2, 'us@us.example', $3, 's', 'b', '<m@us.example>', $4, $5)`,
    [
      harness.newId(),
      harness.caller.workspaceId,
      to,
      words === null ? 'sent' : 'failed',
      words === null ? null : JSON.stringify({ code, message, retryable: false }),
    ],
  );
}

describe('what the workspace knows', () => {
  it.each([['550 5.1.1 No such user'], ['550-5.1.10 Null MX'], ['554 5.2.1 Mailbox disabled']])(
    'a mailbox that a mail server has refused is invalid, for free: %s',
    async (words) => {
      await refuse('Maria@acme.example', words);
      expect((await verify('maria@acme.example')).body).toMatchObject({
        cached: true,
        credits_charged: 0,
        result: { result: 'invalid', mailbox: 'refused', reasons: [{ code: 'MAILBOX_REFUSED' }] },
      });
      expect(dns.asked).toEqual([]);
    },
  );

  it.each([['554 5.7.1 Spam'], ['550 Go away'], ['552 5.2.2 Mailbox full']])(
    'a mail that was refused for another reason makes it risky: %s',
    async (words) => {
      await refuse('maria@acme.example', words);
      const { result } = (await verify('maria@acme.example')).body;
      expect(result).toMatchObject({ result: 'risky', mailbox: 'unconfirmed' });
      expect(result.reasons.map(({ code }) => code)).toEqual([
        'REFUSED_BEFORE',
        'MAIL_SERVER',
        'MAILBOX_NOT_ASKED',
      ]);
    },
  );

  it('a refusal for a while, a server that was away, and a refusal before a mail that was taken say nothing', async () => {
    await refuse('maria@acme.example', '550 5.1.1 No such user');
    await refuse('maria@acme.example', null);
    await refuse('paul@acme.example', '450 4.2.1 Try later');
    await refuse('anna@acme.example', 'away', 'MAIL_UNAVAILABLE');
    for (const name of ['maria', 'paul', 'anna']) {
      expect((await verify(`${name}@acme.example`)).body.result.result).toBe('valid');
    }
  });

  it('a suppressed address is risky from that moment on, and no longer when that is lifted', async () => {
    await verify('maria@acme.example');
    await suppress('maria@acme.example');
    const { body } = await verify('maria@acme.example');
    expect(body).toMatchObject({ cached: true, result: { result: 'risky' } });
    expect(body.result.reasons[0]).toMatchObject({ code: 'SUPPRESSED' });
    await harness.ownerQuery('delete from suppression_entries');
    expect((await verify('maria@acme.example')).body.result.result).toBe('valid');
    expect(await account()).toEqual({ balance: 9, reserved: 0, used: 1 });
  });
});

it('says in its health that addresses can be verified', async () => {
  expect((await harness.ask('GET', '/api/v1/email-finder/health')).body).toEqual({
    status: 'ok',
    verifier: true,
  });
});
