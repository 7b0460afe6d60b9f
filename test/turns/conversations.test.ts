/** Conversations as lists and pages show them, and how a page that is opened again goes on without a gap. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  applyEvent,
  type ConversationState,
  createConversationState,
} from '../../src/client/conversation.ts';
import type {
  ConversationDetail,
  ConversationPage,
  ConversationSummary,
  JournalEvent,
} from '../../src/client/events.ts';
import {
  cardOf,
  collect,
  decide,
  eventually,
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
let here: ServiceHere;
let there: ServiceHere;
beforeAll(async () => {
  mailing = await openMailing();
  here = await mailing.start();
  there = await mailing.start();
});
afterAll(() => mailing.close());

const CONVERSATIONS = '/api/v1/agent/conversations';

function create(title?: string): Promise<ConversationSummary> {
  return here.client.request('POST', CONVERSATIONS, title === undefined ? {} : { title });
}

/** Reads a whole list, page by page; `between` happens after each page. */
async function readAll(query: Record<string, string | number | boolean>, between = async () => {}) {
  const items: ConversationSummary[] = [];
  let cursor: string | null = null;
  do {
    const page: ConversationPage = await here.client.conversations({
      ...query,
      ...(cursor === null ? {} : { cursor }),
    });
    items.push(...page.conversations);
    expect(page.has_more).toBe(page.next_cursor !== null);
    cursor = page.next_cursor;
    await between();
  } while (cursor !== null);
  return items;
}

describe('a conversation', () => {
  it('is made empty, read, renamed, archived and restored', async () => {
    const made = await create();
    expect(made).toMatchObject({
      title: null,
      status: 'idle',
      pending_approvals: 0,
      last_message_preview: null,
      archived_at: null,
      last_seq: 0,
    });
    const path = `${CONVERSATIONS}/${made.thread_id}`;
    expect(await here.client.request('GET', path)).toEqual({
      ...made,
      messages: [],
      next_cursor: null,
      has_more: false,
      active_run: null,
    });
    expect(await there.client.request('PATCH', path, { title: '  A better title ' })).toMatchObject({
      title: 'A better title',
    });
    expect(await here.client.request('DELETE', path)).toEqual({ thread_id: made.thread_id, archived: true });
    expect(await there.client.request('GET', path)).toMatchObject({ archived_at: expect.any(String) });
    expect(await here.client.request('POST', `${path}/restore`)).toMatchObject({ archived_at: null });
    const told = await toldSoFar(here.client, made.thread_id);
    expect(told.map((event) => event.type)).toEqual(Array(3).fill('conversation-update'));
    expect(told.map((event) => event.data)).toMatchObject([
      { title: 'A better title', turn_id: null },
      { archived: true },
      { archived: false },
    ]);
  });

  it.each([
    ['an empty title', 'PATCH', '', { title: ' ' }],
    ['a title of 256 characters', 'PATCH', '', { title: 'x'.repeat(256) }],
    ['a title of two lines', 'PATCH', '', { title: 'one\ntwo' }],
    ['a page of no messages', 'GET', '?limit=0', undefined],
    ['a cursor that is none', 'GET', '?before_cursor=abc', undefined],
    ['a cursor of another list', 'GET', `?before_cursor=${encodeURIComponent('WyJhIl0')}`, undefined],
  ])('refuses %s', async (_what, method, query, body) => {
    const { thread_id } = await create();
    const asked = here.client.request(method, `${CONVERSATIONS}/${thread_id}${query}`, body);
    expect(await refusal(asked)).toMatchObject({ status: 422, code: 'VALIDATION_ERROR' });
  });

  it('takes its title from the first message, and keeps it', async () => {
    const long = `Find   me\n\nforty CTOs ${'in Munich '.repeat(20)}`;
    mailing.talk.plan(long, ['Here they are.']);
    mailing.talk.plan('And now others', ['Here.']);
    const { threadId } = await say(here.client, long);
    const { title } = await here.client.conversation(threadId);
    expect(title).toMatch(/^Find me forty CTOs in Munich /);
    expect(title?.length).toBeLessThanOrEqual(80);
    await say(here.client, 'And now others', { thread_id: threadId });
    expect((await here.client.conversation(threadId)).title).toBe(title);
  });

  it('keeps the title it was given', async () => {
    const { thread_id } = await create('Given');
    mailing.talk.plan('Words that are no title', ['Right.']);
    await say(here.client, 'Words that are no title', { thread_id });
    expect((await here.client.conversation(thread_id)).title).toBe('Given');
  });

  it('is read in pages backwards, ascending within each, whatever is said meanwhile', async () => {
    const { thread_id: threadId } = await create();
    const said: string[] = [];
    for (let turn = 0; turn < 5; turn += 1) {
      mailing.talk.plan(`page ${turn}`, [`answer ${turn}`]);
      await say(here.client, `page ${turn}`, { thread_id: threadId });
      said.push(`page ${turn}`, `answer ${turn}`);
    }
    const read: string[] = [];
    let cursor: string | null = null;
    for (let page = 0; page < 4; page += 1) {
      const detail: ConversationDetail = await here.client.request(
        'GET',
        `${CONVERSATIONS}/${threadId}`,
        undefined,
        {
          query: { limit: 3, ...(cursor === null ? {} : { before_cursor: cursor }) },
        },
      );
      expect(detail.messages).toHaveLength(page < 3 ? 3 : 1);
      expect(detail.has_more).toBe(page < 3);
      read.unshift(...detail.messages.map((message) => message.content));
      cursor = detail.next_cursor;
      mailing.talk.plan(`meanwhile ${page}`, ['Yes.']);
      await say(there.client, `meanwhile ${page}`, { thread_id: threadId });
    }
    expect(cursor).toBeNull();
    expect(read).toEqual(said);
  });
});

