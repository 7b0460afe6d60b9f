/** The one composition root: everything is made here, handed what it needs, and taken down in the opposite order. */

import { Resolver } from 'node:dns/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { v7 } from 'uuid';
import { createFindProfiles } from '../graphs/lead-finder/graph.ts';
import { createOutreachGraph } from '../graphs/outreach/graph.ts';
import { createPersonalize, PERSONALIZE_PROMPTS } from '../graphs/personalize/graph.ts';
import { createModelWriter } from '../graphs/personalize/model-writer.ts';
import { createRuleWriter } from '../graphs/personalize/rule-writer.ts';
import { createSingleCallGraph } from '../graphs/single-call/graph.ts';
import type { Config } from './config.ts';
import { createDatabase } from './db/database.ts';
import { createListener } from './db/listen.ts';
import { assertRowLevelSecurity } from './db/migrate.ts';
import { createPool } from './db/pool.ts';
import { createPostgresCheckpointStore } from './engine/checkpoint-postgres.ts';
import { createContext, OUTREACH_PROMPTS } from './engine/context.ts';
import { createGate } from './engine/gate.ts';
import { createModel, type Model } from './engine/model.ts';
import { createOfflineFetch } from './engine/offline-model.ts';
import { createPrompts } from './engine/prompts.ts';
import { createProposer, createToolBox } from './engine/proposals.ts';
import { createEngine } from './engine/runner.ts';
import { createSummaries, SUMMARY_PROMPTS } from './engine/summaries.ts';
import { createAuthenticate } from './http/caller.ts';
import { createCursors } from './http/cursors.ts';
import { createDocsRoutes } from './http/docs.ts';
import { createVerifyToken } from './http/jwt.ts';
import { createMetrics, createMetricsRoutes } from './http/metrics.ts';
import { createRateLimit } from './http/rate-limit.ts';
import type { Route } from './http/route.ts';
import { createHttpServer } from './http/server.ts';
import { createStreams } from './http/streams.ts';
import { createDispatcher } from './jobs/dispatcher.ts';
import { createLeadFinderWorker } from './jobs/lead-finder-worker.ts';
import { createTurnKeeper } from './jobs/turn-keeper.ts';
import type { Log } from './log.ts';
import { createMcpCalls } from './mcp/calls.ts';
import { createMcpRoutes } from './mcp/routes.ts';
import { createAgUiRoutes } from './resources/ag-ui/routes.ts';
import { createAiSdkRoutes } from './resources/ai-sdk/routes.ts';
import { createApiKeys } from './resources/api-keys/api-keys.ts';
import { createApiKeyRoutes } from './resources/api-keys/routes.ts';
import { createApprovals } from './resources/approvals/approvals.ts';
import { createTestMails } from './resources/approvals/test-mails.ts';
import { createCampaigns } from './resources/campaigns/campaigns.ts';
import { createDelivery } from './resources/campaigns/delivery/delivery.ts';
import { createFollowUps } from './resources/campaigns/delivery/follow-ups.ts';
import { createLaunchHistory } from './resources/campaigns/launch/history.ts';
import { createLaunches } from './resources/campaigns/launch/launches.ts';
import { createCampaignLeads } from './resources/campaigns/leads.ts';
import { createCampaignRoutes } from './resources/campaigns/routes.ts';
import { createCampaignStats } from './resources/campaigns/stats.ts';
import { createCampaignTexts } from './resources/campaigns/texts.ts';
import { createCapabilityRoutes } from './resources/capabilities/routes.ts';
import { createAnswerCards } from './resources/chat/answers.ts';
import { createChat } from './resources/chat/chat.ts';
import { createChatRoutes } from './resources/chat/routes.ts';
import { createStanding } from './resources/chat/standing.ts';
import { createWatch } from './resources/chat/watch.ts';
import { createConversations } from './resources/conversations/conversations.ts';
import { createConversationRoutes } from './resources/conversations/routes.ts';
import { createCredits } from './resources/credits/credits.ts';
import { PRICES } from './resources/credits/prices.ts';
import { createCreditRoutes } from './resources/credits/routes.ts';
import { createDatasets } from './resources/datasets/datasets.ts';
import { createDatasetRoutes } from './resources/datasets/routes.ts';
import { seedDemo } from './resources/demo/demo.ts';
import { createEmailFinder } from './resources/email-finder/email-finder.ts';
import { createEmailFinderRoutes } from './resources/email-finder/routes.ts';
import { createDnsVerifier, type DomainResolver } from './resources/email-verifier/dns.ts';
import { createEmailVerification } from './resources/email-verifier/email-verifier.ts';
import { createDoor } from './resources/external-threads/door.ts';
import { createExternalThreads } from './resources/external-threads/external-threads.ts';
import { createHealthRoutes, type Readiness } from './resources/health/routes.ts';
import { createIdempotencyStore } from './resources/idempotency/store.ts';
import { createIdentities } from './resources/identity/identities.ts';
import { createIdentityRoutes } from './resources/identity/routes.ts';
import { createLangGraphRoutes } from './resources/langgraph/routes.ts';
import { createRuns } from './resources/langgraph/runs.ts';
import { createBatches } from './resources/lead-finder/batches.ts';
import { createLeadFinder } from './resources/lead-finder/lead-finder.ts';
import { createOwnData } from './resources/lead-finder/own-data.ts';
import { createLeadFinderRoutes } from './resources/lead-finder/routes.ts';
import { createLeads } from './resources/leads/leads.ts';
import { createLeadRoutes } from './resources/leads/routes.ts';
import { createSandboxMailer, createSmtpMailer } from './resources/outbox/mailer.ts';
import { createOutbox } from './resources/outbox/outbox.ts';
import { createOutboxRoutes } from './resources/outbox/routes.ts';
import { pageFolder } from './resources/page/build.ts';
import { readPageFiles } from './resources/page/files.ts';
import { createPageRoutes } from './resources/page/routes.ts';
import { createPersonalization } from './resources/personalization/personalization.ts';
import { createPersonalizationRoutes } from './resources/personalization/routes.ts';
import { createReplies } from './resources/replies/replies.ts';
import { createReplyRoutes } from './resources/replies/routes.ts';
import { createSenderProfileRoutes } from './resources/sender-profiles/routes.ts';
import { createSenderProfiles } from './resources/sender-profiles/sender-profiles.ts';
import { createSuppressionRoutes } from './resources/suppression/routes.ts';
import { createSuppression } from './resources/suppression/suppression.ts';
import { createTemplateRoutes } from './resources/templates/routes.ts';
import { createTemplates } from './resources/templates/templates.ts';
import { createContextReader } from './resources/turns/context.ts';
import { createLedger } from './resources/turns/effects.ts';
import { createJournalStore } from './resources/turns/journal-store.ts';
import type { LeaseNeeds } from './resources/turns/lease.ts';
import { createSummaryStore } from './resources/turns/summaries.ts';
import { createTurnStore } from './resources/turns/turn-store.ts';
import { createUnsubscribeLinks } from './resources/unsubscribe/links.ts';
import { createUnsubscribeRoutes } from './resources/unsubscribe/routes.ts';
import { createUnsubscribe } from './resources/unsubscribe/unsubscribe.ts';
import { createUploadRoutes } from './resources/uploads/routes.ts';
import { createUploads } from './resources/uploads/uploads.ts';
import type { Caller } from './runtime/caller.ts';
import { createInFlight } from './runtime/in-flight.ts';
import { createJournal } from './runtime/journal.ts';
import type { Clock } from './runtime/ports.ts';
import { createTurns } from './runtime/turn.ts';
import { createTools } from './tools/index.ts';
import type { Tracing } from './tracing/tracing.ts';

