/** find_leads by itself: what it proposes, finds, tells on the way, and costs. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { createCredits } from '../../src/resources/credits/credits.ts';
import type { LeadSource } from '../../src/resources/lead-finder/ports.ts';
import { createUploads } from '../../src/resources/uploads/uploads.ts';
import { createFindLeadsTool } from '../../src/tools/find-leads.ts';
import type { ExecuteContext, InsideTool, Proposal, Tool } from '../../src/tools/tool.ts';
import { withFile } from '../support/files.ts';
import { type HttpHarness, startHttpHarness } from '../support/http-harness.ts';
import {
  createLeadFinderParts,
  type LeadFinderParts,
  outsideSource,
  profileOf,
} from '../support/lead-finder.ts';
import { toolContext } from '../support/tool-context.ts';

let harness: HttpHarness;
const opened: LeadFinderParts[] = [];

beforeAll(async () => {
  harness = await startHttpHarness({ routes: () => [] });
});
afterAll(() => harness.close());
beforeEach(async () => {
  for (const table of ['datasets', 'credit_reservations', 'credit_transactions']) {
    await harness.ownerQuery(`delete from ${table}`);
  }
  await harness.ownerQuery('update credit_accounts set balance = 20, reserved = 0, used = 0');
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((parts) => parts.close()));
});

function toolOf(source?: LeadSource): Tool {
  const parts = createLeadFinderParts(harness, { source });
  opened.push(parts);
  return createFindLeadsTool({
    database: harness.database,
    leadFinder: parts.leadFinder,
    credits: createCredits(harness),
  });
}

/** Proposes as the gate does: the arguments parsed first. */
function propose(tool: Tool, args: unknown, context = toolContext(harness.caller)): Promise<Proposal> {
  const schema: z.ZodType = tool.schema;
  return (tool as InsideTool<unknown>).propose(context, schema.parse(args));
}

function carryOut(tool: Tool, proposal: Proposal, context: ExecuteContext): Promise<unknown> {
  return harness.database.within(harness.caller.workspaceId, (tx) =>
    (tool as InsideTool<unknown>).runWithin(tx, context, proposal),
  );
}

async function account() {
  const [row] = await harness.ownerQuery(
    'select balance, reserved, used from credit_accounts where workspace_id = $1',
    [harness.caller.workspaceId],
  );
  return row;
}

const PEOPLE = `Email,First Name,Last Name,Company,Title,City
ada@acme.example,Ada,Lovelace,Acme,Chief Technology Officer,Berlin
alan@acme.example,Alan,Tu\u200Bring,Acme,CTO,London
`;

describe('find_leads in one’s own data', () => {
  it('costs nothing, finds the best first, and tells each step', async () => {
    await withFile(PEOPLE, (file) => createUploads(harness).importCsv(harness.caller, { file }));
    const tool = toolOf();
    const proposal = await propose(tool, { title: 'CTO', location: 'London' });
    expect(proposal).toMatchObject({
      args: { title: 'CTO', location: 'London', limit: 10 },
      stands: { source: 'own_data', price: 0 },
      effectClass: 'spend',
      credits: 0,
      facts: [
        { label: 'Where', value: 'your own datasets' },
        { label: 'Title', value: 'CTO' },
        { label: 'Location', value: 'London' },
        { label: 'Price', value: 'free' },
      ],
    });
    const steps: unknown[] = [];
    const context = toolContext(harness.caller, { progress: (...step) => steps.push(step) });
    expect(await carryOut(tool, proposal, context)).toEqual({
      source: 'own_data',
      credits: 0,
      leads: [
        {
          lead_id: expect.any(String),
          email: 'alan@acme.example',
          first_name: 'Alan',
          last_name: 'Turing',
          name: 'Alan Turing',
          company: 'Acme',
          title: 'CTO',
          city: 'London',
          country: null,
          linkedin_url: null,
          confidence: 1,
          matched: ['title', 'location'],
          suppressed: false,
        },
      ],
    });
    expect(steps).toEqual([
      [1, 2, 'All that is asked for: 1'],
      [2, 2, 'Ranked: 1'],
    ]);
    expect(await harness.ownerQuery('select * from credit_transactions')).toEqual([]);
  });

  it('finds one person by name', async () => {
    await withFile(PEOPLE, (file) => createUploads(harness).importCsv(harness.caller, { file }));
    const tool = toolOf();
    const proposal = await propose(tool, { name: 'Ada Lovelace', company: 'ACME Inc.', limit: 1 });
    expect(await carryOut(tool, proposal, toolContext(harness.caller))).toMatchObject({
      leads: [{ email: 'ada@acme.example', confidence: 1, matched: ['name', 'company'] }],
    });
  });
});

