/** The page without its looks, in Node, against the real service: it knows no DOM, so nothing stands in for one. */

import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { pendingApprovals } from '../../src/client/conversation.ts';
import type { Storage } from '../../web/state/memory.ts';
import { createPage, type PageModel } from '../../web/state/page.ts';
import type { Store } from '../../web/state/store.ts';
import type { TabMessage, Tabs } from '../../web/state/watch.ts';
import { openDatabase, type TestDatabase } from '../support/database.ts';
import { createScriptedModel, type ScriptedAnswer, type ScriptedModel } from '../support/scripted-model.ts';
import { type ServiceHere, startService } from '../support/service.ts';

let database: TestDatabase;
let model: ScriptedModel;
let service: ServiceHere;
const scripts = new Map<string, (string | ScriptedAnswer)[]>();

beforeAll(async () => {
  database = await openDatabase();
  model = await createScriptedModel();
  model.otherwise((request) => {
    const asked = request.messages.findLast((message) => message.role === 'user')?.content ?? '';
    return scripts.get(asked)?.shift() ?? 'Nothing is scripted for this.';
  });
  service = await startService({
    databaseUrl: database.url,
    environment: { OPENAI_API_KEY: 'test', OPENAI_BASE_URL: model.url, OPENAI_MODEL: 'scripted' },
  });
});
afterAll(async () => {
  await service.close();
  await model.close();
  await database.close();
});

function createStorage(): Storage {
  const kept = new Map<string, string>();
  return {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
  };
}

/** What the tabs of one browser have in common. */
function createTabs(): Tabs {
  const ears = new Set<(message: TabMessage) => void>();
  let turn = Promise.resolve();
  return {
    async alone(_name, signal, hold) {
      const mine = turn.then(() => (signal.aborted ? undefined : hold()));
      turn = mine;
      await mine;
    },
    channel(_name, hear) {
      ears.add(hear);
      return {
        say: (message) => {
          for (const ear of ears) if (ear !== hear) queueMicrotask(() => ear(message));
        },
        close: () => void ears.delete(hear),
      };
    },
  };
}

interface PageHere {
  page: PageModel;
  /** Every request so far, as "GET /path". */
  asked: string[];
  path(): string;
}

interface PageHereOptions {
  path?: string;
  tabStorage?: Storage;
  tabs?: Tabs | null;
  fetch?: typeof globalThis.fetch;
}

async function openPage({
  path = '/',
  tabStorage = createStorage(),
  tabs = null,
  ...options
}: PageHereOptions = {}): Promise<PageHere> {
  const asked: string[] = [];
  const doFetch = options.fetch ?? globalThis.fetch;
  let place = path;
  const page = createPage({
    baseUrl: service.url,
    browser: {
      path: () => place,
      go: (next) => {
        place = next;
      },
      onBack: () => {},
    },
    storage: createStorage(),
    tabStorage,
    tabs,
    soon: queueMicrotask,
    schedule(milliseconds, callback) {
      const timer = setTimeout(callback, milliseconds);
      return () => clearTimeout(timer);
    },
    now: () => Date.now(),
    async fetch(input, init) {
      asked.push(`${init?.method ?? 'GET'} ${new URL(String(input)).pathname}`);
      return doFetch(input, init);
    },
  });
  onTestFinished(() => page.stop());
  await page.start();
  await when(page.store, (state) => state.connection === 'open');
  return { page, asked, path: () => place };
}

/** Waits until the state fits. */
function when<State>(store: Store<State>, fits: (state: State) => boolean): Promise<State> {
  return new Promise((resolve) => {
    const look = () => {
      if (!fits(store.get())) return;
      stop();
      resolve(store.get());
    };
    const stop = store.subscribe(look);
    look();
  });
}

const threadOf = (page: PageModel) => page.store.get().thread;
/** The texts of the conversation, once its turn is over. */
async function textsOf(page: PageModel, count: number): Promise<string[]> {
  const { conversation } = await when(
    threadOf(page).store,
    (state) =>
      state.conversation.messages.length >= count &&
      state.conversation.run.status === 'idle' &&
      state.sending === null,
  );
  return conversation.messages.map((message) => message.content);
}

const mail = (to: string) => ({
  toolCalls: [{ name: 'send_email', args: { to, subject: 'Hello', body: 'Shall we talk next week?' } }],
});

