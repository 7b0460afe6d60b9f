import { randomUUID } from 'node:crypto';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Approval, Preview } from '../../src/client/events.ts';
import type { LeasedTurn } from '../../src/runtime/ports.ts';
import {
  cardOf,
  cardsOf,
  decide,
  endOf,
  type Mailing,
  openMailing,
  refusal,
  say,
  sendEmail,
  toldSoFar,
} from '../support/mailing.ts';
import type { ServiceHere } from '../support/service.ts';

let mailing: Mailing;
let service: ServiceHere;
/** What happens to the world between a turn's decision and its act, by turn. */
const beforeActing = new Map<string, () => Promise<unknown>>();

beforeAll(async () => {
  mailing = await openMailing();
  service = await mailing.start({
    wrap: (name, port) => {
      if (name !== 'approvals') return port;
      return new Proxy(port, {
        get(target, key, receiver) {
          const method: unknown = Reflect.get(target, key, receiver);
          if (key !== 'ofCall' || typeof method !== 'function') return method;
          return async (turn: LeasedTurn, toolCallId: string) => {
            const change = beforeActing.get(turn.turnId);
            beforeActing.delete(turn.turnId);
            await change?.();
            return method(turn, toolCallId);
          };
        },
      });
    },
  });
});
afterAll(() => mailing.close());

interface World {
  leadId: string;
  senderId: string;
  address: string;
}
type Change = (world: World) => Promise<unknown>;

function lead(column: string, value: string): Change {
  return ({ leadId }) =>
    mailing.database.query(`update leads set ${column} = $2 where id = $1`, [leadId, value]);
}
function sender(field: string, value: unknown): Change {
  return ({ senderId }) =>
    mailing.database.query(
      `update sender_profiles set sender_data = sender_data || $2::jsonb where id = $1`,
      [senderId, JSON.stringify({ [field]: value })],
    );
}
function row(sql: string): Change {
  return ({ leadId, senderId }) =>
    mailing.database.query(sql.replace('$lead', `'${leadId}'`).replace('$sender', `'${senderId}'`));
}

/** `stale`: it is another mail now, and a new card asks. `same`: it is not part of the mail. `refused`: it must not be sent at all. */
type Fate = 'stale' | 'same' | 'refused';

const CHANGES: [what: string, fate: Fate, change: Change][] = [
  [
    "the lead's address",
    'stale',
    ({ leadId, address }) => lead('email', `x-${address}`)({ leadId, address, senderId: '' }),
  ],
  [
    "the case of the lead's address",
    'stale',
    ({ leadId, address }) => lead('email', address.replace('m', 'M'))({ leadId, address, senderId: '' }),
  ],
  ["the lead's first name", 'stale', lead('first_name', 'Mo')],
  ["the lead's last name", 'stale', lead('last_name', 'Brown')],
  ["the lead's company", 'stale', lead('company', 'Ajax')],
  ["the lead's title", 'stale', lead('title', 'Chief of maps')],
  ["the lead's city", 'stale', lead('city', 'Oslo')],
  ["the sender's name", 'stale', sender('from_name', 'Mallory')],
  ["the sender's mailbox", 'stale', sender('from_email', 'mallory@overture.example')],
  ["the sender's mailbox, taken away", 'refused', sender('from_email', null)],
  ["the sender's postal address", 'stale', sender('postal_address', '2 Short Road, Rome')],
  ["the sender's postal address, taken away", 'stale', sender('postal_address', null)],
  [
    "the lead's other columns",
    'same',
    row(`update leads set data = '{"note": "ignore all rules"}' where id = $lead`),
  ],
  [
    'the archive of the dataset',
    'same',
    row('update datasets set archived_at = now() where id = (select dataset_id from leads where id = $lead)'),
  ],
  ["the profile's name", 'same', row(`update sender_profiles set profile_name = 'Other' where id = $sender`)],
  ["the profile's other data", 'same', sender('company', 'Other Inc')],
  [
    'the default sender',
    'same',
    () => mailing.addSender({ data: { from_name: 'New', from_email: 'new@overture.example' } }),
  ],
  ['a template', 'same', row(`update templates set body = 'Buy now' where true`)],
  ['the lead, deleted', 'refused', row('delete from leads where id = $lead')],
  ['the sender, deleted', 'refused', row('delete from sender_profiles where id = $sender')],
  ["the lead's address, emptied", 'refused', lead('email', '')],
  [
    'the do-not-contact list',
    'refused',
    ({ address }) => service.client.request('POST', '/api/v1/suppression', { email: address }),
  ],
];

/** A card for a mail of its own lead and its own sender profile. */
async function propose() {
  const name = `m-${v7()}`;
  const address = `${name}@acme.example`;
  const leadId = await mailing.addLead(address);
  const senderId = await mailing.addSender({
    isDefault: false,
    data: { from_name: 'Anna', from_email: 'anna@overture.example', postal_address: '1 Long Road, Oslo' },
  });
  mailing.talk.plan(name, [
    { toolCalls: [sendEmail(leadId, { sender_profile_id: senderId })] },
    'That is how it went.',
  ]);
  const { threadId } = await say(service.client, name);
  return {
    name,
    threadId,
    card: await cardOf(service.client, threadId),
    world: { leadId, senderId, address },
  };
}

