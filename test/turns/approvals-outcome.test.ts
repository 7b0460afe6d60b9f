import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Approval } from '../../src/client/events.ts';
import { createKillPoints } from '../support/kill-points.ts';
import {
  cardOf,
  decide,
  endOf,
  eventually,
  lastAnswer,
  type Mailing,
  openMailing,
  refusal,
  say,
  sendEmail,
  toldSoFar,
} from '../support/mailing.ts';
import type { ServiceHere } from '../support/service.ts';

let mailing: Mailing;
let service: ServiceHere;
beforeAll(async () => {
  mailing = await openMailing();
  service = await mailing.start();
  // Whoever's address begins so takes the mail, and is gone before saying so.
  mailing.smtp.treat(({ to }) =>
    to.startsWith('drop') ? 'drop' : to.startsWith('refuse') ? 'refuse' : 'take',
  );
});
afterAll(() => mailing.close());

interface Row {
  state: string;
  attempt: number;
  approval_id: string;
}

async function effectOf(card: Approval): Promise<Row | undefined> {
  const rows = await mailing.database.query<Row & Record<string, unknown>>(
    'select state, attempt, approval_id from effects where turn_id = $1 and tool_call_id = $2',
    [card.turn_id, card.tool_call_id],
  );
  return rows[0];
}

async function mailStatus(address: string): Promise<string | undefined> {
  const { mails } = await service.client.request<{ mails: { to: string; status: string }[] }>(
    'GET',
    '/api/v1/outbox?limit=200',
  );
  return mails.find((mail) => mail.to === address)?.status;
}

/** A mail that was approved and taken by a server that did not live to say so; answers the card that asks. */
async function loseAnswer(name: string) {
  const address = `drop-${name.replaceAll(' ', '-')}@acme.example`;
  const lead = await mailing.addLead(address);
  mailing.talk.plan(name, [{ toolCalls: [sendEmail(lead)] }, 'That is how it went.']);
  const { threadId } = await say(service.client, name);
  const first = await cardOf(service.client, threadId);
  const events = await decide(service.client, first, 'approve');
  expect(endOf(events)).toBe('awaiting_approval');
  const card = await cardOf(service.client, threadId);
  return { threadId, address, first, card };
}

