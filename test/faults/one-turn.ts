/** Many requests at once, and the same request many times: one turn, whichever process they reach. */

import { v7 } from 'uuid';
import { afterAll, beforeAll } from 'vitest';
import { startKillable } from '../support/killable.ts';
import { type Mailing, openMailing, toldSoFar } from '../support/mailing.ts';
import { proves } from '../support/proves.ts';
import type { Service, ServiceHere } from '../support/service.ts';
import { gate } from '../support/stage.ts';

interface Sizes {
  /** Messages at once in one conversation. */
  posts: number;
  /** The same message under the same key: one after another, at once, and after its process has died. */
  sequential: number;
  concurrent: number;
  crashes: number;
}

interface Answer {
  status: number;
  code?: string;
  turnId?: string;
}

/** Declares that one of many messages runs, and that one key makes one turn. */
export function provesOneTurn(sizes: Sizes): void {
  let mailing: Mailing;
  let here: ServiceHere;
  let processes: Service[];
  beforeAll(async () => {
    // No busy machine shall lose a lease by itself.
    mailing = await openMailing({ LEASE_SECONDS: '60' });
    here = await mailing.start();
    processes = [here, await mailing.startProcess()];
  });
  afterAll(() => mailing.close());

  /** One of the processes, in turn. */
  const process = (index: number): string => processes[index % processes.length]?.url ?? '';

  async function turnsWith(words: string): Promise<number> {
    const [row] = await mailing.database.query<{ count: number }>(
      `select count(*)::int as count from turns where input->>'message' like $1 || '%'`,
      [words],
    );
    return row?.count ?? 0;
  }

  proves('P6', 'messages at once in one conversation, over two processes: one runs', sizes.posts, (tally) =>
    inRounds(sizes.posts, 100, async (count) => {
      const words = `all at once ${v7()}`;
      mailing.talk.plan(words, ['Hello.']);
      const { threadId } = await here.client.send({ message: words });
      await toldSoFar(here.client, threadId);
      const held = gate();
      const messages = Array.from({ length: count }, (_, index) => `${words} ${index}`);
      for (const message of messages) mailing.talk.plan(message, [{ text: ['It is me', held.promise, '.'] }]);
      const answers = await Promise.all(
        messages.map((message, index) => post(process(index), { message, thread_id: threadId })),
      );
      held.open();
      const running = answers.filter(({ status }) => status === 202);
      const events = await toldSoFar(here.client, threadId);
      const ends = events.filter((event) => event.type === 'run-end');
      const made = await turnsWith(`${words} `);
      for (const [index, answer] of answers.entries()) {
        const refused = answer.status === 409 && answer.code === 'TURN_RUNNING';
        const faults = refused || answer.status === 202 ? [] : [`post ${index}: ${JSON.stringify(answer)}`];
        if (index === 0 && running.length !== 1) faults.push(`${running.length} messages were accepted`);
        if (index === 0 && made !== 1) faults.push(`${made} turns were made`);
        if (index === 0 && ends.length !== 2) faults.push(`${ends.length} runs ended`);
        tally.count(faults);
      }
    }),
  );

  proves('P8', 'the same key again and again: one turn', sizes.sequential, async (tally) => {
    const words = `again ${v7()}`;
    const held = gate();
    mailing.talk.plan(words, [{ text: ['Once', held.promise, '.'] }]);
    const first = await post(process(0), { message: words }, words);
    for (let index = 0; index < sizes.sequential; index += 1) {
      // The turn ends half way: its key says the same after that.
      if (index === Math.floor(sizes.sequential / 2)) held.open();
      tally.count(faultsOf(await post(process(index), { message: words }, words), first));
    }
    const made = await turnsWith(words);
    if (made !== 1) tally.count([`${made} turns`]);
  });

  proves('P8', 'the same key at once, over two processes: one turn', sizes.concurrent, async (tally) => {
    const words = `together ${v7()}`;
    mailing.talk.plan(words, ['Once.']);
    const answers = await Promise.all(
      Array.from({ length: sizes.concurrent }, (_, index) => post(process(index), { message: words }, words)),
    );
    for (const answer of answers) tally.count(faultsOf(answer, answers[0]));
    const made = await turnsWith(words);
    if (made !== 1) tally.count([`${made} turns`]);
  });

  proves('P8', 'the same key after its process was killed: one turn', sizes.crashes, (tally) =>
    tally.each(
      Array.from({ length: sizes.crashes }, (_, index) => (index % 2 === 0 ? 'after' : 'before')),
      3,
      async (phase) => {
        const words = `after a crash ${v7()}`;
        mailing.talk.plan(words, ['Once.']);
        const victim = await startKillable({
          databaseUrl: mailing.database.url,
          environment: { OPENAI_BASE_URL: mailing.model.url, OPENAI_API_KEY: 'sk-test', LEASE_SECONDS: '60' },
          killAt: `turns.accept:${phase}:1`,
        });
        const unheard = await post(victim.url, { message: words }, words).catch(() => null);
        const faults = (await victim.exited) && unheard === null ? [] : ['the process did not die of it'];
        const kept = await turnsWith(words);
        if (kept !== (phase === 'after' ? 1 : 0)) faults.push(`${kept} turns were kept ${phase}`);
        const again = await post(process(0), { message: words }, words);
        const once = await post(process(1), { message: words }, words);
        faults.push(...faultsOf(again, once));
        const made = await turnsWith(words);
        if (made !== 1) faults.push(`${made} turns`);
        return faults;
      },
    ),
  );
}

async function inRounds(count: number, most: number, round: (size: number) => Promise<void>): Promise<void> {
  for (let left = count; left > 0; left -= most) await round(Math.min(left, most));
}

function faultsOf(answer: Answer, first: Answer | undefined): string[] {
  if (answer.status === 202 && answer.turnId !== undefined && answer.turnId === first?.turnId) return [];
  return [`${JSON.stringify(answer)} is not ${JSON.stringify(first)}`];
}

async function post(url: string, body: object, key?: string): Promise<Answer> {
  const response = await fetch(`${url}/api/v1/agent/chat`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      prefer: 'respond-async',
      ...(key === undefined ? {} : { 'idempotency-key': key.replaceAll(' ', '-') }),
    },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as { detail?: string; turn_id?: string };
  return { status: response.status, code: answer.detail, turnId: answer.turn_id };
}
