/** Probes for whoever operates the service (contract, tag health). */

import { z } from 'zod';
import { type Answer, type Route, route } from '../../http/route.ts';

/** Whether new work is taken; `reason` is a sentence that says why not. */
export type Readiness =
  | { ready: true }
  | { ready: false; code: 'DRAINING' | 'DATABASE_UNAVAILABLE'; reason: string };

export interface HealthNeeds {
  /** Answers in any case, and soon. */
  readiness(): Promise<Readiness>;
  now(): number;
}

const alive = z.object({ status: z.literal('ok'), timestamp: z.iso.datetime() });
const services = z.record(z.string(), z.string());
const ready = z.object({ status: z.literal('ready'), services });
/** What every error body has. */
const refusal = {
  detail: z.enum(['DRAINING', 'DATABASE_UNAVAILABLE']),
  message: z.string(),
  request_id: z.string(),
};
const unavailable = z.object({
  ...refusal,
  status: z.literal('unavailable'),
  reason: z.string(),
  services,
});
const status = z.object({
  status: z.enum(['healthy', 'unhealthy']),
  components: services,
  timestamp: z.iso.datetime(),
});

export function createHealthRoutes({ readiness, now }: HealthNeeds): Route[] {
  const timestamp = () => new Date(now()).toISOString();
  const live = (path: string, operation: string) =>
    route({
      method: 'GET',
      path,
      operation,
      tag: 'health',
      summary: 'Liveness, always 200',
      access: 'public',
      answers: { 200: alive },
      handle: async () => ({ status: 200, body: { status: 'ok', timestamp: timestamp() }, headers: FRESH }),
    });
  /** The index of the original prints the second path with its prefix doubled, so both are served. */
  const detailed = (path: string, operation: string) =>
    route({
      method: 'GET',
      path,
      operation,
      tag: 'health',
      summary: 'State of the service; 503 while it takes no work',
      access: 'public',
      answers: { 200: status, 503: status.extend(refusal) },
      handle: async ({ requestId }) => {
        const state = await readiness();
        const body = {
          ...(state.ready ? {} : refused(state, requestId)),
          status: state.ready ? 'healthy' : 'unhealthy',
          components: { service: state.ready ? 'ok' : state.reason },
          timestamp: timestamp(),
        };
        return { status: state.ready ? 200 : 503, body, headers: FRESH };
      },
    });
  return [
    live('/health', 'rootHealth'),
    live('/api/v1/health', 'health'),
    route({
      method: 'GET',
      path: '/api/v1/ready',
      operation: 'ready',
      tag: 'health',
      summary: 'Readiness for new work',
      access: 'public',
      answers: { 200: ready, 503: unavailable },
      handle: async ({ requestId }): Promise<Answer> => {
        const state = await readiness();
        const services = { service: state.ready ? 'ok' : state.reason };
        const body = state.ready
          ? { status: 'ready', services }
          : { ...refused(state, requestId), status: 'unavailable', reason: state.reason, services };
        return { status: state.ready ? 200 : 503, body, headers: FRESH };
      },
    }),
    detailed('/api/v1/status', 'systemStatusPlain'),
    detailed('/api/v1/api/v1/status', 'systemStatus'),
  ];
}

function refused({ code, reason }: Extract<Readiness, { ready: false }>, requestId: string) {
  return { detail: code, message: reason, request_id: requestId };
}

/** An answer that was kept on the way would say nothing about now. */
const FRESH = { 'cache-control': 'no-store' };
