/** A launch that was approved by talking is the one that was shown: the world changes between card and decision, 200 times over. */

import fc from 'fast-check';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Approval } from '../../src/client/events.ts';
import { DEV_WORKSPACE } from '../../src/http/caller.ts';
import type { Campaign } from '../../src/resources/campaigns/schema.ts';
import { cardOf, decide, endOf, refusal, say, toldSoFar } from '../support/mailing.ts';
import { DAY, MINUTE, type Newcomer, openNewcomer } from '../support/newcomer.ts';

/** A Monday within the window: the first mail of a launch would leave at once. */
const TEN = Date.parse('2026-03-02T10:00:00Z');
const LEADS = 6;
const MUTATIONS = 200;

let newcomer: Newcomer;
beforeAll(async () => {
  newcomer = await openNewcomer({ start: TEN });
});
afterAll(() => newcomer.close());

interface World {
  /** In every name and address of this world, and in no other. */
  mark: string;
  campaignId: string;
  datasetId: string;
  templateId: string;
  senderId: string;
  leadIds: string[];
}

const request = <T = unknown>(method: string, path: string, body?: unknown) =>
  newcomer.service.client.request<T>(method, path, body);
const sql = (text: string, values: unknown[]) => newcomer.database.query(text, values);
const patch = (world: World, changes: Record<string, unknown>) =>
  request('PATCH', `/api/v1/campaigns/${world.campaignId}`, changes);

async function addPeople(mark: string, names: readonly string[]): Promise<{ id: string; leadIds: string[] }> {
  const id = v7();
  await sql(
    `insert into datasets (id, workspace_id, user_id, name, source_type, row_count) values ($1, $2, 'local', $3, 'csv', $4)`,
    [id, DEV_WORKSPACE, `People ${mark} ${id}`, names.length],
  );
  const leadIds = names.map(() => v7());
  await sql(
    `insert into leads (id, workspace_id, dataset_id, row_index, email, first_name, company)
     select l.id, $1, $2, l.place - 1, l.name || '@' || $3 || '.example', l.name, 'Acme'
       from unnest($4::uuid[], $5::text[]) with ordinality as l(id, name, place)`,
    [DEV_WORKSPACE, id, mark, leadIds, names],
  );
  return { id, leadIds };
}

async function addSender(mark: string, name: string): Promise<string> {
  const id = v7();
  const data = { from_name: name, from_email: `${name}@${mark}.test`, postal_address: '1 Long Road, Oslo' };
  await sql(
    `insert into sender_profiles (id, workspace_id, user_id, profile_name, sender_data) values ($1, $2, 'local', $3, $4)`,
    [id, DEV_WORKSPACE, `${name} ${mark}`, JSON.stringify(data)],
  );
  return id;
}

const variant = (words: Record<string, unknown>) => ({ label: 'A', weight: 100, type: 'TEMPLATE', ...words });
const reminder = (body = 'Hello {{first_name|there}}, still of interest? {{unsubscribe_link}}') => ({
  step: 2,
  delay_days: 2,
  variants: [variant({ subject: 'Again', body })],
});
const stepsOf = (world: Pick<World, 'templateId'>) => [
  { step: 1, delay_days: 0, variants: [variant({ template_id: world.templateId })] },
  reminder(),
];

async function makeWorld(): Promise<World> {
  const mark = `w${v7().replaceAll('-', '').slice(-12)}`;
  const { id: datasetId, leadIds } = await addPeople(
    mark,
    Array.from({ length: LEADS }, (_, index) => `p${index}`),
  );
  const senderId = await addSender(mark, 'jane');
  const { template_id: templateId } = await request<{ template_id: string }>('POST', '/api/v1/templates/', {
    name: `Hello ${mark}`,
    subject: 'Maps for {{company}}',
    body: 'Hello {{first_name|there}}, shall we talk about maps? {{unsubscribe_link}}',
  });
  const { campaign_id: campaignId } = await request<Campaign>('POST', '/api/v1/campaigns/', {
    name: `Plan ${mark}`,
    dataset_id: datasetId,
    alias_ids: [senderId],
    min_interval_seconds: 60,
    steps: stepsOf({ templateId }),
  });
  return { mark, campaignId, datasetId, templateId, senderId, leadIds };
}

/** The next number below `below`, from the case's own seed. */
type Dice = (below: number) => number;

