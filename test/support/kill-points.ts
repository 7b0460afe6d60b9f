/** Every crossing of a turn's ports by name, so that a test can end the process exactly there. */

import type { AppNeeds } from '../../src/app.ts';

/** A port's method, just before it is called or just after it has answered, and for the how-manieth time: `ledger.settle:after:2`. */
export type KillPoint = string;

/** What only the housekeeping of a process calls, from time to time: no place in a turn. */
const HOUSEKEEPING = new Set(['turns.takeOver', 'turns.renew', 'approvals.expire']);

/** Makes a `wrap` for createApp that tells of each crossing, in the moment it happens. */
export function createKillPoints(reach: (point: KillPoint) => void): NonNullable<AppNeeds['wrap']> {
  const counts = new Map<string, number>();
  const pass = (name: string, phase: 'before' | 'after') => {
    const count = (counts.get(`${name}:${phase}`) ?? 0) + 1;
    counts.set(`${name}:${phase}`, count);
    reach(`${name}:${phase}:${count}`);
  };
  return (port, parts) =>
    new Proxy(parts, {
      get(target, key, receiver) {
        const method: unknown = Reflect.get(target, key, receiver);
        const name = `${port}.${String(key)}`;
        if (typeof method !== 'function' || HOUSEKEEPING.has(name)) return method;
        return (...inputs: unknown[]) => {
          pass(name, 'before');
          const answer: unknown = method.apply(target, inputs);
          if (!(answer instanceof Promise)) return answer;
          return answer.finally(() => pass(name, 'after'));
        };
      },
    });
}