describe('the page', () => {
  it('tells a turn once, and keeps its address', async () => {
    scripts.set('Hello', ['Hello yourself.']);
    const { page, path } = await openPage();
    expect(page.send('Hello')).toBe(true);
    expect(page.send('Hello')).toBe(false);
    expect(await textsOf(page, 2)).toEqual(['Hello', 'Hello yourself.']);
    expect(path()).toBe(`/t/${threadOf(page).store.get().threadId}`);
    const { page: later } = await openPage({ path: path() });
    expect(await textsOf(later, 2)).toEqual(['Hello', 'Hello yourself.']);
  });

  it('sends a message whose answer was lost again, under its key: there is one turn', async () => {
    scripts.set('Lost?', ['Found.', 'Found again.']);
    const tabStorage = createStorage();
    const lost = Promise.withResolvers<void>();
    const { page } = await openPage({
      tabStorage,
      async fetch(input, init) {
        const response = await fetch(input, init);
        if (!String(input).endsWith('/agent/chat')) return response;
        lost.resolve();
        throw new TypeError('the connection broke');
      },
    });
    page.send('Lost?');
    await lost.promise;
    page.stop();
    const { page: reloaded } = await openPage({ tabStorage });
    expect(await textsOf(reloaded, 2)).toEqual(['Lost?', 'Found.']);
    expect(scripts.get('Lost?')).toEqual(['Found again.']);
  });

  it('shares one connection between the tabs of a browser, and hands it on', async () => {
    scripts.set('For all tabs', ['Heard.']);
    const tabs = createTabs();
    const one = await openPage({ tabs });
    const two = await openPage({ tabs });
    const streams = () =>
      [...one.asked, ...two.asked].filter((each) => each === 'GET /api/v1/agent/stream').length;
    expect(streams()).toBe(1);
    one.page.send('For all tabs');
    const title = (page: PageModel) =>
      when(page.conversations.store, ({ items }) => items.some((item) => item.title === 'For all tabs'));
    await Promise.all([title(one.page), title(two.page), textsOf(one.page, 2)]);
    expect(streams()).toBe(1);
    one.page.stop();
    scripts.set('After the first', ['Still heard.']);
    const third = await openPage();
    third.page.send('After the first');
    await when(two.page.conversations.store, ({ items }) =>
      items.some((item) => item.title === 'After the first'),
    );
    expect(streams()).toBe(2);
  });

  it('decides a card once, however often it is asked to; who comes second sees the first', async () => {
    scripts.set('Write to Ann', [mail('ann@solaris.example'), 'Done.']);
    const { page, asked, path } = await openPage();
    page.send('Write to Ann');
    const { conversation } = await when(
      threadOf(page).store,
      (state) => pendingApprovals(state.conversation).length === 1 && state.sending === null,
    );
    const [approval] = pendingApprovals(conversation);
    if (approval === undefined) throw new Error('there is no card');
    const { page: other } = await openPage({ path: path() });
    await when(threadOf(other).store, (state) => pendingApprovals(state.conversation).length === 1);
    const decision = { decision: 'approve', args_hash: approval.args_hash } as const;
    await Promise.all([page.decisions.decide(approval, decision), page.decisions.decide(approval, decision)]);
    expect(asked.filter((each) => each.endsWith('/decision'))).toHaveLength(1);
    await other.decisions.decide(approval, { decision: 'reject', args_hash: approval.args_hash });
    expect(other.decisions.store.get().byId[approval.approval_id]).toMatchObject({
      phase: 'lost',
      fault: { code: 'ALREADY_DECIDED' },
      approval: { status: 'approved' },
    });
    expect(await textsOf(page, 2)).toEqual(await textsOf(other, 2));
  });

  it('asks nothing any more once it was left', async () => {
    scripts.set('Leave', ['Left.']);
    const { page, asked } = await openPage();
    page.send('Leave');
    await textsOf(page, 2);
    page.stop();
    const { page: other } = await openPage();
    const before = asked.length;
    scripts.set('Somebody else', ['Yes.']);
    other.send('Somebody else');
    await textsOf(other, 2);
    expect(asked.length).toBe(before);
  });

  it('tries to get in again while the service is gone, and not once it was left', async () => {
    let gone = true;
    const tries: (() => void)[] = [];
    const page = createPage({
      baseUrl: service.url,
      browser: { path: () => '/', go: () => {}, onBack: () => {} },
      storage: null,
      tabStorage: null,
      tabs: null,
      soon: queueMicrotask,
      schedule(_milliseconds, callback) {
        tries.push(callback);
        return () => void tries.splice(tries.indexOf(callback), 1);
      },
      now: () => Date.now(),
      async fetch(input, init) {
        if (gone) throw new TypeError('nobody is there');
        return fetch(input, init);
      },
    });
    onTestFinished(() => page.stop());
    await page.start();
    expect(page.store.get().connection).toBe('lost');
    expect(tries).toHaveLength(1);
    gone = false;
    page.reconnect();
    await when(page.store, (state) => state.connection === 'open');
    page.stop();

    gone = true;
    tries.length = 0;
    const left = page.start();
    page.stop();
    await left;
    expect(tries).toHaveLength(0);
  });
});
