/** The tool that reads what came back, against PostgreSQL. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createReplies, type Replies } from '../../src/resources/replies/replies.ts';
import { createSuppression } from '../../src/resources/suppression/suppression.ts';
import { createListRepliesTool } from '../../src/tools/list-replies.ts';
import { type HttpHarness, startHttpHarness } from '../support/http-harness.ts';
import { humanReply, outOfOffice, postfixBounce, rawMail } from '../support/raw-mails.ts';
import { toolContext } from '../support/tool-context.ts';

let harness: HttpHarness;
let replies: Replies;
let now = Date.parse('2026-03-02T11:00:00Z');
beforeAll(async () => {
  harness = await startHttpHarness({
    routes(needs) {
      replies = createReplies({ ...needs, now: () => now, suppression: createSuppression(needs) });
      return [];
    },
  });
});
afterAll(() => harness.close());
beforeEach(() => harness.ownerQuery('delete from replies'));

interface Told {
  total: number;
  replies: Record<string, unknown>[];
}
function run(args: Record<string, unknown> = {}, workspace: 'caller' | 'other' = 'caller'): Promise<Told> {
  const tool = createListRepliesTool({ replies });
  if (tool.effect !== 'none') throw new Error('it does something');
  return tool.run(toolContext(harness[workspace]), tool.schema.parse(args)) as Promise<Told>;
}
const receive = (raw: string) => replies.receive(harness.caller, Buffer.from(raw));

describe('list_replies', () => {
  it('reads only, and what it reads is a stranger’s', () => {
    expect(createListRepliesTool({ replies })).toMatchObject({
      name: 'list_replies',
      effect: 'none',
      untrusted: true,
    });
  });

  it('tells what came back, without what it quotes and what nobody sees', async () => {
    expect(await run()).toEqual({ total: 0, replies: [] });
    const { reply } = await receive(
      humanReply('<none@example.com>', { body: 'Yes\u200b, gladly.\n\n> Hello\n> there\nCall me.' }),
    );
    expect(await run()).toEqual({
      total: 1,
      replies: [
        {
          reply_id: reply.reply_id,
          kind: 'reply',
          from_email: 'person0@acme.example',
          from_name: 'Maureen Fuentes',
          subject: 'Re: Maps for Acme',
          text: 'Yes, gladly. Call me.',
          received_at: '2026-03-02T11:00:00.000Z',
          campaign_id: null,
          lead_id: null,
        },
      ],
    });
    expect(await run({}, 'other')).toEqual({ total: 0, replies: [] });
  });

  it('narrows to a kind, a time and a number, and is brief', async () => {
    await receive(rawMail({ body: 'x'.repeat(10_000) }));
    await receive(outOfOffice('<none@example.com>'));
    now += 60_000;
    await receive(postfixBounce({ to: 'gone@acme.example', messageId: null, status: '5.1.1' }));
    expect(await run({ kind: 'bounce' })).toMatchObject({
      total: 1,
      replies: [{ bounce: { type: 'hard', status: '5.1.1', recipient: 'gone@acme.example' } }],
    });
    expect((await run({ since: new Date(now).toISOString() })).total).toBe(1);
    const two = await run({ limit: 2 });
    expect([two.total, two.replies.map(({ kind }) => kind)]).toEqual([3, ['bounce', 'auto_reply']]);
    const [long] = (await run({ kind: 'reply' })).replies;
    expect(String(long?.text).length).toBeLessThanOrEqual(1500);
    expect((await run({ campaign_id: harness.newId() })).total).toBe(0);
  });

  it('refuses what it does not know', () => {
    const { schema } = createListRepliesTool({ replies });
    for (const args of [{ kind: 'spam' }, { limit: 26 }, { since: 'yesterday' }, { workspace_id: 'x' }])
      expect(schema.safeParse(args).success).toBe(false);
  });
});
