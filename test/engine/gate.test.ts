import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createGate, type Gate, type GateRun } from '../../src/engine/gate.ts';
import { createToolBox } from '../../src/engine/proposals.ts';
import { createLedger } from '../../src/resources/turns/effects.ts';
import type { EffectClass } from '../../src/runtime/events.ts';
import type { LeasedTurn, Reply } from '../../src/runtime/ports.ts';
import { tool } from '../../src/tools/tool.ts';
import { type HttpHarness, startHttpHarness } from '../support/http-harness.ts';

let harness: HttpHarness;
let gate: Gate;
/** What a call of the one tool is and costs at the moment. */
let world: { effectClass: EffectClass; credits: number };
/** How often it was carried out. */
let done: number;

beforeAll(async () => {
  harness = await startHttpHarness({ routes: () => [] });
  const change = tool({
    name: 'change',
    description: 'Changes something.',
    schema: z.strictObject({}),
    untrusted: false,
    effect: 'inside',
    async propose() {
      const shown = { title: 'Change', facts: [], warnings: [], preview: [], consequence: 'It is changed.' };
      return { args: {}, stands: {}, ...world, ...shown };
    },
    async runWithin() {
      done += 1;
      return { changed: true };
    },
  });
  const now = () => Date.now();
  gate = createGate({
    toolBox: createToolBox([change]),
    ledger: createLedger({ database: harness.database, now, leaseSeconds: 15 }),
    // Nobody was asked in any of these calls.
    cardOf: async () => null,
    newId: harness.newId,
    now,
    report: (error) => {
      throw error;
    },
  });
});
afterAll(() => harness.close());
beforeEach(() => {
  done = 0;
  world = { effectClass: 'write', credits: 0 };
});

async function startRun(): Promise<GateRun> {
  const [threadId, turnId] = [randomUUID(), randomUUID()];
  const { caller } = harness;
  await harness.ownerQuery('insert into conversations (id, workspace_id, user_id) values ($1, $2, $3)', [
    threadId,
    caller.workspaceId,
    caller.userId,
  ]);
  await harness.ownerQuery(
    `insert into turns (id, conversation_id, workspace_id, user_id, status, input, caller, message_id, run_id,
       run_kind, first_seq, kept_seq, usage)
     values ($1, $2, $3, $4, 'running', '{}', '{}', $1, $1, 'message', 1, 1, '{}')`,
    [turnId, threadId, caller.workspaceId, caller.userId],
  );
  const turn = { turnId, threadId, workspaceId: caller.workspaceId, caller, epoch: 1 } as LeasedTurn;
  return {
    turn,
    // The gate tells nothing of a call that it only carries out.
    reply: {} as Reply,
    signal: new AbortController().signal,
    policy: async () => ({ autoSpendCredits: 10, approvalTtlHours: 1 }),
  };
}

async function plan(run: GateRun) {
  const call = { toolCallId: 'call-1', name: 'change', args: {} };
  return gate.plan(run, call, { tainted: false, rejected: [], spent: 0 });
}
const effects = async () => harness.ownerQuery('select state, effect_class, approval_id from effects');

describe('a call that passes without asking', () => {
  it('is carried out once, however often its run is begun again', async () => {
    const run = await startRun();
    const call = await plan(run);
    expect(call.card).toBeNull();
    const first = await gate.execute(run, call, false);
    expect(first).toMatchObject({ kind: 'ended', end: { status: 'ok', result: { changed: true } } });
    expect(await gate.execute(run, call, false)).toEqual(first);
    expect(done).toBe(1);
    expect(await effects()).toEqual([{ state: 'done', effect_class: 'write', approval_id: null }]);
  });

  it.each([
    ['became a send', { effectClass: 'send' as const, credits: 0 }],
    ['became a launch', { effectClass: 'launch' as const, credits: 0 }],
    ['costs more than planned', { effectClass: 'spend' as const, credits: 4 }],
  ])('is not carried out when it %s between its plan and its act', async (_what, next) => {
    await harness.ownerQuery('delete from effects');
    world = { effectClass: 'spend', credits: 3 };
    const run = await startRun();
    const call = await plan(run);
    expect(call.card).toBeNull();
    world = next;
    expect(await gate.execute(run, call, false)).toMatchObject({
      kind: 'ended',
      end: { status: 'error', error: { code: 'STALE_PROPOSAL' } },
    });
    expect(done).toBe(0);
    expect(await effects()).toEqual([]);
  });
});
