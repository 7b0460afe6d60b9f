/** Kills a process at a named point of a turn, lets a fresh one go on, and asks the oracle what was lost or doubled. */

import { setTimeout as wait } from 'node:timers/promises';
import { v7 } from 'uuid';
import { type Client, createClient } from '../../src/client/client.ts';
import { ClientError } from '../../src/client/errors.ts';
import type { Approval, Decision, JournalEvent } from '../../src/client/events.ts';
import { openDatabase, type TestDatabase } from '../support/database.ts';
import { deduplicating, type KillPoint } from '../support/kill-points.ts';
import { type Killable, startKillable } from '../support/killable.ts';
import { collect, insertLead } from '../support/mailing.ts';
import { createScriptedModel } from '../support/scripted-model.ts';
import { type ServiceHere, startService } from '../support/service.ts';
import { startSmtpServer, type Treatment } from '../support/smtp-server.ts';
import { createTalk } from '../support/talk.ts';
import { createJudge, type Fault, type Played } from './judge.ts';
import { EDITED, INSTEAD, SCENARIOS, type Scenario, type ScenarioName } from './scenarios.ts';

/** Kills from outside: in the middle of the first text, and when the mail server has the first mail but has not said so. */
export const OUTSIDE_POINTS = ['outside.model-half', 'outside.mail-taken'] as const;

export interface Verdict {
  /** Whether the process came to the point, and ended there. */
  reached: boolean;
  /** Whether a person had to be asked what happened. */
  asked: boolean;
  /** What the oracle found; empty is good. */
  faults: Fault[];
}

export interface Sweep {
  /** The points that a turn of the scenario passes, in their order, each once; from the first act of a person on where it is as another one before. */
  points(scenario: ScenarioName): Promise<KillPoint[]>;
  /** Plays the scenario on a process that ends at the point, goes on with a fresh one, and judges. */
  kill(scenario: ScenarioName, point: KillPoint): Promise<Verdict>;
  close(): Promise<void>;
}

/** A turn must end within this after the fault. */
const PATIENCE_MS = 60_000;