describe('find_leads in a source that costs', () => {
  const two = () =>
    outsideSource(async () => [
      profileOf('Ada Lovelace', { title: 'CTO' }),
      profileOf('Alan Turing', { title: 'CTO' }),
    ]);

  it('proposes the most that it may cost, and is charged for what it found', async () => {
    const tool = toolOf(two());
    expect(tool.description).toContain('3 credits');
    const proposal = await propose(tool, { title: 'CTO', limit: 5 });
    expect(proposal).toMatchObject({ credits: 15, stands: { source: 'outside', price: 3 } });
    expect(proposal.facts.at(-1)).toEqual({ label: 'Price', value: 'at most 15 credits' });
    expect(await account()).toEqual({ balance: 20, reserved: 0, used: 0 });
    expect(await carryOut(tool, proposal, toolContext(harness.caller))).toMatchObject({
      credits: 6,
      leads: { length: 2 },
    });
    expect(await account()).toEqual({ balance: 14, reserved: 0, used: 6 });
  });

  it('is refused before anybody is asked where there are too few credits', async () => {
    await expect(propose(toolOf(two()), { title: 'CTO', limit: 7 })).rejects.toMatchObject({
      code: 'NOT_ENOUGH_CREDITS',
      facts: { required: 21, available: 20, missing: 1 },
    });
  });

  it('proposes the same again once it is paid, however little is left', async () => {
    const tool = toolOf(two());
    const proposal = await propose(tool, { title: 'CTO', limit: 6 });
    await carryOut(tool, proposal, toolContext(harness.caller));
    expect(await account()).toEqual({ balance: 14, reserved: 0, used: 6 });
    expect(await propose(tool, { title: 'CTO', limit: 6 })).toEqual(proposal);
    await expect(
      propose(tool, { title: 'CTO', limit: 6 }, toolContext(harness.caller, { toolCallId: 'another' })),
    ).rejects.toMatchObject({ code: 'NOT_ENOUGH_CREDITS' });
  });

  it('charges nothing where the source fails', async () => {
    const source = outsideSource(() => Promise.reject(new Error('the source broke')));
    const tool = toolOf(source);
    const proposal = await propose(tool, { title: 'CTO', limit: 5 });
    await expect(carryOut(tool, proposal, toolContext(harness.caller))).rejects.toThrow('the source broke');
    expect(await account()).toEqual({ balance: 20, reserved: 0, used: 0 });
  });

  it('charges nothing where the turn is cancelled while it looks', async () => {
    const cancel = new AbortController();
    const source = outsideSource((scope) => {
      cancel.abort();
      return Promise.reject(scope.signal.reason);
    });
    const tool = toolOf(source);
    const proposal = await propose(tool, { title: 'CTO', limit: 5 });
    await expect(
      carryOut(tool, proposal, toolContext(harness.caller, { signal: cancel.signal })),
    ).rejects.toMatchObject({ code: 'TURN_NOT_LIVE' });
    expect(await account()).toEqual({ balance: 20, reserved: 0, used: 0 });
  });
});

describe('the arguments of find_leads', () => {
  it.each([
    [{}],
    [{ limit: 5 }],
    [{ title: '' }],
    [{ title: 'CTO', limit: 26 }],
    [{ title: 'CTO', sort: 'x' }],
  ])('cannot be %j', (args) => {
    expect(toolOf().schema.safeParse(args).success).toBe(false);
  });

  it('lead to results of strangers', () => {
    expect(toolOf()).toMatchObject({ name: 'find_leads', effect: 'inside', untrusted: true });
  });
});
