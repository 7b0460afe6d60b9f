/** find_email by itself: what it proposes, what it finds, and what that costs. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { createCredits } from '../../src/resources/credits/credits.ts';
import { createEmailFinder } from '../../src/resources/email-finder/email-finder.ts';
import { createUploads } from '../../src/resources/uploads/uploads.ts';
import { createFindEmailTool } from '../../src/tools/find-email.ts';
import type { InsideTool, Proposal, Tool } from '../../src/tools/tool.ts';
import { withFile } from '../support/files.ts';
import { type HttpHarness, startHttpHarness } from '../support/http-harness.ts';
import { toolContext } from '../support/tool-context.ts';

let harness: HttpHarness;
let tool: Tool;

beforeAll(async () => {
  harness = await startHttpHarness({ routes: () => [] });
  const credits = createCredits(harness);
  const { database, newId } = harness;
  tool = createFindEmailTool({
    database,
    credits,
    emailFinder: createEmailFinder({ database, credits, newId }),
  });
  await withFile('Email,First Name,Last Name,Company\nghopper@acme.example,Grace,Hopper,Acme\n', (file) =>
    createUploads(harness).importCsv(harness.caller, { file }),
  );
});
afterAll(() => harness.close());
beforeEach(async () => {
  for (const table of ['credit_reservations', 'credit_transactions']) {
    await harness.ownerQuery(`delete from ${table}`);
  }
  await harness.ownerQuery('update credit_accounts set balance = 3, reserved = 0, used = 0');
});

function propose(args: unknown, toolCallId = 'call-1'): Promise<Proposal> {
  const schema: z.ZodType = tool.schema;
  return (tool as InsideTool<unknown>).propose(
    toolContext(harness.caller, { toolCallId }),
    schema.parse(args),
  );
}

function carryOut(proposal: Proposal): Promise<unknown> {
  return harness.database.within(harness.caller.workspaceId, (tx) =>
    (tool as InsideTool<unknown>).runWithin(tx, toolContext(harness.caller), proposal),
  );
}

async function account() {
  const [row] = await harness.ownerQuery(
    'select balance, reserved, used from credit_accounts where workspace_id = $1',
    [harness.caller.workspaceId],
  );
  return row;
}

describe('find_email', () => {
  it('proposes to spend 3 credits on one person at one domain', async () => {
    expect(await propose({ name: 'Ada Lovelace', company: 'Acme' })).toMatchObject({
      args: { name: 'Ada Lovelace', domain: 'acme.example' },
      stands: { name: 'Ada Lovelace', domain: 'acme.example' },
      effectClass: 'spend',
      credits: 3,
      title: 'Find the address of Ada Lovelace',
    });
    expect(await account()).toEqual({ balance: 3, reserved: 0, used: 0 });
  });

  it('is charged for an address that a known one suggests, and says that it is not verified', async () => {
    const proposal = await propose({ name: 'Ada Lovelace', domain: 'acme.example' });
    expect(await carryOut(proposal)).toEqual({
      found: true,
      name: 'Ada Lovelace',
      domain: 'acme.example',
      email: 'alovelace@acme.example',
      result: 'unverified',
      confidence: 0.47,
      pattern: '{f}{last}',
      error: null,
      credits: 3,
    });
    expect(await account()).toEqual({ balance: 0, reserved: 0, used: 3 });
    // Asked again for the same call, as after a crash: it is paid already.
    expect(await propose({ name: 'Ada Lovelace', domain: 'acme.example' })).toEqual(proposal);
    await expect(propose({ name: 'Ada Lovelace', domain: 'acme.example' }, 'call-2')).rejects.toMatchObject({
      code: 'NOT_ENOUGH_CREDITS',
      facts: { required: 3, available: 0, missing: 3 },
    });
  });

  it('costs nothing where a lead has the address, or where nothing shows the pattern', async () => {
    expect(await carryOut(await propose({ name: 'Grace Hopper', domain: 'acme.example' }))).toMatchObject({
      found: true,
      email: 'ghopper@acme.example',
      result: 'known',
      credits: 0,
    });
    await harness.ownerQuery('delete from credit_reservations');
    expect(await carryOut(await propose({ name: 'Ada Lovelace', domain: 'other.example' }))).toMatchObject({
      found: false,
      email: null,
      error: expect.stringContaining('other.example'),
      credits: 0,
    });
    expect(await account()).toEqual({ balance: 3, reserved: 0, used: 0 });
  });

  it('asks for the domain where the company’s is not known', async () => {
    await expect(propose({ name: 'Ada Lovelace', company: 'Unknown' })).rejects.toMatchObject({
      code: 'VALIDATION_ERROR',
      message: 'No domain is known for this company. Name the domain.',
    });
  });

  it.each([
    [{ name: 'Ada' }],
    [{ name: '', domain: 'acme.example' }],
    [{ domain: 'acme.example' }],
    [{ name: 'Ada', domain: 'acme' }],
    [{ name: 'Ada', domain: 'acme.example', price: 0 }],
  ])('does not take %j', (args) => {
    expect(tool.schema.safeParse(args).success).toBe(false);
  });
});
