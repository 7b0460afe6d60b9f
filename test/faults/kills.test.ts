import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMethodList } from '../support/kill-points.ts';
import { openStage, type Stage } from '../support/stage.ts';
import { type Kill, provesKills } from './kills.ts';

/** Each method of a port once, before or after, and the two kills from outside. */
const SAMPLE: Kill[] = [
  ['plain', 'turns.accept:after:1'],
  ['plain', 'outside.model-half'],
  ['plain', 'turns.settle:before:1'],
  ['tool', 'tools.run:after:1'],
  ['tool', 'journal.append:after:1'],
  ['tool', 'journal.read:before:1'],
  ['tool', 'model.call:before:2'],
  ['mails', 'tools.propose:before:1'],
  ['mails', 'approvals.pendingWithin:before:1'],
  ['mails', 'approvals.decide:after:1'],
  ['mails', 'approvals.ofCall:after:1'],
  ['mails', 'checkpoints.write:after:2'],
  ['mails', 'checkpoints.addWrites:before:1'],
  ['mails', 'ledger.read:after:1'],
  ['mails', 'tools.intendWithin:after:1'],
  ['mails', 'outside.mail-taken'],
  ['together', 'approvals.resume:after:1'],
  ['together', 'ledger.intend:after:2'],
  ['together', 'mailer.send:after:1'],
  ['sibling', 'turns.countDecisions:before:1'],
  ['edit', 'approvals.preview:after:1'],
  ['edit', 'tools.act:before:1'],
  ['reject', 'checkpoints.read:after:1'],
  ['dropped', 'ledger.again:after:1'],
  ['dropped', 'ledger.settle:after:2'],
  ['repeated', 'mailer.send:after:1'],
  ['repeated', 'tools.settleWithin:after:2'],
  ['expired', 'approvals.expire:after:1'],
  ['takeover', 'turns.takeOver:after:1'],
  ['takeover', 'turns.readInbox:after:1'],
  ['drain', 'turns.release:before:1'],
  ['renew', 'turns.renew:after:1'],
  ['rename', 'turns.tellInbox:before:1'],
  ['spend', 'ledger.inside:after:2'],
  ['spend', 'ledger.spent:before:1'],
  ['launch', 'tools.runWithin:after:1'],
];

/** Methods that no scenario of the sweep calls, and why. */
const BESIDE: Record<string, string> = {
  'approvals.get': 'reads a card for a door',
  'approvals.list': 'reads the inbox',
  'approvals.asShown': 'reads a card for a test of its mail',
  'approvals.recipients': 'reads who a launch goes to, for its card',
  'approvals.countPending': 'counts for the badge',
  'checkpoints.remove': "LangGraph's own; a settle removes them in its statement",
  'summaries.between': 'killed at in test/turns/summaries.test.ts, as it takes a long past',
  'summaries.keep': 'killed at in test/turns/summaries.test.ts',
  'summaries.tried': 'notes a try in vain; without the note there is another try',
};

describe('the ports of a turn', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage();
  });
  afterAll(() => stage.close());

  it('have a kill point at each method', async () => {
    const { wrap, methods } = createMethodList();
    await stage.start({ wrap });
    const killed = SAMPLE.map(([, point]) => point.split(':')[0] ?? '').filter(
      (name) => !name.startsWith('outside.'),
    );
    expect([...methods].toSorted()).toEqual([...new Set([...killed, ...Object.keys(BESIDE)])].toSorted());
  });
});

provesKills(async () => SAMPLE, { bar: SAMPLE.length - 4, atOnce: 3 });
