/** What a test of turns plays on: a database, a model that says what it is told to, and as many services as it takes. */

import { openDatabase, type TestDatabase } from './database.ts';
import { createScriptedModel, type ScriptedModel } from './scripted-model.ts';
import {
  type HereOptions,
  type ServiceHere,
  type ServiceProcess,
  startService,
  startServiceProcess,
} from './service.ts';

export interface Stage {
  database: TestDatabase;
  model: ScriptedModel;
  /** Starts a service in this process; it ends with the stage. */
  start(options?: StartOptions): Promise<ServiceHere>;
  /** Starts one as a process of its own; it is killed with the stage. */
  startProcess(environment?: Record<string, string>): Promise<ServiceProcess>;
  /** Ends everything. */
  close(): Promise<void>;
}

export interface StartOptions extends HereOptions {
  environment?: Record<string, string>;
}

/** Sets the stage. Leases last half a minute unless a test says otherwise: no busy machine shall lose one. */
export async function openStage(environment: Record<string, string> = {}): Promise<Stage> {
  const database = await openDatabase();
  const model = await createScriptedModel();
  const ends: (() => Promise<unknown>)[] = [];
  const settings = (more: Record<string, string> = {}) => ({
    OPENAI_BASE_URL: model.url,
    OPENAI_API_KEY: 'sk-scripted-model-key',
    OPENAI_MODEL: 'scripted',
    LEASE_SECONDS: '30',
    ...environment,
    ...more,
  });
  return {
    database,
    model,
    async start({ environment: more, ...options } = {}) {
      const service = await startService({
        databaseUrl: database.url,
        environment: settings(more),
        ...options,
      });
      let closed: Promise<void> | undefined;
      const close = () => {
        closed ??= service.close();
        return closed;
      };
      ends.push(close);
      return { ...service, close };
    },
    async startProcess(more) {
      const service = await startServiceProcess({ databaseUrl: database.url, environment: settings(more) });
      ends.push(() => service.kill('SIGKILL'));
      return service;
    },
    async close() {
      // A model that still holds an answer back would keep a service from draining.
      await model.close();
      await Promise.all(ends.map((end) => end()));
      await database.close();
    },
  };
}

/** A gate among the pieces of an answer. */
export function gate(): { promise: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { promise, open: () => resolve() };
}
