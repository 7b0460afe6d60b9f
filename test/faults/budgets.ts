/** Models that never stop and turns that all spend the same credits: what there is, is the end, and the turn says so. */

import { v7 } from 'uuid';
import { afterAll, beforeAll } from 'vitest';
import { endOf, lastAnswer, type Mailing, openMailing, say } from '../support/mailing.ts';
import { proves } from '../support/proves.ts';
import type { ChatRequest, ScriptedAnswer, ScriptedToolCall } from '../support/scripted-model.ts';
import type { ServiceHere } from '../support/service.ts';

/** As app.ts gives them to a turn. */
const MODEL_CALLS = 12;
const TOOL_CALLS = 40;
const AT_ONCE = 10;
const PRICE = 3;

const findEmail = (name: string): ScriptedToolCall => ({
  name: 'find_email',
  args: { name, domain: 'acme.example' },
});

/** Models that go on for ever, each in its way; `step` counts their answers. */
const LOOPS: Record<string, (step: number) => ScriptedToolCall[]> = {
  'the same call': () => [{ name: 'get_credit_balance' }],
  'another call each time': (step) => [{ name: 'search_leads', args: { query: `Acme ${step}` } }],
  'ten calls each time': (step) =>
    Array.from({ length: 10 }, (_, index) => ({
      name: 'search_leads',
      args: { query: `Acme ${step} ${index}` },
    })),
  'calls that fail': () => [{ name: 'get_campaign', args: { campaign_id: 'none' } }],
  'a tool that does not exist': () => [{ name: 'try_again' }],
  'arguments that are cut': () => [{ name: 'search_leads', argsText: '{"query": "Ac' }],
};

/** Declares `loops` turns of models that loop, and `balances` times fifty turns at once on one balance. */
export function provesBudgets({ loops, balances }: { loops: number; balances: number }): void {
  let mailing: Mailing;
  let service: ServiceHere;
  let other: ServiceHere;
  beforeAll(async () => {
    mailing = await openMailing({ LEASE_SECONDS: '60' });
    service = await mailing.start();
    other = await mailing.start();
    // The pattern of the domain, so that addresses are found.
    await mailing.addLead('mfuentes@acme.example');
  });
  afterAll(() => mailing.close());

  proves(
    'P16',
    'a model that loops for ever: the turn ends within its budget and says why',
    loops,
    (tally) => {
      const names = Object.keys(LOOPS);
      return tally.each(
        Array.from({ length: loops }, (_, index) => names[index % names.length] ?? ''),
        AT_ONCE,
        async (name) => {
          const words = `loop ${v7()}: ${name}`;
          // It calls a tool even where none is offered.
          const answer = ({ messages }: ChatRequest): ScriptedAnswer => ({
            text: 'On and on. ',
            toolCalls: LOOPS[name]?.(messages.length) ?? [],
          });
          mailing.talk.plan(
            words,
            Array.from({ length: MODEL_CALLS * 3 }, () => answer),
          );
          const { threadId, events } = await say(service.client, words);
          const requests = mailing.talk.requests(words);
          const faults: string[] = [];
          if (requests.length > MODEL_CALLS) faults.push(`${requests.length} model calls`);
          if ((requests.at(-1)?.tools ?? []).length > 0) faults.push('the last answer was offered tools');
          if (endOf(events) !== 'completed') faults.push(`it ended ${endOf(events)}`);
          const said = events.some(
            (event) => event.type === 'notice' && event.data.code === 'BUDGET_EXHAUSTED',
          );
          const { parts } = await lastAnswer(service.client, threadId);
          const calls = parts.flatMap((part) => (part.type === 'tool' ? [part] : []));
          const refused = calls.filter((call) => call.error?.code === 'BUDGET_EXHAUSTED');
          if (!said && refused.length === 0) faults.push('it does not say why');
          if (calls.length - refused.length > TOOL_CALLS)
            faults.push(`${calls.length} calls were carried out`);
          if (calls.some((call) => call.status === 'running')) faults.push('a call has no result');
          return faults.map((fault) => `${name}: ${fault}`);
        },
      );
    },
  );

  proves(
    'P16',
    '50 turns at once on one balance, in two processes: never overspent',
    balances * 50,
    async (tally) => {
      for (let balance = 0; balance < balances; balance += 1) {
        const credits = 61 + balance;
        await mailing.database.query('delete from credit_transactions');
        await mailing.database.query('delete from credit_reservations');
        await mailing.database.query('update credit_accounts set balance = $1, reserved = 0, used = 0', [
          credits,
        ]);
        const words = Array.from({ length: 50 }, () => `spend ${v7()}`);
        for (const [index, one] of words.entries()) {
          const name = `Person${'abcdefghij'[index % 10]}${'klmnopqrst'[balance % 10]} Lovelace`;
          mailing.talk.plan(one, [{ toolCalls: [findEmail(name)] }, 'Done.']);
        }
        const turns = await Promise.all(
          words.map((one, index) => say((index % 2 === 0 ? service : other).client, one)),
        );
        const paid = turns.filter(({ events }) =>
          events.some((event) => event.type === 'tool-end' && event.data.status === 'ok'),
        );
        const [account] = await mailing.database.query<Record<string, number>>(
          `select balance, reserved, used, (select coalesce(sum(amount), 0)::int from credit_transactions) as moved,
                (select coalesce(sum(captured), 0)::int from credit_reservations) as captured from credit_accounts`,
        );
        const used = PRICE * Math.floor(credits / PRICE);
        const due = { balance: credits - used, reserved: 0, used, moved: -used, captured: used };
        for (const [index, { events }] of turns.entries()) {
          const faults: string[] = [];
          if (endOf(events) !== 'completed') faults.push(`a turn ended ${endOf(events)}`);
          const end = events.find((event) => event.type === 'tool-end');
          const data = end?.type === 'tool-end' ? end.data : undefined;
          if (data?.status !== 'ok' && data?.error?.code !== 'NOT_ENOUGH_CREDITS')
            faults.push(`a call ended ${JSON.stringify(data)}`);
          if (index === 0 && paid.length !== used / PRICE) faults.push(`${paid.length} calls were paid`);
          if (index === 0 && JSON.stringify(account) !== JSON.stringify(due))
            faults.push(`${JSON.stringify(account)} is not ${JSON.stringify(due)}`);
          tally.count(faults);
        }
      }
    },
  );
}
