/** A stage on which campaigns run: their routes over HTTP, their deeds, a dispatcher, and a clock that the test moves. */

import path from 'node:path';
import { createPersonalize, PERSONALIZE_PROMPTS } from '../../graphs/personalize/graph.ts';
import { createRuleWriter } from '../../graphs/personalize/rule-writer.ts';
import { createPool } from '../../src/db/pool.ts';
import { createPrompts } from '../../src/engine/prompts.ts';
import { createDispatcher, type Dispatcher } from '../../src/jobs/dispatcher.ts';
import { createLog } from '../../src/log.ts';
import { type Campaigns, createCampaigns } from '../../src/resources/campaigns/campaigns.ts';
import { createDelivery, type Delivery } from '../../src/resources/campaigns/delivery/delivery.ts';
import { createFollowUps } from '../../src/resources/campaigns/delivery/follow-ups.ts';
import { createLaunchHistory } from '../../src/resources/campaigns/launch/history.ts';
import { createLaunches, type Launches } from '../../src/resources/campaigns/launch/launches.ts';
import { createCampaignLeads } from '../../src/resources/campaigns/leads.ts';
import { createCampaignRoutes } from '../../src/resources/campaigns/routes.ts';
import type { Campaign } from '../../src/resources/campaigns/schema.ts';
import { type CampaignStatistics, createCampaignStats } from '../../src/resources/campaigns/stats.ts';
import { type CampaignTexts, createCampaignTexts } from '../../src/resources/campaigns/texts.ts';
import { createCredits } from '../../src/resources/credits/credits.ts';
import { createLeads } from '../../src/resources/leads/leads.ts';
import type { Mail, Mailer, MailOutcome } from '../../src/resources/outbox/mailer.ts';
import { createPersonalization } from '../../src/resources/personalization/personalization.ts';
import { createReplies, type Replies } from '../../src/resources/replies/replies.ts';
import { createReplyRoutes } from '../../src/resources/replies/routes.ts';
import { createSenderProfiles } from '../../src/resources/sender-profiles/sender-profiles.ts';
import { createSuppression } from '../../src/resources/suppression/suppression.ts';
import { createTemplates } from '../../src/resources/templates/templates.ts';
import { createUnsubscribeLinks, type UnsubscribeLinks } from '../../src/resources/unsubscribe/links.ts';
import { createUnsubscribeRoutes } from '../../src/resources/unsubscribe/routes.ts';
import { createUnsubscribe } from '../../src/resources/unsubscribe/unsubscribe.ts';
import type { Caller } from '../../src/runtime/caller.ts';
import type { Clock } from '../../src/runtime/ports.ts';
import { type HttpHarness, startHttpHarness } from './http-harness.ts';

const PROMPTS = path.join(import.meta.dirname, '../../prompts');

/** A Monday, 08:00 in Berlin. */
export const MONDAY = Date.parse('2026-03-02T07:00:00Z');
export const MINUTE = 60_000;
export const DAY = 24 * 60 * MINUTE;

export interface CampaignStage extends HttpHarness {
  clock: Clock & { set(at: number): void };
  campaigns: Campaigns;
  launches: Launches;
  campaignStats: CampaignStatistics;
  texts: CampaignTexts;
  senders: ReturnType<typeof createSenderProfiles>;
  replies: Replies;
  links: UnsubscribeLinks;
  mailer: RecordingMailer;
  /** The deeds of a process that has no dispatcher. */
  delivery: Delivery;
  /** What the dispatchers logged. */
  logged: string[];
  /** Makes another process's dispatcher; the test lets its rounds happen. */
  dispatcher(
    changes?: Partial<Parameters<typeof createDispatcher>[0]> & {
      owner?: string;
      /** Whether that process has no mail server. */
      withoutServer?: boolean;
    },
  ): Dispatcher;
  /** Rounds until nothing is left to do at this moment. */
  dispatch(dispatcher?: Dispatcher): Promise<void>;
  /** Moves the clock to each moment at which something is due, up to `until`, and lets the dispatcher work there. */
  runUntil(until: number, dispatcher?: Dispatcher): Promise<void>;
  addDataset(leads: readonly LeadInput[], caller?: Caller): Promise<string>;
  addSender(data?: Record<string, unknown>, caller?: Caller): Promise<string>;
  /** Makes a campaign of one step unless the input says otherwise. */
  addCampaign(input: Record<string, unknown> & { dataset_id: string }): Promise<Campaign>;
  rows<Row>(sql: string, values?: unknown[]): Promise<Row[]>;
  /** Removes everything that tests make. */
  clear(): Promise<void>;
}

