/** `npm run chat`: talk to the agent in a terminal. A program of its own; only this file of the client needs Node. */

import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { createClient } from './client.ts';
import { createSession, type Terminal } from './session.ts';
import { plain } from './terminal-text.ts';

/** The only place where this program reads its surroundings. */
function readSettings(): { url: string; token: string | undefined; thread: string | undefined } {
  const { values } = parseArgs({
    options: { url: { type: 'string' }, token: { type: 'string' }, thread: { type: 'string' } },
  });
  return {
    url: values.url ?? process.env.OVERTURE_URL ?? 'http://127.0.0.1:8080',
    token: values.token ?? process.env.OVERTURE_TOKEN,
    thread: values.thread,
  };
}

/** A terminal of lines over stdin and stdout. Everything written passes through `plain`. */
function createTerminal(onLine: () => void, onInterrupt: () => void): Terminal & { close(): void } {
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const input = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: isTerminal,
  });
  const lines: string[] = [];
  let waiting: ((line: string | null) => void) | undefined;
  let ended = false;
  /** Gives the oldest line to whoever waits. */
  function answer(): void {
    if (waiting === undefined || (lines.length === 0 && !ended)) return;
    const line = lines.shift() ?? null;
    // Without a terminal nothing echoes what came in.
    if (!isTerminal) process.stdout.write(`${line === null ? '' : plain(line)}\n`);
    waiting(line);
    waiting = undefined;
  }
  input.on('line', (line) => {
    onLine();
    lines.push(line);
    answer();
  });
  input.on('close', () => {
    ended = true;
    answer();
  });
  // Raw mode swallows the signal and tells readline; without a terminal it comes to the process.
  input.on('SIGINT', onInterrupt);
  process.on('SIGINT', onInterrupt);
  return {
    write: (text) => {
      process.stdout.write(plain(text));
    },
    ask(question, fresh = false) {
      if (fresh && isTerminal) {
        lines.length = 0;
        input.write(null, { ctrl: true, name: 'u' });
      }
      if (isTerminal && !ended) {
        input.setPrompt(plain(question));
        input.prompt(true);
      } else {
        process.stdout.write(plain(question));
      }
      return new Promise((resolve) => {
        waiting = resolve;
        answer();
      });
    },
    close: () => input.close(),
  };
}

async function main(): Promise<void> {
  const settings = readSettings();
  let interrupted = false;
  const terminal = createTerminal(
    () => {
      interrupted = false;
    },
    () => {
      if (interrupted) {
        terminal.write('\n');
        process.exit(130);
      }
      interrupted = true;
      terminal.write(
        session.cancel() ? '\n(cancelling; Ctrl-C again leaves)\n' : '\n(Ctrl-C again leaves)\n',
      );
    },
  );
  const session = createSession({
    client: createClient({ baseUrl: settings.url, token: settings.token }),
    terminal,
  });
  terminal.write(`Overture at ${settings.url}. /help shows the commands.\n`);
  await session.run(settings.thread);
  terminal.close();
}

await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
