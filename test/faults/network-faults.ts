/** A network that is slow, silent or cut, before the database and before the model; and a disk that is full. */

import { execFile } from 'node:child_process';
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { v7 } from 'uuid';
import { type Client, createClient } from '../../src/client/client.ts';
import { ClientError } from '../../src/client/errors.ts';
import { openDatabase } from '../support/database.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { endOf, lastAnswer, say, toldSoFar } from '../support/mailing.ts';
import { OWN, startOwnCluster } from '../support/own-cluster.ts';
import { again, until } from '../support/patience.ts';
import { proves } from '../support/proves.ts';
import { createScriptedModel } from '../support/scripted-model.ts';
import { startServiceProcess } from '../support/service.ts';
import { createTalk } from '../support/talk.ts';
import { oddEvents, reduced, sameMessage, textOf } from './oracle.ts';

const WHOLE = 'One two three four.';
/** Connections that a router has forgotten are given up after a minute without an answer. */
const FORGOTTEN_MS = 120_000;

/** Declares the faults that `npm test` can bear. */
export function provesNetworkFaults(sizes: { silences: number; slow: number; cuts: number }): void {
  proves(
    'P2',
    'a process that its database no longer hears, in the middle of a turn: another one goes on',
    sizes.silences,
    async (tally) => {
      const here = await openNetwork({ LEASE_SECONDS: '3' });
      try {
        const near = await here.start(here.database.url);
        const far = await here.start(here.proxy.before(here.database.url));
        await tally.each(Array(sizes.silences).fill(0), 1, async () => {
          const faults: string[] = [];
          const { threadId, open } = await here.begin(far);
          const reading = toldSoFar(near, threadId);
          here.proxy.silence();
          open();
          const events = await reading;
          const ends = events.flatMap((event) => (event.type === 'run-end' ? [event.data.status] : []));
          if (ends.join() !== 'lost,completed') faults.push(`the runs ended ${ends.join()}`);
          faults.push(...(await here.judge(near, threadId)));
          here.proxy.heal();
          // The one that was cut off serves again, by itself.
          faults.push(...(await here.turn(far)));
          return faults;
        });
      } finally {
        await here.close();
      }
    },
  );

  proves('P2', 'a slow network before the database', sizes.slow, async (tally) => {
    const here = await openNetwork({ LEASE_SECONDS: '30' });
    try {
      const service = await here.start(here.proxy.before(here.database.url));
      here.proxy.delay(15);
      here.proxy.throttle(500_000);
      await tally.each(Array(sizes.slow).fill(0), 4, () => here.turn(service));
    } finally {
      await here.close();
    }
  });

  proves(
    'P9',
    'a network before the model that is slow, then cut in the answer',
    sizes.cuts,
    async (tally) => {
      const here = await openNetwork({ LEASE_SECONDS: '30' });
      const proxy = await startFaultProxy(here.model.url);
      try {
        const service = await here.start(here.database.url, proxy.before(here.model.url));
        await tally.each(Array(sizes.cuts).fill(0), 1, async () => {
          const faults: string[] = [];
          proxy.delay(20);
          proxy.throttle(20_000);
          faults.push(...(await here.turn(service)));
          proxy.heal();
          const { threadId, open } = await here.begin(service);
          // What is cut before its first word is asked for again.
          for await (const { type } of service.follow(threadId, { after: 0 }))
            if (type === 'text-delta') break;
          proxy.cut();
          open();
          const events = await toldSoFar(service, threadId);
          if (endOf(events) !== 'failed') faults.push(`a cut answer ended ${endOf(events)}`);
          const cut = await lastAnswer(service, threadId);
          if (cut.status !== 'partial' || !WHOLE.startsWith(cut.content))
            faults.push(`of the cut answer is kept: ${cut.status} ${JSON.stringify(cut.content)}`);
          if (textOf(events) !== cut.content) faults.push('the reader saw another text than the kept one');
          faults.push(...(await here.turn(service, threadId)));
          return faults;
        });
      } finally {
        await here.close();
        await proxy.close();
      }
    },
  );
}

