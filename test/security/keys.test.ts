/** API keys: they do what their scopes say and no more, end with their revocation, and never pass for a person. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRateLimit } from '../../src/http/rate-limit.ts';
import { createStreams } from '../../src/http/streams.ts';
import { type Caller, SCOPES } from '../../src/runtime/caller.ts';
import { type Mailing, openMailing, sendEmail } from '../support/mailing.ts';
import { createPerson, JWT_ENVIRONMENT, type Person, personOf } from '../support/people.ts';
import { realClock, type ServiceHere } from '../support/service.ts';

const ID = '019a0000-0000-7000-8000-0000000000fe';
const WORKSPACE = '019a0000-0000-7000-8000-00000000000a';

const CALLER: Caller = {
  workspaceId: WORKSPACE,
  userId: 'eve',
  kind: 'api_key',
  scopes: null,
  sandbox: false,
  email: null,
  keyId: ID,
  plan: 'standard',
};

let stage: Mailing;
let service: ServiceHere;
let ada: Person;
/** What the service looks at once a minute; a test lets the minute pass. */
let checks: (() => void)[] = [];

beforeAll(async () => {
  stage = await openMailing(JWT_ENVIRONMENT);
  service = await stage.start({
    clock: {
      now: () => Date.now(),
      after(ms, callback) {
        if (ms === 60_000) checks.push(callback);
        const timer = ms === 60_000 ? undefined : setTimeout(callback, ms);
        timer?.unref();
        return () => clearTimeout(timer);
      },
    },
  });
  ada = await createPerson(service.url, { user: 'ada', workspaceId: WORKSPACE });
  // The first request makes the workspace.
  await ada.get('/api/v1/auth/me');
  await stage.addSender({
    userId: 'ada',
    workspaceId: WORKSPACE,
    data: { from_name: 'Ada', from_email: 'ada@sender.example', postal_address: '1 Road' },
  });
});
afterAll(() => stage.close());

async function makeKey(changes: Record<string, unknown> = {}): Promise<Person & { id: string }> {
  const made = await ada.post('/api/v1/api-keys', { name: 'Robot', ...changes });
  return { ...personOf(service.url, String(made.key)), id: String(made.id) };
}

