/** The peer: LangGraph's own development server, where it is there or may be installed. It is no dependency of ours. */

import { execFile, spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type ModelStatus, stopProcess } from './processes.ts';
import { freePort } from './service.ts';

/** The set that its makers declare to fit together; the shared ones in our own versions. */
const PACKAGES = {
  '@langchain/core': '1.4.0',
  '@langchain/langgraph': '1.7.3',
  '@langchain/langgraph-api': '1.5.1',
  '@langchain/langgraph-checkpoint': '1.2.2',
  '@langchain/langgraph-sdk': '1.15.0',
  '@langchain/openai': '1.6.0',
  typescript: '5',
};

/** As `langgraph dev` starts it, without the watch on the sources: ten workers, its own storage. */
const START = `
import { startServer } from '@langchain/langgraph-api/server';
const [port, cwd] = process.argv.slice(2);
await startServer({ port: Number(port), host: '127.0.0.1', nWorkers: 10, cwd, graphs: { bench: './graph.ts:graph' } });
`;

export interface Peer {
  pid: number;
  url: string;
  version: string;
  /** Empties its storage, which it writes out whole every three seconds. */
  truncate(): Promise<void>;
  stop(): Promise<void>;
}

/** Where the peer is installed: the folder that was named, or a new one; else the reason why it is left out. */
export async function findPeer(
  folder: string,
  { named, install }: { named: string | undefined; install: boolean },
): Promise<{ folder: string } | { reason: string }> {
  if (named !== undefined && named !== '') return { folder: path.resolve(named) };
  if (!install) return { reason: 'neither BENCH_PEER_DIR nor --peer was given' };
  const home = path.join(folder, 'peer');
  await mkdir(home, { recursive: true });
  await writeFile(
    path.join(home, 'package.json'),
    JSON.stringify({ private: true, type: 'module', dependencies: PACKAGES }),
  );
  try {
    await promisify(execFile)('npm', ['install', '--no-audit', '--no-fund', '--legacy-peer-deps'], {
      cwd: home,
    });
    return { folder: home };
  } catch (error) {
    return { reason: `npm could not install it: ${error instanceof Error ? error.message : error}` };
  }
}

/** Starts the peer on our graph's twin, with the rules and tools that our service sent to the model. */
export async function startPeer(
  home: string,
  { folder, modelUrl, request }: { folder: string; modelUrl: string; request: ModelStatus['lastRequest'] },
): Promise<Peer> {
  const manifest = await readFile(
    path.join(home, 'node_modules/@langchain/langgraph-api/package.json'),
    'utf8',
  );
  const { version }: { version: string } = JSON.parse(manifest);
  // Below its packages, so that it finds them, and apart from other runs, so that its storage is empty.
  const cwd = path.join(home, `run-${Date.now()}`);
  await mkdir(cwd, { recursive: true });
  await copyFile(path.join(import.meta.dirname, 'peer/graph.ts'), path.join(cwd, 'graph.ts'));
  await writeFile(path.join(cwd, 'start.mjs'), START);
  const rules = request?.messages.find((message) => message.role === 'system')?.content;
  await writeFile(path.join(cwd, 'request.json'), JSON.stringify({ rules, tools: request?.tools ?? [] }));
  const log = openSync(path.join(folder, 'peer.log'), 'w');
  const port = await freePort();
  const child = spawn(process.execPath, ['start.mjs', String(port), cwd], {
    cwd,
    stdio: ['ignore', log, log],
    env: {
      PATH: process.env.PATH,
      BENCH_MODEL_URL: modelUrl,
      LANGSMITH_TRACING: 'false',
      LANGCHAIN_TRACING_V2: 'false',
    },
  });
  const url = `http://127.0.0.1:${port}`;
  while (!(await fetch(`${url}/ok`).catch(() => null))?.ok) {
    if (child.exitCode !== null) throw new Error(`the peer did not start; see ${folder}/peer.log`);
    await pause(100);
  }
  return {
    pid: child.pid ?? 0,
    url,
    version,
    async truncate() {
      const all = { runs: true, threads: true, checkpointer: true };
      await fetch(`${url}/internal/truncate`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(all),
      });
    },
    stop: () => stopProcess(child),
  };
}
