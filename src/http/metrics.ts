/** Counts for whoever operates the service, in Prometheus' text form; by route and status, never by tenant. */

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type Route, route } from './route.ts';

export interface Metrics {
  /** One request, answered: the route's pattern and not its path, so that the number of series is bounded. */
  observeRequest(route: string, method: string, status: number, ms: number): void;
  /** A value that is read when the metrics are. */
  gauge(name: string, help: string, read: () => number): void;
  text(): Promise<string>;
  readonly contentType: string;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'overture_' });
  const requests = new Counter({
    name: 'overture_requests_total',
    help: 'Requests answered, by route, method and status.',
    labelNames: ['route', 'method', 'status'],
    registers: [registry],
  });
  const seconds = new Histogram({
    name: 'overture_request_seconds',
    help: 'Time to the answer; of a stream, to its first byte.',
    labelNames: ['route', 'method'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  return {
    observeRequest(pattern, method, status, ms) {
      requests.inc({ route: pattern, method, status });
      seconds.observe({ route: pattern, method }, ms / 1000);
    },
    gauge(name, help, read) {
      new Gauge({
        name: `overture_${name}`,
        help,
        registers: [registry],
        collect() {
          this.set(read());
        },
      });
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

export function createMetricsRoutes(metrics: Metrics): Route[] {
  return [
    route({
      method: 'GET',
      path: '/metrics',
      operation: 'getMetrics',
      tag: 'health',
      summary: 'Counts of this process in Prometheus text form',
      access: 'caller',
      answers: { 200: 'text' },
      handle: async () => ({
        status: 200,
        body: await metrics.text(),
        headers: { 'content-type': metrics.contentType },
      }),
    }),
  ];
}
