/** "What happens when": each row is a state that a turn is in, and something that comes then. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ConversationDetail, JournalEvent } from '../../src/client/events.ts';
import type { createApprovals } from '../../src/resources/approvals/approvals.ts';
import type { createTurnStore } from '../../src/resources/turns/turn-store.ts';
import {
  cardOf,
  cardsOf,
  decide,
  endOf,
  lastAnswer,
  type Mailing,
  openMailing,
  refusal,
  say,
  sendEmail,
  toldSoFar,
} from '../support/mailing.ts';
import type { ServiceHere } from '../support/service.ts';
import { openStream } from '../support/sse.ts';
import { gate } from '../support/stage.ts';

let mailing: Mailing;
let service: ServiceHere;
beforeAll(async () => {
  mailing = await openMailing();
  service = await mailing.start();
});
afterAll(() => mailing.close());

/** A turn that stands still in the middle of its text. */
async function running(words: string) {
  const held = gate();
  mailing.talk.plan(words, [{ text: ['So far.', held.promise, ' And on.'] }]);
  const sent = await service.client.send({ message: words });
  const events: JournalEvent[] = [];
  const spoke = Promise.withResolvers<void>();
  const ended = (async () => {
    for await (const event of sent.events) {
      events.push(event);
      if (event.type === 'text-delta') spoke.resolve();
    }
    return events;
  })();
  await spoke.promise;
  return { ...sent, held, ended };
}

/** A turn that waits for the decision on a mail. */
async function waiting(words: string) {
  const address = `${words.replaceAll(/[^a-z]+/g, '-')}@acme.example`;
  const lead = await mailing.addLead(address);
  mailing.talk.plan(words, [
    { text: 'I will write.', toolCalls: [sendEmail(lead)] },
    (request) => `It went so: ${request.messages.at(-1)?.content}`,
  ]);
  const turn = await say(service.client, words);
  expect(endOf(turn.events)).toBe('awaiting_approval');
  return { ...turn, address, card: await cardOf(service.client, turn.threadId) };
}

function read(threadId: string): Promise<ConversationDetail> {
  return service.client.conversation(threadId);
}

