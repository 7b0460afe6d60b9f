import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KillPoint } from '../support/kill-points.ts';
import { openSweep, type ScenarioName, type Sweep } from './sweep.ts';

let sweep: Sweep;
beforeAll(async () => {
  sweep = await openSweep();
});
afterAll(() => sweep.close());

/** A few of each part of a turn's life: accepting, running, asking, acting, settling. */
const SAMPLE: [ScenarioName, KillPoint][] = [
  ['plain', 'turns.accept:before:1'],
  ['plain', 'turns.accept:after:1'],
  ['plain', 'outside.model-half'],
  ['plain', 'turns.settle:after:1'],
  ['tool', 'checkpoints.write:after:1'],
  ['tool', 'journal.append:after:1'],
  ['tool', 'model.call:before:2'],
  ['mails', 'turns.settle:before:1'],
  ['mails', 'approvals.decide:after:1'],
  ['mails', 'ledger.intend:after:1'],
  ['mails', 'outside.mail-taken'],
  ['mails', 'ledger.settle:after:1'],
  ['mails', 'checkpoints.addWrites:before:1'],
  ['mails', 'turns.settle:after:2'],
  ['together', 'approvals.resume:before:1'],
  ['together', 'ledger.intend:before:2'],
  ['together', 'mailer.send:before:2'],
  ['together', 'checkpoints.write:after:3'],
  ['edit', 'approvals.decide:before:1'],
  ['edit', 'mailer.send:after:1'],
  ['reject', 'approvals.decide:after:1'],
  ['reject', 'journal.append:after:1'],
  ['dropped', 'ledger.again:after:1'],
  ['dropped', 'ledger.settle:after:2'],
];

describe('a process that is killed loses nothing and doubles nothing', () => {
  let reachedPoints = 0;

  it.concurrent.each(SAMPLE)(
    '%s at %s',
    async (scenario, point) => {
      const { reached, faults } = await sweep.kill(scenario, point);
      if (reached) reachedPoints += 1;
      expect(faults).toEqual([]);
    },
    120_000,
  );

  it('was killed at nearly all of these points', () => {
    // On a slow machine statements travel together that go one by one on a fast one.
    expect(reachedPoints).toBeGreaterThanOrEqual(SAMPLE.length - 2);
  });
});
