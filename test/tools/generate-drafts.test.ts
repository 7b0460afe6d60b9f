import { expect, it } from 'vitest';
import { ServiceError } from '../../src/errors.ts';
import type { Caller } from '../../src/runtime/caller.ts';
import { createGenerateDraftsTool } from '../../src/tools/generate-drafts.ts';
import type { Proposal } from '../../src/tools/tool.ts';
import { toolContext } from '../support/tool-context.ts';

const CALLER: Caller = {
  workspaceId: '019a0000-0000-7000-8000-00000000000a',
  userId: 'ada',
  kind: 'person',
  scopes: null,
  sandbox: false,
  email: null,
  keyId: null,
  plan: 'free',
};
const unasked = () => Promise.reject(new Error('nobody needs it'));

/** How the act ends whose texts cannot be written for this reason; what it does not need is not there. */
function actThatMeets(reason: Error) {
  const tool = createGenerateDraftsTool({
    database: { within: unasked },
    campaignTexts: {
      wantedWithin: unasked,
      beginWithin: unasked,
      endWithin: unasked,
      write: () => Promise.reject(reason),
    },
    credits: { refuseUnaffordableWithin: unasked },
  });
  if (tool.effect !== 'outside') throw new Error('It must be a tool that reaches outside.');
  const proposal: Proposal = {
    args: { campaign_id: '019a0000-0000-7000-8000-00000000000b' },
    stands: {},
    effectClass: 'spend',
    credits: 1,
    title: 'Write texts',
    facts: [],
    warnings: [],
    preview: [],
    consequence: '',
  };
  return tool.act(toolContext(CALLER), proposal);
}

it('is no failure of its own where the database is away: the run goes on where it was', async () => {
  const away = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
  await expect(actThatMeets(away)).rejects.toBe(away);
});

it('fails, with the reason, where the texts cannot be written', async () => {
  expect(await actThatMeets(new ServiceError('MODEL_UNAVAILABLE', 'The model is down.'))).toMatchObject({
    state: 'failed',
    error: { code: 'MODEL_UNAVAILABLE' },
  });
});