describe('while a turn runs', () => {
  it('a message is refused, with or without supersede, and changes nothing', async () => {
    const { threadId, turnId, held, ended } = await running('running, a message');
    for (const more of [{}, { on_pending: 'supersede' } as const]) {
      const refused = await refusal(service.client.send({ thread_id: threadId, message: 'And?', ...more }));
      expect(refused).toMatchObject({ status: 409, code: 'TURN_RUNNING' });
      expect(refused.body).toMatchObject({ turn_id: turnId });
    }
    held.open();
    expect(endOf(await ended)).toBe('completed');
    expect((await read(threadId)).messages.map((message) => message.content)).toEqual([
      'running, a message',
      'So far. And on.',
    ]);
  });

  it('of forty messages at once one is taken, over two processes', async () => {
    const other = await mailing.start();
    const { thread_id: threadId } = await service.client.request<{ thread_id: string }>(
      'POST',
      '/api/v1/agent/conversations',
      {},
    );
    const held = gate();
    for (let index = 0; index < 40; index += 1)
      mailing.talk.plan(`one of ${index}`, [{ text: ['I', held.promise] }]);
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        (index % 2 === 0 ? service : other).client
          .request(
            'POST',
            '/api/v1/agent/chat',
            { message: `one of ${index}`, thread_id: threadId },
            {
              headers: { Prefer: 'respond-async' },
            },
          )
          .then(
            () => 'taken',
            (error: { code?: string }) => error.code,
          ),
      ),
    );
    expect(outcomes.filter((outcome) => outcome === 'taken')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 'TURN_RUNNING')).toHaveLength(39);
    held.open();
    expect(endOf(await toldSoFar(other.client, threadId))).toBe('completed');
    expect((await read(threadId)).messages).toHaveLength(2);
    await other.close();
  });

  it('a resume is refused: nothing is pending', async () => {
    const { threadId, held, ended } = await running('running, a resume');
    const refused = await refusal(service.client.send({ thread_id: threadId, resume: { confirmed: true } }));
    expect(refused).toMatchObject({ status: 409, code: 'NOTHING_PENDING' });
    held.open();
    await ended;
  });

  it('a cancel ends it, and keeps the text that was told', async () => {
    const { threadId, turnId, ended } = await running('running, a cancel');
    expect(await service.client.cancel(threadId)).toEqual({ turn_id: turnId, status: 'cancelling' });
    const events = await ended;
    expect(endOf(events)).toBe('cancelled');
    expect(await lastAnswer(service.client, threadId)).toMatchObject({
      status: 'partial',
      content: 'So far.',
      parts: [{ type: 'text', text: 'So far.' }],
    });
    expect(events.find((event) => event.type === 'text-end')?.data).toMatchObject({ text: 'So far.' });
    expect(await mailing.model.calls.at(-1)?.ended).toBe('client-closed');
    expect(await read(threadId)).toMatchObject({ status: 'idle', active_run: null });
  });

  it('a cancel that names another turn is refused, and nothing happens', async () => {
    const { threadId, turnId, held, ended } = await running('running, another turn');
    const refused = await refusal(service.client.cancel(threadId, '019a0000-0000-7000-8000-000000000001'));
    expect(refused).toMatchObject({ status: 409, code: 'TURN_NOT_LIVE' });
    expect(refused.body).toMatchObject({ turn_id: turnId });
    held.open();
    expect(endOf(await ended)).toBe('completed');
  });

  it('an archive only sets a flag: the turn ends, and a new message is refused', async () => {
    const { threadId, held, ended } = await running('running, an archive');
    await service.client.request('DELETE', `/api/v1/agent/conversations/${threadId}`);
    expect(await read(threadId)).toMatchObject({ status: 'running', archived_at: expect.any(String) });
    const refused = await refusal(service.client.send({ thread_id: threadId, message: 'And?' }));
    expect(refused).toMatchObject({ status: 409, code: 'CONVERSATION_ARCHIVED' });
    held.open();
    expect(endOf(await ended)).toBe('completed');
    expect((await lastAnswer(service.client, threadId)).content).toBe('So far. And on.');
  });
});