describe('a mail of which nobody knows whether it left', () => {
  it('is never repeated by itself: a person is asked what happened', async () => {
    const { threadId, address, first, card } = await loseAnswer('asked');
    expect(card).toMatchObject({
      kind: 'outcome',
      tool: 'send_email',
      tool_call_id: first.tool_call_id,
      args: first.args,
      preview: first.preview,
      allowed_decisions: ['mark_done', 'mark_failed', 'retry'],
      effect: { state: 'unknown' },
    });
    expect(card.approval_id).not.toBe(first.approval_id);
    expect(await effectOf(card)).toMatchObject({ state: 'unknown', attempt: 1 });
    expect(await mailStatus(address)).toBe('unknown');
    // A yes or a no is no answer to this question, and it cannot be edited.
    expect(
      await refusal(service.client.send({ thread_id: threadId, resume: { confirmed: true } })),
    ).toMatchObject({ status: 409, code: 'AMBIGUOUS_DECISION' });
    for (const decision of ['approve', 'reject', 'edit'] as const) {
      expect(await refusal(decide(service.client, card, decision))).toMatchObject({ status: 422 });
    }
    expect(await refusal(service.client.preview(threadId, card.approval_id, card.args))).toMatchObject({
      status: 422,
    });
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
    await decide(service.client, card, 'mark_failed');
  });

  it('is done when the person says so', async () => {
    const { address, card } = await loseAnswer('done');
    expect(endOf(await decide(service.client, card, 'mark_done'))).toBe('completed');
    expect(mailing.talk.results('done')[0]?.content).toContain('"status":"sent"');
    expect(await effectOf(card)).toMatchObject({ state: 'done', attempt: 1 });
    expect(await mailStatus(address)).toBe('sent');
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
  });

  it('has failed when the person says so', async () => {
    const { threadId, address, card } = await loseAnswer('failed');
    expect(endOf(await decide(service.client, card, 'mark_failed'))).toBe('completed');
    expect(mailing.talk.results('failed')[0]?.content).toContain('it did not happen');
    expect(await effectOf(card)).toMatchObject({ state: 'failed', attempt: 1 });
    expect(await mailStatus(address)).toBe('failed');
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
    const { parts } = await lastAnswer(service.client, threadId);
    expect(parts.find((part) => part.type === 'tool')).toMatchObject({ status: 'error' });
  });

  it('is sent once more for each "retry", and asked about again while the answer stays away', async () => {
    const { threadId, address, first, card } = await loseAnswer('retried');
    expect(endOf(await decide(service.client, card, 'retry'))).toBe('awaiting_approval');
    const second = await cardOf(service.client, threadId);
    expect(second.kind).toBe('outcome');
    expect(second.approval_id).not.toBe(card.approval_id);
    expect(await effectOf(card)).toMatchObject({
      state: 'unknown',
      attempt: 2,
      approval_id: card.approval_id,
    });
    expect(mailing.smtp.takenFor(address)).toHaveLength(2);
    // The server has recovered.
    mailing.smtp.treat(() => 'take');
    expect(endOf(await decide(service.client, second, 'retry'))).toBe('completed');
    mailing.smtp.treat(({ to }) =>
      to.startsWith('drop') ? 'drop' : to.startsWith('refuse') ? 'refuse' : 'take',
    );
    expect(await effectOf(card)).toMatchObject({
      state: 'done',
      attempt: 3,
      approval_id: second.approval_id,
    });
    // Each attempt is the mail that was approved, under one message id, so that a receiver can see the repeat.
    const taken = mailing.smtp.takenFor(address);
    expect(taken).toHaveLength(3);
    expect(new Set(taken.map(({ messageId }) => messageId)).size).toBe(1);
    expect(new Set(taken.map(({ text }) => text))).toEqual(new Set([first.preview[0]?.body]));
    expect(mailing.talk.results('retried')[0]?.content).toContain('"status":"sent"');
  });

  it('is not sent by "retry" to somebody who asked not to be written to meanwhile', async () => {
    const { address, card } = await loseAnswer('suppressed');
    await service.client.request('POST', '/api/v1/suppression', { email: address });
    expect(endOf(await decide(service.client, card, 'retry'))).toBe('completed');
    expect(mailing.talk.results('suppressed')[0]?.content).toContain('RECIPIENT_SUPPRESSED');
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
  });

  it('is asked about as it was sent, when it was edited before', async () => {
    const address = 'drop-edited@acme.example';
    const lead = await mailing.addLead(address);
    mailing.talk.plan('edited', [{ toolCalls: [sendEmail(lead)] }, 'That is how it went.']);
    const { threadId } = await say(service.client, 'edited');
    const first = await cardOf(service.client, threadId);
    const args = { ...first.args, subject: 'Changed', body: 'Quite another text than before.' };
    const shown = await service.client.preview(threadId, first.approval_id, args);
    await decide(service.client, first, 'edit', { args, args_hash: shown.args_hash });
    const card = await cardOf(service.client, threadId);
    expect(card).toMatchObject({ kind: 'outcome', args, args_hash: shown.args_hash, preview: shown.preview });
    mailing.smtp.treat(() => 'take');
    expect(endOf(await decide(service.client, card, 'retry'))).toBe('completed');
    mailing.smtp.treat(({ to }) =>
      to.startsWith('drop') ? 'drop' : to.startsWith('refuse') ? 'refuse' : 'take',
    );
    expect(mailing.smtp.takenFor(address).map(({ subject }) => subject)).toEqual(['Changed', 'Changed']);
  });

  it.each([
    ['expires', 'expired'],
    ['is superseded', 'superseded'],
    ['is cancelled', 'superseded'],
  ] as const)('is told as unknown, and not as undone, when the question %s', async (how, status) => {
    const { threadId, address, card } = await loseAnswer(how);
    if (how === 'expires') {
      await mailing.database.query(`update approvals set expires_at = now() where id = $1`, [
        card.approval_id,
      ]);
      await mailing.database.query(`select pg_notify('overture', 'released')`);
      await eventually(
        () => service.client.conversation(threadId),
        (conversation) => conversation.status === 'idle',
      );
    } else if (how === 'is cancelled') {
      await service.client.cancel(threadId);
    }
    mailing.talk.plan(`after it ${how}`, ['I see.']);
    await say(service.client, `after it ${how}`, { thread_id: threadId, on_pending: 'supersede' });
    const { messages } = await service.client.conversation(threadId);
    const parts = messages.find(
      (message) => message.turn_id === card.turn_id && message.role === 'assistant',
    )?.parts;
    expect(parts?.find((part) => part.type === 'tool')).toMatchObject({
      status: 'unknown',
      error: { code: 'EFFECT_UNKNOWN' },
    });
    expect(parts?.findLast((part) => part.type === 'approval')).toMatchObject({
      approval: { kind: 'outcome', status },
    });
    // The model must not be told that nothing was done, either.
    const told = JSON.stringify(mailing.talk.requests(`after it ${how}`)[0]?.messages);
    expect(told).toContain('may have happened or not');
    expect(told).not.toContain('Nothing was done');
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
  });
});

