/** A turn whose process dies, or stands still: another one goes on with it, and the old one can do no harm. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import { applyEvent, createConversationState } from '../../src/client/conversation.ts';
import type { ConversationDetail, JournalEvent } from '../../src/client/events.ts';
import type { createApprovals } from '../../src/resources/approvals/approvals.ts';
import {
  cardsOf,
  endOf,
  eventually,
  lastAnswer,
  type Mailing,
  openMailing,
  say,
  sendEmail,
  toldSoFar,
} from '../support/mailing.ts';
import type { ServiceHere, ServiceProcess } from '../support/service.ts';
import { type OpenStream, openStream } from '../support/sse.ts';
import { gate } from '../support/stage.ts';

const LEASE_SECONDS = 3;
/** Design: a dead process’s turns go on within the lease plus 5 s. */
const WITHIN_MS = (LEASE_SECONDS + 5) * 1000;

let mailing: Mailing;
/** Survives everything. */
let there: ServiceHere;
/** Gates that a test left closed would hold the stage open. */
const gates: (() => void)[] = [];
beforeAll(async () => {
  mailing = await openMailing({ LEASE_SECONDS: String(LEASE_SECONDS) });
  there = await mailing.start();
});
afterAll(async () => {
  for (const open of gates) open();
  await mailing.close();
});

function ownGate() {
  const made = gate();
  gates.push(made.open);
  return made;
}

/** One process at a time: a busy machine must not make the others lose their leases. */
let starting: Promise<unknown> = Promise.resolve();
function startOwner(): Promise<ServiceProcess> {
  const started = starting.then(() => mailing.startProcess());
  starting = started.catch(() => undefined);
  return started;
}

function follow(service: { url: string }, threadId: string): Promise<OpenStream> {
  return openStream(`${service.url}/api/v1/agent/conversations/${threadId}/stream?after=0`);
}

/** The messages as a page shows them that heard these events. */
function messagesOf(events: readonly JournalEvent[]) {
  return events.reduce(applyEvent, createConversationState()).messages.map(seen);
}

/** A message but for what no event tells. */
function seen({ id, role, status, content, parts }: ConversationDetail['messages'][number]) {
  return { id, role, status, content, parts };
}

interface StoredRow {
  seq: string;
  type: string;
  data: unknown;
}

function rowsOf(threadId: string): Promise<StoredRow[]> {
  return mailing.database.query<StoredRow & Record<string, unknown>>(
    'select seq, run_id, type, data from events where conversation_id = $1 order by seq',
    [threadId],
  );
}

/** A turn in a process of its own that has called a tool and is in the middle of its text. */
async function inTheMiddle(words: string) {
  const held = ownGate();
  let asked = 0;
  mailing.talk.plan(words, [
    { text: 'Let me look.', toolCalls: [{ name: 'get_credit_balance' }] },
    () => {
      asked += 1;
      return asked === 1 ? { text: ['You have', held.promise, ' nothing'] } : 'You have plenty of credits.';
    },
  ]);
  const owner = await startOwner();
  const post = await openStream(`${owner.url}/api/v1/agent/chat`, { body: { message: words } });
  const threadId = post.headers.get('x-thread-id') ?? '';
  const reader = await follow(there, threadId);
  // The other process hears it, so it is stored.
  await reader.event('text-delta', (event) => event.data.delta.includes('You have'));
  return { owner, post, threadId, turnId: post.headers.get('x-turn-id'), reader, held, asked: () => asked };
}