describe('while a turn waits for a decision', () => {
  it('a message is refused and told which approvals wait', async () => {
    const { threadId, turnId, card } = await waiting('waiting, a message');
    const refused = await refusal(service.client.send({ thread_id: threadId, message: 'And?' }));
    expect(refused).toMatchObject({ status: 409, code: 'APPROVAL_PENDING' });
    expect(refused.body).toMatchObject({
      turn_id: turnId,
      approvals: [{ approval_id: card.approval_id, status: 'pending', args_hash: card.args_hash }],
    });
    expect((await read(threadId)).messages).toHaveLength(2);
  });

  it('a message that supersedes closes it truthfully and starts a turn, both at once', async () => {
    const { threadId, turnId, card, address } = await waiting('waiting, a supersede');
    mailing.talk.plan('something else', ['All right.']);
    const next = await say(service.client, 'something else', {
      thread_id: threadId,
      on_pending: 'supersede',
    });
    expect(endOf(next.events)).toBe('completed');
    expect(next.turnId).not.toBe(turnId);
    expect(mailing.smtp.takenFor(address)).toHaveLength(0);

    const told = await toldSoFar(service.client, threadId);
    const [closing, start] = [
      told.findIndex((event) => event.type === 'approval-end'),
      told.findIndex((event) => event.type === 'user-message' && event.data.turn_id === next.turnId),
    ];
    // The old turn’s end and the new turn’s words come together: nothing else is told between them.
    expect(told.slice(closing - 2, start + 1).map(({ type, data }) => [type, data.turn_id])).toEqual([
      ['run-start', turnId],
      ['tool-end', turnId],
      ['approval-end', turnId],
      ['notice', turnId],
      ['run-end', turnId],
      ['user-message', next.turnId],
    ]);
    expect(told[closing]?.data).toMatchObject({ approval_id: card.approval_id, status: 'superseded' });
    expect(told[closing - 1]?.data).toMatchObject({ status: 'cancelled', error: { code: 'TURN_NOT_LIVE' } });

    const [, old] = (await read(threadId)).messages;
    expect(old).toMatchObject({ status: 'partial', content: 'I will write.' });
    expect(old?.parts).toMatchObject([
      { type: 'text' },
      { type: 'tool', status: 'cancelled', error: { message: expect.stringContaining('Nothing was done') } },
      { type: 'approval', approval: { status: 'superseded' } },
      { type: 'notice', code: 'APPROVAL_SUPERSEDED' },
    ]);
    // The model is shown how the call ended.
    const result = mailing.talk.requests('something else')[0]?.messages.find(({ role }) => role === 'tool');
    expect(result?.content).toContain('Nothing was done');
    const late = service.client.decide(threadId, card.approval_id, {
      decision: 'approve',
      args_hash: card.args_hash,
    });
    expect(await refusal(late)).toMatchObject({ status: 409, code: 'ALREADY_DECIDED' });
    expect(mailing.smtp.takenFor(address)).toHaveLength(0);
  });

  it('a message that supersedes and is refused leaves the approval as it was', async () => {
    const { threadId, card } = await waiting('waiting, a failed supersede');
    await service.client.request('DELETE', `/api/v1/agent/conversations/${threadId}`);
    const refused = await refusal(
      service.client.send({ thread_id: threadId, message: 'And?', on_pending: 'supersede' }),
    );
    expect(refused).toMatchObject({ status: 409, code: 'CONVERSATION_ARCHIVED' });
    expect(await cardOf(service.client, threadId)).toMatchObject({
      approval_id: card.approval_id,
      status: 'pending',
    });
    expect((await read(threadId)).status).toBe('awaiting_approval');
  });

  it('a cancel gives the approval up, answers the call and ends the turn', async () => {
    const { threadId, turnId, card, address } = await waiting('waiting, a cancel');
    expect(await service.client.cancel(threadId, turnId)).toEqual({ turn_id: turnId, status: 'cancelled' });
    const told = await toldSoFar(service.client, threadId);
    expect(told.slice(-5).map((event) => event.type)).toEqual([
      'run-start',
      'tool-end',
      'approval-end',
      'notice',
      'run-end',
    ]);
    expect(endOf(told)).toBe('cancelled');
    expect(told.at(-4)?.data).toMatchObject({
      status: 'cancelled',
      error: { message: 'Cancelled before it was carried out. Nothing was done.' },
    });
    expect(await read(threadId)).toMatchObject({
      status: 'idle',
      pending_approvals: 0,
      messages: [{}, { parts: [{}, { status: 'cancelled' }, { approval: { status: 'superseded' } }, {}] }],
    });
    const { approvals } = await service.client.request<{ approvals: { approval_id: string }[] }>(
      'GET',
      '/api/v1/agent/approvals',
    );
    expect(approvals.map(({ approval_id }) => approval_id)).not.toContain(card.approval_id);
    mailing.talk.plan('after the cancel', ['Yes?']);
    expect(endOf((await say(service.client, 'after the cancel', { thread_id: threadId })).events)).toBe(
      'completed',
    );
    expect(mailing.smtp.takenFor(address)).toHaveLength(0);
  });

  it('an archive leaves the approval in the inbox, where it can still be decided', async () => {
    const { threadId, card, address } = await waiting('waiting, an archive');
    await service.client.request('DELETE', `/api/v1/agent/conversations/${threadId}`);
    const refused = await refusal(service.client.send({ thread_id: threadId, message: 'And?' }));
    expect(refused).toMatchObject({ status: 409, code: 'CONVERSATION_ARCHIVED' });
    const { approvals } = await service.client.request<{ approvals: { approval_id: string }[] }>(
      'GET',
      '/api/v1/agent/approvals',
    );
    expect(approvals.map(({ approval_id }) => approval_id)).toContain(card.approval_id);
    expect(endOf(await decide(service.client, card, 'approve'))).toBe('completed');
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
  });

  it('a message and a resume together are refused', async () => {
    const { threadId } = await waiting('waiting, both');
    const both = service.client.send({ thread_id: threadId, message: 'Yes', resume: { confirmed: true } });
    expect(await refusal(both)).toMatchObject({ status: 422, code: 'VALIDATION_ERROR' });
    expect((await read(threadId)).pending_approvals).toBe(1);
  });
});

