/** What turns spend: never more than there is, never unasked above the limit, and told truthfully at the end of each run. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JournalEvent, Usage } from '../../src/client/events.ts';
import { DEV_WORKSPACE } from '../../src/http/caller.ts';
import type { Ledger } from '../../src/resources/turns/effects.ts';
import { cardOf, decide, endOf, eventually, type Mailing, openMailing, say } from '../support/mailing.ts';
import type { ServiceHere } from '../support/service.ts';
import { openStream } from '../support/sse.ts';
import { gate } from '../support/stage.ts';

/** A process starts, dies and is succeeded: on a busy machine its start alone takes most of a minute. */
const PROCESS_MS = 180_000;

let mailing: Mailing;
let service: ServiceHere;
let leadId: string;

beforeAll(async () => {
  mailing = await openMailing();
  service = await mailing.start();
  // The domain's pattern: {f}{last}.
  leadId = await mailing.addLead('mfuentes@acme.example');
  await mailing.addSender({
    data: { from_name: 'Alex', from_email: 'alex@us.example', postal_address: 'Us, 1 Road' },
  });
});
afterAll(() => mailing.close());
beforeEach(() => setBalance(100));

async function setBalance(balance: number): Promise<void> {
  await mailing.database.query('delete from credit_transactions where workspace_id = $1', [DEV_WORKSPACE]);
  await mailing.database.query(
    'update credit_accounts set balance = $2, reserved = 0, used = 0 where workspace_id = $1',
    [DEV_WORKSPACE, balance],
  );
}

async function account() {
  const [row] = await mailing.database.query(
    `select balance, reserved, used,
            (select coalesce(sum(amount), 0)::int from credit_transactions where workspace_id = $1) as moved
       from credit_accounts where workspace_id = $1`,
    [DEV_WORKSPACE],
  );
  return row;
}

const findEmail = (name: string) => ({ name: 'find_email', args: { name, domain: 'acme.example' } });

function usageOf(events: readonly JournalEvent[]): Usage | undefined {
  const end = events.findLast((event) => event.type === 'run-end');
  return end?.type === 'run-end' ? end.data.usage : undefined;
}

describe('50 turns at once on one balance', () => {
  it('spend what is there and nothing more; the others are told what is missing', async () => {
    await setBalance(61);
    const words = Array.from({ length: 50 }, (_, index) => `find address ${index}`);
    for (const [index, one] of words.entries()) {
      mailing.talk.plan(one, [
        { toolCalls: [findEmail(`Person${'abcdefghij'[index % 10]} Lovelace`)] },
        'Done.',
      ]);
    }
    const turns = await Promise.all(words.map((one) => say(service.client, one)));
    const ends = turns.map(({ events }) => {
      const end = events.find((event) => event.type === 'tool-end');
      return end?.type === 'tool-end' ? end.data : undefined;
    });
    expect(ends.filter((end) => end?.status === 'ok')).toHaveLength(20);
    const refused = ends.filter((end) => end?.status === 'error');
    expect(refused).toHaveLength(30);
    for (const end of refused) {
      expect(end?.error).toMatchObject({
        code: 'NOT_ENOUGH_CREDITS',
        message: expect.stringMatching(/^This needs 3 credits and \d+ are available: \d+ are missing/),
      });
    }
    expect(turns.map(({ events }) => endOf(events))).toEqual(words.map(() => 'completed'));
    const credits = turns.map(({ events }) => usageOf(events)?.credits ?? 0);
    expect(credits.reduce((sum, number) => sum + number, 0)).toBe(60);
    expect(await account()).toEqual({ balance: 1, reserved: 0, used: 60, moved: -60 });
    const [ledger] = await mailing.database.query(
      `select sum(credits)::int as credits, count(*)::int as calls from effects where tool = 'find_email' and credits > 0`,
    );
    expect(ledger).toEqual({ credits: 60, calls: 20 });
  });
});

