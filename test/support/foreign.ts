/** What the tests of other protocols' clients share: a stage, a model that says what is next, a mail to approve, and what became of it. */

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { vi } from 'vitest';
import { createPerson, type Person } from './people.ts';
import type { Scripted, ScriptedAnswer } from './scripted-model.ts';
import { openStage, type Stage } from './stage.ts';

export const MAIL = { to: 'ada@example.com', subject: 'Hello Ada', body: 'A short note.' };
/** The model proposes the mail. */
export const SEND = { toolCalls: [{ name: 'send_email', args: MAIL }] };

export interface ForeignStage extends Stage {
  /** What the model answers from now on, one a call, whatever was planned before. */
  plan(...answers: Scripted[]): void;
  /** Subjects of what was sent or kept in the conversation of this name, sorted. */
  mails(threadName: string): Promise<string[]>;
  /** Imports a lead for the local user; answers its id. */
  addLead(url: string, name: string, email: string): Promise<string>;
}

export async function openForeignStage(environment: Record<string, string> = {}): Promise<ForeignStage> {
  const stage = await openStage(environment);
  let left: Scripted[] = [];
  stage.model.otherwise((request) => {
    const answer = left.shift() ?? { status: 400 };
    return typeof answer === 'function' ? answer(request) : answer;
  });
  return {
    ...stage,
    plan(...answers) {
      left = answers;
    },
    async mails(threadName) {
      const rows = await stage.database.query<{ subject: string }>(
        `select o.subject from outbox o join turns t on t.id = o.turn_id
           left join external_threads x on x.conversation_id = t.conversation_id
          where x.external_id = $1 or t.conversation_id::text = $1 order by o.subject`,
        [threadName],
      );
      return rows.map((row) => row.subject);
    },
    async addLead(url, name, email) {
      const form = new FormData();
      form.append('file', new Blob([`email,first_name\n${email},${name}\n`]), 'leads.csv');
      const headers = { 'x-overture-client': 'test' };
      await fetch(`${url}/api/v1/datasets/import`, { method: 'POST', body: form, headers });
      const rows = await stage.database.query<{ id: string }>(
        `select id from leads where email = $1 limit 1`,
        [email],
      );
      const [lead] = rows;
      if (lead === undefined) throw new Error('the lead was not imported');
      return lead.id;
    },
  };
}

/** Ada, a member of a workspace, who has a key for a client and a sender to write as. */
export async function createAda(url: string): Promise<{ ada: Person; key: string }> {
  const ada = await createPerson(url, { user: 'ada', workspaceId: '019a0000-0000-7000-8000-00000000000a' });
  const { key } = await ada.post('/api/v1/api-keys', { name: 'a client' });
  await ada.post('/api/v1/sender-profiles/', {
    profile_name: 'Ada',
    sender_data: { from_name: 'Ada', from_email: 'ada@sender.example' },
    is_default: true,
  });
  return { ada, key: String(key) };
}

/** A call of `search_leads` for a CTO, of whose arguments the second half comes when the gate opens. */
export function callInHalves(middle: Promise<void>): ScriptedAnswer {
  const named = { name: 'search_leads', arguments: '{"que' };
  const start = { index: 0, id: 'call_1', type: 'function', function: named };
  const rest = { index: 0, function: { arguments: 'ry":"cto"}' } };
  return { deltas: [{ tool_calls: [start] }, middle, { tool_calls: [rest] }], finishReason: 'tool_calls' };
}

/** For a process that is to be killed: others take its turns over soon, and still not while it lives on a busy machine. */
export const MORTAL = { LEASE_SECONDS: '4' };

/** Waits for a fact, as long as a busy machine may take. */
export function eventually<Fact>(look: () => Fact | Promise<Fact>): Promise<Fact> {
  return vi.waitFor(look, { timeout: 40_000 });
}

/** A port that nobody listens on at the moment, for a service that is to come back where it was. */
export async function freePort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}

/** JSON with its keys in order: what the database gives back may have them in another one. */
export function sorted(text: string): string {
  try {
    return JSON.stringify(sortKeys(JSON.parse(text)));
  } catch {
    return text;
  }
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([name, inner]) => [name, sortKeys(inner)]));
}

/** The clients a run tests: all of them for `npm run test:compat`, else the first. */
export function sampled<Client>(clients: readonly Client[]): readonly Client[] {
  return process.env.COMPAT === 'all' ? clients : clients.slice(0, 1);
}
