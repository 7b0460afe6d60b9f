/** How a process knows keys and workspaces, against PostgreSQL. */

import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEV_WORKSPACE } from '../../../src/http/caller.ts';
import { createLog } from '../../../src/log.ts';
import { createIdentities } from '../../../src/resources/identity/identities.ts';
import { type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

let harness: HttpHarness;
beforeAll(async () => {
  harness = await startHttpHarness({ routes: () => [] });
});
afterAll(() => harness.close());

/** One process's identities with a clock of their own. */
function startProcess() {
  const clock = { now: Date.now() };
  const lines: string[] = [];
  const log = createLog({ level: 'info', secrets: [], write: (line) => lines.push(line) });
  const identities = createIdentities({ ...harness, log, now: () => clock.now });
  return { clock, lines, identities };
}

async function storeKey() {
  const hash = randomBytes(32);
  const id = harness.newId();
  await harness.ownerQuery(
    `insert into api_keys (id, workspace_id, user_id, name, key_hash, key_prefix, sandbox, scopes)
     values ($1, $2, 'ada', 'CI', $3, 'bav_live_12345678', false, '{read}')`,
    [id, harness.caller.workspaceId, hash],
  );
  return { id, hash };
}

async function lastUsed(id: string): Promise<unknown> {
  const rows = await harness.ownerQuery('select last_used_at from api_keys where id = $1', [id]);
  return rows[0]?.last_used_at;
}

describe('the keys a process knows', () => {
  it('are found outside any workspace, with what they may do', async () => {
    const { id, hash } = await storeKey();
    expect(await startProcess().identities.findKey(hash)).toEqual({
      id,
      workspaceId: harness.caller.workspaceId,
      userId: 'ada',
      sandbox: false,
      scopes: ['read'],
    });
    expect(await startProcess().identities.findKey(randomBytes(32))).toBeNull();
  });

  it('are looked up again before 5 seconds have gone, so a revocation elsewhere is seen', async () => {
    const { id, hash } = await storeKey();
    const { clock, identities } = startProcess();
    expect(await identities.findKey(hash)).not.toBeNull();
    await harness.ownerQuery('update api_keys set revoked_at = now() where id = $1', [id]);
    clock.now += 3_900;
    expect(await identities.findKey(hash)).not.toBeNull();
    clock.now += 1_000;
    expect(await identities.findKey(hash)).toBeNull();
  });

  it('are looked up again at once after a revocation here, also by a look-up that was under way', async () => {
    const { id, hash } = await storeKey();
    const { identities } = startProcess();
    const before = identities.findKey(hash);
    await harness.ownerQuery('update api_keys set revoked_at = now() where id = $1', [id]);
    identities.forgetKeys();
    await before;
    expect(await identities.findKey(hash)).toBeNull();
  });

  it('are not remembered as unknown: a key counts from its creation', async () => {
    const hash = randomBytes(32);
    const { identities } = startProcess();
    expect(await identities.findKey(hash)).toBeNull();
    await harness.ownerQuery(
      `insert into api_keys (id, workspace_id, user_id, name, key_hash, key_prefix, sandbox)
       values ($1, $2, 'ada', 'CI', $3, 'bav_live_12345678', true)`,
      [harness.newId(), harness.caller.workspaceId, hash],
    );
    expect(await identities.findKey(hash)).toMatchObject({ sandbox: true, scopes: null });
  });

  it('have their use noted once a minute', async () => {
    const { id, hash } = await storeKey();
    const { clock, identities } = startProcess();
    await identities.findKey(hash);
    await expect.poll(() => lastUsed(id)).toBeInstanceOf(Date);
    await harness.ownerQuery("update api_keys set last_used_at = now() - interval '1 hour' where id = $1", [
      id,
    ]);
    const earlier = await lastUsed(id);
    clock.now += 30_000;
    await identities.findKey(hash);
    clock.now += 31_000;
    expect(await lastUsed(id)).toEqual(earlier);
    await identities.findKey(hash);
    await expect.poll(() => lastUsed(id)).not.toEqual(earlier);
  });

  it('serve although their use cannot be noted, and the log says so', async () => {
    const { id, hash } = await storeKey();
    const lines: string[] = [];
    const log = createLog({ level: 'info', secrets: [], write: (line) => lines.push(line) });
    const identities = createIdentities({
      ...harness,
      log,
      now: () => Date.now(),
      database: { within: () => Promise.reject(new Error('no connection is free')) },
    });
    expect(await identities.findKey(hash)).toMatchObject({ id });
    await expect.poll(() => lines.join('')).toContain('no connection is free');
  });
});

describe('a workspace', () => {
  async function rowsOf(workspaceId: string) {
    const [workspaces, accounts, transactions] = await Promise.all([
      harness.ownerQuery('select name from workspaces where id = $1', [workspaceId]),
      harness.ownerQuery('select balance, reserved, used from credit_accounts where workspace_id = $1', [
        workspaceId,
      ]),
      harness.ownerQuery(
        'select transaction_type, amount, balance_after from credit_transactions where workspace_id = $1',
        [workspaceId],
      ),
    ]);
    return { workspaces, accounts, transactions };
  }

  it.each([
    ['the dev workspace', DEV_WORKSPACE, 1000],
    ['any other workspace', '019a1111-0000-7000-8000-000000000000', 100],
  ])('is made once with its first credits: %s', async (_what, workspaceId, credits) => {
    const processes = [startProcess(), startProcess()];
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        processes[index % 2]?.identities.ensureWorkspace(workspaceId, 'ada@example.com'),
      ),
    );
    await startProcess().identities.ensureWorkspace(workspaceId, 'another name');
    expect(await rowsOf(workspaceId)).toEqual({
      workspaces: [{ name: 'ada@example.com' }],
      accounts: [{ balance: credits, reserved: 0, used: 0 }],
      transactions: [{ transaction_type: 'adjustment', amount: credits, balance_after: credits }],
    });
  });

  it('that is known costs nothing', async () => {
    const { identities } = startProcess();
    await identities.ensureWorkspace(harness.caller.workspaceId, 'Test');
    await harness.ownerQuery('delete from credit_accounts where workspace_id = $1', [
      harness.caller.workspaceId,
    ]);
    await identities.ensureWorkspace(harness.caller.workspaceId, 'Test');
    expect((await rowsOf(harness.caller.workspaceId)).accounts).toEqual([]);
  });

  it('keeps what it has when another process meets it for the first time', async () => {
    const { identities } = startProcess();
    const workspaceId = harness.other.workspaceId;
    await harness.ownerQuery('update credit_accounts set balance = 7 where workspace_id = $1', [workspaceId]);
    await identities.ensureWorkspace(workspaceId, 'Test');
    expect(await rowsOf(workspaceId)).toMatchObject({ accounts: [{ balance: 7 }], transactions: [] });
  });

  it('takes any name a token may carry', async () => {
    const { identities } = startProcess();
    const workspaceId = harness.newId();
    await identities.ensureWorkspace(workspaceId, `\0${'x'.repeat(5000)}`);
    expect((await rowsOf(workspaceId)).workspaces).toEqual([{ name: 'x'.repeat(200) }]);
  });
});