describe('while an effect is under way', () => {
  it('a cancel waits until it has settled, and the call says that it was done', async () => {
    const { client } = service;
    const { threadId, turnId, card, address } = await waiting('sending, a cancel');
    const held = Promise.withResolvers<'take'>();
    mailing.smtp.treat((delivery) => (delivery.to === address ? held.promise : 'take'));
    await client.decide(threadId, card.approval_id, { decision: 'approve', args_hash: card.args_hash });
    await mailing.smtp.arrival(address);
    const [effect] = await mailing.database.query<{ state: string }>(
      'select state from effects where turn_id = $1',
      [turnId],
    );
    expect(effect?.state).toBe('intended');
    expect(await client.cancel(threadId)).toMatchObject({ status: 'cancelling' });
    expect((await read(threadId)).status).toBe('running');
    held.resolve('take');
    const told = await toldSoFar(client, threadId);
    expect(endOf(told)).toBe('cancelled');
    expect(told.find((event) => event.type === 'tool-end')?.data).toMatchObject({ status: 'ok' });
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
    expect((await lastAnswer(client, threadId)).parts).toMatchObject([
      { type: 'text' },
      { type: 'tool', status: 'ok', result: { status: 'sent' } },
      { type: 'approval', approval: { status: 'approved' } },
    ]);
    // Nobody asked the model after that.
    expect(mailing.talk.requests('sending, a cancel')).toHaveLength(1);
    mailing.smtp.treat(() => 'take');
  });
});

describe('when a cancel comes between a turn’s acceptance and its run', () => {
  /** A process whose turns begin to run only when they may. */
  async function slowToBegin() {
    const kept = gate();
    const go = gate();
    const slow = await mailing.start({
      wrap(name, port) {
        if (name !== 'turns') return port;
        const turns = port as ReturnType<typeof createTurnStore>;
        const accept: typeof turns.accept = async (request) => {
          const accepted = await turns.accept(request);
          kept.open();
          await go.promise;
          return accepted;
        };
        return { ...port, accept };
      },
    });
    return { slow, kept, go };
  }

  it.each(['the same process', 'another process'])('asked of %s, nothing is run', async (where) => {
    const { slow, kept, go } = await slowToBegin();
    const words = `cancelled early, by ${where}`;
    mailing.talk.plan(words, ['Too late.']);
    const { thread_id: threadId } = await slow.client.request<{ thread_id: string }>(
      'POST',
      '/api/v1/agent/conversations',
      {},
    );
    const watch = await openStream(`${slow.url}/api/v1/agent/stream`);
    const sent = say(slow.client, words, { thread_id: threadId });
    await kept.promise;
    const asked = where === 'the same process' ? slow : service;
    expect(await asked.client.cancel(threadId)).toMatchObject({ status: 'cancelling' });
    // What is told of later has been heard of later: the process that runs the turn knows of the cancel now.
    await service.client.request('PATCH', `/api/v1/agent/conversations/${threadId}`, {
      title: `renamed: ${where}`,
    });
    await watch.frame(({ data }) => data.join('').includes(`renamed: ${where}`));
    watch.close();
    go.open();
    expect(endOf((await sent).events)).toBe('cancelled');
    expect(mailing.talk.requests(words)).toHaveLength(0);
  });
});