describe('the list of conversations', () => {
  it('says of each how it stands: idle, running or waiting, with the last words', async () => {
    const held = gate();
    const lead = await mailing.addLead('listed@acme.example');
    mailing.talk.plan('listed idle', ['I am done.']);
    mailing.talk.plan('listed running', [{ text: ['I am', held.promise, ' busy.'] }]);
    mailing.talk.plan('listed waiting', [{ text: 'May I?', toolCalls: [sendEmail(lead)] }]);
    const idle = await say(here.client, 'listed idle');
    const running = await openStream(`${here.url}/api/v1/agent/chat`, {
      body: { message: 'listed running' },
    });
    await running.event('text-delta');
    const waiting = await say(here.client, 'listed waiting');
    const { conversations } = await there.client.conversations({ search: 'listed' });
    const runningId = running.headers.get('x-thread-id') ?? '';
    expect(conversations.map(({ thread_id }) => thread_id)).toEqual([
      waiting.threadId,
      runningId,
      idle.threadId,
    ]);
    expect(conversations).toMatchObject([
      { status: 'awaiting_approval', pending_approvals: 1, last_message_preview: 'May I?' },
      { status: 'running', pending_approvals: 0, last_message_preview: 'listed running' },
      { status: 'idle', pending_approvals: 0, last_message_preview: 'I am done.' },
    ]);
    held.open();
    await running.ended;
    await here.client.cancel(waiting.threadId);
    const after = await there.client.conversations({ search: 'listed' });
    expect(after.conversations.map(({ status }) => status)).toEqual(['idle', 'idle', 'idle']);
    expect(after.conversations.map(({ pending_approvals }) => pending_approvals)).toEqual([0, 0, 0]);
    expect(after.conversations.map(({ thread_id }) => thread_id)).toEqual([
      waiting.threadId,
      runningId,
      idle.threadId,
    ]);
  });

  it('gives each conversation once over its pages, while others change and come', async () => {
    const made: string[] = [];
    for (let index = 0; index < 25; index += 1) made.push((await create(`paged ${index}`)).thread_id);
    const touched = new Set<string>();
    let count = 0;
    const items = await readAll({ search: 'paged', limit: 4 }, async () => {
      // One that was seen, one that was not, and a new one.
      for (const index of [24 - count, count]) {
        const id = made[index] ?? '';
        touched.add(id);
        await there.client.request('PATCH', `${CONVERSATIONS}/${id}`, { title: `paged, touched ${count}` });
      }
      touched.add((await create(`paged, new ${count}`)).thread_id);
      count += 1;
    });
    const ids = items.map(({ thread_id }) => thread_id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of made) if (!touched.has(id)) expect(ids).toContain(id);
    const untouched = ids.filter((id) => !touched.has(id));
    expect(untouched).toEqual([...untouched].toSorted((one, other) => (one < other ? 1 : -1)));
  });

  it('is the same by offset and by cursor where nothing changes, and counts all', async () => {
    for (let index = 0; index < 7; index += 1) await create(`counted ${index}`);
    const byCursor = (await readAll({ search: 'counted', limit: 3 })).map(({ thread_id }) => thread_id);
    const byOffset: string[] = [];
    for (const offset of [0, 3, 6, 9]) {
      const page = await here.client.request<ConversationPage & { total: number; items: unknown[] }>(
        'GET',
        CONVERSATIONS,
        undefined,
        { query: { search: 'counted', limit: 3, offset } },
      );
      expect(page.total).toBe(7);
      expect(page.items).toEqual(page.conversations);
      byOffset.push(...page.conversations.map(({ thread_id }) => thread_id));
    }
    expect(byOffset).toEqual(byCursor);
    expect(byCursor).toHaveLength(7);
  });

  it('finds by title and by the last words, and takes what is typed as it is', async () => {
    const { thread_id: byTitle } = await create('100%_sure (about Zürich)');
    const { thread_id: byWords } = await create('Something else');
    mailing.talk.plan('tell me', ['Nothing is 50%_sure in Zürich.']);
    await say(here.client, 'tell me', { thread_id: byWords });
    const found = async (search: string) =>
      (await here.client.conversations({ search })).conversations.map(({ thread_id }) => thread_id);
    expect(await found('zürich')).toEqual([byWords, byTitle]);
    expect(await found('100%_')).toEqual([byTitle]);
    expect(await found('%_sure')).toEqual([byWords, byTitle]);
    expect(await found('1_0%')).toEqual([]);
    expect(await found('\\')).toEqual([]);
  });

  it('shows archived ones only where they are asked for', async () => {
    const { thread_id } = await create('put away');
    await here.client.request('DELETE', `${CONVERSATIONS}/${thread_id}`);
    const found = async (query: Record<string, string | boolean>) =>
      (await here.client.conversations({ search: 'put away', ...query })).conversations.map(
        ({ thread_id: id }) => id,
      );
    expect(await found({})).toEqual([]);
    expect(await found({ archived: true })).toEqual([thread_id]);
    await here.client.request('POST', `${CONVERSATIONS}/${thread_id}/restore`);
    expect(await found({})).toEqual([thread_id]);
    expect(await found({ archived: true })).toEqual([]);
  });

  it.each(['limit=0', 'limit=101', 'offset=-1', 'cursor=abc', 'cursor=WyIyMDI2Il0', 'archived=perhaps'])(
    'refuses %s',
    async (query) => {
      expect(await refusal(here.client.request('GET', `${CONVERSATIONS}?${query}`))).toMatchObject({
        status: 422,
        code: 'VALIDATION_ERROR',
      });
    },
  );
});

