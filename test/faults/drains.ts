/** A deploy: a process with streams and running turns is told to leave, and loses nothing. */

import { v7 } from 'uuid';
import { afterAll, beforeAll } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import type { JournalEvent } from '../../src/client/events.ts';
import { endOf, eventually, lastAnswer, toldSoFar } from '../support/mailing.ts';
import { proves } from '../support/proves.ts';
import type { ServiceHere, ServiceProcess } from '../support/service.ts';
import { type OpenStream, openStream } from '../support/sse.ts';
import { gate, openStage, type Stage } from '../support/stage.ts';
import { createTalk, type Talk } from '../support/talk.ts';
import { messagesOf, sameMessage } from './oracle.ts';

interface Sizes {
  turns: number;
  streams: number;
  /** What a deploy may take; not asserted where others use the machine as well. */
  exitMs?: number;
}

/** Declares drains with `turns` running turns and `streams` open streams, and as many turns at a second SIGTERM. */
export function provesDrains({ turns, streams, exitMs = Number.POSITIVE_INFINITY }: Sizes): void {
  let stage: Stage;
  let talk: Talk;
  let there: ServiceHere;
  beforeAll(async () => {
    stage = await openStage({ LEASE_SECONDS: '60' });
    talk = createTalk(stage.model);
    there = await stage.start();
  });
  afterAll(() => stage.close());

  /** A turn whose first answer is held in the middle; when it is let go it calls a tool, and then speaks. */
  async function begin(leaving: ServiceProcess) {
    const words = `deploy ${v7()}`;
    const held = gate();
    talk.plan(words, [
      { text: ['Let me look.', held.promise], toolCalls: [{ name: 'get_credit_balance' }] },
      'That is what you have.',
    ]);
    const client = createClient({
      baseUrl: leaving.url,
      // As a load balancer would: who is gone is not asked again.
      fetch: (input, init) =>
        fetch(input, init).catch((error: unknown) => {
          if (init?.signal?.aborted) throw error;
          return fetch(String(input).replace(leaving.url, there.url), init);
        }),
    });
    const sent = await client.send({ message: words });
    const spoke = Promise.withResolvers<void>();
    const heard = (async () => {
      const events: JournalEvent[] = [];
      for await (const event of sent.events) {
        events.push(event);
        if (event.type === 'text-delta') spoke.resolve();
      }
      return events;
    })();
    heard.catch(() => undefined);
    await spoke.promise;
    return { threadId: sent.threadId, held, heard };
  }
  type Begun = Awaited<ReturnType<typeof begin>>;

  /** A turn that was handed on: ended, and told to its client as it is kept. */
  async function faultsOf({ threadId, heard }: Begun): Promise<string[]> {
    const events = await heard;
    const faults = endOf(events) === 'completed' ? [] : [`the client heard ${endOf(events)}`];
    const told = await toldSoFar(there.client, threadId);
    if (endOf(told) !== 'completed') faults.push(`the turn is ${endOf(told)}`);
    const answer = await lastAnswer(there.client, threadId);
    if (answer.content !== 'Let me look.\n\nThat is what you have.') faults.push(`it says ${answer.content}`);
    const seen = messagesOf(events).find(({ id }) => id === answer.id);
    if (!sameMessage(seen, answer)) faults.push('the client saw another message');
    return faults;
  }

  function watch(leaving: ServiceProcess, begun: readonly Begun[]): Promise<OpenStream[]> {
    return Promise.all(
      Array.from({ length: streams }, (_, index) =>
        openStream(
          `${leaving.url}/api/v1/agent/conversations/${begun[index % begun.length]?.threadId}/stream?after=0`,
        ),
      ),
    );
  }

  proves(
    'P13',
    `SIGTERM with ${streams} streams and ${turns} turns: each turn finishes`,
    turns,
    async (tally) => {
      const ended = tally.also('P13', `its ${streams} streams end in good order; exit within 25 s`);
      const leaving = await stage.startProcess();
      const begun = await Promise.all(Array.from({ length: turns }, () => begin(leaving)));
      const open = await watch(leaving, begun);
      await Promise.all(open.map((stream) => stream.event('text-delta')));
      const at = Date.now();
      leaving.process.kill('SIGTERM');
      for (const stream of open) {
        await stream.ended;
        const last = stream.frames.at(-1)?.raw ?? '';
        ended.count(last.startsWith('retry:') ? [] : [`a stream ended with ${last}`]);
      }
      for (const { held } of begun) held.open();
      const code = await leaving.exited;
      const took = Date.now() - at;
      ended.count(code === 0 && took <= exitMs ? [] : [`exit code ${code} after ${took} ms`]);
      ended.remark(`gone after ${(took / 1000).toFixed(1)} s`);
      for (const one of begun) tally.count(await faultsOf(one));
    },
  );

  proves('P13', 'a second SIGTERM ends at once, and its turns finish elsewhere', turns, async (tally) => {
    const leaving = await stage.startProcess();
    const begun = await Promise.all(Array.from({ length: turns }, () => begin(leaving)));
    leaving.process.kill('SIGTERM');
    await eventually(
      () => leaving.logged().includes('leaving'),
      (said) => said,
    );
    const at = Date.now();
    leaving.process.kill('SIGTERM');
    const code = await leaving.exited;
    const took = Date.now() - at;
    tally.remark(`gone after ${(took / 1000).toFixed(1)} s`);
    // Its leases would run out by themselves.
    await stage.database.query(
      `update turns set lease_until = now() - interval '1 second' where status = 'running'`,
    );
    for (const { held } of begun) held.open();
    for (const one of begun) {
      const faults = await faultsOf(one);
      if (code !== 1) faults.push(`exit code ${code}`);
      tally.count(faults);
    }
  });
}