describe('when a decision comes between a run’s beginning and its look at the card', () => {
  it('the run carries it out, and says so of the card', async () => {
    const looks = new Map<string, { arrived: () => void; go: Promise<void> }>();
    // Holds the look at one call’s card.
    const slow = await mailing.start({
      wrap(name, port) {
        if (name !== 'approvals') return port;
        const approvals = port as ReturnType<typeof createApprovals>;
        const ofCall: typeof approvals.ofCall = async (turn, toolCallId) => {
          const look = looks.get(toolCallId);
          look?.arrived();
          await look?.go;
          return approvals.ofCall(turn, toolCallId);
        };
        return { ...port, ofCall };
      },
    });
    const addresses = ['first-look@acme.example', 'second-look@acme.example'];
    const leads = [await mailing.addLead(addresses[0] ?? ''), await mailing.addLead(addresses[1] ?? '')];
    mailing.talk.plan('two mails, a slow look', [
      { text: 'Both.', toolCalls: leads.map((lead) => sendEmail(lead)) },
      'Done with both.',
    ]);
    const { threadId } = await say(slow.client, 'two mails, a slow look');
    const [first, second] = await cardsOf(slow.client, threadId);
    if (first === undefined || second === undefined) throw new Error('two cards were expected');

    const arrived = gate();
    const go = gate();
    looks.set(second.tool_call_id, { arrived: arrived.open, go: go.promise });
    await slow.client.decide(threadId, first.approval_id, {
      decision: 'approve',
      args_hash: first.args_hash,
    });
    await arrived.promise;
    await slow.client.decide(threadId, second.approval_id, {
      decision: 'approve',
      args_hash: second.args_hash,
    });
    go.open();
    const told = await toldSoFar(slow.client, threadId);
    expect(endOf(told)).toBe('completed');
    for (const address of addresses) expect(mailing.smtp.takenFor(address)).toHaveLength(1);
    expect(told.filter((event) => event.type === 'approval-end')).toHaveLength(2);
    const answer = await lastAnswer(slow.client, threadId);
    expect(answer.content).toBe('Both.\n\nDone with both.');
    expect(answer.parts.flatMap((part) => (part.type === 'approval' ? part.approval.status : []))).toEqual([
      'approved',
      'approved',
    ]);
    expect(mailing.talk.requests('two mails, a slow look')).toHaveLength(2);
    expect(slow.logged()).not.toContain('nobody else was told of');
  });
});

describe('when a turn has ended', () => {
  it('a cancel is taken and nothing happens, with or without the turn’s id', async () => {
    mailing.talk.plan('a short one', ['Done.']);
    const { threadId, turnId } = await say(service.client, 'a short one');
    expect(await service.client.cancel(threadId, turnId)).toEqual({ turn_id: turnId, status: 'completed' });
    expect(await service.client.cancel(threadId)).toEqual({ turn_id: null, status: 'idle' });
    expect(await lastAnswer(service.client, threadId)).toMatchObject({ status: 'complete' });
    expect(endOf(await toldSoFar(service.client, threadId))).toBe('completed');
  });

  it('a cancel that names a turn of another conversation is refused', async () => {
    mailing.talk.plan('one', ['One.']);
    mailing.talk.plan('other', ['Other.']);
    const one = await say(service.client, 'one');
    const other = await say(service.client, 'other');
    expect(await refusal(service.client.cancel(one.threadId, other.turnId))).toMatchObject({
      status: 409,
      code: 'TURN_NOT_LIVE',
    });
  });

  it('a cancel in an unknown conversation is 404', async () => {
    const unknown = service.client.cancel('019a0000-0000-7000-8000-000000000001');
    expect(await refusal(unknown)).toMatchObject({ status: 404, code: 'NOT_FOUND' });
  });
});

