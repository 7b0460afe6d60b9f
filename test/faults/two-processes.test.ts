import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import { applyEvent, createConversationState } from '../../src/client/conversation.ts';
import type { Approval } from '../../src/client/events.ts';
import type { KillPoint } from '../support/kill-points.ts';
import { startKillable } from '../support/killable.ts';
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
import type { ServiceHere } from '../support/service.ts';
import { gate } from '../support/stage.ts';

let mailing: Mailing;
/** The process that stays; it takes over what is lost. */
let here: ServiceHere;
/** No slow machine shall lose a lease by itself. */
const LEASE = { LEASE_SECONDS: '60' };
beforeAll(async () => {
  mailing = await openMailing(LEASE);
  here = await mailing.start();
});
afterAll(() => mailing.close());

function startOther(killAt: KillPoint = '') {
  return startKillable({
    databaseUrl: mailing.database.url,
    environment: {
      OPENAI_BASE_URL: mailing.model.url,
      OPENAI_API_KEY: 'sk-scripted-model-key',
      OPENAI_MODEL: 'scripted',
      SMTP_URL: mailing.smtp.url,
      ...LEASE,
    },
    killAt,
  });
}

/** Plans one mail; answers the words that begin its turn, and the recipient. */
async function planMail(count = 1) {
  const words = `write ${v7()}`;
  const addresses = Array.from(
    { length: count },
    (_, index) => `${words.replace(' ', '-')}-${index}@acme.example`,
  );
  const toolCalls = [];
  for (const address of addresses) toolCalls.push(sendEmail(await mailing.addLead(address)));
  mailing.talk.plan(words, [{ toolCalls }, 'It is done.']);
  return { words, addresses, address: addresses[0] as string };
}

async function effectState(card: Approval): Promise<string | undefined> {
  const rows = await mailing.database.query<{ state: string }>(
    'select state from effects where turn_id = $1 and tool_call_id = $2',
    [card.turn_id, card.tool_call_id],
  );
  return rows[0]?.state;
}

/** As if a lease's time had passed since its owner was last seen. */
async function endLeases(): Promise<void> {
  await mailing.database.query(
    `update turns set lease_until = now() - interval '1 second' where status = 'running'`,
  );
  await mailing.database.query(`select pg_notify('overture', 'released')`);
}