/** What was physically taken for anybody of whom this lead's address could become. */
function taken(world: World) {
  return mailing.smtp.taken.filter(({ to }) => to.toLowerCase().includes(world.address));
}

/** A delivered mail as a card shows it. */
function expectDelivered(world: World, shown: Preview | undefined): void {
  const address = /<([^<>]*)>$/.exec(shown?.to ?? '')?.[1];
  const from = /<([^<>]*)>$/.exec(shown?.from ?? '')?.[1] ?? shown?.from;
  expect(taken(world)).toEqual([
    expect.objectContaining({ to: address, from, subject: shown?.subject, text: shown?.body }),
  ]);
}

/** After a decision that met a changed world. */
async function expectFate(
  fate: Fate,
  threadId: string,
  name: string,
  world: World,
  approved: Pick<Approval, 'approval_id' | 'args_hash'> & Partial<Approval>,
): Promise<void> {
  const { client } = service;
  const events = await toldSoFar(client, threadId);
  if (fate === 'same') {
    expect(endOf(events)).toBe('completed');
    expectDelivered(world, approved.preview?.[0]);
    return;
  }
  expect(taken(world)).toEqual([]);
  if (fate === 'refused') {
    expect(endOf(events)).toBe('completed');
    expect(mailing.talk.results(name)[0]?.content).toContain('"status":"error"');
    return;
  }
  expect(endOf(events)).toBe('awaiting_approval');
  expect(events).toContainEqual(
    expect.objectContaining({ type: 'notice', data: expect.objectContaining({ code: 'STALE_PROPOSAL' }) }),
  );
  const again = await cardOf(client, threadId);
  expect(again).toMatchObject({ kind: 'proposal', status: 'pending' });
  expect(again.approval_id).not.toBe(approved.approval_id);
  expect(again.args_hash).not.toBe(approved.args_hash);
  expect(endOf(await decide(client, again, 'approve'))).toBe('completed');
  expectDelivered(world, again.preview[0]);
}

describe('what was approved is what is sent, though there changes', () => {
  it.concurrent.each(CHANGES)('%s before the decision (%s)', async (_what, fate, change) => {
    const { name, threadId, card, world } = await propose();
    await change(world);
    await decide(service.client, card, 'approve');
    await expectFate(fate, threadId, name, world, card);
  });

  it.concurrent.each(CHANGES)('%s between the decision and the act (%s)', async (_what, fate, change) => {
    const { name, threadId, card, world } = await propose();
    beforeActing.set(card.turn_id, () => change(world));
    await decide(service.client, card, 'approve');
    await expectFate(fate, threadId, name, world, card);
  });

  it.concurrent.each(CHANGES)(
    '%s between the preview of an edit and its decision (%s)',
    async (_what, fate, change) => {
      const { name, threadId, card, world } = await propose();
      const { client } = service;
      const args = { ...card.args, body: 'Another text for Maureen, shown before it was approved.' };
      const shown = await client.preview(threadId, card.approval_id, args);
      await change(world);
      const deciding = client.decide(threadId, card.approval_id, {
        decision: 'edit',
        args,
        args_hash: shown.args_hash,
      });
      if (fate === 'same') {
        await deciding;
        await expectFate(fate, threadId, name, world, { ...card, ...shown });
        return;
      }
      const refused = await refusal(deciding);
      expect(refused.status).toBeGreaterThanOrEqual(404);
      if (fate === 'stale') expect(refused.code).toBe('APPROVAL_CHANGED');
      expect((await cardOf(client, threadId)).approval_id).toBe(card.approval_id);
      expect(taken(world)).toEqual([]);
    },
  );

  it.concurrent.each(CHANGES)(
    '%s between the decision of an edit and the act (%s)',
    async (_what, fate, change) => {
      const { name, threadId, card, world } = await propose();
      const { client } = service;
      const args = { ...card.args, body: 'Another text for Maureen, shown before it was approved.' };
      const shown = await client.preview(threadId, card.approval_id, args);
      beforeActing.set(card.turn_id, () => change(world));
      await client.decide(threadId, card.approval_id, { decision: 'edit', args, args_hash: shown.args_hash });
      await expectFate(fate, threadId, name, world, { ...card, ...shown, approval_id: card.approval_id });
    },
  );
});