describe('a mail that the server refuses', () => {
  it('has failed for certain: the model is told why and nobody is asked', async () => {
    const lead = await mailing.addLead('refuse-me@acme.example');
    mailing.talk.plan('refused', [{ toolCalls: [sendEmail(lead)] }, 'They have no mailbox.']);
    const { threadId } = await say(service.client, 'refused');
    const card = await cardOf(service.client, threadId);
    expect(endOf(await decide(service.client, card, 'approve'))).toBe('completed');
    expect(mailing.talk.results('refused')[0]?.content).toContain('No such user here');
    expect(await effectOf(card)).toMatchObject({ state: 'failed' });
    expect(await mailStatus('refuse-me@acme.example')).toBe('failed');
    expect(mailing.smtp.takenFor('refuse-me@acme.example')).toEqual([]);
  });
});

describe('a database that is away while a mail is on its way', () => {
  it('costs neither the truth nor a second mail', async () => {
    const settling = Promise.withResolvers<void>();
    const { client, close } = await mailing.start({
      wrap: createKillPoints((point) => {
        if (point === 'ledger.settle:before:1') settling.resolve();
      }),
    });
    const address = 'away@acme.example';
    const lead = await mailing.addLead(address);
    mailing.talk.plan('away', [{ toolCalls: [sendEmail(lead)] }, 'It left.']);
    const { threadId } = await say(client, 'away');
    const card = await cardOf(client, threadId);
    const answer = Promise.withResolvers<'take'>();
    mailing.smtp.treat(() => answer.promise);
    const { approval_id, args_hash } = card;
    await client.decide(threadId, approval_id, { decision: 'approve', args_hash });
    await mailing.smtp.arrival(address);
    await letConnect(false);
    await mailing.database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`,
    );
    answer.resolve('take');
    await settling.promise;
    // Long enough to be refused a few times.
    await new Promise((resolve) => setTimeout(resolve, 300));
    await letConnect(true);
    const told = await toldSoFar(client, threadId);
    mailing.smtp.treat(() => 'take');
    expect(endOf(told)).toBe('completed');
    expect(mailing.talk.results('away')[0]?.content).toContain('"status":"sent"');
    expect(await effectOf(card)).toMatchObject({ state: 'done', attempt: 1 });
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
    await close();
  });
});

async function letConnect(may: boolean): Promise<void> {
  await mailing.database.query(
    `update pg_database set datallowconn = ${may} where datname = current_database()`,
  );
}