function diceOf(seed: number): Dice {
  const [stream] = fc.sample(fc.infiniteStream(fc.nat()), { seed, numRuns: 1 });
  return (below) => (stream?.next().value ?? 0) % below;
}
const oneOf = <Item>(dice: Dice, items: readonly Item[]): Item => items[dice(items.length)] as Item;
const words = (dice: Dice) => `other words ${dice(1e6)}`;

/** `stale`: another launch would happen now, and a new card asks. `refused`: none can happen any more. */
type Fate = 'stale' | 'refused';

const setLead =
  (column: string, value: (dice: Dice, world: World) => string | null) => (world: World, dice: Dice) =>
    sql(`update leads set ${column} = $2 where id = $1`, [oneOf(dice, world.leadIds), value(dice, world)]);
const setSender =
  (field: string, value: (dice: Dice, world: World) => string) => (world: World, dice: Dice) =>
    sql('update sender_profiles set sender_data = sender_data || $2::jsonb where id = $1', [
      world.senderId,
      JSON.stringify({ [field]: value(dice, world) }),
    ]);
const setCampaign =
  (changes: (dice: Dice, world: World) => Record<string, unknown>) => (world: World, dice: Dice) =>
    patch(world, changes(dice, world));

/** Everything that an approved launch stands for, and how the world may change it. */
const KINDS: [what: string, fate: Fate, change: (world: World, dice: Dice) => Promise<unknown>][] = [
  [
    'leads of another list join',
    'stale',
    async (world, dice) => {
      const { leadIds } = await addPeople(
        world.mark,
        Array.from({ length: 1 + dice(3) }, (_, index) => `new${index}`),
      );
      return request('POST', `/api/v1/campaigns/${world.campaignId}/leads`, { lead_ids: leadIds });
    },
  ],
  [
    'another list joins',
    'stale',
    async (world) => {
      const { id } = await addPeople(world.mark, ['joined']);
      return request('POST', `/api/v1/campaigns/${world.campaignId}/leads`, { dataset_id: id });
    },
  ],
  [
    'a row is added to the list',
    'stale',
    (world) =>
      sql(
        `insert into leads (id, workspace_id, dataset_id, row_index, email, first_name, company) values ($1, $2, $3, 99, $4, 'New', 'Acme')`,
        [v7(), DEV_WORKSPACE, world.datasetId, `added@${world.mark}.example`],
      ),
  ],
  [
    'a lead is deleted',
    'stale',
    (world, dice) => sql('delete from leads where id = $1', [oneOf(dice, world.leadIds)]),
  ],
  [
    "a lead's address changes",
    'stale',
    setLead('email', (dice, { mark }) => `moved${dice(1e6)}@${mark}.example`),
  ],
  ["a lead's address is none any more", 'stale', setLead('email', () => 'nowhere')],
  ["a lead's name changes", 'stale', setLead('first_name', (dice) => `Mo${dice(1e6)}`)],
  ["a lead's name is lost", 'stale', setLead('first_name', () => null)],
  ["a lead's company changes", 'stale', setLead('company', (dice) => `Ajax ${dice(1e6)}`)],
  [
    'a lead becomes the double of another',
    'stale',
    async (world, dice) => {
      const [first, second] = [world.leadIds[dice(3)], world.leadIds[3 + dice(3)]];
      return sql('update leads set email = (select email from leads where id = $1) where id = $2', [
        first,
        second,
      ]);
    },
  ],
  [
    'an address is suppressed',
    'stale',
    (world, dice) =>
      request('POST', '/api/v1/suppression', { email: `p${dice(LEADS)}@${world.mark}.example` }),
  ],
  [
    'somebody is written to by another mail',
    'stale',
    (world, dice) =>
      sql(
        `insert into outbox (id, workspace_id, from_address, to_address, subject, body, message_id, status)
         values ($1, $2, 'a@b.example', $3, 'Hi', 'Hi', $4, 'sent')`,
        [v7(), DEV_WORKSPACE, `p${dice(LEADS)}@${world.mark}.example`, `<${v7()}@b.example>`],
      ),
  ],
  [
    "the template's text changes",
    'stale',
    (world, dice) => request('PATCH', `/api/v1/templates/${world.templateId}`, { body: words(dice) }),
  ],
  [
    "the template's subject changes",
    'stale',
    (world, dice) => request('PATCH', `/api/v1/templates/${world.templateId}`, { subject: words(dice) }),
  ],
  [
    "a step's text changes",
    'stale',
    setCampaign((dice, world) => ({ steps: [stepsOf(world)[0], reminder(words(dice))] })),
  ],
  [
    'a step is added',
    'stale',
    setCampaign((dice, world) => ({ steps: [...stepsOf(world), { ...reminder(words(dice)), step: 3 }] })),
  ],
  ['a step is taken out', 'stale', setCampaign((_dice, world) => ({ steps: stepsOf(world).slice(0, 1) }))],
  [
    'a step waits longer',
    'stale',
    setCampaign((dice, world) => ({
      steps: [stepsOf(world)[0], { ...reminder(), delay_days: 3 + dice(30) }],
    })),
  ],
  [
    'a step gets a second variant',
    'stale',
    setCampaign((dice, world) => ({
      steps: [
        stepsOf(world)[0],
        {
          ...reminder(),
          variants: [...reminder().variants, { ...variant({ subject: 'B', body: words(dice) }), label: 'B' }],
        },
      ],
    })),
  ],
  [
    'another sender writes',
    'stale',
    async (world) => patch(world, { alias_ids: [await addSender(world.mark, 'bob')] }),
  ],
  [
    'a second sender takes turns',
    'stale',
    async (world) => patch(world, { alias_ids: [world.senderId, await addSender(world.mark, 'bob')] }),
  ],
  ["the sender's name changes", 'stale', setSender('from_name', (dice) => `Mallory ${dice(1e6)}`)],
  [
    "the sender's mailbox changes",
    'stale',
    setSender('from_email', (dice, { mark }) => `m${dice(1e6)}@${mark}.test`),
  ],
  [
    "the sender's postal address changes",
    'stale',
    setSender('postal_address', (dice) => `${dice(1e6)} Short Road`),
  ],
  ['it gets another name', 'stale', setCampaign((dice, { mark }) => ({ name: `Plan ${mark} ${dice(1e6)}` }))],
  ['the daily limit changes', 'stale', setCampaign((dice) => ({ daily_limit: 1 + dice(400) }))],
  ['the interval changes', 'stale', setCampaign((dice) => ({ min_interval_seconds: 61 + dice(600) }))],
  [
    'the window changes',
    'stale',
    setCampaign((dice) => ({ sending_window_start: `0${dice(9)}:${10 + dice(50)}:00` })),
  ],
  [
    'the window closes earlier',
    'stale',
    setCampaign((dice) => ({ sending_window_end: `${11 + dice(6)}:${10 + dice(50)}:00` })),
  ],
  [
    'the days change',
    'stale',
    setCampaign((dice) => ({
      send_days: oneOf(dice, [['mon'], ['mon', 'tue'], ['wed', 'fri'], ['sat'], ['mon', 'sun']]),
    })),
  ],
  [
    'the time zone changes',
    'stale',
    setCampaign((dice) => ({
      timezone: oneOf(dice, ['Europe/Berlin', 'Asia/Tokyo', 'America/New_York', 'Africa/Lagos']),
    })),
  ],
  [
    'it starts later',
    'stale',
    setCampaign((dice) => ({
      launch_type: 'scheduled',
      start_date: new Date(TEN + DAY + dice(20 * DAY)).toISOString(),
    })),
  ],
  [
    'the template is deleted',
    'refused',
    (world) => request('DELETE', `/api/v1/templates/${world.templateId}`),
  ],
  ['the sender loses its mailbox', 'refused', (world) => setSender('from_email', () => '')(world, diceOf(1))],
  [
    'the campaign is deleted',
    'refused',
    (world) => request('DELETE', `/api/v1/campaigns/${world.campaignId}`),
  ],
  [
    'the list is archived',
    'refused',
    (world) => sql('update datasets set archived_at = now() where id = $1', [world.datasetId]),
  ],
  ['the window never opens', 'refused', (world) => patch(world, { send_days: [] })],
];