export const VERSION = '0.3.0';
export const ROOT = path.resolve(import.meta.dirname, '..');
export const MIGRATIONS = path.join(ROOT, 'migrations');

export interface AppNeeds {
  config: Config;
  /** The owner's URL: the serving roles are taken on its connections. */
  databaseUrl: string;
  log: Log;
  clock: Clock;
  /** Wraps the ports through which a turn touches the world, for tests that break them. Default: as they are. */
  wrap?<Port extends object>(name: PortName, port: Port): Port;
  /** Makes what asks the DNS. Default: one that asks the system's servers. */
  createResolver?(): DomainResolver;
}

/** The ports that `wrap` is offered; of the tools each by itself. */
export const PORTS = [
  'turns',
  'journal',
  'checkpoints',
  'ledger',
  'approvals',
  'summaries',
  'model',
  'mailer',
  'tools',
] as const;
export type PortName = (typeof PORTS)[number];

export interface App {
  routes: readonly Route[];
  /** Listens and begins to keep turns; answers the address. */
  start(): Promise<{ url: string }>;
  /** No new turns, streams end, runs reach a checkpoint and are given back; bounded in time. */
  drain(): Promise<void>;
  /** Closes what is left. */
  stop(): Promise<void>;
}

/** Milliseconds that a drain may take before the process leaves anyway; the leases then run out. */
const DRAIN_MS = 20_000;
/** What the last answers may take after that, and how often is looked. */
const LAST_WORDS_MS = 1000;
const LOOK_MS = 20;
/** A database that takes longer than this to answer is of no use to a turn. */
const READY_MS = 2_000;
const MODEL_IDLE_MS = 60_000;
const MODEL_RETRIES = 2;
const SMTP_MS = 30_000;
/** What one question to the DNS may take before it is asked once more, and all questions about one address together. */
const DNS_QUESTION_MS = 1_500;
const DNS_LIMIT_MS = 6_000;
/** Longer than a mail may take, so that a mail of a living process is never taken for lost. */
const MAIL_LEASE_SECONDS = 60;
const MAILS_AT_ONCE = 32;
const BUDGET = { modelCalls: 12, toolCalls: 40, tokens: 200_000, runMs: 300_000 };

