/** Turns that run in one process and are read, renamed, decided and cancelled from another; and whose process is killed. */

import { setTimeout as wait } from 'node:timers/promises';
import { v7 } from 'uuid';
import { afterAll, beforeAll } from 'vitest';
import type { JournalEvent } from '../../src/client/events.ts';
import {
  cardOf,
  endOf,
  lastAnswer,
  type Mailing,
  openMailing,
  sendEmail,
  toldSoFar,
} from '../support/mailing.ts';
import { proves } from '../support/proves.ts';
import type { ServiceHere, ServiceProcess } from '../support/service.ts';
import { gate } from '../support/stage.ts';
import { messagesOf, oddEvents, sameMessage } from './oracle.ts';

interface Sizes {
  /** Turns that are followed from the other process. */
  turns: number;
  /** Owners that are killed; their leases run out by themselves, so it takes its time. */
  kills: number;
}

const PIECES = 16;
const PACE_MS = 40;
const LEASE_SECONDS = 3;
/** A dead process's turns go on within their lease and this. */
const GRACE_MS = 5000;

/** Declares both rows; `kills` may be 0. */
export function provesElsewhere({ turns, kills }: Sizes): void {
  let mailing: Mailing;
  let here: ServiceHere;
  let there: ServiceProcess;
  beforeAll(async () => {
    mailing = await openMailing({ LEASE_SECONDS: '60' });
    here = await mailing.start();
    there = await mailing.startProcess();
  });
  afterAll(() => mailing.close());

  /** A reader in this process, from the beginning to the turn's end. */
  async function follow(threadId: string, hear: (event: JournalEvent) => void): Promise<JournalEvent[]> {
    const events: JournalEvent[] = [];
    const follower = here.client.follow(threadId, {
      after: 0,
      until: ({ type, data }) =>
        type === 'run-end' && data.status !== 'lost' && data.status !== 'awaiting_approval',
    });
    for await (const event of follower) {
      events.push(event);
      hear(event);
    }
    return events;
  }

  async function attempt(index: number, lags: number[]): Promise<string[]> {
    const cancels = index % 2 === 1;
    const words = `elsewhere ${v7()}`;
    const address = `${words.replace(' ', '-')}@acme.example`;
    const gates = Array.from({ length: PIECES }, gate);
    const text = gates.flatMap(({ promise }, piece) => [promise, `piece${piece} `]);
    mailing.talk.plan(words, [
      { text, toolCalls: [sendEmail(await mailing.addLead(address))] },
      'It is done.',
    ]);
    const { threadId } = await there.client.send({ message: words });
    const told: number[] = [];
    const heard = new Map<number, number>();
    const following = follow(threadId, (event) => {
      if (event.type !== 'text-delta') return;
      for (const [, piece] of event.data.delta.matchAll(/piece(\d+) /g))
        heard.set(Number(piece), performance.now());
    });
    for (const [piece, { open }] of gates.entries()) {
      told[piece] = performance.now();
      open();
      // The model speaks at its pace, whoever listens.
      await wait(PACE_MS);
      if (piece === PIECES / 2) {
        await here.client.request('PATCH', `/api/v1/agent/conversations/${threadId}`, {
          title: `From elsewhere ${index}`,
        });
        if (cancels) {
          await here.client.cancel(threadId);
          break;
        }
      }
    }
    for (const { open } of gates) open();
    if (!cancels) {
      await toldSoFar(here.client, threadId);
      const { approval_id, args_hash } = await cardOf(here.client, threadId);
      await here.client.decide(threadId, approval_id, { decision: 'approve', args_hash });
    }
    const events = await following;
    for (const [piece, at] of heard) lags.push(at - (told[piece] ?? at));
    const faults = oddEvents(events, cancels ? 'cancelled' : 'completed');
    const [seenThere, seenHere] = await Promise.all([
      toldSoFar(there.client, threadId),
      toldSoFar(here.client, threadId),
    ]);
    const answer = await lastAnswer(there.client, threadId);
    for (const story of [events, seenThere, seenHere])
      if (
        !sameMessage(
          messagesOf(story).find(({ id }) => id === answer.id),
          answer,
        )
      )
        faults.push(`a reader saw another message than the kept one: ${JSON.stringify(answer)}`);
    const renamed = seenThere.filter(
      ({ type, data }) =>
        type === 'conversation-update' && 'title' in data && data.title === `From elsewhere ${index}`,
    );
    if (renamed.length !== 1) faults.push(`the new title was told ${renamed.length} times`);
    const mails = mailing.smtp.takenFor(address).length;
    if (mails !== (cancels ? 0 : 1)) faults.push(`${mails} mails`);
    return faults;
  }

  proves(
    'P7',
    'started in one process; read, renamed, decided and cancelled from another',
    turns,
    async (tally) => {
      const lags: number[] = [];
      await tally.each(
        Array.from({ length: turns }, (_, index) => index),
        2,
        (index) => attempt(index, lags),
      );
      const median = lags.toSorted((one, other) => one - other)[Math.floor(lags.length / 2)] ?? 0;
      tally.remark(`median lag ${median.toFixed(0)} ms of ${lags.length} deltas (asked: 100)`);
    },
  );

  if (kills === 0) return;
  proves(
    'P2',
    `its process killed: another one ends the turn within the lease (${LEASE_SECONDS} s) plus 5 s`,
    kills,
    async (tally) => {
      const other = await mailing.start({ environment: { LEASE_SECONDS: String(LEASE_SECONDS) } });
      const times: number[] = [];
      await tally.each(
        Array.from({ length: kills }, (_, index) => index),
        1,
        async (index) => {
          const owner = await mailing.startProcess({ LEASE_SECONDS: String(LEASE_SECONDS) });
          const words = `killed ${index} ${v7()}`;
          const held = gate();
          mailing.talk.plan(words, [{ text: ['Half a', held.promise, ' sentence.'] }]);
          const { threadId } = await owner.client.send({ message: words });
          let killedAt = 0;
          const events = await follow(threadId, (event) => {
            if (event.type !== 'text-delta' || killedAt !== 0) return;
            killedAt = Date.now();
            held.open();
            void owner.kill();
          });
          const took = Date.now() - killedAt;
          times.push(took);
          const faults = oddEvents(events);
          const ends = events.flatMap(({ type, data }) => (type === 'run-end' ? [data.status] : []));
          if (ends.join() !== 'lost,completed') faults.push(`the runs ended ${ends.join()}`);
          if (!events.some(({ type }) => type === 'message-reset'))
            faults.push('the reader was not told to reset');
          const answer = await lastAnswer(other.client, threadId);
          const seen = messagesOf(events).find(({ id }) => id === answer.id);
          if (
            answer.content !== 'Half a sentence.' ||
            !sameMessage(seen, answer) ||
            endOf(events) !== 'completed'
          )
            faults.push(`the reader saw ${JSON.stringify(seen)}`);
          if (took > LEASE_SECONDS * 1000 + GRACE_MS) faults.push(`it took ${took} ms`);
          return faults;
        },
      );
      tally.remark(`after ${(Math.max(...times) / 1000).toFixed(1)} s at most`);
    },
  );
}
