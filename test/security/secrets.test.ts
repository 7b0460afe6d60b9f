/** Secrets never leak: canaries in every setting and token, and none of them in what the service writes or answers. */

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPerson, JWT_ENVIRONMENT, type Person, personOf, send } from '../support/people.ts';
import type { Scripted } from '../support/scripted-model.ts';
import { leadFile } from '../support/seeded-workspace.ts';
import { JWT_SECRET, type ServiceHere } from '../support/service.ts';
import { openStage, type Stage } from '../support/stage.ts';

const CHAT = '/api/v1/agent/chat';

/** With signs that JSON and addresses spell differently. */
const CANARIES = {
  OPENAI_API_KEY: 'canary-model"key\\5f1d/+=x',
  SIGNING_SECRET: 'canary-signing-secret-"3\\3"-of-32-characters',
  JWT_SECRET,
  SMTP: 'canary/mail"pass\\word@9b2e',
};

let stage: Stage;
let service: ServiceHere;
let smtp: SMTPServer;
let ada: Person;
let key: Person;
/** Everything the service answered. */
const answers: string[] = [];

beforeAll(async () => {
  smtp = new SMTPServer({
    closeTimeout: 1,
    disabledCommands: ['STARTTLS'],
    // A server that is as careless as can be.
    onAuth: ({ password }, _session, done) =>
      done(Object.assign(new Error(`wrong password ${password}`), { responseCode: 535 })),
  });
  smtp.listen(0, '127.0.0.1');
  await once(smtp.server, 'listening');
  const { port } = smtp.server.address() as AddressInfo;
  stage = await openStage({
    ...JWT_ENVIRONMENT,
    OPENAI_API_KEY: CANARIES.OPENAI_API_KEY,
    SIGNING_SECRET: CANARIES.SIGNING_SECRET,
    SMTP_URL: `smtp://mailer:${encodeURIComponent(CANARIES.SMTP)}@127.0.0.1:${port}`,
  });
  service = await stage.start({
    wrap: (name, port) => (name === 'turns' ? failingAccept(port) : port),
  });
  ada = await createPerson(service.url, { user: 'ada' });
  const made = await ada.post('/api/v1/api-keys', { name: 'Robot' });
  key = personOf(service.url, String(made.key));
});
afterAll(async () => {
  await stage.close();
  await new Promise<void>((resolve) => smtp.close(resolve));
});

/** A store whose first failure says all it knows. */
function failingAccept<Port extends object>(port: Port): Port {
  return new Proxy(port, {
    get(target, name) {
      const found: unknown = Reflect.get(target, name);
      if (name !== 'accept' || typeof found !== 'function') return found;
      return (request: { input: { message: string } }) => {
        if (!request.input.message.startsWith('break')) return found.call(target, request);
        const cause = Object.assign(new Error(`inside ${Object.values(CANARIES).join(' ')}`), {
          config: { headers: { authorization: `Bearer ${key.token}` }, secrets: CANARIES },
        });
        throw new Error(`it broke with ${JSON.stringify(CANARIES)}`, { cause });
      };
    },
  });
}

async function keep(answer: Promise<{ text: string; headers: Headers }>): Promise<void> {
  const { text, headers } = await answer;
  answers.push(text, JSON.stringify([...headers]));
}

/** The forms in which a text may have been written down. */
function formsOf(secret: string): string[] {
  const escaped = JSON.stringify(secret).slice(1, -1);
  return [...new Set([secret, escaped, JSON.stringify(escaped).slice(1, -1), encodeURIComponent(secret)])];
}

function leaks(text: string, secrets: Record<string, string>): string[] {
  return Object.entries(secrets).flatMap(([name, secret]) =>
    formsOf(secret).some((form) => text.includes(form)) ? [name] : [],
  );
}

