/** What was approved is what is executed: worlds that change, decisions that do not fit, and people who may not decide. */

import { v7 } from 'uuid';
import { afterAll, beforeAll } from 'vitest';
import { type Client, createClient } from '../../src/client/client.ts';
import { ClientError } from '../../src/client/errors.ts';
import type { Approval } from '../../src/client/events.ts';
import type { LeasedTurn } from '../../src/runtime/ports.ts';
import {
  cardOf,
  eventually,
  type Mailing,
  openMailing,
  say,
  sendEmail,
  toldSoFar,
} from '../support/mailing.ts';
import { proves } from '../support/proves.ts';
import type { ScriptedToolCall } from '../support/scripted-model.ts';
import type { ServiceHere } from '../support/service.ts';

/** What a card stands on. */
interface World {
  leadIds: readonly string[];
  senderId: string;
  templateId: string;
  campaignId: string;
  datasetId: string;
  address: string;
}

interface Proposed {
  card: Approval;
  threadId: string;
  world: World;
}

/** Numbers by a seed (mulberry32), so that a failure can be tried again. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Declares `count` mutations, replays, expiries and wrong approvers of mails and campaigns; none may be executed. */
export function provesBindings(count: number): void {
  let mailing: Mailing;
  let service: ServiceHere;
  let keyClient: Client;
  /** What happens between a turn's decision and its act, by turn. */
  const beforeActing = new Map<string, () => Promise<unknown>>();
  beforeAll(async () => {
    mailing = await openMailing({ LEASE_SECONDS: '60', PUBLIC_URL: 'https://overture.example' });
    service = await mailing.start({
      wrap: (name, port) =>
        name !== 'approvals'
          ? port
          : new Proxy(port, {
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
            }),
    });
    const { key } = await service.client.request<{ key: string }>('POST', '/api/v1/api-keys', {
      name: 'may not decide',
      scopes: ['read', 'write', 'send'],
    });
    keyClient = createClient({ baseUrl: service.url, token: key });
  });
  afterAll(() => mailing.close());

  const sql = (text: string, values: unknown[] = []) => mailing.database.query(text, values);

  async function makeWorld(leads: number): Promise<World> {
    const address = `m-${v7()}@acme.example`;
    const senderId = await mailing.addSender({
      isDefault: false,
      data: { from_name: 'Anna', from_email: 'anna@overture.example', postal_address: '1 Long Road, Oslo' },
    });
    const leadIds = [await mailing.addLead(address)];
    const [lead] = await mailing.database.query<{ dataset_id: string }>(
      'select dataset_id from leads where id = $1',
      [leadIds[0]],
    );
    const datasetId = lead?.dataset_id ?? '';
    while (leadIds.length < leads) leadIds.push(await addToDataset(datasetId, `x-${v7()}@acme.example`));
    return { leadIds, senderId, templateId: '', campaignId: '', datasetId, address };
  }

  async function addToDataset(datasetId: string, email: string): Promise<string> {
    const id = v7();
    await sql(
      `insert into leads (id, workspace_id, dataset_id, row_index, email, first_name, last_name, company)
       select $1, workspace_id, id, (select max(row_index) + 1 from leads where dataset_id = $2), $3, 'Jo', 'Doe', 'Acme'
         from datasets where id = $2`,
      [id, datasetId, email],
    );
    return id;
  }

  async function ask(world: World, call: ScriptedToolCall): Promise<Proposed> {
    const words = `propose ${v7()}`;
    mailing.talk.plan(words, [{ toolCalls: [call] }, 'That is how it went.']);
    const { threadId } = await say(service.client, words);
    return { threadId, world, card: await cardOf(service.client, threadId) };
  }

  async function proposeMail(): Promise<Proposed> {
    const world = await makeWorld(1);
    return ask(world, sendEmail(world.leadIds[0] ?? '', { sender_profile_id: world.senderId }));
  }

  async function proposeLaunch(): Promise<Proposed> {
    const world = await makeWorld(2);
    const template = await service.client.request<{ template_id?: string; id?: string }>(
      'POST',
      '/api/v1/templates/',
      {
        name: 'Hello',
        subject: 'Maps for {{company|you}}',
        body: 'Hello {{first_name|there}} {{last_name|}},\n\nshall we talk about maps?',
      },
    );
    const templateId = template.template_id ?? template.id ?? '';
    const campaign = await service.client.request<{ campaign_id: string }>('POST', '/api/v1/campaigns/', {
      name: `Campaign ${v7()}`,
      dataset_id: world.datasetId,
      alias_ids: [world.senderId],
      timezone: 'UTC',
      steps: [
        {
          step: 1,
          delay_days: 0,
          variants: [{ label: 'A', weight: 100, type: 'TEMPLATE', template_id: templateId }],
        },
      ],
    });
    const { campaign_id: campaignId } = campaign;
    return ask(
      { ...world, templateId, campaignId },
      { name: 'launch_campaign', args: { campaign_id: campaignId, start_date: '2199-01-07T09:00:00Z' } },
    );
  }

  const lead = (column: string) => (world: World, word: string) =>
    sql(`update leads set ${column} = $2 where id = $1`, [
      world.leadIds[0],
      column === 'email' ? `${word}-${world.address}` : word,
    ]);
  const sender = (field: string) => (world: World, word: string) =>
    sql(`update sender_profiles set sender_data = sender_data || $2::jsonb where id = $1`, [
      world.senderId,
      JSON.stringify({ [field]: field === 'from_email' ? `${word}@overture.example` : word }),
    ]);
  const suppress = (world: World) =>
    service.client.request('POST', '/api/v1/suppression', { email: world.address });
  type Change = (world: World, word: string) => Promise<unknown>;
  const OF_A_MAIL: Change[] = [
    ...['email', 'first_name', 'last_name', 'company', 'title', 'city'].map(lead),
    ...['from_name', 'from_email', 'postal_address'].map(sender),
    (world) => sql('delete from leads where id = $1', [world.leadIds[0]]),
    (world) => sql('delete from sender_profiles where id = $1', [world.senderId]),
    suppress,
  ];
  const OF_A_LAUNCH: Change[] = [
    ...['email', 'first_name', 'last_name', 'company'].map(lead),
    ...['from_name', 'from_email'].map(sender),
    (world, word) => sql('update templates set subject = $2 where id = $1', [world.templateId, word]),
    (world, word) => sql('update templates set body = $2 where id = $1', [world.templateId, word]),
    (world, word) => addToDataset(world.datasetId, `${word}-${world.address}`),
    (world) => sql('delete from leads where id = $1', [world.leadIds[0]]),
    (world) =>
      sql(`update campaigns set steps = jsonb_set(steps, '{0,delay_days}', '3') where id = $1`, [
        world.campaignId,
      ]),
    (world, word) =>
      sql(
        `update campaigns set steps = steps || jsonb_build_array(jsonb_set(jsonb_set(steps->0, '{step}', '2'), '{delay_days}', '2')) where id = $1 and $2 <> ''`,
        [world.campaignId, word],
      ),
    suppress,
  ];

  const decide = ({ threadId, card }: Proposed, decision: object, client = service.client) =>
    client.request(
      'POST',
      `/api/v1/agent/conversations/${threadId}/approvals/${card.approval_id}/decision`,
      decision,
    );
  /** A refusal is what these decisions deserve, and no answer but one. */
  const refused = (request: Promise<unknown>) =>
    request.then(
      () => 'it was not refused',
      (error: unknown) => {
        if (error instanceof ClientError && error.status < 500) return null;
        throw error;
      },
    );
  const yes = ({ card }: Proposed) => ({ decision: 'approve', args_hash: card.args_hash });

  /** Ways in which a decision must not lead to what it names; each answers what is wrong with its refusal. */
  type Way = (one: Proposed, pick: () => number) => Promise<string | null>;
  const DECISIONS: Way[] = [
    (one, pick) => {
      const hash = Array.from({ length: 64 }, () => Math.floor(pick() * 16).toString(16)).join('');
      return refused(decide(one, { decision: 'approve', args_hash: hash }));
    },
    (one, pick) => {
      const at = Math.floor(pick() * 64);
      const { args_hash: hash } = one.card;
      const digit = (Number.parseInt(hash[at] ?? '0', 16) ^ 1).toString(16);
      const other = `${hash.slice(0, at)}${digit}${hash.slice(at + 1)}`;
      return refused(decide(one, { decision: 'approve', args_hash: other }));
    },
    (one, pick) => {
      const { args, args_hash } = one.card;
      const names = Object.keys(args);
      const name = names[Math.floor(pick() * names.length)] ?? '';
      return refused(decide(one, { decision: 'edit', args_hash, args: { ...args, [name]: `${v7()}` } }));
    },
    (one) => refused(decide(one, { ...yes(one), force: true })),
    // Who may not decide.
    (one) => refused(decide(one, yes(one), keyClient)),
    // After it has expired.
    async (one) => {
      await sql(`update approvals set expires_at = now() - interval '1 second' where id = $1`, [
        one.card.approval_id,
      ]);
      return refused(decide(one, yes(one)));
    },
    // After another decision, a cancel or another message.
    async (one) => {
      await decide(one, { decision: 'reject', args_hash: one.card.args_hash });
      return refused(decide(one, yes(one)));
    },
    async (one) => {
      await service.client.cancel(one.threadId);
      return refused(decide(one, yes(one)));
    },
    async (one) => {
      const words = `instead ${v7()}`;
      mailing.talk.plan(words, ['As you like.']);
      const instead = { message: words, thread_id: one.threadId, on_pending: 'supersede' as const };
      await service.client.request('POST', '/api/v1/agent/chat', instead, {
        headers: { Prefer: 'respond-async' },
      });
      return refused(decide(one, yes(one)));
    },
  ];

  async function attempt(seed: number): Promise<string[]> {
    const pick = random(seed);
    const launches = seed % 4 === 3;
    const one = await (launches ? proposeLaunch() : proposeMail());
    const changes = launches ? OF_A_LAUNCH : OF_A_MAIL;
    const which = Math.floor(pick() * changes.length);
    const change = () =>
      changes[which]?.(one.world, `w${Math.floor(pick() * 1e9)}`) ?? Promise.resolve(undefined);
    const { card, threadId } = one;
    let wrong: string | null = null;
    let how = '';
    switch (seed % 5) {
      case 0: {
        how = `change ${which} before the decision`;
        await change();
        await decide(one, yes(one));
        break;
      }
      case 1:
      case 2: {
        how = `change ${which} between the decision and the act`;
        beforeActing.set(card.turn_id, change);
        await decide(one, yes(one));
        break;
      }
      case 3: {
        how = `change ${which} between the preview of an edit and its decision`;
        const args = {
          ...card.args,
          ...(launches ? { daily_limit: 7 } : { body: 'Another text for Maureen.' }),
        };
        const shown = await service.client.preview(threadId, card.approval_id, args);
        await change();
        wrong = await refused(decide(one, { decision: 'edit', args, args_hash: shown.args_hash }));
        break;
      }
      default: {
        const decision = Math.floor(pick() * DECISIONS.length);
        how = `decision ${decision}`;
        wrong = (await DECISIONS[decision]?.(one, pick)) ?? null;
      }
    }
    await toldSoFar(service.client, threadId);
    // What was carried out of this conversation, and what arrived at anybody of its world.
    const [done] = await mailing.database.query<{ effects: number; launches: number; mails: number }>(
      `select (select count(*)::int from effects e join turns t on t.id = e.turn_id where t.conversation_id = $1) as effects,
              (select count(*)::int from campaign_launches where campaign_id::text = $2) as launches,
              (select count(*)::int from outbox where to_address like '%' || $3) as mails`,
      [threadId, one.world.campaignId, one.world.address],
    );
    const taken = mailing.smtp.taken.filter(({ to }) => to.endsWith(one.world.address)).length;
    const sum = { ...done, taken };
    const faults = Object.values(sum).some((number) => number > 0) ? [JSON.stringify(sum)] : [];
    if (wrong !== null) faults.push(wrong);
    return faults.map((fault) => `seed ${seed}, ${launches ? 'launch' : 'mail'}, ${how}: ${fault}`);
  }

  proves('P5', 'mutations, replays, expiries and wrong approvers: none executed', count, (tally) =>
    tally.each(
      Array.from({ length: count }, (_, seed) => seed),
      6,
      attempt,
    ),
  );

  proves('P5', 'the same mails and launches with nothing changed: executed', 2, async (tally) => {
    for (const propose of [proposeMail, proposeLaunch]) {
      const one = await propose();
      await decide(one, yes(one));
      const events = await eventually(
        () => toldSoFar(service.client, one.threadId),
        (told) => told.some(({ type }) => type === 'tool-end'),
      );
      const end = events.find((event) => event.type === 'tool-end');
      tally.count(end?.type === 'tool-end' && end.data.status === 'ok' ? [] : [JSON.stringify(end)]);
    }
  });
}
