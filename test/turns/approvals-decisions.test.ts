import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, createClient } from '../../src/client/client.ts';
import type { Approval, JournalEvent } from '../../src/client/events.ts';
import {
  cardOf,
  cardsOf,
  collect,
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
import { JWT_ENVIRONMENT, signToken } from '../support/people.ts';
import type { ServiceHere } from '../support/service.ts';

const workspaceId = randomUUID();
let mailing: Mailing;
let service: ServiceHere;
let anna: Client;
/** Of the same workspace. */
let bert: Client;
/** Of another one. */
let carl: Client;

beforeAll(async () => {
  mailing = await openMailing(JWT_ENVIRONMENT);
  service = await mailing.start();
  const clientOf = async (user: string, workspace: string) =>
    createClient({
      baseUrl: service.url,
      token: await signToken({ user, workspaceId: workspace, plan: 'dev' }),
    });
  anna = await clientOf('anna', workspaceId);
  bert = await clientOf('bert', workspaceId);
  carl = await clientOf('carl', randomUUID());
  // The first request makes the workspace's rows.
  await anna.conversations();
  await mailing.addSender({
    workspaceId,
    userId: 'anna',
    data: { from_name: 'Anna', from_email: 'anna@overture.example', postal_address: '1 Long Road, Oslo' },
  });
});
afterAll(() => mailing.close());

/** A turn of Anna's that waits for the decision on as many mails as there are names. */
async function propose(
  words: string,
  names: string[] = ['one'],
  more: Parameters<typeof mailing.talk.plan>[1] = [],
) {
  const addresses = names.map((name) => `${name}-${words.replaceAll(' ', '-')}@acme.example`);
  const calls = [];
  for (const address of addresses) calls.push(sendEmail(await mailing.addLead(address, { workspaceId })));
  mailing.talk.plan(words, [{ toolCalls: calls }, ...more, 'That is how it went.']);
  const { threadId, events } = await say(anna, words);
  expect(endOf(events)).toBe('awaiting_approval');
  const cards = await cardsOf(anna, threadId);
  return { threadId, addresses, cards, card: cards[0] as Approval, address: addresses[0] as string };
}

/** The decision as a request that does not wait for what comes of it. */
function post(client: Client, card: Approval, decision: Record<string, unknown>) {
  const path = `/api/v1/agent/conversations/${card.thread_id}/approvals/${card.approval_id}/decision`;
  return client.request<{ approval: Approval; turn_id: string }>('POST', path, {
    args_hash: card.args_hash,
    ...decision,
  });
}

/** As if the card had been asked for long ago; wakes the sweeper. */
async function expire(card: Approval): Promise<void> {
  await mailing.database.query(
    `update approvals set expires_at = now() - interval '1 minute' where id = $1`,
    [card.approval_id],
  );
  await mailing.database.query(`select pg_notify('overture', 'released')`);
}

function statusOf(client: Client, threadId: string): Promise<string> {
  return client.conversation(threadId).then((conversation) => conversation.status);
}

function typesOf(events: readonly JournalEvent[]): string[] {
  return events.map((event) => event.type);
}

describe('an approval', () => {
  it('says who decided, when, and what came of it', async () => {
    const { threadId, card, address } = await propose('approve this');
    const { approval } = await post(anna, card, { decision: 'approve' });
    expect(approval).toMatchObject({ status: 'approved', decision: 'approve', decided_by: 'user:anna' });
    const events = await toldSoFar(anna, threadId);
    expect(endOf(events)).toBe('completed');
    expect(events).toContainEqual(
      expect.objectContaining({
        type: 'approval-end',
        data: expect.objectContaining({
          approval_id: card.approval_id,
          status: 'approved',
          decided_by: 'user:anna',
          args: card.args,
          args_hash: card.args_hash,
        }),
      }),
    );
    const { approvals } = await anna.request<{ approvals: Approval[] }>(
      'GET',
      '/api/v1/agent/approvals?status=approved',
    );
    expect(approvals.find(({ approval_id }) => approval_id === card.approval_id)).toMatchObject({
      decided_by: 'user:anna',
      effect: { state: 'done', provider_ref: expect.stringContaining('250') },
    });
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
  });

  it('is decided once: a second decision is told of the first', async () => {
    const { threadId, card, address } = await propose('twice');
    await post(anna, card, { decision: 'approve' });
    for (const decision of ['approve', 'reject']) {
      const refused = await refusal(post(bert, card, { decision }));
      expect(refused).toMatchObject({ status: 409, code: 'ALREADY_DECIDED' });
      expect(refused.body).toMatchObject({ winner: { status: 'approved', decided_by: 'user:anna' } });
    }
    expect(endOf(await toldSoFar(anna, threadId))).toBe('completed');
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
  });

  it('is decided only by whoever echoes the hash that was shown', async () => {
    const { threadId, card, address } = await propose('blindly');
    for (const decision of ['approve', 'reject']) {
      expect(await refusal(post(anna, card, { decision, args_hash: 'a'.repeat(64) }))).toMatchObject({
        status: 409,
        code: 'APPROVAL_CHANGED',
      });
      expect(await refusal(post(anna, card, { decision, args_hash: undefined }))).toMatchObject({
        status: 422,
      });
    }
    expect(await refusal(post(anna, card, { decision: 'mark_done' }))).toMatchObject({ status: 422 });
    expect((await cardOf(anna, threadId)).approval_id).toBe(card.approval_id);
    expect(mailing.smtp.takenFor(address)).toEqual([]);
    await decide(anna, card, 'reject');
  });

  it('is denied by itself when the same thing is proposed again after a no, and asks for another thing', async () => {
    const words = 'again';
    const lead = await mailing.addLead('again@acme.example', { workspaceId });
    mailing.talk.plan(words, [
      { toolCalls: [sendEmail(lead)] },
      { toolCalls: [sendEmail(lead), sendEmail(lead, { subject: 'Another' })] },
      'I give up.',
    ]);
    const { threadId } = await say(anna, words);
    const events = await decide(anna, await cardOf(anna, threadId), 'reject', { reason: 'Too early.' });
    expect(endOf(events)).toBe('awaiting_approval');
    const other = await cardOf(anna, threadId);
    expect(other.args.subject).toBe('Another');
    const told = await decide(anna, other, 'reject');
    expect(endOf(told)).toBe('completed');
    const [again, another] = mailing.talk.results(words);
    expect(again?.content).toContain('rejected exactly this before');
    expect(another?.content).toContain('The user rejected this.');
    expect(mailing.smtp.takenFor('again@acme.example')).toEqual([]);
  });
});

describe('an edit', () => {
  it('is shown, hashed, and then sent as it was shown', async () => {
    const { threadId, card, address } = await propose('edit this');
    const args = { ...card.args, subject: 'Better maps', body: 'Dear Maureen,\n\nbetter maps.\n\nAnna' };
    const shown = await anna.preview(threadId, card.approval_id, args);
    expect(shown.args_hash).not.toBe(card.args_hash);
    expect(shown.preview?.[0]).toMatchObject({
      subject: 'Better maps',
      body: expect.stringContaining('better maps'),
    });
    expect(shown.facts).toContainEqual({ label: 'Subject', value: 'Better maps' });
    // Nothing is decided by looking.
    expect((await cardOf(anna, threadId)).args).toEqual(card.args);

    for (const args_hash of [card.args_hash, 'b'.repeat(64)]) {
      expect(await refusal(post(anna, card, { decision: 'edit', args, args_hash }))).toMatchObject({
        status: 409,
        code: 'APPROVAL_CHANGED',
      });
    }
    // The hash of one edit is no hash of another.
    expect(
      await refusal(
        post(anna, card, {
          decision: 'edit',
          args: { ...args, subject: 'Best' },
          args_hash: shown.args_hash,
        }),
      ),
    ).toMatchObject({ status: 409, code: 'APPROVAL_CHANGED' });
    expect(mailing.smtp.takenFor(address)).toEqual([]);

    const { approval } = await post(anna, card, { decision: 'edit', args, args_hash: shown.args_hash });
    expect(approval).toMatchObject({ status: 'approved', decision: 'edit', executed_hash: shown.args_hash });
    expect(approval.executed_args).toMatchObject({ subject: 'Better maps' });
    expect(endOf(await toldSoFar(anna, threadId))).toBe('completed');
    expect(mailing.smtp.takenFor(address)).toEqual([
      expect.objectContaining({ subject: 'Better maps', text: shown.preview?.[0]?.body }),
    ]);
    // The model is told what really left, now and in later turns.
    expect(mailing.talk.results('edit this')[0]?.content).toContain('"subject":"Better maps"');
    mailing.talk.plan('what did you send?', ['Better maps.']);
    await say(anna, 'what did you send?', { thread_id: threadId });
    const history = mailing.talk.requests('what did you send?')[0]?.messages ?? [];
    const call = history.find((message) => message.role === 'assistant')?.tool_calls?.[0];
    expect(JSON.parse(call?.function.arguments ?? '')).toMatchObject({ subject: 'Better maps' });
  });

  it.each([
    ['an unknown field', { bcc: 'evil@example.net' }],
    ['a subject on two lines', { subject: 'Hi\r\nBcc: evil@example.net' }],
    ['no subject', { subject: undefined }],
    ['a number for a text', { body: 7 }],
    ['two recipients', { to: 'evil@example.net' }],
    ['no recipient', { lead_id: undefined }],
    ['a lead that does not exist', { lead_id: randomUUID() }],
  ])('with %s is refused, and the card still waits', async (what, change) => {
    const { threadId, card, address } = await propose(`edit with ${what}`);
    const args = { ...card.args, ...change };
    const expected = { status: expect.toSatisfy((status) => status === 422 || status === 404) };
    expect(await refusal(anna.preview(threadId, card.approval_id, args))).toMatchObject(expected);
    expect(await refusal(post(anna, card, { decision: 'edit', args }))).toMatchObject(expected);
    expect((await cardOf(anna, threadId)).approval_id).toBe(card.approval_id);
    await decide(anna, card, 'reject');
    expect(mailing.smtp.takenFor(address)).toEqual([]);
  });

  it('that is previewed and then changed by the world is refused', async () => {
    const { threadId, card, address } = await propose('edit late');
    const args = { ...card.args, subject: 'Late' };
    const shown = await anna.preview(threadId, card.approval_id, args);
    await mailing.database.query(`update leads set first_name = 'Mo' where email = $1`, [address]);
    expect(
      await refusal(post(anna, card, { decision: 'edit', args, args_hash: shown.args_hash })),
    ).toMatchObject({ status: 409, code: 'APPROVAL_CHANGED' });
    await decide(anna, card, 'reject');
    expect(mailing.smtp.takenFor(address)).toEqual([]);
  });
});

describe('an approval that nobody decides', () => {
  it('expires, ends its turn with a notice, and the next message goes on from there', async () => {
    const { threadId, card, address } = await propose('too late');
    await expire(card);
    await eventually(
      () => statusOf(anna, threadId),
      (status) => status === 'idle',
    );
    const events = await toldSoFar(anna, threadId);
    expect(endOf(events)).toBe('cancelled');
    expect(typesOf(events).slice(-5).sort()).toEqual([
      'approval-end',
      'notice',
      'run-end',
      'run-start',
      'tool-end',
    ]);
    expect(events).toContainEqual(
      expect.objectContaining({
        type: 'notice',
        data: expect.objectContaining({ code: 'APPROVAL_EXPIRED' }),
      }),
    );
    for (const decision of ['approve', 'reject']) {
      expect(await refusal(post(anna, card, { decision }))).toMatchObject({
        status: 410,
        code: 'APPROVAL_EXPIRED',
      });
    }
    expect(await refusal(anna.send({ thread_id: threadId, resume: { confirmed: true } }))).toMatchObject({
      status: 410,
    });
    expect(mailing.talk.requests('too late')).toHaveLength(1);

    mailing.talk.plan('and now?', ['Now nothing.']);
    expect(endOf((await say(anna, 'and now?', { thread_id: threadId })).events)).toBe('completed');
    const messages = mailing.talk.requests('and now?')[0]?.messages ?? [];
    const call = messages.find((message) => message.role === 'assistant')?.tool_calls?.[0];
    expect(messages.filter((message) => message.tool_call_id === call?.id)).toEqual([
      expect.objectContaining({ role: 'tool', content: expect.stringContaining('Nobody decided in time') }),
    ]);
    expect(mailing.smtp.takenFor(address)).toEqual([]);
  });

  it('is over at its time, whether it was swept or not', async () => {
    const { threadId, card, address } = await propose('on the dot');
    // Together with the decision's own look at the clock, so that no sweep comes between.
    await mailing.database.query(`update approvals set expires_at = now() where id = $1`, [card.approval_id]);
    expect(await refusal(post(anna, card, { decision: 'approve' }))).toMatchObject({ status: 410 });
    await eventually(
      () => statusOf(anna, threadId),
      (status) => status === 'idle',
    );
    expect(mailing.smtp.takenFor(address)).toEqual([]);
  });

  it('leaves its sibling to be decided, and its call is answered', async () => {
    const words = 'one of two';
    const { threadId, cards, addresses } = await propose(words, ['lapsed', 'sent']);
    const [lapsed, kept] = cards as [Approval, Approval];
    await expire(lapsed);
    await eventually(
      () => cardsOf(anna, threadId),
      (waiting) => waiting.length === 1,
    );
    expect(await statusOf(anna, threadId)).toBe('awaiting_approval');
    expect(await refusal(post(anna, lapsed, { decision: 'approve' }))).toMatchObject({ status: 410 });
    const open = await toldSoFar(anna, threadId);
    expect(typesOf(open).slice(-2)).toEqual(['approval-end', 'tool-end']);
    expect(endOf(await decide(anna, kept, 'approve'))).toBe('completed');
    const [first, second] = mailing.talk.results(words);
    expect(first?.content).toContain('Nobody decided in time');
    expect(second?.content).toContain('"status":"sent"');
    expect(addresses.map((address) => mailing.smtp.takenFor(address).length)).toEqual([0, 1]);
    const { parts } = await lastAnswer(anna, threadId);
    expect(parts.flatMap((part) => (part.type === 'approval' ? part.approval.status : []))).toEqual([
      'expired',
      'approved',
    ]);
  });

  it('expires while its sibling is carried out, and the turn goes on with both answers', async () => {
    const words = 'one in flight';
    const { threadId, cards, addresses } = await propose(words, ['sent', 'lapsed']);
    const [kept, lapsed] = cards as [Approval, Approval];
    const answer = Promise.withResolvers<'take'>();
    mailing.smtp.treat(() => answer.promise);
    await post(anna, kept, { decision: 'approve' });
    await mailing.smtp.arrival(addresses[0] as string);
    await expire(lapsed);
    await eventually(
      () => cardsOf(anna, threadId),
      (waiting) => waiting.length === 0,
    );
    answer.resolve('take');
    const events = await toldSoFar(anna, threadId);
    mailing.smtp.treat(() => 'take');
    expect(endOf(events)).toBe('completed');
    expect(events.filter((event) => event.type === 'approval-end')).toHaveLength(2);
    const [first, second] = mailing.talk.results(words);
    expect(first?.content).toContain('"status":"sent"');
    expect(second?.content).toContain('Nobody decided in time');
    expect(addresses.map((address) => mailing.smtp.takenFor(address).length)).toEqual([1, 0]);
    const { parts } = await lastAnswer(anna, threadId);
    expect(parts.flatMap((part) => (part.type === 'approval' ? part.approval.status : []))).toEqual([
      'approved',
      'expired',
    ]);
  });

  it('expires with its sibling, and each call is answered once', async () => {
    const { threadId, cards } = await propose('both too late', ['one', 'two']);
    await mailing.database.query(`update approvals set expires_at = now() where conversation_id = $1`, [
      threadId,
    ]);
    await mailing.database.query(`select pg_notify('overture', 'released')`);
    await eventually(
      () => statusOf(anna, threadId),
      (status) => status === 'idle',
    );
    const events = await toldSoFar(anna, threadId);
    expect(endOf(events)).toBe('cancelled');
    for (const type of ['tool-end', 'approval-end']) {
      expect(events.filter((event) => event.type === type)).toHaveLength(2);
    }
    const { parts } = await lastAnswer(anna, threadId);
    expect(parts.flatMap((part) => (part.type === 'approval' ? part.approval.status : []))).toEqual([
      'expired',
      'expired',
    ]);
    for (const card of cards) {
      expect(await refusal(post(anna, card, { decision: 'approve' }))).toMatchObject({ status: 410 });
    }
  });

  it('is given up for a new message that says so', async () => {
    const { threadId, card, address } = await propose('never mind');
    mailing.talk.plan('something else', ['Gladly.']);
    expect(await refusal(anna.send({ thread_id: threadId, message: 'something else' }))).toMatchObject({
      status: 409,
      code: 'APPROVAL_PENDING',
    });
    const { events } = await say(anna, 'something else', { thread_id: threadId, on_pending: 'supersede' });
    expect(endOf(events)).toBe('completed');
    const refused = await refusal(post(anna, card, { decision: 'approve' }));
    expect(refused).toMatchObject({ status: 409, code: 'ALREADY_DECIDED' });
    expect(refused.body).toMatchObject({ winner: { status: 'superseded' } });
    expect(mailing.smtp.takenFor(address)).toEqual([]);
  });

  it('is closed with its turn when that is cancelled', async () => {
    const { threadId, card, address } = await propose('cancel this');
    await anna.cancel(threadId);
    expect(await statusOf(anna, threadId)).toBe('idle');
    expect(await refusal(post(anna, card, { decision: 'approve' }))).toMatchObject({
      status: 409,
      code: 'ALREADY_DECIDED',
    });
    expect(await refusal(anna.send({ thread_id: threadId, resume: { confirmed: true } }))).toMatchObject({
      status: 409,
    });
    expect(mailing.smtp.takenFor(address)).toEqual([]);
  });
});

describe('who may decide', () => {
  it('is a member of the workspace, from the inbox; others find nothing', async () => {
    const { threadId, card, address } = await propose('let Bert decide');
    const path = '/api/v1/agent/approvals';
    type Inbox = { approvals: Approval[]; items: Approval[] };
    const inboxOf = (client: Client) => client.request<Inbox>('GET', path);
    expect((await inboxOf(carl)).items).toEqual([]);
    const { approvals } = await inboxOf(bert);
    const seen = approvals.find(({ approval_id }) => approval_id === card.approval_id);
    expect(seen).toMatchObject({ thread_id: threadId, args_hash: card.args_hash, preview: card.preview });

    // A stranger finds neither the card nor the conversation; a member finds the card, not the conversation.
    const missing = { status: 404, code: 'NOT_FOUND' };
    expect(await refusal(post(carl, card, { decision: 'approve' }))).toMatchObject(missing);
    expect(await refusal(carl.preview(threadId, card.approval_id, card.args))).toMatchObject(missing);
    for (const stranger of [carl, bert]) {
      expect(await refusal(stranger.interrupt(threadId))).toMatchObject(missing);
      expect(
        await refusal(stranger.send({ thread_id: threadId, resume: { confirmed: true } })),
      ).toMatchObject(missing);
      const decisions = [
        { approval_id: card.approval_id, args_hash: card.args_hash, decision: 'approve' as const },
      ];
      expect(await refusal(stranger.send({ thread_id: threadId, resume: { decisions } }))).toMatchObject(
        missing,
      );
    }
    // A card is found in its own conversation only.
    const other = await propose('another conversation');
    expect(
      await refusal(post(anna, { ...card, thread_id: other.threadId }, { decision: 'approve' })),
    ).toMatchObject(missing);

    const { approval } = await post(bert, card, { decision: 'approve' });
    expect(approval.decided_by).toBe('user:bert');
    expect(endOf(await toldSoFar(anna, threadId))).toBe('completed');
    // It is still Anna's mail.
    expect(mailing.smtp.takenFor(address)).toEqual([
      expect.objectContaining({ from: 'anna@overture.example' }),
    ]);
    expect((await inboxOf(bert)).approvals.map(({ approval_id }) => approval_id)).not.toContain(
      card.approval_id,
    );
    await decide(anna, other.card, 'reject');
  });

  it('is a key that holds approvals:write, and none that does not', async () => {
    const keyed = async (scopes?: string[]) => {
      const { key } = await anna.request<{ key: string }>('POST', '/api/v1/api-keys', {
        name: 'Key',
        scopes,
      });
      return createClient({ baseUrl: service.url, token: key });
    };
    const { threadId, card, address, cards } = await propose('let a key decide', ['one', 'two']);
    const narrow = await keyed(['read', 'write', 'agent:chat', 'send']);
    const forbidden = { status: 403, code: 'FORBIDDEN' };
    expect(await refusal(post(narrow, card, { decision: 'approve' }))).toMatchObject(forbidden);
    expect(await refusal(narrow.preview(threadId, card.approval_id, card.args))).toMatchObject(forbidden);
    expect(await refusal(narrow.request('GET', '/api/v1/agent/approvals'))).toMatchObject(forbidden);
    const decisions = [
      { approval_id: card.approval_id, args_hash: card.args_hash, decision: 'approve' as const },
    ];
    expect(await refusal(narrow.send({ thread_id: threadId, resume: { decisions } }))).toMatchObject(
      forbidden,
    );
    expect(await refusal(narrow.send({ thread_id: threadId, resume: { confirmed: true } }))).toMatchObject(
      forbidden,
    );
    expect(await cardsOf(anna, threadId)).toHaveLength(2);

    const deciding = await keyed(['approvals:write']);
    const { approval } = await post(deciding, card, { decision: 'approve' });
    expect(approval.decided_by).toMatch(/^key:/);
    await eventually(
      () => statusOf(anna, threadId),
      (status) => status === 'awaiting_approval',
    );
    const full = await keyed();
    await post(full, cards[1] as Approval, { decision: 'reject' });
    expect(endOf(await toldSoFar(anna, threadId))).toBe('completed');
    expect(mailing.smtp.takenFor(address)).toHaveLength(1);
  });
});

describe('what waits', () => {
  it("is told in the contract's words and ours", async () => {
    const { threadId, cards, card } = await propose('tell me', ['one', 'two']);
    const state = await anna.request<Record<string, unknown>>(
      'GET',
      `/api/v1/agent/conversations/${threadId}/interrupt`,
    );
    expect(state).toMatchObject({
      thread_id: threadId,
      pending: true,
      interrupt: {
        interrupt_id: card.approval_id,
        thread_id: threadId,
        action: 'send_email',
        summary: card.title,
        arguments: card.args,
        created_at: card.created_at,
        approval_id: card.approval_id,
        args_hash: card.args_hash,
      },
      interrupts: cards.map(({ approval_id }) => ({ interrupt_id: approval_id })),
    });
    const decisions = cards.map(({ approval_id, args_hash }) => ({
      approval_id,
      args_hash,
      decision: 'reject' as const,
    }));
    await collect((await anna.send({ thread_id: threadId, resume: { decisions } })).events);
    expect(await anna.interrupt(threadId)).toEqual({
      thread_id: threadId,
      pending: false,
      interrupt: null,
      interrupts: [],
    });
    expect(await refusal(anna.send({ thread_id: threadId, resume: { confirmed: true } }))).toMatchObject({
      status: 409,
      code: 'ALREADY_DECIDED',
    });
  });

  it('pages through the inbox, newest first, by status', async () => {
    const { cards, threadId } = await propose('page', ['one', 'two', 'three']);
    type Inbox = { items: Approval[]; next_cursor: string | null; has_more: boolean };
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const query: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const page: Inbox = await anna.request<Inbox>('GET', `/api/v1/agent/approvals?limit=1${query}`);
      expect(page.items).toHaveLength(1);
      expect(page.has_more).toBe(page.next_cursor !== null);
      seen.push(...page.items.map((item) => item.approval_id));
      cursor = page.next_cursor;
    }
    expect(seen).toEqual(cards.map((card) => card.approval_id).reverse());
    await anna.cancel(threadId);
    const superseded = await anna.request<Inbox>('GET', '/api/v1/agent/approvals?status=superseded&limit=3');
    expect(superseded.items.map((item) => item.approval_id)).toEqual(seen);
    expect(await refusal(anna.request('GET', '/api/v1/agent/approvals?status=lost'))).toMatchObject({
      status: 422,
    });
  });

  it('says so in a new conversation too', async () => {
    const { thread_id: threadId } = await anna.request<{ thread_id: string }>(
      'POST',
      '/api/v1/agent/conversations',
      {},
    );
    expect(await refusal(anna.send({ thread_id: threadId, resume: { confirmed: true } }))).toMatchObject({
      status: 409,
      code: 'NOTHING_PENDING',
    });
  });
});
