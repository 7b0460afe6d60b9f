/** What every row works with: the servers side by side, the load client, and one way to measure a job. */

import type { Door, Job, Measured } from './load.ts';
import { type Child, cpuOf, cpuOfFamily } from './processes.ts';
import type { Database } from './service.ts';

/** A server under measurement. */
export interface Contender {
  door: Door;
  pid: number;
}

export interface Lab {
  model: Child;
  load: Child;
  database: Database;
  /** Straight to the model: what no server can better. */
  bare: Contender;
  relay: Contender;
  service: Contender;
  /** Null where it is left out. */
  peer: (Contender & { truncate(): Promise<void> }) | null;
  rounds: number;
  /** Everything in small, to see that it runs. */
  quick: boolean;
  /** For processes that a row starts itself. */
  folder: string;
}

/** A job's times, and the CPU of its server and of PostgreSQL in milliseconds. */
export interface Measurement extends Measured {
  cpuMs: number;
  postgresMs: number;
}

export async function measure(lab: Lab, { door, pid }: Contender, job: Size): Promise<Measurement> {
  const ofPostgres = () => (door.kind === 'service' ? cpuOfFamily(lab.database.pid) : 0);
  const postgresBefore = ofPostgres();
  const before = cpuOf(pid);
  const measured = await lab.load.ask<Measured>('run', { staggerMs: 0, ...job, door });
  const cpuMs = cpuOf(pid) - before;
  return { ...measured, cpuMs, postgresMs: ofPostgres() - postgresBefore };
}

type Size = Omit<Job, 'door' | 'staggerMs'> & { staggerMs?: number };

/**
 * Runs a job on each of the contenders, round after round, so that a change of the machine's mood hits all alike.
 * `jobOf` may make it smaller for one of them. Answers the rounds of each; none for who is left out.
 */
export async function interleave(
  lab: Lab,
  contenders: readonly (Contender | null)[],
  jobOf: (kind: Door['kind']) => Size,
): Promise<(kind: Door['kind']) => Measurement[]> {
  const measured = new Map<Door['kind'], Measurement[]>();
  for (let round = 0; round < lab.rounds; round += 1) {
    for (const contender of contenders) {
      if (contender === null) continue;
      const { kind } = contender.door;
      if (kind === 'peer') await lab.peer?.truncate();
      const rounds = measured.get(kind) ?? [];
      measured.set(kind, [...rounds, await measure(lab, contender, jobOf(kind))]);
    }
  }
  return (kind) => measured.get(kind) ?? [];
}