describe('secrets', () => {
  it('are in no answer, no row, no log line and no request to the model, whatever fails', async () => {
    const secret = CANARIES.OPENAI_API_KEY;
    const echo = JSON.stringify({
      error: { message: `Incorrect API key provided: ${secret}. Bearer ${secret}` },
    });
    const failures: Scripted[] = [
      { status: 401, body: echo },
      { status: 400, body: echo },
      { status: 429, body: echo, headers: { 'retry-after': '0' } },
      { text: 'Well', fault: 'error-event', error: { message: `key ${secret} is wrong` } },
      { status: 200, headers: { 'content-type': 'text/html' }, body: `<p>${secret}</p>` },
      { raw: [`data: {"error":"${JSON.stringify(secret).slice(1, -1)}"}\n\n`] },
    ];
    for (const failure of failures) {
      stage.model.otherwise(failure);
      await keep(ada.ask('POST', CHAT, { body: { message: 'Hello' } }));
      expect(answers.at(-2)).toMatch(/"status":"failed".*"code":"MODEL_/);
    }

    await ada.post('/api/v1/datasets/import', leadFile('leads'));
    await ada.post('/api/v1/sender-profiles/', {
      profile_name: 'Mine',
      sender_data: { from_email: 'ada@sender.example' },
      is_default: true,
    });
    const { leads } = await ada.get('/api/v1/leads');
    const lead = (leads as { lead_id: string }[])[0]?.lead_id;
    stage.model.script(
      { toolCalls: [{ name: 'send_email', args: { lead_id: lead, subject: 'Hi', body: 'Hello' } }] },
      'It was not sent.',
    );
    const asked = await ada.post(CHAT, { message: 'Send it' });
    const resume = { thread_id: asked.thread_id, resume: { confirmed: true } };
    await keep(ada.ask('POST', CHAT, { body: resume, headers: { accept: 'application/json' } }));
    expect(answers.at(-2)).toContain('MAIL_UNAVAILABLE');

    const broken = await ada.ask('POST', CHAT, { body: { message: 'break' } });
    expect(broken).toMatchObject({ status: 500, json: { detail: 'INTERNAL_ERROR' } });
    await keep(Promise.resolve(broken));

    for (const path of [
      '/openapi.json',
      '/docs',
      '/llms.txt',
      '/metrics',
      '/api/v1/status',
      '/api/v1/capabilities',
      '/api/v1/auth/me',
      '/api/v1/api-keys',
      '/api/v1/outbox',
      '/api/v1/agent/approvals?status=all',
      `/api/v1/agent/conversations/${asked.thread_id}`,
    ]) {
      await keep(ada.ask('GET', path));
      await keep(key.ask('GET', path));
    }
    for (const token of [ada.token, key.token]) {
      for (const path of [
        `/api/v1/leads?access_token=${token}`,
        `/api/v1/leads/${token}`,
        `/api/v1/${token}`,
        `/api/v1/leads?limit=${token}`,
      ]) {
        await send(service.url, 'GET', path, { headers: { authorization: `Bearer ${token}x` } });
        await ada.ask('GET', path);
      }
    }
    for (const body of [`{"name": "${secret}`, { name: 'x', scopes: [secret] }]) {
      await ada.ask('POST', '/api/v1/api-keys', { body });
    }

    const { password } = new URL(stage.database.url);
    const secrets = {
      ...CANARIES,
      ...(password.length < 8 ? {} : { 'the database of this test': decodeURIComponent(password) }),
      // Its first characters are shown, so that people can tell their keys apart.
      'an API key': key.token.slice(17),
      'a session token': ada.token,
      'the end of a session token': String(ada.token.split('.')[2]),
    };
    expect(leaks(answers.join('\n'), secrets)).toEqual([]);
    expect(leaks(service.logged(), secrets)).toEqual([]);
    expect(service.logged()).toContain('a request failed');
    expect(leaks(JSON.stringify(stage.model.calls.map((call) => call.request)), secrets)).toEqual([]);
    const tables = await stage.database.query<{ name: string }>(
      `select table_name as name from information_schema.tables where table_schema = 'public'`,
    );
    const wrong: string[] = [];
    let read = 0;
    for (const { name } of tables) {
      const rows = await stage.database.query<{ row: string }>(`select t::text as row from ${name} t`);
      read += rows.length;
      for (const leak of leaks(rows.map(({ row }) => row).join('\n'), secrets))
        wrong.push(`${name}: ${leak}`);
    }
    expect(wrong).toEqual([]);
    expect(read).toBeGreaterThan(40);
  });

  it('are kept out of a log line by their value and by their look, however they are spelled', async () => {
    expect(service.logged()).toMatch(/\[scrubbed/);
    expect(
      service
        .logged()
        .trim()
        .split('\n')
        .every((line) => isJson(line)),
    ).toBe(true);
  });
});

function isJson(line: string): boolean {
  try {
    return typeof JSON.parse(line) === 'object';
  } catch {
    return false;
  }
}