describe('a page that is opened in the middle', () => {
  /** What a page shows. */
  function shown(state: ConversationState) {
    return {
      title: state.title,
      archived: state.archived,
      lastSeq: state.lastSeq,
      status: state.run.status,
      messages: state.messages.map(({ id, role, status, content, parts }) => ({
        id,
        role,
        status,
        content,
        parts,
      })),
    };
  }

  it('shows at each moment what one shows that was there from the beginning, and goes on as it does', async () => {
    const lead = await mailing.addLead('opened@acme.example');
    const held = [gate(), gate(), gate()];
    mailing.talk.plan('open me', [
      {
        reasoning: ['Hm', held[0]?.promise ?? ''],
        text: ['Let me', held[1]?.promise ?? '', ' see.'],
        toolCalls: [{ name: 'get_credit_balance' }, sendEmail(lead)],
      },
      { text: ['It', held[2]?.promise ?? '', ' is sent.'] },
    ]);
    mailing.talk.plan('before', ['Before.']);
    const { threadId } = await say(here.client, 'before');
    const details: ConversationDetail[] = [];
    const open = async () => {
      for (const { client } of [here, there]) details.push(await client.conversation(threadId));
    };
    const heard = async (fits: (event: JournalEvent) => boolean) => {
      await eventually(
        () => all.events().some(fits),
        (found) => found,
      );
    };
    const all = await openStream(`${there.url}${CONVERSATIONS}/${threadId}/stream?after=0`);

    await open();
    const sent = await here.client.send({ message: 'open me', thread_id: threadId });
    const turn = collect(sent.events);
    await heard((event) => event.type === 'reasoning-delta');
    await open();
    held[0]?.open();
    await heard((event) => event.type === 'text-delta' && event.data.delta.includes('Let me'));
    await open();
    await there.client.request('PATCH', `${CONVERSATIONS}/${threadId}`, { title: 'Renamed while it ran' });
    await open();
    held[1]?.open();
    await turn;
    await open();
    await here.client.request('PATCH', `${CONVERSATIONS}/${threadId}`, { title: 'Renamed while it waited' });
    await open();
    const card = await cardOf(here.client, threadId);
    await there.client.decide(threadId, card.approval_id, { decision: 'approve', args_hash: card.args_hash });
    await heard((event) => event.type === 'text-delta' && event.data.delta.includes('It'));
    await open();
    held[2]?.open();
    await heard(
      (event) =>
        event.type === 'run-end' && event.data.status === 'completed' && event.data.turn_id === sent.turnId,
    );
    await open();
    all.close();

    const events = await toldSoFar(here.client, threadId);
    const whole = shown(events.reduce(applyEvent, createConversationState()));
    expect(whole).toMatchObject({ title: 'Renamed while it waited', status: 'idle' });
    expect(whole.messages.map(({ content }) => content)).toEqual([
      'before',
      'Before.',
      'open me',
      'Let me see.\n\nIt is sent.',
    ]);
    expect(new Set(details.map(({ last_seq }) => last_seq)).size).toBeGreaterThan(3);
    for (const [index, detail] of details.entries()) {
      const service = index % 3 === 0 ? there : here;
      const rest = await collect(service.client.follow(threadId, { after: detail.last_seq, until: 'idle' }));
      expect(shown(rest.reduce(applyEvent, createConversationState(detail))), `opened ${index}`).toEqual(
        whole,
      );
    }
    // The last one has it all already.
    expect(shown(createConversationState(details.at(-1)))).toEqual(whole);
  });

  it('goes on from any GET, also where a turn begins, is cancelled or superseded meanwhile', async () => {
    const lead = await mailing.addLead('any-get@acme.example');
    const { thread_id: threadId } = await create('Any GET');
    const details: ConversationDetail[] = [];
    let over = false;
    const looking = (async () => {
      while (!over) {
        details.push(await (details.length % 2 === 0 ? here : there).client.conversation(threadId));
      }
    })();
    for (let round = 0; round < 4; round += 1) {
      mailing.talk.plan(`speak ${round}`, [{ text: ['some ', 'words ', `of ${round}`] }]);
      mailing.talk.plan(`ask ${round}`, [{ text: 'May I?', toolCalls: [sendEmail(lead)] }, 'So be it.']);
      await say(here.client, `speak ${round}`, { thread_id: threadId, on_pending: 'supersede' });
      await say(there.client, `ask ${round}`, { thread_id: threadId });
      if (round === 1) await here.client.cancel(threadId);
      if (round === 2) await decide(there.client, await cardOf(here.client, threadId), 'reject');
    }
    over = true;
    await looking;
    const events = await toldSoFar(here.client, threadId);
    const whole = shown(events.reduce(applyEvent, createConversationState()));
    expect(details.length).toBeGreaterThan(20);
    const turns = new Set(details.map((detail) => detail.active_run?.turn_id ?? null));
    expect(turns.size).toBeGreaterThan(3);
    for (const detail of details) {
      const rest = events.filter(({ seq }) => seq > detail.last_seq);
      const state = shown(rest.reduce(applyEvent, createConversationState(detail)));
      // The title was given before the journal began.
      expect({ ...state, lastSeq: 0 }).toEqual({ ...whole, lastSeq: 0, title: 'Any GET' });
    }
  });
});
