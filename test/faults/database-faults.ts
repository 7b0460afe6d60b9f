/** A database that is restarted, loses connections, does not say whether it has committed, or has no space left. */

import { v7 } from 'uuid';
import { afterAll, beforeAll } from 'vitest';
import { type Client, createClient } from '../../src/client/client.ts';
import { ClientError } from '../../src/client/errors.ts';
import type { Approval } from '../../src/client/events.ts';
import { openDatabase } from '../support/database.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { insertLead, sendEmail, toldSoFar } from '../support/mailing.ts';
import { OWN, type OwnCluster, startOwnCluster } from '../support/own-cluster.ts';
import { again, PATIENCE_MS, until } from '../support/patience.ts';
import { proves } from '../support/proves.ts';
import { createScriptedModel, type ScriptedModel } from '../support/scripted-model.ts';
import { type ServiceProcess, startServiceProcess } from '../support/service.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { createTalk, type Talk } from '../support/talk.ts';
import { oddEvents, oddHistory, reduced, sameMessage, textOf } from './oracle.ts';

/** Moments of a turn in which the database is hit. */
const MOMENTS = [
  'at the message',
  'in the text',
  'at the decision',
  'while the mail is out',
  'between turns',
] as const;
type Moment = (typeof MOMENTS)[number];

const WHOLE = 'I write to her. ';
const LAST = 'That is how it went.';

/** What a turn is played on. */
interface Scene {
  client: Client;
  talk: Talk;
  smtp: SmtpServer;
  query: OwnCluster['query'];
  /** Whether the service is still there. */
  alive(): boolean;
  /** The faults of its own that it logged. */
  errors(): string[];
}

/** Declares the faults, each tried as often as the sizes say. */
export function provesDatabaseFaults(sizes: {
  restarts: number;
  connections: number;
  commits: number;
}): void {
  let model: ScriptedModel;
  let smtp: SmtpServer;
  let talk: Talk;
  /** Answers of the mail server that are held back, by address. */
  const held = new Map<string, Promise<'take'>>();

  beforeAll(async () => {
    model = await createScriptedModel();
    talk = createTalk(model);
    smtp = await startSmtpServer();
    smtp.treat(({ to }) => held.get(to) ?? 'take');
  });
  afterAll(async () => {
    await model.close();
    await smtp.close();
  });

  const environment = (leaseSeconds: number) => ({
    OPENAI_BASE_URL: model.url,
    OPENAI_API_KEY: 'sk-scripted-model-key',
    SMTP_URL: smtp.url,
    LEASE_SECONDS: String(leaseSeconds),
  });

  const sceneOf = (service: ServiceProcess, query: Scene['query']): Scene => ({
    client: createClient({ baseUrl: service.url }),
    talk,
    smtp,
    query,
    alive: () => service.process.exitCode === null && service.process.signalCode === null,
    errors: () =>
      service
        .logged()
        .split('\n')
        .filter((line) => line.includes('"level":50')),
  });

  proves(
    'P12',
    'immediate restarts of the database in the middle of turns',
    sizes.restarts,
    async (tally) => {
      const cluster = await startOwnCluster();
      tally.remark(OWN);
      const service = await startServiceProcess({ databaseUrl: cluster.url, environment: environment(10) });
      try {
        const scene = sceneOf(service, cluster.query);
        await tally.each(rounds(sizes.restarts), 1, (moment) =>
          play(scene, moment, () => cluster.restart(), held),
        );
      } finally {
        await service.kill();
        await cluster.stop();
      }
    },
  );

  proves(
    'P12',
    'all connections ended by the database, idle ones and used ones',
    sizes.connections,
    async (tally) => {
      const database = await openDatabase();
      const service = await startServiceProcess({ databaseUrl: database.url, environment: environment(10) });
      try {
        const scene = sceneOf(service, database.query);
        await tally.each(rounds(sizes.connections), 1, (moment) =>
          play(
            scene,
            moment,
            () =>
              database.query(
                `select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and application_name like 'overture%'`,
              ),
            held,
          ),
        );
      } finally {
        await service.kill();
        await database.close();
      }
    },
  );

  proves('P1', 'the n-th commit after a message is done, its answer lost', sizes.commits, async (tally) => {
    const database = await openDatabase();
    const proxy = await startFaultProxy(database.url);
    const service = await startServiceProcess({
      databaseUrl: proxy.before(database.url),
      environment: environment(5),
    });
    let lost = 0;
    try {
      const scene = sceneOf(service, database.query);
      await tally.each(
        Array.from({ length: sizes.commits }, (_, index) => index + 1),
        1,
        async (ordinal) => {
          let left = ordinal;
          const losing = proxy.loseAnswer((chunk) => writes(chunk) && --left === 0);
          void losing.then(() => {
            lost += 1;
          });
          const faults = await play(scene, 'between turns', async () => {}, held);
          proxy.heal();
          return faults;
        },
      );
      tally.remark(`${lost} answers were lost`);
      if (lost === 0) tally.count(['no answer was lost']);
    } finally {
      await service.kill();
      await proxy.close();
      await database.close();
    }
  });
}

function rounds(count: number): Moment[] {
  return Array.from({ length: count }, (_, index) => MOMENTS[index % MOMENTS.length] ?? 'between turns');
}

/** Whether these bytes ask PostgreSQL to make something last: a commit, or a statement that is its own transaction. */
function writes(chunk: Buffer): boolean {
  return ['commit', 'settle', 'append', 'checkpoint'].some((word) => chunk.includes(word));
}