// Most of their time is waiting for a lease to run out.
describe.concurrent('a process that is killed', () => {
  it('leaves its turn to another, which tells its readers, keeps what was complete and says the rest anew', async () => {
    const { owner, post, threadId, turnId, reader } = await inTheMiddle('killed in the middle');
    const killedAt = Date.now();
    await owner.kill('SIGKILL');
    await expect(post.ended).rejects.toThrow();
    const recovery = await reader.event('run-start', (event) => event.data.kind === 'recovery');
    expect(Date.now() - killedAt).toBeLessThan(WITHIN_MS);
    await reader.event('run-end', (event) => event.data.status === 'completed');
    reader.close();

    const events = reader.events();
    const from = events.findIndex((event) => event.type === 'run-end');
    const lostRun = post.headers.get('x-run-id');
    expect(events.slice(from, from + 3).map(({ type, data }) => [type, data.run_id])).toEqual([
      ['run-end', lostRun],
      ['run-start', recovery.data.run_id],
      ['message-reset', recovery.data.run_id],
    ]);
    expect(recovery.data.run_id).not.toBe(lostRun);
    expect(recovery.data.turn_id).toBe(turnId);
    expect(events[from]?.data).toMatchObject({ status: 'lost' });
    // The text and the call of the first model call are kept.
    expect(events[from + 2]?.data).toMatchObject({ keep_parts: 2 });
    const numbers = events.map(({ seq }) => seq);
    expect(numbers).toEqual([...new Set(numbers)].toSorted((one, other) => one - other));

    const conversation = await there.client.conversation(threadId);
    expect(conversation).toMatchObject({ status: 'idle', active_run: null });
    expect(conversation.messages.at(-1)).toMatchObject({
      status: 'complete',
      content: 'Let me look.\n\nYou have plenty of credits.',
    });
    expect(messagesOf(events)).toEqual(conversation.messages.map(seen));
    // The completed call was not made again.
    expect(mailing.talk.requests('killed in the middle')).toHaveLength(3);
  });

  it('brings nobody’s client out of step: what was sent there is heard to its end elsewhere', async () => {
    const held = ownGate();
    mailing.talk.plan('a client goes on', [{ text: ['Half of', held.promise, ' all of it.'] }]);
    const owner = await startOwner();
    // As a load balancer would: who does not answer is not asked again.
    const client = createClient({
      baseUrl: owner.url,
      fetch: (input, init) =>
        fetch(input, init).catch((error: unknown) => {
          if (init?.signal?.aborted) throw error;
          return fetch(String(input).replace(owner.url, there.url), init);
        }),
    });
    const sent = await client.send({ message: 'a client goes on' });
    const events: JournalEvent[] = [];
    let killed: Promise<unknown> | undefined;
    for await (const event of sent.events) {
      events.push(event);
      if (event.type === 'text-delta') killed ??= owner.kill('SIGKILL').then(held.open);
    }
    await killed;
    expect(events.filter((event) => event.type === 'run-start').length).toBeGreaterThan(1);
    expect(endOf(events)).toBe('completed');
    const { messages } = await there.client.conversation(sent.threadId);
    expect(messages.at(-1)?.content).toBe('Half of all of it.');
    expect(messagesOf(events)).toEqual(messages.map(seen));
  });

  it('is still cancelled where somebody asked for that before it died', async () => {
    const { owner, threadId, reader, held } = await inTheMiddle('cancelled, then killed');
    // It stands still, so it does not hear of the cancel.
    owner.process.kill('SIGSTOP');
    expect(await there.client.cancel(threadId)).toMatchObject({ status: 'cancelling' });
    await owner.kill('SIGKILL');
    const end = await reader.event('run-end', (event) => event.data.status !== 'lost');
    reader.close();
    held.open();
    expect(end.data.status).toBe('cancelled');
    expect(await lastAnswer(there.client, threadId)).toMatchObject({
      status: 'partial',
      content: 'Let me look.',
    });
    expect(mailing.talk.requests('cancelled, then killed')).toHaveLength(2);
  });
});