describe('the usage of a turn', () => {
  it('tells the credits that its calls have captured, not those they might have cost', async () => {
    mailing.talk.plan('find three', [
      {
        toolCalls: [
          findEmail('Ada Lovelace'),
          findEmail('Maureen Fuentes'),
          { name: 'find_email', args: { name: 'Ada Lovelace', domain: 'unknown.example' } },
        ],
      },
      'Done.',
    ]);
    const { events } = await say(service.client, 'find three');
    expect(usageOf(events)).toMatchObject({ credits: 3, tool_calls: 3, model_calls: 2 });
    expect(await account()).toMatchObject({ balance: 97, used: 3, reserved: 0 });
  });

  it('keeps them while it waits for a person, and adds what is spent after the decision', async () => {
    mailing.talk.plan('find four', [
      { toolCalls: ['Ada', 'Bea', 'Cleo', 'Dora'].map((name) => findEmail(`${name} Lovelace`)) },
      'Done.',
    ]);
    const { threadId, events } = await say(service.client, 'find four');
    expect(endOf(events)).toBe('awaiting_approval');
    expect(usageOf(events)).toMatchObject({ credits: 9 });
    const card = await cardOf(service.client, threadId);
    expect(card).toMatchObject({
      tool: 'find_email',
      reason: 'It may cost 12 credits; up to 10 a turn pass without asking.',
    });
    const told = await decide(service.client, card, 'approve');
    expect(usageOf(told)).toMatchObject({ credits: 12 });
    expect(await account()).toMatchObject({ balance: 88, used: 12, reserved: 0 });
  });

  it('counts what the models of a tool used, whether its mail holds up or not', async () => {
    const draft = (body: string) =>
      JSON.stringify({ subject: 'Maps', body, claims: [{ field: 'company', quote: 'Acme' }] });
    const calls = { toolCalls: [{ name: 'personalize_email', args: { lead_id: leadId } }] };
    const used = { prompt_tokens: 1000, completion_tokens: 500 };
    const find = { text: JSON.stringify({ commonalities: [] }), usage: used };
    // In order, and not by plan: the tool's models are asked with words of their own.
    mailing.model.script(calls, find, { text: draft('Hello Maureen of Acme'), usage: used }, 'Here it is.');
    const { events } = await say(service.client, 'write to Maureen');
    const usage = usageOf(events);
    expect(usage).toMatchObject({ model_calls: 4, tool_calls: 1 });
    expect(usage?.input_tokens).toBe(2000 + 2 * 11);
    expect(usage?.output_tokens).toBe(1000 + 2 * 7);

    mailing.model.script(
      calls,
      find,
      { text: 'This is no JSON', usage: used },
      { text: 'This neither', usage: used },
      'I could not.',
    );
    const failed = await say(service.client, 'write to Maureen again');
    expect(failed.events.find((event) => event.type === 'tool-end')).toMatchObject({
      data: { status: 'error', error: { code: 'MODEL_REFUSED' } },
    });
    expect(usageOf(failed.events)).toMatchObject({ model_calls: 5, input_tokens: 3000 + 2 * 11 });
  });

  it(
    'knows what a lost run had spent',
    async () => {
      const held = gate();
      mailing.talk.plan('find and die', [
        { toolCalls: [findEmail('Ada Lovelace')] },
        { text: ['One moment', held.promise, ' more.'] },
      ]);
      // Its lease alone is short: on a busy machine two short ones would be taken from one another until the turn is given up.
      const doomed = await mailing.startProcess({ LEASE_SECONDS: '2' });
      const sent = await doomed.client.send({ message: 'find and die' });
      const stream = await openStream(
        `${service.url}/api/v1/agent/conversations/${sent.threadId}/stream?after=0`,
      );
      await eventually(
        () => stream.events().some((event) => event.type === 'text-delta'),
        (begun) => begun,
      );
      await doomed.kill('SIGKILL');
      held.open();
      const told = await eventually(
        () => stream.events(),
        (events) => endOf(events) === 'completed',
      );
      stream.close();
      expect(usageOf(told)).toMatchObject({ credits: 3 });
      expect(await account()).toMatchObject({ balance: 97, used: 3, reserved: 0 });
    },
    PROCESS_MS,
  );

  it('tells what was spent by a call whose answer got lost on the way', async () => {
    let losing = true;
    const broken = await mailing.start({
      wrap(name, port) {
        if (name !== 'ledger') return port;
        const ledger = port as Ledger;
        const inside: Ledger['inside'] = async (...call) => {
          const result = await ledger.inside(...call);
          if (losing) throw new Error('the answer got lost');
          return result;
        };
        return { ...port, inside };
      },
    });
    mailing.talk.plan('find and lose', [{ toolCalls: [findEmail('Ada Lovelace')] }, 'Done.']);
    const { events } = await say(broken.client, 'find and lose');
    losing = false;
    expect(endOf(events)).toBe('failed');
    expect(events.find((event) => event.type === 'tool-end')).toMatchObject({
      data: { status: 'ok', result: { email: 'alovelace@acme.example', credits: 3 } },
    });
    expect(usageOf(events)).toMatchObject({ credits: 3 });
    expect(await account()).toMatchObject({ balance: 97, used: 3, reserved: 0 });
  });
});

describe('find_leads in a conversation', () => {
  it('passes without asking in one’s own data and streams how far it is', async () => {
    mailing.talk.plan('find people at Acme', [
      { toolCalls: [{ name: 'find_leads', args: { company: 'Acme' } }] },
      'Found her.',
    ]);
    const { events } = await say(service.client, 'find people at Acme');
    expect(endOf(events)).toBe('completed');
    expect(events.flatMap((event) => (event.type === 'tool-progress' ? [event.data] : []))).toMatchObject([
      { done: 1, total: 2, note: 'All that is asked for: 1' },
      { done: 2, total: 2, note: 'Ranked: 1' },
    ]);
    expect(events.find((event) => event.type === 'tool-end')).toMatchObject({
      data: { status: 'ok', result: { credits: 0, leads: [{ email: 'mfuentes@acme.example' }] } },
    });
    expect(usageOf(events)).toMatchObject({ credits: 0 });
  });

  it('asks once strangers’ text is in the conversation, free or not', async () => {
    const find = { name: 'find_leads', args: { company: 'Acme' } };
    mailing.talk.plan('search, then find', [
      { toolCalls: [{ name: 'search_leads' }] },
      { toolCalls: [find] },
      'Done.',
    ]);
    const { threadId, events } = await say(service.client, 'search, then find');
    expect(endOf(events)).toBe('awaiting_approval');
    expect(await cardOf(service.client, threadId)).toMatchObject({
      tool: 'find_leads',
      reason: 'Text from outside is in this conversation, so spending needs your yes.',
      facts: expect.arrayContaining([{ label: 'Price', value: 'free' }]),
    });
  });
});
