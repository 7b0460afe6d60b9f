/** What main does once it knows that this Node can run it: start, `migrate`, signals, and the end. */

import { createApp, MIGRATIONS, ROOT } from './app.ts';
import { type Config, ConfigError, readConfig } from './config.ts';
import { createEmbeddedDatabase } from './db/embedded.ts';
import { migrate } from './db/migrate.ts';
import { createLog, type Log } from './log.ts';
import { ensurePage } from './resources/page/build.ts';
import type { Clock } from './runtime/ports.ts';

/** After this a process that was asked to leave is gone, whatever it still waits for (design.md §3: 25 s). */
const EXIT_MS = 24_000;

/** Serves until it is told to leave; with `migrate` only brings the database up to date; with `dev` somebody else serves the page. */
export async function run(args: readonly string[]): Promise<void> {
  const config = readSettings();
  const log = createLog({
    level: config.logLevel,
    write: (line) => process.stdout.write(line),
    secrets: config.secrets,
  });
  try {
    await serve(config, log, args);
  } catch (error) {
    log.debug({ err: error }, 'the start failed');
    refuse(named(error, config));
  }
}

function readSettings(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (error instanceof ConfigError) refuse(error);
    throw error;
  }
}

/** A fault of the system as a sentence that names the variable to look at, where there is one. */
function named(error: unknown, { host, port, dataDir }: Config): Error {
  const fault = error instanceof Error ? error : new Error(String(error));
  const [code, syscall] = ['code', 'syscall'].map((name) => String(Reflect.get(fault, name)));
  if (code === 'EADDRINUSE') return new ConfigError(`PORT ${port} is in use already.`);
  if (syscall === 'listen')
    return new ConfigError(`PORT ${port} of HOST ${host} cannot be opened.`, { cause: fault });
  if (syscall === 'getaddrinfo') return new ConfigError(`HOST ${host} is not known.`, { cause: fault });
  if (syscall === 'mkdir' || syscall === 'open') {
    return new ConfigError(`DATA_DIR (${dataDir}) cannot be written. Choose a folder that can.`, {
      cause: fault,
    });
  }
  return fault;
}

/** One sentence, and exit code 1. */
function refuse(error: Error): never {
  const cause = error.cause instanceof Error && error.cause.message !== '' ? ` (${error.cause.message})` : '';
  process.stderr.write(`Overture cannot start: ${error.message}${cause}\n`);
  process.exit(1);
}

async function serve(config: Config, log: Log, args: readonly string[]): Promise<void> {
  const onlyMigrate = args.includes('migrate');
  const page = onlyMigrate || args.includes('dev') ? null : ensurePage({ root: ROOT, log });
  const database =
    config.databaseUrl === null
      ? await createEmbeddedDatabase({ dataDir: config.dataDir, log }).start()
      : { url: config.databaseUrl, stop: async () => {} };
  await migrate({ url: database.url, folder: MIGRATIONS, log });
  if (onlyMigrate) {
    await database.stop();
    return;
  }
  await page;
  const app = await createApp({ config, databaseUrl: database.url, log, clock: realClock });
  const { url } = await app.start();
  log.info({ url }, 'listening');
  process.stdout.write(welcome(config, url));

  let leaving = false;
  const leave = (signal: string) => {
    // The second request to leave is meant.
    if (leaving) process.exit(1);
    leaving = true;
    log.info({ signal }, 'leaving');
    setTimeout(() => process.exit(0), EXIT_MS).unref();
    app
      .drain()
      .then(() => app.stop())
      .then(() => database.stop())
      .then(
        () => process.exit(0),
        (error) => {
          log.error({ err: error }, 'leaving in disorder');
          process.exit(1);
        },
      );
  };
  // What nobody caught leaves the process in a state that nobody knows: its turns go on elsewhere, or after the next start.
  process.on('uncaughtException', (error) => {
    log.error({ err: error }, 'an error that nobody caught ends the process');
    process.exit(1);
  });
  process.on('SIGTERM', leave);
  process.on('SIGINT', leave);
}

const realClock: Clock = {
  now: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

function welcome(config: Config, url: string): string {
  const model =
    config.model === null
      ? 'the offline model (a stand-in; set OPENAI_API_KEY for a real one)'
      : config.model.name;
  const mail =
    config.smtpUrl === null
      ? 'sandbox: kept in the outbox, nothing leaves (set SMTP_URL to send)'
      : 'sent by SMTP_URL';
  return `\n  Overture is at ${url}   (API: ${url}/docs)\n  model: ${model}\n  mail:  ${mail}\n  chat:  npm run chat\n\n`;
}