const mailsOf = (world: World) =>
  sql('select id from outbox where campaign_id = $1', [world.campaignId]).then((rows) => rows.length);

/** Asks for the launch by talking, and answers the card. */
async function propose(world: World): Promise<Approval> {
  const { threadId } = await say(newcomer.service.client, `Launch the “Plan ${world.mark}” campaign`);
  return cardOf(newcomer.service.client, threadId);
}

/** How many mails each world may have got, by its mark; worlds that are not in it got none. */
const allowed = new Map<string, number>();

const cases = Array.from({ length: MUTATIONS }, (_, seed) => {
  const [what, fate, change] = KINDS[seed % KINDS.length] as (typeof KINDS)[number];
  return { seed, what, fate, change };
});

describe('between the card of a launch and its decision', () => {
  it.concurrent.each(cases)('$what ($fate, seed $seed): no mail', async ({ seed, what, fate, change }) => {
    const { client } = newcomer.service;
    const dice = diceOf(seed);
    const world = await makeWorld();
    const card = await propose(world);
    expect(card.facts).toContainEqual({ label: 'Recipients', value: `${LEADS} of ${LEADS} leads` });
    if (seed % 4 === 3) {
      // An edit was shown, and the world changes before it is decided: its hash is not the card's any more.
      // Not of the field that the world changes: what an edit sets anyway is not part of what has changed.
      const edited = what === 'it gets another name' ? { daily_limit: 40 } : { name: `Edit ${world.mark}` };
      const args = { ...card.args, ...edited };
      const shown = await client.preview(card.thread_id, card.approval_id, args);
      expect(shown.args_hash).not.toBe(card.args_hash);
      await change(world, dice);
      const edit = { decision: 'edit' as const, args, args_hash: shown.args_hash };
      const { status, code } = await refusal(client.decide(card.thread_id, card.approval_id, edit));
      expect(status, code).toBeGreaterThanOrEqual(404);
      if (fate === 'stale') expect(code).toBe('APPROVAL_CHANGED');
    } else {
      await change(world, dice);
    }
    await decide(client, card, 'approve');
    const events = await toldSoFar(client, card.thread_id);
    expect(await mailsOf(world)).toBe(0);
    const stale = expect.objectContaining({
      type: 'notice',
      data: expect.objectContaining({ code: 'STALE_PROPOSAL' }),
    });
    if (fate === 'refused') {
      expect(endOf(events)).toBe('completed');
      return;
    }
    expect(events).toContainEqual(stale);
    expect(endOf(events)).toBe('awaiting_approval');
    const again = await cardOf(client, card.thread_id);
    expect(again).toMatchObject({ tool: 'launch_campaign', kind: 'proposal', status: 'pending' });
    expect([again.approval_id, again.args_hash]).not.toContain(card.approval_id);
    expect(again.args_hash).not.toBe(card.args_hash);
    // Some go on with what is true now: then that is what happens, and once.
    if (seed % 8 !== 0) return;
    expect(endOf(await decide(client, again, 'approve'))).toBe('completed');
    const recipients = Number(again.facts.find(({ label }) => label === 'Recipients')?.value.split(' ')[0]);
    expect(await mailsOf(world)).toBe(recipients);
    allowed.set(world.mark, recipients);
  });
});

