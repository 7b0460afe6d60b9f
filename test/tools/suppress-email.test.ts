/** The tool that suppresses an address, against PostgreSQL. */

import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createLeads } from '../../src/resources/leads/leads.ts';
import { createSuppression, type Suppression } from '../../src/resources/suppression/suppression.ts';
import { createSuppressEmailTool } from '../../src/tools/suppress-email.ts';
import type { Tool } from '../../src/tools/tool.ts';
import { type HttpHarness, startHttpHarness } from '../support/http-harness.ts';
import { toolContext } from '../support/tool-context.ts';

let harness: HttpHarness;
let suppression: Suppression;
let tool: Tool;
const lead: Record<'a' | 'b', string> = { a: '', b: '' };

beforeAll(async () => {
  harness = await startHttpHarness({ routes: () => [] });
  suppression = createSuppression(harness);
  tool = createSuppressEmailTool({
    database: harness.database,
    suppression,
    leads: {
      getWithin: createLeads(harness).getWithin,
      async hasAddressWithin(tx, address) {
        const found = tx
          .selectFrom('leads')
          .select('id')
          .where(sql`lower(email)`, '=', address.toLowerCase());
        return (await found.executeTakeFirst()) !== undefined;
      },
    },
  });
  for (const [letter, { workspaceId }] of [['a', harness.caller] as const, ['b', harness.other] as const]) {
    const dataset = harness.newId();
    lead[letter] = harness.newId();
    await harness.ownerQuery(
      "insert into datasets (id, workspace_id, user_id, name, source_type) values ($1, $2, 'ada', 'Leads', 'upload')",
      [dataset, workspaceId],
    );
    await harness.ownerQuery(
      'insert into leads (id, workspace_id, dataset_id, row_index, email) values ($1, $2, $3, 1, $4)',
      [lead[letter], workspaceId, dataset, `Lead-${letter}@Example.com`],
    );
  }
});
afterAll(() => harness.close());
beforeEach(() => harness.ownerQuery('delete from suppression_entries'));

function inside() {
  if (tool.effect !== 'inside') throw new Error('this tool works inside our database');
  return tool;
}

function propose(args: Record<string, unknown>, tainted = false) {
  return inside().propose(toolContext(harness.caller, { tainted }), tool.schema.parse(args));
}

function carryOut(proposal: Awaited<ReturnType<typeof propose>>): Promise<unknown> {
  return harness.database.within(harness.caller.workspaceId, (tx) =>
    inside().runWithin(tx, toolContext(harness.caller), proposal),
  );
}

describe('suppress_email', () => {
  it('proposes a free, reversible write of the address in lower case, and changes nothing by it', async () => {
    const proposal = await propose({ email: 'Ada@Example.com', reason: 'asked' });
    expect(proposal).toMatchObject({
      args: { email: 'ada@example.com', reason: 'asked' },
      stands: { address: 'ada@example.com', reason: 'asked' },
      effectClass: 'write',
      credits: 0,
      warnings: [],
    });
    expect(await propose(proposal.args)).toEqual(proposal);
    expect(await harness.ownerQuery('select 1 from suppression_entries')).toEqual([]);
  });

  it('suppresses once, and says so of a second time', async () => {
    const proposal = await propose({ email: 'ada@example.com', reason: 'asked' });
    const first = await carryOut(proposal);
    expect(first).toEqual({ entry_id: expect.any(String), email: 'ada@example.com', already: false });
    expect(await carryOut(proposal)).toEqual({ ...Object(first), already: true });
    expect(await harness.ownerQuery('select email, reason, source from suppression_entries')).toEqual([
      { email: 'ada@example.com', reason: 'asked', source: 'agent' },
    ]);
  });

  it('resolves a lead to its address, and sees when that has changed', async () => {
    const proposal = await propose({ lead_id: lead.a });
    expect(proposal).toMatchObject({
      args: { lead_id: lead.a },
      stands: { address: 'lead-a@example.com', reason: null },
    });
    expect(await propose(proposal.args, true)).toEqual(proposal);
    await harness.ownerQuery("update leads set email = 'new@example.com' where id = $1", [lead.a]);
    expect((await propose(proposal.args)).stands).not.toEqual(proposal.stands);
    await harness.ownerQuery("update leads set email = 'Lead-a@Example.com' where id = $1", [lead.a]);
  });

  it('takes in a tainted turn only addresses of leads of this workspace', async () => {
    expect(await propose({ email: 'lead-A@example.com' }, true)).toMatchObject({
      stands: { address: 'lead-a@example.com' },
    });
    for (const email of ['ada@example.com', 'lead-b@example.com']) {
      await expect(propose({ email }, true)).rejects.toMatchObject({ code: 'RECIPIENT_NOT_ALLOWED' });
    }
  });

  it('knows no lead of another workspace', async () => {
    await expect(propose({ lead_id: lead.b })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it.each([
    [{}],
    [{ email: 'ada@example.com', lead_id: '019a0000-0000-7000-8000-000000000000' }],
    [{ email: 'no address' }],
    [{ email: 'a@example.com\r\nBcc: b@example.com' }],
    [{ lead_id: '7' }],
    [{ email: 'ada@example.com', reason: 'x'.repeat(501) }],
    [{ email: 'ada@example.com', source: 'import' }],
  ])('refuses the arguments %j', (args) => {
    expect(tool.schema.safeParse(args).success).toBe(false);
  });
});