describe('when one of several calls fails', () => {
  it('its siblings stand, and the error goes to the model as that call’s result', async () => {
    mailing.talk.plan('three calls', [
      {
        toolCalls: [
          { name: 'get_credit_balance' },
          { name: 'send_email', args: { subject: 'To whom?', body: 'Hello' } },
          { name: 'no_such_tool' },
          { name: 'suppress_email', argsText: '{"email": "cut@exam' },
          { name: 'suppress_email', args: { email: 'gone@example.com' } },
        ],
      },
      'Some of it went wrong.',
    ]);
    const { events, threadId } = await say(service.client, 'three calls');
    expect(endOf(events)).toBe('completed');
    const answer = await lastAnswer(service.client, threadId);
    expect(
      answer.parts.flatMap((part) =>
        part.type === 'tool' ? [[part.name, part.status, part.error?.code ?? null]] : [],
      ),
    ).toEqual([
      ['get_credit_balance', 'ok', null],
      ['send_email', 'error', 'VALIDATION_ERROR'],
      ['no_such_tool', 'error', 'UNKNOWN_TOOL'],
      ['suppress_email', 'error', 'INVALID_ARGUMENTS'],
      ['suppress_email', 'ok', null],
    ]);
    const results = mailing.talk.results('three calls').map(({ content }) => content);
    expect(results).toHaveLength(5);
    expect(results[1]).toContain('VALIDATION_ERROR');
    expect(results[2]).toContain('UNKNOWN_TOOL');
    expect(results[3]).toContain('INVALID_ARGUMENTS');
  });
});

describe('when the budget of a turn ends', () => {
  it('a model that calls tools without end gets one last answer without tools', async () => {
    mailing.model.script(
      ...Array.from({ length: 11 }, () => ({ toolCalls: [{ name: 'get_credit_balance' }] })),
      'I stop here.',
    );
    const before = mailing.model.calls.length;
    const { events, threadId } = await say(service.client, 'round and round');
    const calls = mailing.model.calls.slice(before);
    expect(calls).toHaveLength(12);
    expect(calls[10]?.request.tools).not.toHaveLength(0);
    expect(calls[11]?.request.tools ?? []).toHaveLength(0);
    expect(endOf(events)).toBe('completed');
    expect(events.filter((event) => event.type === 'notice').map(({ data }) => data)).toMatchObject([
      { code: 'BUDGET_EXHAUSTED' },
    ]);
    expect((await lastAnswer(service.client, threadId)).content).toBe('I stop here.');
  });

  it('calls beyond it are answered BUDGET_EXHAUSTED, and tools that the last answer calls all the same are not carried out', async () => {
    mailing.model.script(
      { toolCalls: Array.from({ length: 45 }, () => ({ name: 'get_credit_balance' })) },
      {
        text: 'One more.',
        toolCalls: [{ name: 'suppress_email', args: { email: 'not-done@example.com' } }],
      },
    );
    const { events, threadId } = await say(service.client, 'forty-five calls');
    expect(endOf(events)).toBe('completed');
    const { parts } = await lastAnswer(service.client, threadId);
    const ends = parts.flatMap((part) => (part.type === 'tool' && part.call === 1 ? [part] : []));
    expect(ends.filter((part) => part.status === 'ok')).toHaveLength(40);
    const refused = ends.filter((part) => part.status === 'error');
    expect(refused).toHaveLength(5);
    for (const part of refused) expect(part.error?.code).toBe('BUDGET_EXHAUSTED');
    expect(parts.filter((part) => part.type === 'tool' && part.status === 'running')).toHaveLength(0);
    const suppressed = await service.client.request('GET', '/api/v1/suppression');
    expect(JSON.stringify(suppressed)).not.toContain('not-done@example.com');
  });
});
