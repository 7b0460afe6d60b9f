/** Owners that stand still past their lease: others go on with their turns, and awake again they change nothing. */

import { v7 } from 'uuid';
import { afterAll, beforeAll } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import {
  cardOf,
  cardsOf,
  decide,
  endOf,
  eventually,
  lastAnswer,
  type Mailing,
  openMailing,
  say,
  sendEmail,
  toldSoFar,
} from '../support/mailing.ts';
import { proves } from '../support/proves.ts';
import type { ServiceHere, ServiceProcess } from '../support/service.ts';
import type { Treatment } from '../support/smtp-server.ts';
import { gate } from '../support/stage.ts';

/** A turn that is under way in the process that will stand still. */
interface Sleeping {
  threadId: string;
  /** The recipient, where it is in the middle of a mail; else it is in the middle of its text. */
  address: string | null;
  /** Lets the model, or the mail server, say the rest to the process that asked. */
  goOn(): void;
}

/** Declares that `stops` rounds of `turns` stopped and continued owners write nothing. */
export function provesZombies({ stops, turns }: { stops: number; turns: number }): void {
  let mailing: Mailing;
  let here: ServiceHere;
  let sleeper: ServiceProcess;
  beforeAll(async () => {
    // Leases are ended by hand: no busy machine shall lose one by itself.
    mailing = await openMailing({ LEASE_SECONDS: '60' });
    here = await mailing.start();
    sleeper = await mailing.startProcess();
  });
  afterAll(() => mailing.close());

  async function speak(): Promise<Sleeping> {
    const words = `speak ${v7()}`;
    const held = gate();
    let asked = 0;
    mailing.talk.plan(words, [
      () => {
        asked += 1;
        return asked === 1 ? { text: ['Half', held.promise, ' of the zombie.'] } : 'All of it.';
      },
    ]);
    const { threadId } = await sleeper.client.send({ message: words });
    for await (const event of here.client.follow(threadId, { after: 0 }))
      if (event.type === 'text-delta') break;
    return { threadId, address: null, goOn: held.open };
  }

  async function mail(): Promise<Sleeping> {
    const words = `mail ${v7()}`;
    const address = `${words.replace(' ', '-')}@acme.example`;
    mailing.talk.plan(words, [{ toolCalls: [sendEmail(await mailing.addLead(address))] }, 'It is done.']);
    const { threadId } = await say(sleeper.client, words);
    const card = await cardOf(sleeper.client, threadId);
    const answer = Promise.withResolvers<Treatment>();
    answers.set(address, answer.promise);
    const { approval_id, args_hash } = card;
    await sleeper.client.decide(threadId, approval_id, { decision: 'approve', args_hash });
    await mailing.smtp.arrival(address);
    return { threadId, address, goOn: () => answer.resolve('take') };
  }
  const answers = new Map<string, Promise<Treatment>>();

  /** All that is kept of a conversation, as text. */
  async function kept(threadId: string): Promise<string> {
    const tables = {
      turns: 'conversation_id',
      events: 'conversation_id',
      conversation_messages: 'conversation_id',
      approvals: 'conversation_id',
      conversations: 'id',
    };
    const parts = [];
    for (const [table, column] of Object.entries(tables)) {
      // Whoever runs a turn renews its lease; that is no write of the zombie's.
      const rows = await mailing.database.query(
        `select to_jsonb(t) - 'lease_until' as row from ${table} t where ${column} = $1 order by to_jsonb(t)::text`,
        [threadId],
      );
      parts.push(table, JSON.stringify(rows));
    }
    for (const table of ['effects', 'outbox', 'turn_checkpoints']) {
      const rows = await mailing.database.query(
        `select to_jsonb(x) as row from ${table} x join turns t on t.id = x.turn_id where t.conversation_id = $1 order by to_jsonb(x)::text`,
        [threadId],
      );
      parts.push(table, JSON.stringify(rows));
    }
    return parts.join('\n');
  }

  async function inFlight(): Promise<number> {
    const metrics = await (await fetch(`${sleeper.url}/metrics`)).text();
    return Number(/^\S*turns_in_flight(?:\{[^}]*\})? (\d+)/m.exec(metrics)?.[1] ?? Number.NaN);
  }

  proves(
    'P6',
    'an owner stopped past its lease and continued: no stale write',
    stops * turns,
    async (tally) => {
      mailing.smtp.treat(({ to }) => answers.get(to) ?? 'take');
      for (let stop = 0; stop < stops; stop += 1) {
        const sleeping = await Promise.all(
          Array.from({ length: turns }, (_, index) => (index % 2 === 0 ? speak() : mail())),
        );
        sleeper.process.kill('SIGSTOP');
        await mailing.database.query(
          `update turns set lease_until = now() - interval '1 second' where status = 'running'`,
        );
        await mailing.database.query(`select pg_notify('overture', 'released')`);
        const before = new Map<string, string>();
        for (const { threadId, address } of sleeping) {
          // The turn ends here, or asks what became of the mail.
          const told = await toldSoFar(here.client, threadId);
          if (endOf(told) === 'lost') throw new Error('nobody went on with it');
          if (address !== null)
            await eventually(
              () => cardsOf(here.client, threadId),
              (cards) => cards[0]?.kind === 'outcome',
            );
          before.set(threadId, await kept(threadId));
        }
        // Awake again it has the rest of each answer before it, and finds its leases gone.
        for (const { goOn } of sleeping) goOn();
        sleeper.process.kill('SIGCONT');
        await eventually(inFlight, (count) => count === 0);
        for (const { threadId, address } of sleeping) {
          const faults: string[] = [];
          if ((await kept(threadId)) !== before.get(threadId)) faults.push('something was written');
          if (address === null) {
            const { content } = await lastAnswer(here.client, threadId);
            if (content !== 'All of it.') faults.push(`the answer is ${content}`);
          } else {
            const [question] = await cardsOf(createClient({ baseUrl: here.url }), threadId);
            if (question === undefined) faults.push('nobody is asked');
            else if (endOf(await decide(here.client, question, 'mark_done')) !== 'completed')
              faults.push('the turn did not end');
            const sent = mailing.smtp.takenFor(address).length;
            if (sent !== 1) faults.push(`${sent} mails`);
          }
          tally.count(faults);
        }
      }
    },
  );
}