describe('what a launch does not stand for', () => {
  it('the moments of the mails: where another campaign takes the mailbox first, they leave later', async () => {
    const { client } = newcomer.service;
    const world = await makeWorld();
    const card = await propose(world);
    expect(card.facts).toContainEqual({ label: 'First mail', value: 'Mon, 2 Mar 2026, 10:00 (UTC)' });
    const rival = await addPeople(world.mark, ['q0', 'q1']);
    const { campaign_id: rivalId } = await request<Campaign>('POST', '/api/v1/campaigns/', {
      name: 'Rival',
      dataset_id: rival.id,
      alias_ids: [world.senderId],
      min_interval_seconds: 600,
      steps: stepsOf(world).slice(0, 1),
    });
    await request('POST', `/api/v1/campaigns/${rivalId}/launch`);
    expect(endOf(await decide(client, card, 'approve'))).toBe('completed');
    const due = await newcomer.database.query<{ at: Date; ours: boolean }>(
      `select coalesce(started_at, due_at) as at, campaign_id = $1 as ours from outbox
        where campaign_id in ($1, $2) order by 1`,
      [world.campaignId, rivalId],
    );
    expect(due.filter(({ ours }) => ours)).toHaveLength(LEADS);
    expect(due.filter(({ ours }) => ours)[0]?.at.getTime()).toBe(TEN + 20 * MINUTE);
    allowed.set(world.mark, LEADS + 2);
  });

  it.each([
    [
      "a lead's column that no text names",
      (world: World) => setLead('title', () => 'Chief')(world, diceOf(1)),
    ],
    [
      'a template that it does not use',
      () => request('POST', '/api/v1/templates/', { name: 'Other', subject: 'Other', body: 'Other' }),
    ],
    ["the sender's other data", (world: World) => setSender('company', () => 'Other Inc')(world, diceOf(1))],
    ['its description', (world: World) => patch(world, { description: 'Other' })],
  ])('%s', async (_what, change) => {
    const world = await makeWorld();
    const card = await propose(world);
    await change(world);
    expect(endOf(await decide(newcomer.service.client, card, 'approve'))).toBe('completed');
    expect(await mailsOf(world)).toBe(LEADS);
    allowed.set(world.mark, LEADS);
  });
});

