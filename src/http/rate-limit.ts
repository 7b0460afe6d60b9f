/** Requests a minute for each principal, counted in this process's memory (the README says what that means for several processes). */

import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { ServiceError } from '../errors.ts';
import { type Caller, principalOf } from '../runtime/caller.ts';

/** Requests a minute by plan; a plan that is not listed gets `standard`. */
const STANDARD = 3000;
const REQUESTS_A_MINUTE = new Map([
  ['free', 300],
  ['standard', STANDARD],
  ['dev', 60_000],
]);

export interface RateLimit {
  /** Counts one request; throws `RATE_LIMITED`. Answers the headers that keys get (contract, x-rate-limit-notes). */
  take(caller: Caller): Promise<Record<string, string>>;
}

export function createRateLimit({ now }: { now(): number }): RateLimit {
  const limiters = new Map<number, RateLimiterMemory>();
  return {
    async take(caller) {
      const points = REQUESTS_A_MINUTE.get(caller.plan) ?? STANDARD;
      let limiter = limiters.get(points);
      if (limiter === undefined) {
        limiter = new RateLimiterMemory({ points, duration: 60 });
        limiters.set(points, limiter);
      }
      try {
        const state = await limiter.consume(`${caller.workspaceId} ${principalOf(caller)}`);
        return caller.keyId === null ? {} : limitHeaders(points, now() + state.msBeforeNext);
      } catch (state) {
        if (!(state instanceof RateLimiterRes)) throw state;
        const seconds = Math.ceil(state.msBeforeNext / 1000);
        throw new ServiceError(
          'RATE_LIMITED',
          `Too many requests: ${points} a minute are allowed; retry after ${seconds}s.`,
          {
            headers: { 'retry-after': String(seconds), ...limitHeaders(points, now() + state.msBeforeNext) },
            facts: { limit: 'requests_per_minute' },
          },
        );
      }
    },
  };
}

function limitHeaders(points: number, resetsAt: number): Record<string, string> {
  return { 'x-ratelimit-limit': String(points), 'x-ratelimit-reset': String(Math.ceil(resetsAt / 1000)) };
}
