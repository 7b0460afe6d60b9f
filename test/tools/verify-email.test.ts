/** verify_email by itself, step by step: what it proposes, sets aside, finds and gives back, and what a lost process leaves. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { createCredits } from '../../src/resources/credits/credits.ts';
import { createDnsVerifier } from '../../src/resources/email-verifier/dns.ts';
import { createEmailVerification } from '../../src/resources/email-verifier/email-verifier.ts';
import type { Outcome, OutsideTool, Proposal, Tool } from '../../src/tools/tool.ts';
import { createVerifyEmailTool } from '../../src/tools/verify-email.ts';
import { type DnsServer, startDnsServer } from '../support/dns-server.ts';
import { type HttpHarness, startHttpHarness } from '../support/http-harness.ts';
import { realClock } from '../support/service.ts';
import { toolContext } from '../support/tool-context.ts';

let dns: DnsServer;
let harness: HttpHarness;
let tool: Tool;

beforeAll(async () => {
  dns = await startDnsServer();
  dns.set('acme.example', { mx: [[10, 'mx.acme.example']] });
  harness = await startHttpHarness({ routes: () => [] });
  const credits = createCredits(harness);
  const verifier = createDnsVerifier({
    createResolver: () => dns.createResolver(),
    after: realClock.after,
    price: 1,
    limitMs: 30_000,
  });
  const emailVerification = createEmailVerification({ ...harness, now: () => Date.now(), credits, verifier });
  tool = createVerifyEmailTool({ database: harness.database, credits, emailVerification });
});
afterAll(async () => {
  await harness.close();
  await dns.close();
});
beforeEach(async () => {
  for (const table of ['email_verdicts', 'credit_reservations', 'credit_transactions']) {
    await harness.ownerQuery(`delete from ${table}`);
  }
  await harness.ownerQuery('update credit_accounts set balance = 2, reserved = 0, used = 0');
});

const outside = () => tool as OutsideTool<unknown>;
const contextOf = (toolCallId: string) => toolContext(harness.caller, { toolCallId });

function propose(email: string, toolCallId = 'call-1'): Promise<Proposal> {
  const schema: z.ZodType = tool.schema;
  return outside().propose(contextOf(toolCallId), schema.parse({ email }));
}

function within<T>(work: Parameters<HttpHarness['database']['within']>[1]): Promise<T> {
  return harness.database.within(harness.caller.workspaceId, work) as Promise<T>;
}

const intend = (proposal: Proposal, toolCallId = 'call-1') =>
  within<{ done: unknown } | { act: true }>((tx) =>
    outside().intendWithin(tx, contextOf(toolCallId), proposal),
  );
const settle = (proposal: Proposal, outcome: Outcome, toolCallId = 'call-1') =>
  within<unknown>((tx) => outside().settleWithin(tx, contextOf(toolCallId), proposal, outcome));

async function account() {
  const [row] = await harness.ownerQuery(
    'select balance, reserved, used from credit_accounts where workspace_id = $1',
    [harness.caller.workspaceId],
  );
  return row;
}

describe('verify_email', () => {
  it('sets its price aside before it asks, and takes it with the verdict', async () => {
    const proposal = await propose('Maria@acme.example');
    expect(proposal).toMatchObject({
      args: { email: 'maria@acme.example' },
      stands: { source: 'dns', price: 1 },
      effectClass: 'spend',
      credits: 1,
    });
    expect(await intend(proposal)).toEqual({ act: true });
    expect(await account()).toEqual({ balance: 1, reserved: 1, used: 0 });
    const outcome = await outside().act(contextOf('call-1'), proposal);
    expect(await settle(proposal, outcome)).toMatchObject({ result: 'valid', cached: false, credits: 1 });
    expect(await account()).toEqual({ balance: 1, reserved: 0, used: 1 });
    // Settled again, as after a lost answer of the database: nothing more is taken.
    expect(await settle(proposal, outcome)).toMatchObject({ result: 'valid' });
    expect(await account()).toEqual({ balance: 1, reserved: 0, used: 1 });
  });

  it('gives back what was set aside where the process was lost and the turn ended', async () => {
    const proposal = await propose('maria@acme.example');
    await intend(proposal);
    const error = { code: 'EFFECT_UNKNOWN', message: 'lost', retryable: false } as const;
    expect(await settle(proposal, { state: 'unknown', error })).toMatchObject({
      result: 'unknown',
      error: 'The lookup was interrupted. Nothing was charged; try again later.',
      credits: 0,
    });
    expect(await account()).toEqual({ balance: 2, reserved: 0, used: 0 });
    expect(await harness.ownerQuery('select 1 from email_verdicts')).toEqual([]);
  });

  it('is free once the address is known, which is another proposal', async () => {
    const first = await propose('maria@acme.example');
    const second = await propose('maria@acme.example', 'call-2');
    expect(second.stands).toEqual(first.stands);
    await intend(first);
    await settle(first, await outside().act(contextOf('call-1'), first));
    expect(await propose('maria@acme.example', 'call-2')).toMatchObject({
      stands: { price: 0 },
      effectClass: 'spend',
      credits: 0,
    });
    // Whoever passed the gate before is not charged for what is known by now.
    expect(await intend(second, 'call-2')).toMatchObject({
      done: { result: 'valid', cached: true, credits: 0 },
    });
    expect(await account()).toEqual({ balance: 1, reserved: 0, used: 1 });
  });
});