describe('a launch that is edited on its card', () => {
  const edits: [
    what: string,
    changes: (world: World) => Record<string, unknown>,
    fact: string,
    value: string,
  ][] = [
    ['the name', () => ({ name: 'Another plan' }), 'Campaign', 'Another plan'],
    ['the daily limit', () => ({ daily_limit: 2 }), 'Last first mail', 'Wed, 4 Mar 2026, 09:01 (UTC)'],
    [
      'the start',
      () => ({ start_date: '2026-03-05T12:30:00Z' }),
      'First mail',
      'Thu, 5 Mar 2026, 12:30 (UTC)',
    ],
    [
      'the texts of its steps',
      () => ({
        texts: [
          { step: 1, subject: 'Edited for {{first_name}}', body: 'One {{unsubscribe_link}}' },
          { step: 2, subject: 'Edited again', body: 'Two {{unsubscribe_link}}' },
        ],
      }),
      'Recipients',
      `${LEADS} of ${LEADS} leads`,
    ],
  ];
  it.concurrent.each(edits)(
    'is shown anew with %s, hashed anew, and done as shown',
    async (_what, changes, fact, value) => {
      const { client } = newcomer.service;
      const world = await makeWorld();
      const card = await propose(world);
      const args = { ...card.args, ...changes(world) };
      const shown = await client.preview(card.thread_id, card.approval_id, args);
      expect(shown.args_hash).not.toBe(card.args_hash);
      expect(shown.facts).toContainEqual({ label: fact, value });
      expect(await mailsOf(world)).toBe(0);
      // The card's own hash does not stand for the edit.
      const unseen = { decision: 'edit' as const, args, args_hash: card.args_hash };
      expect(await refusal(client.decide(card.thread_id, card.approval_id, unseen))).toMatchObject({
        status: 409,
        code: 'APPROVAL_CHANGED',
      });
      const edit = { args, args_hash: shown.args_hash };
      expect(endOf(await decide(client, card, 'edit', edit))).toBe('completed');
      allowed.set(world.mark, LEADS);
      const mails = await newcomer.database.query<{ subject: string; body: string; at: Date }>(
        'select subject, body, coalesce(started_at, due_at) as at from outbox where campaign_id = $1 order by at',
        [world.campaignId],
      );
      expect(mails).toHaveLength(LEADS);
      expect(mails[0]?.subject).toBe(shown.preview?.[0]?.subject);
      const campaign = await request<Campaign>('GET', `/api/v1/campaigns/${world.campaignId}`);
      expect(campaign).toMatchObject({
        name: args.name ?? `Plan ${world.mark}`,
        daily_limit: args.daily_limit ?? 500,
        launch_type: args.start_date === undefined ? 'immediate' : 'scheduled',
        status: args.start_date === undefined ? 'active' : 'scheduled',
      });
      if (fact === 'First mail') expect(mails[0]?.at.toISOString()).toBe('2026-03-05T12:30:00.000Z');
      if (fact === 'Last first mail') expect(mails.at(-1)?.at.toISOString()).toBe('2026-03-04T09:01:00.000Z');
    },
  );
});

describe('after all that', () => {
  it('only those got mail whose newest card was approved, and nobody twice', async () => {
    await newcomer.runUntil(TEN + 8 * DAY);
    expect(allowed.size).toBeGreaterThan(20);
    const marks = Map.groupBy(newcomer.arrivals, ({ from }) => /@(.+)\.test$/.exec(from)?.[1] ?? from);
    expect([...marks.keys()].filter((mark) => !allowed.has(mark))).toEqual([]);
    for (const [mark, most] of allowed) {
      const first = (marks.get(mark) ?? []).filter(({ subject }) => !/again/i.test(subject));
      expect(new Set(first.map(({ to }) => to)).size, mark).toBe(first.length);
      expect(first.length, mark).toBeLessThanOrEqual(most);
    }
    expect(newcomer.arrivals.length).toBeGreaterThan(100);
  });
});
