/** Kills a process at a named point of a turn, lets a fresh one go on, and asks the oracle what was lost or doubled. */

import { setTimeout as wait } from 'node:timers/promises';
import { v7 } from 'uuid';
import { type Client, createClient } from '../../src/client/client.ts';
import { ClientError } from '../../src/client/errors.ts';
import type { Approval, Decision, JournalEvent } from '../../src/client/events.ts';
import { openDatabase, type TestDatabase } from '../support/database.ts';
import { createKillPoints, type KillPoint } from '../support/kill-points.ts';
import { type Killable, startKillable } from '../support/killable.ts';
import { collect, insertLead, sendEmail, toldSoFar } from '../support/mailing.ts';
import { createScriptedModel, type Scripted } from '../support/scripted-model.ts';
import { type ServiceHere, startService } from '../support/service.ts';
import { startSmtpServer, type Treatment } from '../support/smtp-server.ts';
import { createTalk } from '../support/talk.ts';
import { oddEvents, oddHistory, reduced, sameMessage, textOf } from './oracle.ts';

/** What a turn does and what a person answers in it. */
export interface Scenario {
  /** How many leads it needs. */
  leads: number;
  answers(leadIds: readonly string[]): Scripted[];
  /** What a person decides of a card; only cards of kind `proposal` are asked. */
  decision: Decision['decision'];
  /** Whether all that wait are decided in one request. */
  atOnce?: boolean;
  /** How many of its first mails are taken without an answer; the person then says "retry" each time. */
  drops?: number;
}

/** Kills from outside: in the middle of the last answer's text, and when the mail server has the first mail but has not said so. */
export const OUTSIDE_POINTS = ['outside.model-half', 'outside.mail-taken'] as const;

const READ = { name: 'search_leads', args: { query: 'Acme' } };
/** Stands for the last answer, which is the same in all. */
const LAST = '';

export const SCENARIOS = {
  plain: { leads: 0, answers: () => [LAST], decision: 'approve' },
  tool: {
    leads: 1,
    answers: () => [{ text: 'I look. ', toolCalls: [READ] }, LAST],
    decision: 'approve',
  },
  mails: {
    leads: 2,
    answers: ([one = '', two = '']) => [
      { text: 'I write to both. ', toolCalls: [sendEmail(one), READ, sendEmail(two, { subject: 'Second' })] },
      LAST,
    ],
    decision: 'approve',
  },
  together: {
    leads: 2,
    answers: ([one = '', two = '']) => [
      { toolCalls: [sendEmail(one), sendEmail(two, { subject: 'Second' }), READ] },
      LAST,
    ],
    decision: 'approve',
    atOnce: true,
  },
  edit: {
    leads: 1,
    answers: ([one = '']) => [{ toolCalls: [sendEmail(one)] }, LAST],
    decision: 'edit',
  },
  reject: {
    leads: 1,
    answers: ([one = '']) => [{ text: 'May I? ', toolCalls: [sendEmail(one)] }, LAST],
    decision: 'reject',
  },
  dropped: {
    leads: 1,
    answers: ([one = '']) => [{ toolCalls: [sendEmail(one)] }, LAST],
    decision: 'approve',
    drops: 2,
  },
} as const satisfies Record<string, Scenario>;
export type ScenarioName = keyof typeof SCENARIOS;

export interface Verdict {
  /** Whether the process came to the point, and ended there. */
  reached: boolean;
  /** Whether a person had to be asked what happened. */
  asked: boolean;
  /** What the oracle found; empty is good. */
  faults: string[];
}

export interface Sweep {
  /** The points that a turn of the scenario passes, in their order, each once. */
  points(scenario: ScenarioName): Promise<KillPoint[]>;
  /** Plays the scenario on a process that ends at the point, goes on with a fresh one, and judges. */
  kill(scenario: ScenarioName, point: KillPoint): Promise<Verdict>;
  close(): Promise<void>;
}

/** A turn must end within this after the fault. */
const PATIENCE_MS = 60_000;
const EDITED = 'Dear Maureen, this is another text than the one before. To unsubscribe, answer no.';

