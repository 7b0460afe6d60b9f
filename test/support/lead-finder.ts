/** The lead finder of a test: its deeds, its routes, and workers that may be stopped or left for dead. */

import type pg from 'pg';
import { createFindProfiles } from '../../graphs/lead-finder/graph.ts';
import type { Database } from '../../src/db/database.ts';
import { createPool } from '../../src/db/pool.ts';
import { createLeadFinderWorker, type LeadFinderWorker } from '../../src/jobs/lead-finder-worker.ts';
import { createLog } from '../../src/log.ts';
import { createCredits } from '../../src/resources/credits/credits.ts';
import { type Batches, createBatches } from '../../src/resources/lead-finder/batches.ts';
import { createLeadFinder, type LeadFinder } from '../../src/resources/lead-finder/lead-finder.ts';
import { createOwnData } from '../../src/resources/lead-finder/own-data.ts';
import type { LeadSource, Profile } from '../../src/resources/lead-finder/ports.ts';
/** A person as a source tells of them. */
import { cursors } from './cursors.ts';
import { realClock } from './service.ts';

export function profileOf(name: string, changes: Partial<Profile> = {}): Profile {
  const [first = '', last = ''] = name.split(' ');
  return {
    lead_id: null,
    email: `${first}.${last}@x.example`.toLowerCase(),
    first_name: first,
    last_name: last,
    company: null,
    title: null,
    city: null,
    country: null,
    website: null,
    linkedin_url: null,
    suppressed: false,
    ...changes,
  };
}

/** A source outside at 3 credits a profile, which finds whom `search` says. */
export function outsideSource(search: LeadSource['search']): LeadSource {
  return { name: 'outside', title: 'a source outside', operation: 'lead_finder', search };
}

export interface LeadFinderParts {
  leadFinder: LeadFinder;
  batches: Batches;
  runtimePool: pg.Pool;
  /** Warnings and errors of the workers, a line each. */
  logged: readonly string[];
  /** Makes a worker that works until it is stopped. */
  startWorker(owner?: string): LeadFinderWorker;
  /** Stops every worker. */
  close(): Promise<void>;
}

export function createLeadFinderParts(
  needs: { database: Database; databaseUrl: string; newId(): string },
  { source = createOwnData(), leaseSeconds = 2 }: { source?: LeadSource; leaseSeconds?: number } = {},
): LeadFinderParts {
  const { database, newId } = needs;
  const logged: string[] = [];
  const log = createLog({ level: 'warn', write: (line) => logged.push(line), secrets: [] });
  const runtimePool = createPool({ url: needs.databaseUrl, role: 'overture_runtime', size: 4, log });
  const credits = createCredits({ database, cursors, newId });
  const find = createFindProfiles();
  const batches = createBatches({ database, runtimePool, credits, leaseSeconds, newId });
  const workers: LeadFinderWorker[] = [];
  return {
    logged,
    leadFinder: createLeadFinder({
      database,
      credits,
      source,
      find,
      newId,
      wake: () => {
        for (const worker of workers) worker.wake();
      },
    }),
    batches,
    runtimePool,
    startWorker(owner = newId()) {
      const worker = createLeadFinderWorker({
        batches,
        source,
        find,
        database,
        owner,
        leaseSeconds,
        clock: realClock,
        log,
      });
      workers.push(worker);
      worker.start();
      return worker;
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.stop()));
      await runtimePool.end();
    },
  };
}