describe('a key', () => {
  it('is refused with 403 wherever it lacks the scope, on every route', async () => {
    const wrong: string[] = [];
    for (const scope of [...SCOPES, 'person'] as const) {
      const key = await makeKey(
        scope === 'person' ? {} : { scopes: SCOPES.filter((other) => other !== scope) },
      );
      for (const route of service.app.routes.filter((one) => one.access === scope)) {
        const path = route.path.replaceAll(/\{\w+\}/g, ID);
        const { status, json, text } = await key.ask(route.method, path);
        if (status !== 403 || json?.detail !== 'FORBIDDEN')
          wrong.push(`${route.operation}: ${status} ${text}`);
      }
      await ada.ask('DELETE', `/api/v1/api-keys/${key.id}`);
    }
    expect(wrong).toEqual([]);
  });

  it('with the one scope that a route asks for is let in', async () => {
    const wrong: string[] = [];
    for (const scope of SCOPES) {
      const key = await makeKey({ scopes: [scope] });
      for (const route of service.app.routes.filter((one) => one.access === scope)) {
        const stream = route.answers[200] === 'event-stream';
        const path = route.path.replaceAll(/\{\w+\}/g, ID);
        if (stream && path === route.path) continue;
        const { status, text } = await key.ask(route.method, path, {
          body: route.body === undefined ? undefined : '[]',
        });
        if (status === 401 || status === 403) wrong.push(`${route.operation}: ${status} ${text}`);
      }
      await ada.ask('DELETE', `/api/v1/api-keys/${key.id}`);
    }
    expect(wrong).toEqual([]);
  });

  it('makes no keys and revokes none, however it asks', async () => {
    const key = await makeKey();
    const other = await makeKey();
    for (const path of ['/api/v1/api-keys', '/api/v1/api-keys/']) {
      for (const headers of [{}, { 'idempotency-key': 'once' }, { 'x-overture-client': '1' }] as Record<
        string,
        string
      >[]) {
        expect(await key.ask('POST', path, { body: { name: 'x' }, headers })).toMatchObject({
          status: 403,
          json: { detail: 'FORBIDDEN' },
        });
      }
    }
    for (const id of [key.id, other.id]) {
      expect((await key.ask('DELETE', `/api/v1/api-keys/${id}`)).status).toBe(403);
    }
    expect((await key.ask('GET', '/api/v1/auth/me')).status).toBe(200);
  });

  it('lends its agent no scope that it lacks', async () => {
    const lead = await stage.addLead('scoped@lead.example', { workspaceId: WORKSPACE });
    const calls = [
      { name: 'search_leads', args: {} },
      { name: 'suppress_email', args: { email: 'scoped@lead.example' } },
      sendEmail(lead),
    ];
    const expected: [string[], Record<string, boolean>][] = [
      [['agent:chat'], { search_leads: false, suppress_email: false, send_email: false }],
      [['agent:chat', 'read'], { search_leads: true, suppress_email: false, send_email: false }],
      [['agent:chat', 'approvals:write'], { search_leads: false, suppress_email: false, send_email: false }],
    ];
    for (const [scopes, allowed] of expected) {
      const key = await makeKey({ scopes });
      const words = `Try it with ${scopes}`;
      stage.talk.plan(words, [{ toolCalls: calls }, 'I tried.']);
      expect(await key.post('/api/v1/agent/chat', { message: words })).toMatchObject({
        status: 'completed',
        approvals: [],
      });
      const outcomes = stage.talk
        .results(words)
        .map(({ name, content }) => [name, !content.includes('FORBIDDEN')]);
      expect(Object.fromEntries(outcomes)).toEqual(allowed);
    }
    expect(await ada.get('/api/v1/suppression/')).toMatchObject({ total: 0 });
    const sending = await makeKey({ scopes: ['agent:chat', 'send'] });
    stage.talk.plan('Now send it', [{ toolCalls: [sendEmail(lead)] }]);
    expect(await sending.post('/api/v1/agent/chat', { message: 'Now send it' })).toMatchObject({
      status: 'awaiting_approval',
    });
    expect(stage.smtp.taken).toEqual([]);
  });

  it('made for tests keeps its mail in the outbox, and decides nothing that would happen for real', async () => {
    const lead = await stage.addLead('sandbox@lead.example', { workspaceId: WORKSPACE });
    const test = await makeKey({ sandbox: true });
    expect(test.token).toMatch(/^bav_test_/);
    stage.talk.plan('Send as a test', [{ toolCalls: [sendEmail(lead)] }, 'Kept.']);
    const kept = await test.post('/api/v1/agent/chat', { message: 'Send as a test' });
    const [card] = kept.approvals as { approval_id: string; args_hash: string }[];
    // Whoever decides: it stays a test.
    const path = `/api/v1/agent/conversations/${kept.thread_id}/approvals/${card?.approval_id}/decision`;
    await ada.post(path, { decision: 'approve', args_hash: card?.args_hash });
    await expect
      .poll(async () => (await test.get(`/api/v1/agent/conversations/${kept.thread_id}`)).status)
      .toBe('idle');
    expect(await ada.get('/api/v1/outbox')).toMatchObject({
      mails: [{ to: 'sandbox@lead.example', status: 'sandbox', sandbox: true }],
    });

    stage.talk.plan('Send for real', [{ toolCalls: [sendEmail(lead)] }, 'Sent.']);
    const real = await ada.post('/api/v1/agent/chat', { message: 'Send for real' });
    const [realCard] = real.approvals as { approval_id: string; args_hash: string }[];
    const decision = { decision: 'approve', args_hash: realCard?.args_hash };
    expect(
      await test.ask(
        'POST',
        `/api/v1/agent/conversations/${real.thread_id}/approvals/${realCard?.approval_id}/decision`,
        { body: decision },
      ),
    ).toMatchObject({ status: 403 });
    expect(stage.smtp.taken).toEqual([]);
  });

  it('is nobody from its revocation on, and its open streams end within a minute', async () => {
    const [key, other] = [await makeKey(), await makeKey()];
    const { thread_id } = await key.post('/api/v1/agent/conversations', {});
    checks = [];
    const open = async (person: Person, path: string) =>
      (await fetch(`${service.url}${path}`, { headers: { authorization: `Bearer ${person.token}` } })).text();
    const paths = [`/api/v1/agent/conversations/${thread_id}/stream`, '/api/v1/agent/stream'];
    const ended = Promise.all(paths.map((path) => open(key, path)));
    let otherEnded = false;
    void open(other, '/api/v1/agent/stream').then(
      () => {
        otherEnded = true;
      },
      () => {},
    );
    await expect.poll(() => checks.length).toBe(3);
    expect((await ada.ask('DELETE', `/api/v1/api-keys/${key.id}`)).status).toBe(204);
    expect((await key.ask('GET', '/api/v1/auth/me')).status).toBe(401);
    const due = checks;
    checks = [];
    for (const check of due) check();
    expect(await ended).toHaveLength(2);
    // The other key's stream is looked at again in a minute.
    await expect.poll(() => checks.length).toBe(1);
    expect(otherEnded).toBe(false);
  });
});

