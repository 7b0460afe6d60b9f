/** Every crossing of a turn's ports by name, so that a test can end the process exactly there. */

import type { AppNeeds, PortName } from '../../src/app.ts';

/** A port's method, just before it is called or just after it has answered, and for the how-manieth time: `ledger.settle:after:2`. */
export type KillPoint = string;

/** What a process calls from time to time, whether there is something to do or not: counted where there was. */
const ROUNDS: Record<string, (answer: unknown) => boolean> = {
  'turns.takeOver': (answer) => Array.isArray(answer) && answer.length > 0,
  'approvals.expire': (answer) => typeof answer === 'number' && answer > 0,
};

/** Makes a `wrap` for createApp that tells of each crossing, in the moment it happens; what it answers is waited for before the call. */
export function createKillPoints(reach: (point: KillPoint) => unknown): NonNullable<AppNeeds['wrap']> {
  const counts = new Map<string, number>();
  const pass = (name: string, phase: 'before' | 'after') => {
    const count = (counts.get(`${name}:${phase}`) ?? 0) + 1;
    counts.set(`${name}:${phase}`, count);
    return reach(`${name}:${phase}:${count}`);
  };
  return (port, parts) =>
    new Proxy(parts, {
      get(target, key, receiver) {
        const method: unknown = Reflect.get(target, key, receiver);
        const name = `${port}.${String(key)}`;
        if (typeof method !== 'function') return method;
        const didSomething = ROUNDS[name];
        return (...inputs: unknown[]) => {
          const held = didSomething === undefined ? pass(name, 'before') : undefined;
          const answer: unknown =
            held instanceof Promise
              ? held.then((): unknown => method.apply(target, inputs))
              : method.apply(target, inputs);
          if (!(answer instanceof Promise)) return answer;
          if (didSomething === undefined)
            return answer.finally(() => {
              pass(name, 'after');
            });
          return answer.then((found: unknown) => {
            if (didSomething(found)) pass(name, 'after');
            return found;
          });
        };
      },
    });
}

/** The methods of the ports, as createApp hands them to `wrap`. */
export function createMethodList(): { wrap: NonNullable<AppNeeds['wrap']>; methods: Set<string> } {
  const methods = new Set<string>();
  return {
    methods,
    wrap(name: PortName, port) {
      for (const [key, value] of Object.entries(port))
        if (typeof value === 'function') methods.add(`${name}.${key}`);
      return port;
    },
  };
}

/** Lets the tools take the mail server for one that does a mail with the same message id only once. */
export const deduplicating: NonNullable<AppNeeds['wrap']> = (name, port) =>
  name !== 'mailer'
    ? port
    : new Proxy(port, {
        get: (target, key, receiver): unknown =>
          key === 'deduplicates' ? true : Reflect.get(target, key, receiver),
      });
