/** A pool whose process dies at a chosen statement: its connections are gone, and nothing that it asks for happens any more. */

import type pg from 'pg';

export interface DyingPool {
  pool: pg.Pool;
  /** Counts a step of the process that is no statement; throws where it dies there. */
  step(phase: 'before' | 'after'): void;
  dead(): boolean;
  /** Statements and steps so far. */
  count(): number;
}

export interface Death {
  /** Dies at this statement, counted from 1 … */
  at: number;
  /** … before the server has it, or after the server has answered and before anybody hears of it. */
  phase: 'before' | 'after';
}

/** Several pools of one process die together: give them the same `life`. */
export function createLife(death: Death | null) {
  const clients = new Set<pg.PoolClient>();
  let count = 0;
  let dead = false;
  const die = (): never => {
    dead = true;
    for (const client of clients) client.release(true);
    clients.clear();
    throw new Error('the process is dead');
  };
  return {
    clients,
    dead: () => dead,
    count: () => count,
    step(phase: 'before' | 'after'): void {
      if (dead) throw new Error('the process is dead');
      if (phase === 'before') count += 1;
      if (death !== null && count === death.at && phase === death.phase) die();
    },
  };
}
export type Life = ReturnType<typeof createLife>;

export function createDyingPool(pool: pg.Pool, life: Life): DyingPool {
  async function run(client: pg.PoolClient, inputs: Parameters<pg.PoolClient['query']>): Promise<unknown> {
    life.step('before');
    const answer: unknown = await Reflect.apply(client.query, client, inputs);
    life.step('after');
    return answer;
  }

  async function connect(): Promise<pg.PoolClient> {
    if (life.dead()) throw new Error('the process is dead');
    const client = await pool.connect();
    life.clients.add(client);
    return new Proxy(client, {
      get(target, key) {
        if (key === 'query') return (...inputs: Parameters<pg.PoolClient['query']>) => run(client, inputs);
        if (key === 'release') {
          return (broken?: boolean) => {
            if (life.clients.delete(client)) client.release(broken);
          };
        }
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  async function query(...inputs: Parameters<pg.PoolClient['query']>): Promise<unknown> {
    const client = await connect();
    try {
      return await Reflect.apply(client.query, client, inputs);
    } finally {
      client.release();
    }
  }

  return {
    ...life,
    pool: new Proxy(pool, {
      get(target, key) {
        if (key === 'connect') return connect;
        if (key === 'query') return query;
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    }),
  };
}