describe('open streams', () => {
  it('are counted for each principal, of every kind, until they are closed', async () => {
    const person = await createPerson(service.url, { user: 'streamer' });
    const { thread_id } = await person.post('/api/v1/agent/conversations', {});
    const leave = new AbortController();
    const open = (path: string, signal: AbortSignal = leave.signal) =>
      fetch(`${service.url}${path}`, { headers: { authorization: `Bearer ${person.token}` }, signal });
    const paths = ['/api/v1/agent/stream', `/api/v1/agent/conversations/${thread_id}/stream`];
    const all = await Promise.all(Array.from({ length: 200 }, (_, index) => open(paths[index % 2] ?? '')));
    expect(new Set(all.map((answer) => answer.status))).toEqual(new Set([200]));
    for (const path of paths) {
      const refused = await person.ask('GET', path);
      expect(refused).toMatchObject({ status: 429, json: { detail: 'TOO_MANY_STREAMS', limit: 'streams' } });
      expect(refused.headers.get('retry-after')).toBe('5');
    }
    expect((await ada.ask('GET', '/api/v1/agent/conversations')).status).toBe(200);
    leave.abort();
    const again = new AbortController();
    await expect.poll(async () => (await open(paths[0] ?? '', again.signal)).status).toBe(200);
    again.abort();
  });

  it('that nobody waits for any more by the time they are ready do not count', () => {
    const streams = createStreams({
      clock: realClock,
      draining: new AbortController().signal,
      stillHolds: async () => true,
    });
    for (let count = 0; count < 500; count += 1) streams.admit(CALLER, AbortSignal.abort());
    const leave = new AbortController();
    for (let count = 0; count < 200; count += 1) streams.admit(CALLER, leave.signal);
    expect(() => streams.admit(CALLER, leave.signal)).toThrow('At most 200 streams');
    leave.abort();
    streams.admit(CALLER, new AbortController().signal);
  });
});

describe('the rate limit', () => {
  it('is told to keys and not to people', async () => {
    const answer = await (await makeKey()).ask('GET', '/api/v1/auth/me');
    expect(answer.headers.get('x-ratelimit-limit')).toBe('3000');
    const resets = Number(answer.headers.get('x-ratelimit-reset'));
    expect(resets).toBeGreaterThan(Date.now() / 1000 - 1);
    expect(resets).toBeLessThan(Date.now() / 1000 + 62);
    expect((await ada.ask('GET', '/api/v1/auth/me')).headers.has('x-ratelimit-limit')).toBe(false);
  });

  it('of a plan is kept for each principal, and says when to come back', async () => {
    const [eve, bob] = await Promise.all(
      ['eve', 'bob'].map((user) => createPerson(service.url, { user, workspaceId: WORKSPACE, plan: 'free' })),
    );
    const answers = await Promise.all(
      Array.from({ length: 305 }, async () => eve?.ask('GET', '/api/v1/auth/me')),
    );
    expect(answers.filter((answer) => answer?.status === 200)).toHaveLength(300);
    const refused = answers.find((answer) => answer?.status === 429);
    expect(refused?.json).toMatchObject({ detail: 'RATE_LIMITED', limit: 'requests_per_minute' });
    expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(Number(refused?.headers.get('retry-after'))).toBeLessThanOrEqual(60);
    expect(refused?.headers.get('x-ratelimit-limit')).toBe('300');
    expect((await bob?.ask('GET', '/api/v1/auth/me'))?.status).toBe(200);
    expect((await ada.ask('GET', '/api/v1/auth/me')).status).toBe(200);
  });

  it.each(['constructor', '__proto__', 'toString', 'enterprise', ''])(
    'of a plan that nobody knows is the standard one: %j',
    async (plan) => {
      const limit = createRateLimit({ now: () => 0 });
      expect(await limit.take({ ...CALLER, plan })).toMatchObject({ 'x-ratelimit-limit': '3000' });
    },
  );
});