describe('a process that stands still past its lease', () => {
  it.concurrent.each(['and its model is still silent', 'and its model has said everything meanwhile'])(
    'is taken over from, and writes nothing when it wakes up (%s)',
    async (when) => {
      const words = `stopped ${when}`;
      const { owner, post, threadId, reader, held } = await inTheMiddle(words);
      owner.process.kill('SIGSTOP');
      const stoppedAt = Date.now();
      await reader.event('run-start', (event) => event.data.kind === 'recovery');
      expect(Date.now() - stoppedAt).toBeLessThan(WITHIN_MS);
      await reader.event('run-end', (event) => event.data.status === 'completed');
      const before = { rows: await rowsOf(threadId), detail: await there.client.conversation(threadId) };

      if (when.includes('everything')) held.open();
      owner.process.kill('SIGCONT');
      // Its own reader is told what the other process did.
      const end = await post.event('run-end', (event) => event.data.status === 'completed');
      await post.ended;
      expect(end.seq).toBe(Number(before.rows.at(-1)?.seq));
      // It has let go of the model, so it has noticed.
      expect(await mailing.model.calls.findLast(isOf(words, 1))?.ended).not.toBeUndefined();
      // And it serves on: the next turn runs there, and is heard here.
      mailing.talk.plan(`${words}, next`, ['Here I am again.']);
      const next = await say(owner.client, `${words}, next`, { thread_id: threadId });
      expect(endOf(next.events)).toBe('completed');

      const rows = await rowsOf(threadId);
      expect(rows.slice(0, before.rows.length)).toEqual(before.rows);
      expect(rows.slice(before.rows.length).map(({ data }) => data)).toEqual(
        rows.slice(before.rows.length).map(() => expect.anything()),
      );
      const turns = await mailing.database.query<{ run_id: string }>(
        'select distinct run_id from events where conversation_id = $1 and seq > $2',
        [threadId, before.rows.at(-1)?.seq],
      );
      expect(turns).toEqual([{ run_id: next.events[0]?.data.run_id }]);
      const { messages } = await there.client.conversation(threadId);
      expect(messages.slice(0, 2)).toEqual(before.detail.messages);
      expect(messages[1]?.content).toBe('Let me look.\n\nYou have plenty of credits.');
      await reader.event('run-end', (event) => event.data.turn_id === next.turnId);
      expect(messagesOf(reader.events())).toEqual(messages.map(seen));
      expect(messagesOf(post.events())).toEqual(messages.slice(0, 2).map(seen));
      reader.close();
      await owner.kill('SIGKILL');
    },
  );

  /** The call of the model in which that many answers had been given before. */
  function isOf(words: string, answers: number) {
    return ({ request }: { request: { messages: { role: string; content: string | null }[] } }) =>
      request.messages.some(({ role, content }) => role === 'user' && content === words) &&
      request.messages.filter(({ role }) => role === 'assistant').length === answers;
  }

  it('hands on the decisions that it has not heard of', async () => {
    const looks = new Map<string, { arrived: () => void; go: Promise<void> }>();
    const slow = await mailing.start({
      wrap(name, port) {
        if (name !== 'approvals') return port;
        const approvals = port as ReturnType<typeof createApprovals>;
        const ofCall: typeof approvals.ofCall = async (turn, toolCallId) => {
          const look = looks.get(toolCallId);
          looks.delete(toolCallId);
          look?.arrived();
          await look?.go;
          return approvals.ofCall(turn, toolCallId);
        };
        return { ...port, ofCall };
      },
    });
    const addresses = ['unheard-1@acme.example', 'unheard-2@acme.example'];
    const leads: string[] = [];
    for (const address of addresses) leads.push(await mailing.addLead(address));
    mailing.talk.plan('two mails, then nothing', [
      { text: 'Both.', toolCalls: leads.map((lead) => sendEmail(lead)) },
      'Done with both.',
    ]);
    const { threadId, turnId } = await say(slow.client, 'two mails, then nothing');
    const [first, second] = await cardsOf(slow.client, threadId);
    if (first === undefined || second === undefined) throw new Error('two cards were expected');
    const arrived = gate();
    const go = ownGate();
    looks.set(second.tool_call_id, { arrived: arrived.open, go: go.promise });
    const yes = (card: typeof first) => ({ decision: 'approve', args_hash: card.args_hash }) as const;
    await slow.client.decide(threadId, first.approval_id, yes(first));
    await arrived.promise;
    // A fact for the owner, left in a moment in which nobody owns the turn.
    await mailing.database.query(
      `update turns set lease_until = now() - interval '1 second', lease_epoch = lease_epoch + 1 where id = $1`,
      [turnId],
    );
    await there.client.decide(threadId, second.approval_id, yes(second));
    const told = await eventually(
      () => toldSoFar(there.client, threadId),
      (events) => endOf(events) === 'completed',
    );
    go.open();
    for (const address of addresses) expect(mailing.smtp.takenFor(address)).toHaveLength(1);
    const ends = told.flatMap((event) => (event.type === 'approval-end' ? [event.data.approval_id] : []));
    expect(ends.toSorted()).toEqual([first.approval_id, second.approval_id].toSorted());
    const answer = await lastAnswer(there.client, threadId);
    expect(answer.parts.flatMap((part) => (part.type === 'approval' ? part.approval.status : []))).toEqual([
      'approved',
      'approved',
    ]);
    expect(answer.content).toBe('Both.\n\nDone with both.');
    expect(messagesOf(told)).toEqual((await there.client.conversation(threadId)).messages.map(seen));
    await slow.close();
    expect(await rowsOf(threadId)).toHaveLength(
      (await mailing.database.query('select 1 from events where conversation_id = $1', [threadId])).length,
    );
  });
});