/** Opens the model and the mail server that all turns of a sweep share; each turn has a database of its own. */
export async function openSweep(): Promise<Sweep> {
  const model = await createScriptedModel();
  const smtp = await startSmtpServer();
  const talk = createTalk(model);
  /** Answers of the mail server that are held back, by address. */
  const held = new Map<string, Promise<Treatment>>();
  /** How many of the first mails to an address are taken without an answer. */
  const drops = new Map<string, number>();
  /** Addresses whose mails are compared by their message ids. */
  const compared = new Set<string>();
  smtp.treat(({ to, messageId }) => {
    const known = compared.has(to) && smtp.takenFor(to).some((mail) => mail.messageId === messageId);
    const left = drops.get(to) ?? 0;
    drops.set(to, left - 1);
    if (left > 0) return 'drop';
    return known ? 'repeat' : (held.get(to) ?? 'take');
  });
  const environment = {
    OPENAI_BASE_URL: model.url,
    OPENAI_API_KEY: 'sk-scripted-model-key',
    SMTP_URL: smtp.url,
    PUBLIC_URL: 'https://overture.example',
    // A dead process's lease is ended by the test; a slow one must never lose its own.
    LEASE_SECONDS: '60',
  };
  // What every first start makes is made once, and copied.
  const seeded = await openDatabase();
  const seeding = await startService({ databaseUrl: seeded.url, environment });
  await seeding.close();
  const [given] = await seeded.query<{ campaign: string; credits: number }>(
    'select (select id from campaigns) as campaign, (select balance from credit_accounts) as credits',
  );
  if (given === undefined) throw new Error('nothing was made');
  const { campaign: campaignId, credits } = given;
  const judge = createJudge({ smtp, talk, credits });
  // The pattern by which addresses of Acme are found.
  await insertLead(seeded, 'mfuentes@acme.example');
  const template = await seeded.freeze();

  /** The processes of one turn: whichever is there answers; where none is left, a fresh one is started. */
  async function openProcesses(database: TestDatabase, scenario: Scenario, killAt: KillPoint) {
    const intended = new Set<string>();
    const own = {
      ...environment,
      ...(scenario.meanwhile === 'renew' ? { LEASE_SECONDS: '6' } : {}),
      ...(scenario.deduplicates === true ? { DEDUPLICATES: 'yes' } : {}),
    };
    const endLeases = async () => {
      await database.query(
        `update turns set lease_until = now() - interval '1 second' where status = 'running'`,
      );
      await database.query(`select pg_notify('overture', 'released')`);
    };
    const startVictim = () =>
      startKillable({
        databaseUrl: database.url,
        environment: {
          ...own,
          ...(scenario.meanwhile === 'rename' ? { HOLD_AT: 'turns.settle:before:1' } : {}),
        },
        killAt,
      });
    const startFirst = async (): Promise<Killable | ServiceHere | null> => {
      if (scenario.from === 'card') return startService({ databaseUrl: database.url, environment: own });
      if (scenario.from === 'half')
        return startKillable({ databaseUrl: database.url, environment: own, killAt: 'nowhere' });
      return null;
    };
    const [victim, begins] = await Promise.all([startVictim(), startFirst()]);
    let first = begins;
    let last: Promise<ServiceHere> | undefined;
    const takeOver = async () => {
      const left = await database.query<{ tool_call_id: string }>(
        `select tool_call_id from effects where state = 'intended'`,
      );
      for (const { tool_call_id } of left) intended.add(tool_call_id);
      await endLeases();
      return startService({
        databaseUrl: database.url,
        environment,
        ...(scenario.deduplicates === true ? { wrap: deduplicating } : {}),
      });
    };
    return {
      victim,
      intended,
      async now(): Promise<string> {
        if (first !== null) return first.url;
        if (!victim.dead()) return victim.url;
        last ??= takeOver();
        return (await last).url;
      },
      /** The process that the turn began in ends, and the one that is killed goes on. */
      async handOn(): Promise<void> {
        const leaving = first;
        first = null;
        if (leaving === null) return;
        if ('close' in leaving) return leaving.close();
        await leaving.kill();
        await endLeases();
      },
      last: () => last,
      async close(): Promise<void> {
        await victim.kill();
        if (first !== null) await ('close' in first ? first.close() : first.kill());
        await (await last)?.close();
      },
    };
  }

  type Processes = Awaited<ReturnType<typeof openProcesses>>;

  /** One scenario, from the words to its end, on whatever process is there at the moment. */
  async function play(
    database: TestDatabase,
    name: ScenarioName,
    at: Processes,
    point: KillPoint,
  ): Promise<Played> {
    const scenario: Scenario = SCENARIOS[name];
    const words = `${name} ${v7()}`;
    const addresses: string[] = [];
    const leadIds: string[] = [];
    for (let index = 0; index < scenario.leads; index += 1) {
      const address = `lead-${v7()}@acme.example`;
      addresses.push(address);
      drops.set(address, scenario.drops ?? 0);
      if (scenario.deduplicates === true) compared.add(address);
      leadIds.push(await insertLead(database, address));
    }
    const [address = ''] = addresses;
    const half = Promise.withResolvers<void>();
    talk.plan(words, scenario.answers({ leadIds, campaignId, half: half.promise }));
    talk.plan(`${INSTEAD} ${words}`, ['As you like.']);
    if (point === 'outside.mail-taken') {
      held.set(
        address,
        at.victim.exited.then(() => 'take'),
      );
      void smtp.arrival(address).then(() => at.victim.kill());
    }
    const key = v7();

    /** Asks whichever process is there, again where it is gone, or leaving, before it has answered. */
    async function ask<T>(request: (client: Client) => Promise<T>): Promise<T> {
      const until = Date.now() + PATIENCE_MS;
      for (;;) {
        const baseUrl = await at.now();
        try {
          return await request(createClient({ baseUrl }));
        } catch (error) {
          const refused = error instanceof ClientError && error.status < 500;
          if (refused || Date.now() > until) throw error;
        }
        await wait(15);
      }
    }

    const path = '/api/v1/agent/chat';
    const post = (client: Client, body: object, idempotencyKey: string) =>
      client.request<{ thread_id: string }>('POST', path, body, {
        headers: { Prefer: 'respond-async' },
        idempotencyKey,
      });
    const { thread_id: threadId } = await ask((client) => post(client, { message: words }, key));
    const follower = followAcross(at, threadId, scenario.ends.length);
    const statusOf = async () =>
      (
        await database.query<{ status: string; lease_until: Date | null }>(
          'select status, lease_until from turns where conversation_id = $1 order by created_at desc, id desc limit 1',
          [threadId],
        )
      )[0];

    /** Looks until it is so; gives up where the process is gone or the turn no longer runs. */
    async function during(look: () => Promise<boolean>): Promise<void> {
      while (!(await look()) && !at.victim.dead() && (await statusOf())?.status === 'running') await wait(10);
    }
    const isTold = async () =>
      (await database.query(`select 1 from events where type = 'text-delta' limit 1`)).length > 0;

    /** What happens while the first text is told. */
    async function happen(): Promise<void> {
      if (point === 'outside.model-half') {
        await during(isTold);
        await at.victim.kill();
      }
      if (scenario.from === 'half') {
        await during(isTold);
        await at.handOn();
      }
      if (scenario.meanwhile === 'cancel') {
        await during(isTold);
        await ask((client) => client.cancel(threadId));
      }
      if (scenario.meanwhile === 'drain') {
        await during(isTold);
        at.victim.drain();
      }
      if (scenario.meanwhile === 'renew') {
        const before = String((await statusOf())?.lease_until);
        await during(async () => String((await statusOf())?.lease_until) !== before);
      }
      half.resolve();
      if (scenario.meanwhile === 'rename') {
        await at.victim.held;
        await ask((client) =>
          client.request('PATCH', `/api/v1/agent/conversations/${threadId}`, { title: 'Renamed' }),
        );
        at.victim.goOn();
      }
    }
    const happening = happen().finally(() => half.resolve());
    happening.catch(() => undefined);

    /** As the card was shown, or was changed and shown again. */
    async function decisionOn(card: Approval): Promise<Decision & { approval_id: string }> {
      const { approval_id, args_hash } = card;
      if (card.kind === 'outcome' && scenario.drops !== undefined) {
        return { approval_id, args_hash, decision: 'retry' };
      }
      if (card.kind === 'outcome') {
        // The person looks into the mailbox.
        const left = addresses.some((to) => card.title.includes(`<${to}>`) && smtp.takenFor(to).length > 0);
        return { approval_id, args_hash, decision: left ? 'mark_done' : 'retry' };
      }
      if (scenario.decision !== 'edit') return { approval_id, args_hash, decision: scenario.decision };
      const args = { ...card.args, body: EDITED };
      const shown = await ask((client) => client.preview(threadId, approval_id, args));
      return { approval_id, args_hash: shown.args_hash, decision: 'edit', args };
    }

    async function decide(cards: readonly Approval[]): Promise<void> {
      const decisions: Awaited<ReturnType<typeof decisionOn>>[] = [];
      for (const card of cards) decisions.push(await decisionOn(card));
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

    let siblingsDone = false;
    async function answerWaiting(): Promise<void> {
      if (scenario.from === 'card') await at.handOn();
      const { interrupts } = await ask((client) => client.interrupt(threadId));
      const [first, second] = interrupts;
      if (first === undefined) return;
      if (first.kind === 'proposal' && scenario.instead === 'cancel')
        return void (await ask((client) => client.cancel(threadId)));
      if (first.kind === 'proposal' && scenario.instead === 'supersede')
        return void (await ask((client) =>
          post(
            client,
            { thread_id: threadId, message: `${INSTEAD} ${words}`, on_pending: 'supersede' },
            `${key}-2`,
          ),
        ));
      if (first.kind === 'proposal' && scenario.instead === 'expire') {
        await database.query(
          `update approvals set expires_at = now() - interval '1 second' where status = 'pending'`,
        );
        // Each process looks for such cards once a second.
        while ((await statusOf())?.status === 'awaiting_approval') {
          await at.now();
          await wait(15);
        }
        return;
      }
      if (scenario.meanwhile === 'sibling' && !siblingsDone && second !== undefined) {
        // The second is decided while the first mail is on its way.
        siblingsDone = true;
        const answered = Promise.withResolvers<Treatment>();
        held.set(address, answered.promise);
        await decide([first]);
        await during(async () => smtp.takenFor(address).length > 0);
        await decide([second]).finally(() => answered.resolve('take'));
        return;
      }
      await decide(scenario.atOnce === true ? interrupts : [first]);
    }

    const until = Date.now() + PATIENCE_MS;
    for (;;) {
      await at.now();
      const status = (await statusOf())?.status;
      if (status === 'awaiting_approval') await answerWaiting();
      else if (status !== 'running') break;
      if (Date.now() > until) break;
      await wait(15);
    }
    await happening;
    return { scenario, words, threadId, addresses, follower };
  }

  async function run(name: ScenarioName, point: KillPoint) {
    const database = await openDatabase(template);
    let processes: Processes | undefined;
    try {
      const at = await openProcesses(database, SCENARIOS[name], point);
      processes = at;
      const played = await play(database, name, at, point);
      // The rows may show the end before the process has died of it.
      const reached = await Promise.race([
        at.victim.exited,
        wait(point === '' ? 100 : 1000).then(() => false),
      ]);
      await at.victim.kill();
      const client = createClient({ baseUrl: await at.now() });
      const faults = await judge(database, client, played, at.intended);
      const logged = (await at.last())?.logged() ?? '';
      if (/"level":"?(error|50)/.test(logged))
        faults.push({ promise: 'P2', text: `the next process logged an error: ${logged.slice(0, 2000)}` });
      return { reached, asked: at.intended.size > 0, faults, passed: at.victim.passed() };
    } finally {
      await processes?.close();
      await database.close();
    }
  }

  return {
    async points(name) {
      const { passed, faults } = await run(name, '');
      if (faults.length > 0) throw new Error(`without a kill there is ${JSON.stringify(faults)}`);
      const { asBefore = false }: Scenario = SCENARIOS[name];
      return [...new Set(asBefore ? passed.slice(passed.indexOf('turns.settle:after:1') + 1) : passed)];
    },
    kill: run,
    async close() {
      await model.close();
      await smtp.close();
      await seeded.close();
    },
  };
}

/** A reader that was there from the beginning and goes on with whichever process is there, until its turns have ended. */
function followAcross(
  at: { now(): Promise<string> },
  threadId: string,
  turns: number,
): Promise<JournalEvent[]> {
  const client = createClient({
    baseUrl: 'http://whichever.invalid',
    fetch: async (input, init) => {
      const address = String(input).replace('http://whichever.invalid', await at.now());
      return globalThis.fetch(address, init);
    },
    random: () => 0,
  });
  let ended = 0;
  const ends = (event: JournalEvent) => {
    const over =
      event.type === 'run-end' && event.data.status !== 'lost' && event.data.status !== 'awaiting_approval';
    if (over) ended += 1;
    return ended === turns;
  };
  const events = collect(
    client.follow(threadId, { after: 0, until: ends, signal: AbortSignal.timeout(PATIENCE_MS) }),
  );
  events.catch(() => undefined);
  return events;
}