describe('two processes on one database', () => {
  it('read and decide on one what runs on the other', async () => {
    const other = await startOther();
    const there = createClient({ baseUrl: other.url });
    const { words, addresses } = await planMail(2);
    const half = gate();
    mailing.talk.plan(words, [
      {
        text: ['I write', half.promise, ' to both.'],
        toolCalls: [
          sendEmail(await mailing.addLead(addresses[0] as string)),
          sendEmail(await mailing.addLead(addresses[1] as string)),
        ],
      },
      'It is done.',
    ]);
    const sent = await there.send({ message: words });
    // Text that is told there is read here while it is told.
    for await (const event of here.client.follow(sent.threadId, { after: 0 })) {
      if (event.type === 'text-delta' && event.data.delta.includes('I write')) break;
    }
    half.open();
    expect(endOf(await toldSoFar(here.client, sent.threadId))).toBe('awaiting_approval');

    // One mail is on its way there while the other is decided here.
    const [first, second] = (await cardsOf(here.client, sent.threadId)) as [Approval, Approval];
    const answer = Promise.withResolvers<'take'>();
    mailing.smtp.treat(({ to }) => (to === addresses[0] ? answer.promise : 'take'));
    await there.decide(sent.threadId, first.approval_id, { decision: 'approve', args_hash: first.args_hash });
    await mailing.smtp.arrival(addresses[0] as string);
    await here.client.decide(sent.threadId, second.approval_id, {
      decision: 'approve',
      args_hash: second.args_hash,
    });
    answer.resolve('take');
    const [seenHere, seenThere] = await Promise.all([
      toldSoFar(here.client, sent.threadId),
      toldSoFar(there, sent.threadId),
    ]);
    mailing.smtp.treat(() => 'take');
    expect(endOf(seenHere)).toBe('completed');
    expect(seenThere).toEqual(seenHere);
    expect(addresses.map((address) => mailing.smtp.takenFor(address).length)).toEqual([1, 1]);
    const { parts } = await lastAnswer(here.client, sent.threadId);
    expect(parts.flatMap((part) => (part.type === 'approval' ? part.approval.status : []))).toEqual([
      'approved',
      'approved',
    ]);
    await other.kill();
  });

  it('carry a turn on when the process that runs it dies in the middle of a sentence', async () => {
    const other = await startOther();
    const words = `speak ${v7()}`;
    const half = gate();
    mailing.talk.plan(words, [{ text: ['Half a', half.promise, ' sentence.'] }]);
    const sent = await createClient({ baseUrl: other.url }).send({ message: words });
    let state = createConversationState();
    const reader = here.client.follow(sent.threadId, {
      after: 0,
      until: (event) => event.type === 'run-end' && event.data.status !== 'lost',
    });
    for await (const event of reader) {
      state = applyEvent(state, event);
      if (event.type === 'text-delta' && !other.dead()) {
        await other.kill();
        await endLeases();
        half.open();
      }
    }
    expect(state.run).toMatchObject({ status: 'idle', end: 'completed' });
    const answer = await lastAnswer(here.client, sent.threadId);
    expect(answer).toMatchObject({ status: 'complete', content: 'Half a sentence.' });
    expect(state.messages.at(-1)).toMatchObject({
      id: answer.id,
      content: answer.content,
      parts: answer.parts,
    });
    expect(mailing.talk.requests(words)).toHaveLength(2);
  });

  it.each(['approvals.decide:after:1', 'approvals.ofCall:after:2', 'ledger.intend:before:1'])(
    'send an approved mail once when the process dies between the yes and the mail (%s)',
    async (point) => {
      const other = await startOther(point);
      const { words, address } = await planMail();
      const there = createClient({ baseUrl: other.url });
      const { threadId } = await say(there, words);
      const card = await cardOf(there, threadId);
      // The answer may be lost with the process; the decision is not.
      await there
        .decide(threadId, card.approval_id, { decision: 'approve', args_hash: card.args_hash })
        .catch(() => undefined);
      expect(await other.exited).toBe(true);
      await endLeases();
      const events = await toldSoFar(here.client, threadId);
      expect(endOf(events)).toBe('completed');
      expect(events.flatMap((event) => (event.type === 'run-end' ? event.data.status : []))).toEqual([
        'awaiting_approval',
        'lost',
        'completed',
      ]);
      expect(mailing.smtp.takenFor(address)).toHaveLength(1);
      expect(await effectState(card)).toBe('done');
    },
  );

  it('tell the truth of a mail that was on its way when its turn was cancelled and its process died', async () => {
    const other = await startOther('mailer.send:after:1');
    const there = createClient({ baseUrl: other.url });
    const { words, address } = await planMail();
    const { threadId } = await say(there, words);
    const card = await cardOf(there, threadId);
    const answer = Promise.withResolvers<'take'>();
    mailing.smtp.treat(() => answer.promise);
    await there.decide(threadId, card.approval_id, { decision: 'approve', args_hash: card.args_hash });
    await mailing.smtp.arrival(address);
    await there.cancel(threadId);
    // An effect that was begun is not broken off; here its process dies before it has noted the end.
    answer.resolve('take');
    expect(await other.exited).toBe(true);
    await endLeases();
    mailing.smtp.treat(() => 'take');
    const events = await toldSoFar(here.client, threadId);
    expect(endOf(events)).toBe('cancelled');
    const { parts } = await lastAnswer(here.client, threadId);
    expect(parts.find((part) => part.type === 'tool')).toMatchObject({
      status: 'unknown',
      error: { code: 'EFFECT_UNKNOWN' },
    });
    expect(await effectState(card)).toBe('unknown');
    const { mails } = await here.client.request<{ mails: { to: string; status: string }[] }>(
      'GET',
      '/api/v1/outbox?limit=200',
    );
    expect(mails.find(({ to }) => to === address)?.status).toBe('unknown');
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
  });

  it('settle a mail that was begun before its turn is cancelled', async () => {
    const { words, address } = await planMail();
    const { threadId } = await say(here.client, words);
    const card = await cardOf(here.client, threadId);
    const answer = Promise.withResolvers<'take'>();
    mailing.smtp.treat(() => answer.promise);
    await here.client.decide(threadId, card.approval_id, { decision: 'approve', args_hash: card.args_hash });
    await mailing.smtp.arrival(address);
    await here.client.cancel(threadId);
    answer.resolve('take');
    const events = await toldSoFar(here.client, threadId);
    mailing.smtp.treat(() => 'take');
    expect(endOf(events)).toBe('cancelled');
    const { parts } = await lastAnswer(here.client, threadId);
    expect(parts.find((part) => part.type === 'tool')).toMatchObject({
      status: 'ok',
      result: { status: 'sent' },
    });
    expect(await effectState(card)).toBe('done');
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
  });

  it('refuse what a process does that slept through its lease with a mail on its way', async () => {
    const sleeper = await mailing.startProcess();
    const { words, address } = await planMail();
    const { threadId } = await say(sleeper.client, words);
    const card = await cardOf(sleeper.client, threadId);
    const answer = Promise.withResolvers<'take'>();
    mailing.smtp.treat(() => answer.promise);
    await sleeper.client.decide(threadId, card.approval_id, {
      decision: 'approve',
      args_hash: card.args_hash,
    });
    await mailing.smtp.arrival(address);
    sleeper.process.kill('SIGSTOP');
    await endLeases();
    // Its turn is taken over; nobody here can know what became of the mail.
    const question = await eventually(
      () => cardsOf(here.client, threadId),
      (cards) => cards[0]?.kind === 'outcome',
    );
    answer.resolve('take');
    mailing.smtp.treat(() => 'take');
    sleeper.process.kill('SIGCONT');
    expect(endOf(await decide(here.client, question[0] as Approval, 'mark_done'))).toBe('completed');
    // Awake again it serves, and has changed nothing.
    expect((await sleeper.client.conversation(threadId)).status).toBe('idle');
    const events = await toldSoFar(here.client, threadId);
    expect(events.filter((event) => event.type === 'tool-end')).toHaveLength(1);
    expect(endOf(events)).toBe('completed');
    expect(await effectState(card)).toBe('done');
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
    await sleeper.kill();
  });
});