/**
 * One turn with a mail that must be approved, hit at the moment; answers what is wrong afterwards. Everything that is
 * asked of the service is asked again while it says 503, as a client does.
 */
async function play(
  scene: Scene,
  moment: Moment,
  hit: () => Promise<unknown>,
  held: Map<string, Promise<'take'>>,
): Promise<string[]> {
  const { client, talk, smtp } = scene;
  const words = `database ${v7()}`;
  const address = `lead-${v7()}@acme.example`;
  const leadId = await again(() => insertLead({ query: scene.query }, address));
  const half = Promise.withResolvers<void>();
  if (moment !== 'in the text') half.resolve();
  talk.plan(words, [{ text: ['I write ', half.promise, 'to her. '], toolCalls: [sendEmail(leadId)] }, LAST]);
  const mailOut = Promise.withResolvers<'take'>();
  if (moment === 'while the mail is out') held.set(address, mailOut.promise);

  const key = v7();
  const post = again(() =>
    client.request<{ thread_id: string; turn_id: string }>(
      'POST',
      '/api/v1/agent/chat',
      { message: words },
      { headers: { Prefer: 'respond-async' }, idempotencyKey: key },
    ),
  );
  if (moment === 'at the message') await hit();
  const { thread_id: threadId, turn_id: turnId } = await post;
  const follower = again(() => toldSoFar(client, threadId));
  if (moment === 'in the text') {
    await until(() => talk.requests(words).length > 0);
    await hit();
    half.resolve();
  }

  for (;;) {
    const card = await waitForCard(client, threadId);
    if (card === null) break;
    const left = smtp.takenFor(address).length > 0;
    const decision = card.kind === 'proposal' ? 'approve' : left ? 'mark_done' : 'retry';
    const decided = again(() =>
      client
        .decide(threadId, card.approval_id, { decision, args_hash: card.args_hash })
        // Asked again, as the first answer was lost: it was recorded once.
        .catch((error: unknown) => {
          if (!(error instanceof ClientError) || error.code !== 'ALREADY_DECIDED') throw error;
        }),
    );
    if (moment === 'at the decision' && card.kind === 'proposal') await hit();
    await decided;
    if (moment === 'while the mail is out' && card.kind === 'proposal') {
      await smtp.arrival(address);
      await hit();
      held.delete(address);
      mailOut.resolve('take');
    }
  }
  if (moment === 'between turns') await hit();
  await follower.catch(() => []);
  return again(() => judge(scene, { words, address, threadId, turnId }));
}

/** The oldest card that waits; null once the turn has ended. */
async function waitForCard(client: Client, threadId: string): Promise<Approval | null> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const conversation = await again(() =>
      client.request<{ status: string }>('GET', `/api/v1/agent/conversations/${threadId}`),
    );
    if (conversation.status === 'idle') return null;
    if (conversation.status === 'awaiting_approval') {
      const { interrupts } = await again(() => client.interrupt(threadId));
      if (interrupts[0] !== undefined) return interrupts[0];
    }
    if (Date.now() > end) throw new Error(`the turn is ${conversation.status} for ever`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

interface Played {
  words: string;
  address: string;
  threadId: string;
  turnId: string;
}

/** What is wrong with a turn that is over. */
async function judge(scene: Scene, { words, address, threadId, turnId }: Played): Promise<string[]> {
  const { client, talk, smtp, query } = scene;
  const faults: string[] = [];
  const claim = (holds: boolean, fault: string) => {
    if (!holds) faults.push(fault);
  };
  claim(scene.alive(), 'the process has ended');
  const turns = await query<{ id: string; status: string; error: unknown }>(
    'select id, status, error from turns where conversation_id = $1',
    [threadId],
  );
  claim(turns.length === 1 && turns[0]?.id === turnId, `${turns.length} turns`);
  claim(
    turns[0]?.status === 'completed',
    `the turn is ${turns[0]?.status}: ${JSON.stringify(turns[0]?.error)}`,
  );
  const said = await query(`select 1 from conversation_messages where role = 'user' and content = $1`, [
    words,
  ]);
  claim(said.length === 1, `the user's words are kept ${said.length} times`);
  const events = await toldSoFar(client, threadId);
  const { messages } = await client.conversation(threadId);
  const answer = messages.find((message) => message.role === 'assistant');
  claim(answer?.status === 'complete', `the answer is ${answer?.status}`);
  claim(answer?.content === `${WHOLE}\n\n${LAST}`, `the answer says ${JSON.stringify(answer?.content)}`);
  claim(textOf(events) === answer?.content, `the deltas say ${JSON.stringify(textOf(events))}`);
  claim(
    sameMessage(reduced(events), answer),
    'a reader from the beginning sees another message than the stored one',
  );
  faults.push(...oddEvents(events));
  for (const request of talk.requests(words)) faults.push(...oddHistory(request));
  const taken = smtp.takenFor(address).length;
  const [{ retries } = { retries: 0 }] = await query<{ retries: number }>(
    `select count(*)::int as retries from approvals where conversation_id = $1 and decision = 'retry'`,
    [threadId],
  );
  const ends = events.filter(({ type }) => type === 'tool-end').map(({ data }) => JSON.stringify(data));
  claim(
    taken >= 1 && taken <= 1 + retries,
    `${taken} mails with ${retries} retries; the calls ended ${ends.join()}; logged: ${scene.errors().at(-1)}`,
  );
  return faults;
}