/** Declares the faults that take their time, or more than an ordinary machine gives to a test. */
export function provesLongNetworkFaults(): void {
  proves('P2', 'connections that a router has forgotten, all at once', 1, async (tally) => {
    const here = await openNetwork({ LEASE_SECONDS: '5' });
    try {
      const service = await here.start(here.proxy.before(here.database.url));
      await tally.each([0], 1, async () => {
        const faults = await here.turn(service);
        const { threadId, open } = await here.begin(service);
        here.proxy.forget();
        open();
        const end = Date.now() + FORGOTTEN_MS;
        let found: string[] = ['the service never came back'];
        while (found.length > 0 && Date.now() < end)
          found = await here.turn(service).catch((error: unknown) => [String(error)]);
        return [...faults, ...found, ...(await again(() => here.judge(service, threadId)))];
      });
    } finally {
      await here.close();
    }
  });

  proves('P2', 'a disk that fills up in the middle of turns, and has space again', 3, async (tally) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'overture-small-disk-'));
    const run = promisify(execFile);
    // Needs the right to mount; where that is missing this row fails and says so.
    await run('mount', ['-t', 'tmpfs', '-o', 'size=160m,mode=0755', 'tmpfs', folder]);
    const filler = path.join(folder, 'filler');
    tally.remark(OWN);
    try {
      const cluster = await startOwnCluster({
        folder,
        settings: { min_wal_size: '32MB', max_wal_size: '32MB', wal_recycle: 'off' },
      });
      const here = await openNetwork({ LEASE_SECONDS: '5' });
      try {
        const service = await here.start(cluster.url);
        await tally.each([1, 2, 3], 1, async (round) => {
          const faults = await here.turn(service);
          const { threadId, open } = await here.begin(service);
          const { bavail, bsize } = await statfs(folder);
          await writeFile(filler, Buffer.alloc(bavail * bsize)).catch(() => {});
          // Refused, each and every one, as soon as nothing can be written any more.
          let refused: ClientError | null = null;
          for (let tries = 0; refused === null && tries < 400; tries += 1) {
            refused = await service
              .request('POST', '/api/v1/agent/chat', { message: `${v7()} ${'fill '.repeat(1900)}` }, ASYNC)
              .then(
                () => null,
                (error: unknown) => (error instanceof ClientError ? error : null),
              );
          }
          if (refused?.status !== 503)
            faults.push(`round ${round}: a new turn got ${refused?.status ?? 'accepted'}`);
          open();
          await rm(filler, { force: true });
          await again(() => toldSoFar(service, threadId));
          faults.push(...(await again(() => here.judge(service, threadId, cluster.query))));
          faults.push(...(await again(() => here.turn(service))));
          return faults;
        });
      } finally {
        await here.close();
        await cluster.stop();
      }
    } finally {
      await run('umount', ['-l', folder]);
      await rm(folder, { recursive: true, force: true });
    }
  });
}

const ASYNC = { headers: { Prefer: 'respond-async' } };

/** A database behind a proxy, a model, and processes on either side. */
async function openNetwork(environment: Record<string, string>) {
  const database = await openDatabase();
  const proxy = await startFaultProxy(database.url);
  const model = await createScriptedModel();
  const talk = createTalk(model);
  const ends: (() => Promise<unknown>)[] = [];

  /** Begins a turn that waits in the middle of its answer until `open` is called. */
  async function begin(client: Client) {
    const words = `network ${v7()}`;
    const half = Promise.withResolvers<void>();
    talk.plan(words, [{ text: ['One two ', half.promise, 'three ', 'four.'] }]);
    const { thread_id: threadId } = await client.request<{ thread_id: string }>(
      'POST',
      '/api/v1/agent/chat',
      { message: words },
      { ...ASYNC, idempotencyKey: v7() },
    );
    await until(() => talk.requests(words).length > 0);
    return { threadId, open: () => half.resolve() };
  }

  /** What is wrong with a conversation whose one turn should be whole. */
  async function judge(client: Client, threadId: string, query = database.query): Promise<string[]> {
    const faults: string[] = [];
    const answer = await lastAnswer(client, threadId);
    if (answer.status !== 'complete' || answer.content !== WHOLE)
      faults.push(`the answer is ${answer.status}: ${JSON.stringify(answer.content)}`);
    const turns = await query<{ status: string }>(
      'select status from turns where conversation_id = $1 and message_id = $2',
      [threadId, answer.id],
    );
    if (turns[0]?.status !== 'completed') faults.push(`the turn is ${turns[0]?.status}`);
    const events = await toldSoFar(client, threadId);
    faults.push(...oddEvents(events));
    if (!sameMessage(reduced(events), answer))
      faults.push('a reader sees another message than the stored one');
    return faults;
  }

  return {
    database,
    proxy,
    model,
    begin,
    judge,
    async start(databaseUrl: string, modelUrl = model.url): Promise<Client> {
      const service = await startServiceProcess({
        databaseUrl,
        environment: { OPENAI_BASE_URL: modelUrl, OPENAI_API_KEY: 'sk-scripted-model-key', ...environment },
      });
      ends.push(() => service.kill());
      return createClient({ baseUrl: service.url });
    },
    /** One whole turn; answers what is wrong with it. */
    async turn(client: Client, threadId?: string): Promise<string[]> {
      const words = `network ${v7()}`;
      talk.plan(words, [WHOLE]);
      const said = await again(() =>
        say(client, words, threadId === undefined ? {} : { thread_id: threadId }),
      );
      const answer = await again(() => lastAnswer(client, said.threadId));
      return endOf(said.events) === 'completed' && answer.content === WHOLE && answer.status === 'complete'
        ? []
        : [`a turn ended ${endOf(said.events)} and says ${JSON.stringify(answer.content)}`];
    },
    async close() {
      await model.close();
      await Promise.all(ends.map((end) => end()));
      await proxy.close();
      await database.close();
    },
  };
}