export interface LeadInput {
  email: string;
  first_name?: string | null;
  company?: string | null;
  data?: Record<string, string>;
}

export interface RecordingMailer extends Mailer {
  sent: { mail: Mail; at: number }[];
  /** How the next mails end; default: they are taken. */
  outcome(next: ((mail: Mail) => MailOutcome | Promise<MailOutcome>) | null): void;
}

export interface StageOptions {
  /** Mail is only kept; then the mailer is never asked. */
  sandbox?: boolean;
  publicUrl?: string | null;
  caller?: Partial<Caller>;
}

export const STEP = {
  step: 1,
  delay_days: 0,
  variants: [
    {
      label: 'A',
      weight: 100,
      type: 'TEMPLATE',
      subject: 'Maps for {{company|your team}}',
      body: 'Hello {{first_name|there}},\n\nshall we talk about maps?\nUnsubscribe: {{unsubscribe_link}}',
    },
  ],
};

export function stepOf(step: number, delayDays: number, words: Record<string, unknown> = {}) {
  const [variant] = STEP.variants;
  return { step, delay_days: delayDays, variants: [{ ...variant, ...words }] };
}

export async function openCampaignStage({
  sandbox = false,
  publicUrl = 'https://mail.example.com',
  caller = {},
}: StageOptions = {}): Promise<CampaignStage> {
  const logged: string[] = [];
  let now = MONDAY;
  const clock = {
    now: () => now,
    after: () => () => undefined,
    set(at: number) {
      now = at;
    },
  };
  const links = createUnsubscribeLinks({
    signingSecret: 'a test secret of 32 characters or more',
    publicUrl,
  });
  const mailer = recordingMailer(sandbox, clock.now);
  const made: Partial<
    Pick<CampaignStage, 'campaigns' | 'launches' | 'campaignStats' | 'texts' | 'senders' | 'replies'>
  > = {};
  const harness = await startHttpHarness({
    caller,
    routes(base) {
      const senders = createSenderProfiles(base);
      const needs = { ...base, senders, sandbox, links, now: clock.now };
      const launches = createLaunches(needs);
      const campaigns = createCampaigns({ ...needs, launches });
      const campaignStats = createCampaignStats(needs);
      const texts = createCampaignTexts({
        ...needs,
        launches,
        credits: createCredits(base),
        personalization: createPersonalization({
          ...needs,
          leads: createLeads(base),
          templates: createTemplates(base),
          personalize: createPersonalize({
            writer: createRuleWriter(),
            prompts: createPrompts({ folder: PROMPTS, required: PERSONALIZE_PROMPTS }),
          }),
        }),
      });
      const replies = createReplies({ ...needs, suppression: createSuppression(base) });
      Object.assign(made, { campaigns, launches, campaignStats, texts, senders, replies });
      return [
        ...createCampaignRoutes({
          campaigns,
          launches,
          launchHistory: createLaunchHistory(needs),
          campaignStats,
          campaignLeads: createCampaignLeads(needs),
          campaignTexts: texts,
        }),
        ...createUnsubscribeRoutes(createUnsubscribe(needs)),
        ...createReplyRoutes(replies),
      ];
    },
  });
  const { campaigns, launches, campaignStats, texts, senders, replies } = made;
  if (!campaigns || !launches || !campaignStats || !texts || !senders || !replies)
    throw new Error('the routes were not made');
  const log = createLog({ level: 'debug', secrets: [], write: (line) => logged.push(line) });
  const runtimePool = createPool({ url: harness.databaseUrl, role: 'overture_runtime', size: 4, log });

  const dispatcherOf: CampaignStage['dispatcher'] = ({
    owner = 'test',
    withoutServer = sandbox,
    ...changes
  } = {}) =>
    createDispatcher({
      delivery: createDelivery({
        appPool: harness.pool,
        runtimePool,
        owner,
        leaseSeconds: 60,
        sandbox: withoutServer,
        newId: harness.newId,
      }),
      followUps: createFollowUps({ ...harness, runtimePool, links }),
      mailer,
      links,
      clock,
      log,
      concurrency: 8,
      ...changes,
    });
  const delivery = createDelivery({
    appPool: harness.pool,
    runtimePool,
    owner: 'test',
    leaseSeconds: 60,
    sandbox,
    newId: harness.newId,
  });
  const usual = dispatcherOf();
  const rows = <Row>(sql: string, values: unknown[] = []) =>
    harness.ownerQuery(sql, values) as Promise<Row[]>;

  async function dispatch(dispatcher: Dispatcher): Promise<void> {
    const state = async () =>
      JSON.stringify(
        await rows(`select (select array_agg(status || attempt || coalesce(due_at::text, '') order by id) from outbox) as mails,
                           (select array_agg(status order by id) from campaigns) as campaigns`),
      );
    for (let before = ''; ; ) {
      await dispatcher.round();
      await dispatcher.idle();
      const after = await state();
      if (after === before) return;
      before = after;
    }
  }

  return {
    ...harness,
    campaigns,
    launches,
    campaignStats,
    texts,
    senders,
    replies,
    clock,
    links,
    mailer,
    logged,
    delivery,
    rows,
    dispatcher: dispatcherOf,
    dispatch: (dispatcher = usual) => dispatch(dispatcher),
    async runUntil(until, dispatcher = usual) {
      for (;;) {
        await dispatch(dispatcher);
        const [next] = await rows<{ at: Date | null }>(
          `select min(at) as at from (
             select wake_at as at from mailboxes union all
             select start_date from campaigns where status = 'scheduled') work
            where at > $1 and at <= $2`,
          [new Date(now), new Date(until)],
        );
        if (next?.at == null) break;
        now = next.at.getTime();
      }
      now = until;
      await dispatch(dispatcher);
    },
    async addDataset(leads, owner = harness.caller) {
      const id = harness.newId();
      await rows(
        `insert into datasets (id, workspace_id, user_id, name, source_type, row_count) values ($1, $2, $3, 'People', 'csv', $4)`,
        [id, owner.workspaceId, owner.userId, leads.length],
      );
      await rows(
        `insert into leads (id, workspace_id, dataset_id, row_index, email, first_name, company, data)
         select l.id, $1, $2, l.place, l.email, l.first_name, l.company, coalesce(l.data, '{}')
           from json_to_recordset($3) as l(id uuid, place int, email text, first_name text, company text, data jsonb)`,
        [
          owner.workspaceId,
          id,
          JSON.stringify(leads.map((lead, index) => ({ ...lead, id: harness.newId(), place: index + 1 }))),
        ],
      );
      return id;
    },
    async addSender(data = {}, owner = harness.caller) {
      const id = harness.newId();
      await rows(
        `insert into sender_profiles (id, workspace_id, user_id, profile_name, sender_data) values ($1, $2, $3, 'Sender', $4)`,
        [
          id,
          owner.workspaceId,
          owner.userId,
          JSON.stringify({
            from_name: 'Jane Doe',
            from_email: 'jane@example.com',
            postal_address: '1 Long Road, Oslo',
            ...data,
          }),
        ],
      );
      return id;
    },
    async addCampaign(input) {
      const { status, body } = await harness.ask<Campaign>('POST', '/api/v1/campaigns/', {
        body: { name: 'Spring', steps: [STEP], timezone: 'Europe/Berlin', ...input },
      });
      if (status !== 201) throw new Error(`no campaign was made: ${JSON.stringify(body)}`);
      return body;
    },
    async clear() {
      now = MONDAY;
      mailer.sent.length = 0;
      mailer.outcome(null);
      for (const table of [
        'replies',
        'outbox',
        'campaigns',
        'mailboxes',
        'suppression_entries',
        'datasets',
        'sender_profiles',
        'templates',
      ]) {
        await rows(`delete from ${table}`);
      }
    },
    async close() {
      await runtimePool.end();
      await harness.close();
    },
  };
}

export function people(count: number, domain = 'acme.example'): LeadInput[] {
  return Array.from({ length: count }, (_, index) => ({
    email: `person${index}@${domain}`,
    first_name: `Person${index}`,
    company: 'Acme',
  }));
}

function recordingMailer(sandbox: boolean, now: () => number): RecordingMailer {
  const sent: RecordingMailer['sent'] = [];
  let decide: ((mail: Mail) => MailOutcome | Promise<MailOutcome>) | null = null;
  return {
    sandbox,
    deduplicates: false,
    sent,
    outcome(next) {
      decide = next;
    },
    async send(mail) {
      sent.push({ mail, at: now() });
      return decide === null ? { state: 'done', providerRef: '250 ok' } : decide(mail);
    },
  };
}