/** Opens the model and the mail server that all turns of a sweep share; each turn has a database of its own. */
export async function openSweep(): Promise<Sweep> {
  const model = await createScriptedModel();
  const smtp = await startSmtpServer();
  const talk = createTalk(model);
  /** Answers of the mail server that are held back, by address. */
  const held = new Map<string, Promise<Treatment>>();
  /** How many of the first mails to an address are taken without an answer. */
  const drops = new Map<string, number>();
  smtp.treat(({ to }) => {
    const left = drops.get(to) ?? 0;
    drops.set(to, left - 1);
    return left > 0 ? 'drop' : (held.get(to) ?? 'take');
  });
  const environment = {
    OPENAI_BASE_URL: model.url,
    OPENAI_API_KEY: 'sk-scripted-model-key',
    SMTP_URL: smtp.url,
    // A dead process's lease is ended by the test; a slow one must never lose its own.
    LEASE_SECONDS: '60',
  };

  /** One turn, from the words to its end, on whatever process `at` names at the moment. */
  async function play(
    database: TestDatabase,
    name: ScenarioName,
    at: { now(): Promise<string>; half?: Promise<void>; begun?(addresses: readonly string[]): void },
  ) {
    const scenario: Scenario = SCENARIOS[name];
    const words = `${name} ${v7()}`;
    const addresses: string[] = [];
    const leadIds: string[] = [];
    for (let index = 0; index < scenario.leads; index += 1) {
      const address = `lead-${v7()}@acme.example`;
      addresses.push(address);
      drops.set(address, scenario.drops ?? 0);
      leadIds.push(await insertLead(database, address));
    }
    const { half = Promise.resolve() } = at;
    const answers = scenario.answers(leadIds);
    talk.plan(words, [...answers.slice(0, -1), { text: ['That ', 'is ', half, 'how ', 'it ', 'went.'] }]);
    at.begun?.(addresses);
    const key = v7();

    /** Asks whichever process is there, again where it is gone before it has answered. */
    async function ask<T>(request: (client: Client) => Promise<T>): Promise<T> {
      const until = Date.now() + PATIENCE_MS;
      for (;;) {
        const baseUrl = await at.now();
        try {
          return await request(createClient({ baseUrl }));
        } catch (error) {
          if (error instanceof ClientError || Date.now() > until) throw error;
        }
      }
    }

    const path = '/api/v1/agent/chat';
    const accepted = await ask((client) =>
      client.request<{ thread_id: string }>(
        'POST',
        path,
        { message: words },
        {
          headers: { Prefer: 'respond-async' },
          idempotencyKey: key,
        },
      ),
    );
    const threadId = accepted.thread_id;
    const follower = followAcross(at, threadId);

    /** As the card was shown, or was changed and shown again. */
    async function decisionOn(card: Approval): Promise<Decision & { approval_id: string }> {
      const { approval_id, args_hash } = card;
      if (card.kind === 'outcome' && scenario.drops !== undefined) {
        return { approval_id, args_hash, decision: 'retry' };
      }
      if (card.kind === 'outcome') {
        // The person looks into the mailbox.
        const left = smtp.taken.some((mail) => mail.messageId !== '' && card.title.includes(`<${mail.to}>`));
        return { approval_id, args_hash, decision: left ? 'mark_done' : 'retry' };
      }
      if (scenario.decision !== 'edit') return { approval_id, args_hash, decision: scenario.decision };
      const args = { ...card.args, body: EDITED };
      const shown = await ask((client) => client.preview(threadId, approval_id, args));
      return { approval_id, args_hash: shown.args_hash, decision: 'edit', args };
    }

    async function decideWaiting(): Promise<void> {
      const { interrupts } = await ask((client) => client.interrupt(threadId));
      const decisions: Awaited<ReturnType<typeof decisionOn>>[] = [];
      for (const card of scenario.atOnce === true ? interrupts : interrupts.slice(0, 1))
        decisions.push(await decisionOn(card));
      const [first] = decisions;
      if (first === undefined) return;
      const { approval_id, ...decision } = first;
      await ask(async (client) => {
        if (scenario.atOnce === true)
          await client.request(
            'POST',
            path,
            { thread_id: threadId, resume: { decisions } },
            { headers: { Prefer: 'respond-async' } },
          );
        else await client.decide(threadId, approval_id, decision);
      }).catch((error: unknown) => {
        // The decision that was asked for twice, as the first answer was lost, was recorded once.
        if (!(error instanceof ClientError) || error.code !== 'ALREADY_DECIDED') throw error;
      });
    }

    const until = Date.now() + PATIENCE_MS;
    for (;;) {
      await at.now();
      const [turn] = await database.query<{ status: string }>(
        'select status from turns where conversation_id = $1',
        [threadId],
      );
      if (turn?.status === 'awaiting_approval') await decideWaiting();
      else if (turn?.status !== 'running') break;
      if (Date.now() > until) break;
      await wait(15);
    }
    return { words, threadId, addresses, follower };
  }

  type Played = Awaited<ReturnType<typeof play>>;

  /** Every promise that this turn could have broken, by rows, mails, model requests and readers. */
  async function judge(
    database: TestDatabase,
    client: Client,
    scenario: Scenario,
    played: Played,
    wasIntended: ReadonlySet<string>,
  ): Promise<string[]> {
    const { words, threadId, addresses } = played;
    const faults: string[] = [];
    const claim = (holds: boolean, fault: string) => {
      if (!holds) faults.push(fault);
    };
    const rows = <Row extends object>(sql: string) =>
      database.query<Row & Record<string, unknown>>(sql, [threadId]);

    const turns = await rows<{ id: string; status: string; error: unknown }>(
      'select id, status, error from turns where conversation_id = $1',
    );
    claim(turns.length === 1, `${turns.length} turns`);
    claim(
      turns[0]?.status === 'completed',
      `the turn is ${turns[0]?.status} ${JSON.stringify(turns[0]?.error)}`,
    );
    const [{ count } = { count: '0' }] = await database.query<{ count: string }>(
      'select count(*) from turns',
    );
    claim(count === '1', `${count} turns in the whole database`);

    const { messages } = await client.conversation(threadId);
    const said = messages.filter((message) => message.role === 'user');
    const answers = messages.filter((message) => message.role === 'assistant');
    claim(
      said.length === 1 && said[0]?.content === words,
      `the user's message is there ${said.length} times`,
    );
    claim(answers.length === 1, `${answers.length} answers`);
    const answer = answers[0];
    claim(answer?.status === 'complete', `the answer is ${answer?.status}`);

    const events = await toldSoFar(client, threadId);
    claim(
      sameMessage(reduced(events), answer),
      'a reader from the beginning sees another message than the stored one',
    );
    claim(
      textOf(events) === answer?.content,
      `the deltas say ${JSON.stringify(textOf(events))}, the message ${JSON.stringify(answer?.content)}`,
    );
    const followed = await played.follower;
    claim(
      sameMessage(reduced(followed), answer),
      'a reader that came along sees another message than the stored one',
    );
    faults.push(...oddEvents(events));
    const overlaps =
      await rows(`select 1 from events one join events other on one.conversation_id = other.conversation_id
      and one.seq < other.seq and other.seq_from <= one.seq where one.conversation_id = $1`);
    claim(overlaps.length === 0, `${overlaps.length} rows of the journal share a number`);

    for (const request of talk.requests(words)) faults.push(...oddHistory(request));

    const approvals = await rows<{
      id: string;
      kind: string;
      status: string;
      decision: string;
      hash: string;
      tool_call_id: string;
    }>(
      'select id, kind, status, decision, coalesce(executed_hash, args_hash) as hash, tool_call_id from approvals where conversation_id = $1',
    );
    const effects = await rows<{
      tool_call_id: string;
      state: string;
      attempt: number;
      approval_id: string;
      args_hash: string;
      mail: string;
    }>(
      `select e.tool_call_id, e.state, e.attempt, e.approval_id, e.args_hash, o.status as mail from effects e join turns t on t.id = e.turn_id
         left join outbox o on o.turn_id = e.turn_id and o.tool_call_id = e.tool_call_id where t.conversation_id = $1`,
    );
    const proposals = approvals.filter(({ kind }) => kind === 'proposal');
    claim(
      proposals.length === scenario.leads * (scenario === SCENARIOS.tool ? 0 : 1),
      `${proposals.length} cards`,
    );
    claim(
      approvals.every(({ status }) => status !== 'pending'),
      'a card still waits',
    );
    const approved = proposals.filter(({ status }) => status === 'approved');
    claim(effects.length === approved.length, `${effects.length} effects of ${approved.length} approvals`);
    for (const effect of effects) {
      const card = approvals.find(({ id }) => id === effect.approval_id);
      claim(
        card?.status === 'approved' && card.tool_call_id === effect.tool_call_id,
        'an effect without an approved approval',
      );
      claim(card?.hash === effect.args_hash, 'an effect of other arguments than the approved ones');
      claim(
        effect.state === 'done' && effect.mail === 'sent',
        `the effect is ${effect.state}, its mail ${effect.mail}`,
      );
      const asked = approvals.filter(
        ({ kind, tool_call_id }) => kind === 'outcome' && tool_call_id === effect.tool_call_id,
      );
      const expected = wasIntended.has(effect.tool_call_id) ? 1 : 0;
      if (scenario.drops === undefined)
        claim(asked.length === expected, `asked ${asked.length} times what happened, and not ${expected}`);
      const retries = asked.filter(({ decision }) => decision === 'retry').length;
      claim(effect.attempt === 1 + retries, `${effect.attempt} attempts with ${retries} retries`);
    }
    const retries = approvals.filter(({ decision }) => decision === 'retry').length;
    for (const address of addresses) {
      const taken = smtp.takenFor(address);
      const sends = scenario !== SCENARIOS.tool && scenario.decision !== 'reject';
      claim(taken.length >= (sends ? 1 : 0), 'no mail was sent');
      // Each "retry" allows one more; without one there is one mail, or none.
      claim(taken.length <= (sends ? 1 + retries : 0), `${taken.length} mails with ${retries} retries`);
      if (scenario.drops === undefined) claim(taken.length <= 1, `${taken.length} mails to ${address}`);
      if (scenario.decision === 'edit')
        claim(
          taken.every(({ text }) => text.startsWith(EDITED)),
          'the mail is not the edited one',
        );
    }
    for (const table of ['journal_inbox', 'turn_checkpoints']) {
      const left = await database.query(`select 1 from ${table}`);
      claim(left.length === 0, `${left.length} rows left in ${table}`);
    }
    return faults;
  }

  return {
    async points(name) {
      const database = await openDatabase();
      const passed: KillPoint[] = [];
      let service: ServiceHere | undefined;
      try {
        const here = await startService({
          databaseUrl: database.url,
          environment,
          wrap: createKillPoints((point) => passed.push(point)),
        });
        service = here;
        const played = await play(database, name, { now: async () => here.url });
        await played.follower;
      } finally {
        await service?.close();
        await database.close();
      }
      return [...new Set(passed)];
    },

    async kill(name, point) {
      const database = await openDatabase();
      let first: Killable | undefined;
      let second: Promise<ServiceHere> | undefined;
      const intended = new Set<string>();
      try {
        const victim = await startKillable({ databaseUrl: database.url, environment, killAt: point });
        first = victim;
        const takeOver = async () => {
          const left = await database.query<{ tool_call_id: string }>(
            `select tool_call_id from effects where state = 'intended'`,
          );
          for (const { tool_call_id } of left) intended.add(tool_call_id);
          await database.query(
            `update turns set lease_until = now() - interval '1 second' where status = 'running'`,
          );
          return startService({ databaseUrl: database.url, environment });
        };
        const now = async () => {
          if (!victim.dead()) return victim.url;
          second ??= takeOver();
          return (await second).url;
        };
        const half = Promise.withResolvers<void>();
        if (point !== 'outside.model-half') half.resolve();
        else void killInText(database, victim).then(half.resolve);
        const begun = ([address = '']: readonly string[]) => {
          if (point !== 'outside.mail-taken') return;
          held.set(
            address,
            victim.exited.then(() => 'take'),
          );
          void smtp.arrival(address).then(() => victim.kill());
        };
        const played = await play(database, name, { now, half: half.promise, begun });
        // The rows may show the end before the process has died of it.
        const reached = await Promise.race([victim.exited, wait(1000).then(() => false)]);
        await victim.kill();
        const client = createClient({ baseUrl: await now() });
        const faults = await judge(database, client, SCENARIOS[name], played, intended);
        const logged = (await second)?.logged() ?? '';
        if (/"level":"?(error|50)/.test(logged))
          faults.push(`the second process logged an error: ${logged.slice(0, 2000)}`);
        return { reached, asked: intended.size > 0, faults };
      } finally {
        await first?.kill();
        await (await second)?.close();
        await database.close();
      }
    },

    async close() {
      await model.close();
      await smtp.close();
    },
  };
}

/** Kills the process as soon as the beginning of the last answer is stored. */
async function killInText(database: TestDatabase, victim: Killable): Promise<void> {
  while (!victim.dead()) {
    const told = await database.query(
      `select 1 from events where type = 'text-delta' and data->>'delta' like 'That is%'`,
    );
    if (told.length > 0) await victim.kill();
    else await wait(10);
  }
}

/** A reader that was there from the beginning and goes on with whichever process is there, until the turn has ended. */
function followAcross(at: { now(): Promise<string> }, threadId: string): Promise<JournalEvent[]> {
  const client = createClient({
    baseUrl: 'http://whichever.invalid',
    fetch: async (input, init) => {
      const address = String(input).replace('http://whichever.invalid', await at.now());
      return globalThis.fetch(address, init);
    },
    random: () => 0,
  });
  const ends = (event: JournalEvent) =>
    event.type === 'run-end' && event.data.status !== 'lost' && event.data.status !== 'awaiting_approval';
  const events = collect(
    client.follow(threadId, { after: 0, until: ends, signal: AbortSignal.timeout(PATIENCE_MS) }),
  );
  events.catch(() => undefined);
  return events;
}