type Traced = Omit<Tracing, 'request'> & { request: Tracing['request'] | undefined };
const asItIs = <Port>(port: Port): Port => port;
/** In place of tracing where no collector is configured. */
const UNTRACED: Traced = {
  turns: asItIs,
  engine: asItIs,
  model: asItIs,
  gate: asItIs,
  ledger: asItIs,
  mailer: asItIs,
  request: undefined,
  turnClosed: () => {},
  stop: async () => {},
};

/** Puts the service together; throws a sentence where it cannot serve safely. */
export async function createApp({
  config,
  databaseUrl,
  log,
  clock,
  wrap = (_name, port) => port,
  createResolver = () => new Resolver({ timeout: DNS_QUESTION_MS, tries: 2 }),
}: AppNeeds): Promise<App> {
  const newId = () => v7();
  const now = () => clock.now();
  const owner = newId();
  const appPool = createPool({ url: databaseUrl, role: 'overture_app', size: 12, log });
  const runtimePool = createPool({ url: databaseUrl, role: 'overture_runtime', size: 4, log });
  const listener = createListener({ url: databaseUrl, origin: owner, log });
  await assertRowLevelSecurity(appPool);
  await assertRowLevelSecurity(runtimePool);
  const database = createDatabase({ pool: appPool });
  // Loaded only where it is wanted: whoever does not trace pays nothing for it.
  const tracing: Traced =
    config.otlpEndpoint === null
      ? UNTRACED
      : (await import('./tracing/tracing.ts')).createTracing({
          endpoint: config.otlpEndpoint,
          version: VERSION,
          instance: owner,
          report: (error) => log.warn({ err: error }, 'traces cannot be delivered to the collector'),
        });

  // Resources: deeds over rows.
  const identities = createIdentities({ pool: appPool, database, newId, now, log });
  const cursors = createCursors(config);
  const suppression = createSuppression({ database, cursors, newId });
  const datasets = createDatasets({ database, cursors });
  const leads = createLeads({ database, cursors });
  const uploads = createUploads({ database, newId });
  const senderProfiles = createSenderProfiles({ database, newId, now });
  const templates = createTemplates({ database, cursors, newId });
  const credits = createCredits({ database, cursors, newId });
  const apiKeys = createApiKeys({ database, newId, forgetKeys: identities.forgetKeys });
  const emailFinder = createEmailFinder({ database, credits, newId });
  const emailVerification = createEmailVerification({
    database,
    credits,
    verifier: createDnsVerifier({
      createResolver,
      after: clock.after,
      price: PRICES.email_finder_verify,
      limitMs: DNS_LIMIT_MS,
    }),
    newId,
    now,
  });
  const outbox = createOutbox({ database, cursors, newId });
  const replies = createReplies({ database, suppression, cursors, newId, now });
  const mailer = wrap(
    'mailer',
    config.smtpUrl === null
      ? createSandboxMailer()
      : tracing.mailer(createSmtpMailer({ url: config.smtpUrl, timeoutMs: SMTP_MS, dkim: config.dkim })),
  );
  const idempotency = createIdempotencyStore({ database });
  const links = createUnsubscribeLinks(config);
  const campaignNeeds = {
    database,
    cursors,
    senders: senderProfiles,
    sandbox: mailer.sandbox,
    signedFor: config.dkim?.domain ?? null,
    links,
    newId,
    now,
  };
  const launches = createLaunches(campaignNeeds);
  const campaigns = createCampaigns({ ...campaignNeeds, launches });
  const campaignStats = createCampaignStats({ database });

  // Models, prompts and the graph that writes mails.
  const model: Model = wrap(
    'model',
    tracing.model(
      config.model === null
        ? createModel({
            apiKey: 'offline',
            baseUrl: 'http://offline.invalid/v1',
            model: 'offline',
            fetch: createOfflineFetch(),
            idleTimeoutMs: MODEL_IDLE_MS,
            maxRetries: 0,
          })
        : createModel({
            apiKey: config.model.apiKey,
            baseUrl: config.model.baseUrl,
            model: config.model.name,
            idleTimeoutMs: MODEL_IDLE_MS,
            maxRetries: MODEL_RETRIES,
          }),
    ),
  );
  const prompts = createPrompts({
    folder: path.join(ROOT, 'prompts'),
    required: { ...OUTREACH_PROMPTS, ...SUMMARY_PROMPTS, ...PERSONALIZE_PROMPTS },
  });
  const writer = config.model === null ? createRuleWriter() : createModelWriter({ model, prompts });
  const personalize = createPersonalize({ writer, prompts });
  const personalization = createPersonalization({
    database,
    leads,
    senders: senderProfiles,
    templates,
    personalize,
    now,
  });
  const campaignTexts = createCampaignTexts({ ...campaignNeeds, launches, personalization, credits });

  // Leads are found by a graph over a source; batches of them by whichever process is free.
  const leadSource = { source: createOwnData(), find: createFindProfiles() };
  const leadFinderWorker = createLeadFinderWorker({
    ...leadSource,
    batches: createBatches({ database, runtimePool, credits, leaseSeconds: config.leaseSeconds, newId }),
    database,
    owner,
    leaseSeconds: config.leaseSeconds,
    clock,
    log,
  });
  const leadFinder = createLeadFinder({
    ...leadSource,
    database,
    credits,
    newId,
    wake: leadFinderWorker.wake,
  });

  // Tools and their gate.
  const tools = createTools({
    database,
    leaseSeconds: config.leaseSeconds,
    datasets,
    leads,
    senderProfiles,
    templates,
    credits,
    leadFinder,
    emailFinder,
    emailVerification,
    outbox,
    personalization,
    replies,
    suppression,
    mailer,
    campaigns,
    launches,
    campaignStats,
    campaignTexts,
    now,
  }).map((tool) => wrap('tools', tool));
  const toolBox = createToolBox(tools);
  const lease: LeaseNeeds = {
    owner,
    leaseSeconds: config.leaseSeconds,
    modelName: model.name,
    newId,
    now,
    onClosed: tracing.turnClosed,
  };
  const approvals = wrap(
    'approvals',
    createApprovals({
      ...lease,
      appPool,
      runtimePool,
      cursors,
      proposer: createProposer({ toolBox }),
    }),
  );
  const testMails = createTestMails({
    database,
    approvals,
    outbox,
    suppression,
    mailer,
    leaseSeconds: MAIL_LEASE_SECONDS,
  });
  const reportTurn = (error: unknown, turn: { turnId: string }) =>
    log.error({ err: error, turn_id: turn.turnId }, 'a turn met an error that nobody else was told of');
  const gate = createGate({
    toolBox,
    ledger: wrap('ledger', tracing.ledger(createLedger({ database, ...lease }))),
    cardOf: approvals.ofCall,
    newId,
    now,
    report: reportTurn,
  });

  // A turn's life.
  const graphNeeds = {
    model,
    toolBox,
    gate: tracing.gate(gate, (tool) => toolBox.get(tool) !== undefined),
    budget: BUDGET,
    now,
  };
  const outreach = createOutreachGraph(graphNeeds);
  const singleCall = createSingleCallGraph(graphNeeds);
  const contextReader = createContextReader({ appPool, ...lease });
  // A tool that is gone may have given anything.
  const isUntrusted = (name: string) => toolBox.get(name)?.untrusted ?? true;
  const engine = createEngine({
    graphOf: (turn) => (turn.input.tool_call === undefined ? outreach : singleCall),
    checkpoints: wrap('checkpoints', createPostgresCheckpointStore({ pool: runtimePool, ...lease })),
    modelName: model.name,
    readContext: createContext({
      read: contextReader.read,
      prompts,
      summaries: createSummaries({
        model,
        prompts,
        store: wrap('summaries', createSummaryStore({ appPool })),
        isUntrusted,
        after: clock.after,
        report: (error, turn) =>
          log.warn(
            { err: error, turn_id: turn.turnId },
            'no summary could be made; the older messages are left out',
          ),
      }),
      isUntrusted,
      sandbox: mailer.sandbox,
      now,
    }),
    answerBegun: gate.answerBegun,
    recursionLimit: BUDGET.modelCalls * 3 + 3,
    now,
    report: reportTurn,
  });
  const journal = createJournal({
    store: wrap('journal', createJournalStore({ runtimePool, appPool, origin: owner })),
    wake: listener,
    clock,
    onFlushError: (error) => log.warn({ err: error }, 'the journal could not be stored; it is tried again'),
  });
  const store = wrap(
    'turns',
    tracing.turns(
      createTurnStore({
        ...lease,
        appPool,
        runtimePool,
        pendingApprovals: approvals.pendingWithin,
        context: contextReader,
      }),
    ),
  );
  const inFlight = createInFlight();
  const turns = createTurns({
    store,
    journal,
    engine: tracing.engine(engine),
    inFlight,
    report: reportTurn,
  });
  const conversations = createConversations({
    appPool,
    cursors,
    newId,
    now,
    pendingApprovals: approvals.pendingWithin,
  });
  const chat = createChat({ ...lease, appPool, turns, journal, approvals, conversations });
  const report = (error: unknown) => log.warn({ err: error }, 'a watch could not be told');
  const stillHolds = async (caller: Caller) =>
    (caller.expiresAt === undefined || now() < caller.expiresAt) &&
    (caller.keyId === null || (await apiKeys.isLive(caller.workspaceId, caller.keyId)));
  const watch = createWatch({
    listener,
    conversations,
    approvals,
    clock,
    draining: turns.draining,
    stillHolds,
    report,
  });
  const dispatchPool = createPool({ url: databaseUrl, role: 'overture_app', size: 4, log });
  const dispatcher = createDispatcher({
    delivery: createDelivery({
      appPool: dispatchPool,
      runtimePool,
      owner,
      leaseSeconds: MAIL_LEASE_SECONDS,
      sandbox: mailer.sandbox,
      newId,
    }),
    followUps: createFollowUps({ database, runtimePool, links, newId }),
    mailer,
    links,
    clock,
    log,
    concurrency: MAILS_AT_ONCE,
  });
  const keeper = createTurnKeeper({
    turns,
    expire: approvals.expire,
    listener,
    runtimePool,
    leaseSeconds: config.leaseSeconds,
    clock,
    log,
  });

  // Doors.
  const metrics = createMetrics();
  const readiness = async (): Promise<Readiness> => {
    if (turns.draining.aborted)
      return { ready: false, code: 'DRAINING', reason: 'This process is shutting down.' };
    const answered = await Promise.race([
      appPool.query('select 1').then(
        () => true,
        () => false,
      ),
      new Promise<false>((resolve) => clock.after(READY_MS, () => resolve(false))),
    ]);
    if (answered) return { ready: true };
    return { ready: false, code: 'DATABASE_UNAVAILABLE', reason: 'The database does not answer.' };
  };
  const capabilities = { offline_model: config.model === null, sandbox: mailer.sandbox, campaigns: true };
  const streams = createStreams({ clock, draining: turns.draining, stillHolds });
  // Other protocols' doors to the same journal.
  const threads = createExternalThreads({ appPool, newId });
  const readStanding = createStanding({ conversations, journal });
  const foreign = {
    chat,
    answerCards: createAnswerCards({ chat, approvals }),
    door: createDoor({ chat, readStanding, threads, streams }),
    threads,
    streams,
  };
  const resourceRoutes = [
    ...createChatRoutes({ chat, approvals, testMails, watch, streams }),
    ...createAgUiRoutes(foreign),
    ...createAiSdkRoutes(foreign),
    ...createLangGraphRoutes({ ...foreign, conversations, runs: createRuns({ appPool }), version: VERSION }),
    ...createConversationRoutes(conversations),
    ...createDatasetRoutes(datasets),
    ...createLeadRoutes(leads),
    ...createUploadRoutes(uploads),
    ...createSenderProfileRoutes(senderProfiles),
    ...createTemplateRoutes(templates),
    ...createSuppressionRoutes(suppression),
    ...createLeadFinderRoutes(leadFinder),
    ...createEmailFinderRoutes({ emailFinder, emailVerification }),
    ...createPersonalizationRoutes(personalization),
    ...createOutboxRoutes(outbox),
    ...createReplyRoutes(replies),
    ...createCampaignRoutes({
      campaigns,
      launches,
      launchHistory: createLaunchHistory(campaignNeeds),
      campaignStats,
      campaignTexts,
      campaignLeads: createCampaignLeads(campaignNeeds),
    }),
    ...createUnsubscribeRoutes(createUnsubscribe(campaignNeeds)),
    ...createCreditRoutes(credits),
    ...createApiKeyRoutes(apiKeys, { idempotency }),
    ...createIdentityRoutes(),
    ...createCapabilityRoutes(capabilities),
    ...createMcpRoutes({
      calls: createMcpCalls({ tools, chat, approvals, conversations, threads, log }),
      streams,
      version: VERSION,
      publicUrl: config.publicUrl,
    }),
    ...createHealthRoutes({ readiness, now }),
    ...createMetricsRoutes(metrics),
  ];
  const page = createPageRoutes(await readPageFiles(pageFolder(ROOT)));
  const routes = [...resourceRoutes, ...createDocsRoutes(resourceRoutes, { version: VERSION }), ...page];
  metrics.gauge('turns_in_flight', 'Turns that this process runs now.', inFlight.count);
  metrics.gauge('streams_open', 'Event streams that clients hold open here.', streams.count);
  metrics.gauge('journal_readers', 'Readers of conversations that are open here.', journal.readers);
  metrics.gauge(
    'database_connections',
    'Connections of the serving pools.',
    () => appPool.totalCount + runtimePool.totalCount,
  );
  metrics.gauge(
    'database_waiting',
    'Requests that wait for a connection.',
    () => appPool.waitingCount + runtimePool.waitingCount,
  );
  const server = createHttpServer({
    observe: metrics.observeRequest,
    ...(tracing.request === undefined ? {} : { trace: tracing.request }),
    routes,
    authenticate: createAuthenticate({
      mode: config.authMode,
      identities,
      verifyToken: config.jwt === null ? null : createVerifyToken(config.jwt),
    }),
    rateLimit: createRateLimit({ now }),
    idempotency,
    corsOrigins: config.corsOrigins,
    newId,
    now,
    log,
  });

  return {
    routes,

    async start() {
      await listener.start();
      if (config.authMode === 'dev') await seedDemo({ database, campaigns, identities, newId });
      keeper.start();
      dispatcher.start();
      leadFinderWorker.start();
      return { url: await listen(server, config, log) };
    },

    async drain() {
      const left = Promise.race([
        Promise.all([turns.drain(), leadFinderWorker.stop(), dispatcher.stop()]),
        new Promise<void>((resolve) => clock.after(DRAIN_MS, resolve)),
      ]);
      // Whoever holds an idle connection is not waited for; a new request is answered 503 until the end.
      server.closeIdleConnections();
      await left;
    },

    async stop() {
      await Promise.all([keeper.stop(), leadFinderWorker.stop(), dispatcher.stop()]);
      await closeServer(server, clock);
      await listener.stop();
      await Promise.all([appPool.end(), runtimePool.end(), dispatchPool.end()]);
      await tracing.stop();
    },
  };
}

/** Lets what is being answered come to its end, for a second; then closes what is left. */
async function closeServer(server: Server, clock: Clock): Promise<void> {
  let open = true;
  const closed = new Promise<void>((resolve) => server.close(() => resolve())).then(() => {
    open = false;
  });
  for (let waited = 0; open && waited < LAST_WORDS_MS; waited += LOOK_MS) {
    server.closeIdleConnections();
    await Promise.race([closed, new Promise<void>((resolve) => clock.after(LOOK_MS, resolve))]);
  }
  server.closeAllConnections();
  await closed;
}

function listen(server: Server, config: Config, log: Log): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(config.port, config.host, () => {
      server.off('error', reject);
      // Such as too many open files: the next connection may be taken again.
      server.on('error', (error) => log.error({ err: error }, 'a connection could not be taken'));
      const { port } = server.address() as AddressInfo;
      const host = config.host.includes(':') ? `[${config.host}]` : config.host;
      resolve(`http://${host}:${port}`);
    });
  });
}