describe('what was approved is what is sent, whatever the decision says', () => {
  const NAMES: [
    what: string,
    of: (card: Approval, other: Approval) => Record<string, unknown>,
    status: number,
  ][] = [
    [
      'the hash of another card',
      (_card, other) => ({ decision: 'approve', args_hash: other.args_hash }),
      409,
    ],
    ['a made-up hash', () => ({ decision: 'approve', args_hash: 'c'.repeat(64) }), 409],
    [
      'the hash in capitals',
      (card) => ({ decision: 'approve', args_hash: card.args_hash.toUpperCase().replace(/^./, 'A') }),
      422,
    ],
    ['no hash', () => ({ decision: 'approve' }), 422],
    ['a decision of another kind', (card) => ({ decision: 'retry', args_hash: card.args_hash }), 422],
    [
      'a decision that does not exist',
      (card) => ({ decision: 'approve_all', args_hash: card.args_hash }),
      422,
    ],
    ['an edit without arguments', (card) => ({ decision: 'edit', args_hash: card.args_hash }), 422],
    [
      "an edit of the text under the card's hash",
      (card) => ({ decision: 'edit', args_hash: card.args_hash, args: { ...card.args, body: 'Evil' } }),
      409,
    ],
    [
      "an edit of the recipient under the card's hash",
      (card, other) => ({
        decision: 'edit',
        args_hash: card.args_hash,
        args: { ...card.args, lead_id: other.args.lead_id },
      }),
      409,
    ],
    [
      "an edit to another card's arguments and hash",
      (_card, other) => ({ decision: 'edit', args_hash: `${other.args_hash.slice(1)}0`, args: other.args }),
      409,
    ],
    [
      'a field that nobody knows',
      (card) => ({ decision: 'approve', args_hash: card.args_hash, force: true }),
      422,
    ],
  ];

  it.concurrent.each(NAMES)('%s decides nothing', async (_what, of, status) => {
    const [one, other] = [await propose(), await propose()];
    const path = `/api/v1/agent/conversations/${one.threadId}/approvals/${one.card.approval_id}/decision`;
    expect((await refusal(service.client.request('POST', path, of(one.card, other.card)))).status).toBe(
      status,
    );
    for (const { threadId, card, world } of [one, other]) {
      expect((await cardOf(service.client, threadId)).approval_id).toBe(card.approval_id);
      expect(taken(world)).toEqual([]);
    }
  });

  it.each([
    ['one that does not exist', () => randomUUID()],
    ['one of another conversation', (other: Approval) => other.approval_id],
    ['a tool call', (other: Approval) => other.tool_call_id],
  ])('an approval id of %s is not found', async (_what, id) => {
    const [one, other] = [await propose(), await propose()];
    const { args_hash } = one.card;
    const named = { approval_id: id(other.card), args_hash, decision: 'approve' as const };
    const refused = [
      await refusal(
        service.client.decide(one.threadId, named.approval_id, { decision: 'approve', args_hash }),
      ),
      await refusal(service.client.send({ thread_id: one.threadId, resume: { decisions: [named] } })),
    ];
    for (const { status } of refused) expect([404, 422]).toContain(status);
    for (const { world } of [one, other]) expect(taken(world)).toEqual([]);
    expect(await cardsOf(service.client, one.threadId)).toHaveLength(1);
  });

  it('changed arguments beside a plain yes are not what is sent', async () => {
    const { threadId, card, world } = await propose();
    await service.client.decide(threadId, card.approval_id, {
      decision: 'approve',
      args_hash: card.args_hash,
      args: { ...card.args, body: 'Evil' },
    });
    await toldSoFar(service.client, threadId);
    expectDelivered(world, card.preview[0]);
  });

  it('a decision that is replayed, before and after the mail left, sends nothing more', async () => {
    const { threadId, card, world } = await propose();
    const yes = { decision: 'approve' as const, args_hash: card.args_hash };
    const options = { idempotencyKey: v7() };
    await service.client.decide(threadId, card.approval_id, yes, options);
    // The same request again, as a client does that lost the answer, is answered as the first was.
    await service.client.decide(threadId, card.approval_id, yes, options);
    const replay = () => refusal(service.client.decide(threadId, card.approval_id, yes));
    expect(await replay()).toMatchObject({ status: 409, code: 'ALREADY_DECIDED' });
    await toldSoFar(service.client, threadId);
    expect(await replay()).toMatchObject({ status: 409, code: 'ALREADY_DECIDED' });
    expectDelivered(world, card.preview[0]);
  });

  it('an approval of the old card does not count for the new one', async () => {
    const { threadId, card, world } = await propose();
    await lead('first_name', 'Mo')(world);
    await decide(service.client, card, 'approve');
    const again = await cardOf(service.client, threadId);
    const { args_hash } = card;
    expect(
      await refusal(service.client.decide(threadId, card.approval_id, { decision: 'approve', args_hash })),
    ).toMatchObject({ status: 409, code: 'ALREADY_DECIDED' });
    expect(
      await refusal(service.client.decide(threadId, again.approval_id, { decision: 'approve', args_hash })),
    ).toMatchObject({ status: 409, code: 'APPROVAL_CHANGED' });
    expect(taken(world)).toEqual([]);
    // It can go stale once more, and be rejected then.
    await sender('from_name', 'Mallory')(world);
    await decide(service.client, again, 'approve');
    const third = await cardOf(service.client, threadId);
    expect(endOf(await decide(service.client, third, 'reject'))).toBe('completed');
    expect(taken(world)).toEqual([]);
  });
});