describe('a turn that nobody can finish', () => {
  /** Takes the lease from whoever has it, as if its process were gone; the same process may then take it over. */
  async function orphan(turnId: string | null): Promise<void> {
    await mailing.database.query(
      `update turns set lease_until = now() - interval '1 second', lease_epoch = lease_epoch + 1 where id = $1`,
      [turnId],
    );
  }

  it('is failed at the third takeover without progress, and keeps what was told', async () => {
    const held = ownGate();
    mailing.talk.plan('deadly', [{ text: ['A beginning', held.promise] }]);
    const post = await openStream(`${there.url}/api/v1/agent/chat`, { body: { message: 'deadly' } });
    const threadId = post.headers.get('x-thread-id') ?? '';
    const turnId = post.headers.get('x-turn-id');
    const reader = await follow(there, threadId);
    for (let takeover = 1; takeover <= 3; takeover += 1) {
      await eventually(
        () => mailing.talk.requests('deadly').length,
        (calls) => calls === takeover,
      );
      await eventually(
        () => reader.events().filter((event) => event.type === 'text-delta').length,
        (texts) => texts === takeover,
      );
      await orphan(turnId);
      await eventually(
        () => reader.events().filter((event) => event.type === 'run-start').length,
        (starts) => starts === takeover + 1,
      );
    }
    const end = await reader.event('run-end', (event) => event.data.status !== 'lost');
    await post.ended;
    reader.close();
    expect(end.data).toMatchObject({ status: 'failed', error: { code: 'TAKEOVER_LIMIT' } });
    expect(mailing.talk.requests('deadly')).toHaveLength(3);
    expect(reader.events().filter((event) => event.type === 'run-end')).toHaveLength(4);
    const conversation = await there.client.conversation(threadId);
    expect(conversation).toMatchObject({ status: 'idle', active_run: null });
    expect(conversation.messages.at(-1)?.status).toBe('partial');
    expect(messagesOf(reader.events())).toEqual(conversation.messages.map(seen));
    mailing.talk.plan('once more', ['This works.']);
    expect(endOf((await say(there.client, 'once more', { thread_id: threadId })).events)).toBe('completed');
  });

  it('is not failed as long as it gets on: the count begins again with each checkpoint', async () => {
    const turns = 5;
    const holds = Array.from({ length: turns }, ownGate);
    const asked = new Map<number, number>();
    mailing.talk.plan('slowly but surely', [
      ...holds.map((held, step) => () => {
        asked.set(step, (asked.get(step) ?? 0) + 1);
        const toolCalls = [{ name: 'get_credit_balance' }];
        return asked.get(step) === 1 ? { text: ['…', held.promise] } : { text: `Step ${step}.`, toolCalls };
      }),
      'At last.',
    ]);
    const post = await openStream(`${there.url}/api/v1/agent/chat`, {
      body: { message: 'slowly but surely' },
    });
    const threadId = post.headers.get('x-thread-id') ?? '';
    for (let step = 0; step < turns; step += 1) {
      await eventually(
        () => asked.get(step),
        (times) => times === 1,
      );
      await orphan(post.headers.get('x-turn-id'));
    }
    await post.ended;
    expect((await post.event('run-end', (event) => event.data.status !== 'lost')).data.status).toBe(
      'completed',
    );
    const { messages } = await there.client.conversation(threadId);
    expect(messages.at(-1)?.content).toBe('Step 0.\n\nStep 1.\n\nStep 2.\n\nStep 3.\n\nStep 4.\n\nAt last.');
    expect(messagesOf(post.events())).toEqual(messages.map(seen));
  });
});
