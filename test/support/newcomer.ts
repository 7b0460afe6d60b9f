/** What a newcomer has: the whole service in dev mode with its offline model and demo workspace, a mail server, and a clock that the test moves. */

import type { Clock } from '../../src/runtime/ports.ts';
import { openDatabase, type TestDatabase } from './database.ts';
import { eventually } from './mailing.ts';
import { realClock, type ServiceHere, startService } from './service.ts';
import { type Delivery, type SmtpServer, startSmtpServer } from './smtp-server.ts';

/** A Monday, 07:00 UTC: before anybody's window opens. */
export const MONDAY = Date.parse('2026-03-02T07:00:00Z');
export const MINUTE = 60_000;
export const DAY = 24 * 60 * MINUTE;

/** Timers come so much sooner than they say: the time that passes is the test's. */
const HASTE = 50;

export interface Arrival extends Delivery {
  /** The test's time at which the server took it. */
  at: number;
}

export interface Newcomer {
  database: TestDatabase;
  service: ServiceHere;
  smtp: SmtpServer;
  /** Everything the server took, in the order it came. */
  arrivals: Arrival[];
  now(): number;
  /** Moves the clock to each moment at which a mail is due, up to `until`, and waits until what is due there has left. */
  runUntil(until: number): Promise<void>;
  /** Only sets the clock. */
  setNow(at: number): void;
  /** Asks without any header of ours, as a stranger's mail client does; the path is the one of a link. */
  visit(link: string, init?: RequestInit): Promise<Response>;
  close(): Promise<void>;
}

export const PUBLIC_URL = 'https://mail.example.com';

export interface NewcomerOptions {
  start?: number;
  environment?: Record<string, string>;
}

export async function openNewcomer({
  start = MONDAY,
  environment = {},
}: NewcomerOptions = {}): Promise<Newcomer> {
  const database = await openDatabase();
  const smtp = await startSmtpServer();
  const arrivals: Arrival[] = [];
  let now = start;
  smtp.treat((delivery) => {
    arrivals.push({ ...delivery, at: now });
    return 'take';
  });
  const clock: Clock = {
    now: () => now,
    after: (ms, callback) => realClock.after(ms / HASTE, callback),
  };
  const service = await startService({
    databaseUrl: database.url,
    environment: { SMTP_URL: smtp.url, PUBLIC_URL, LEASE_SECONDS: '30', ...environment },
    clock,
  });

  /** Waits until nothing that is due, on its way or to be planned is left at this moment. */
  function quiet(): Promise<unknown> {
    return eventually(
      () =>
        database.query<{ what: string; n: number }>(
          `select 'due' as what, count(*)::int as n from outbox where status = 'queued' and due_at <= $1
           union all select 'on its way', count(*)::int from outbox where status = 'sending'
           union all select 'claimed', count(*)::int from mailboxes where claimed_by is not null
           union all select 'to be planned', count(*)::int from campaign_leads l join campaigns c on c.id = l.campaign_id
             where l.next_step is not null and c.status in ('active', 'draining')`,
          [new Date(now)],
        ),
      (rows) => rows.every(({ n }) => n === 0),
      5,
    );
  }

  return {
    database,
    service,
    smtp,
    arrivals,
    now: () => now,
    setNow(at) {
      now = at;
    },
    async runUntil(until) {
      for (;;) {
        await quiet();
        const [next] = await database.query<{ at: Date | null }>(
          `select min(due_at) as at from outbox where status = 'queued' and due_at <= $1`,
          [new Date(until)],
        );
        if (next?.at == null) break;
        now = next.at.getTime();
      }
      now = until;
      await quiet();
    },
    visit: (link, init) => fetch(link.replace(PUBLIC_URL, service.url), init),
    async close() {
      await service.close();
      await smtp.close();
      await database.close();
    },
  };
}
