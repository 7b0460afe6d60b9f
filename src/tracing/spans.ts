/** Spans by OpenTelemetry, sent to a collector over OTLP/HTTP. Loaded only where a collector is configured. */

import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  RandomIdGenerator,
  type SpanExporter,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { errorFact } from '../errors.ts';

/** Where a span stands: what its children, here or in another process, need to know of it. */
export type Place = Pick<SpanContext, 'traceId' | 'spanId' | 'traceFlags'>;

/** Ids, codes, names of tools and models, numbers: never what anybody wrote. */
export type Facts = Attributes;

export interface SpansNeeds {
  /** The collector; `/v1/traces` is added. */
  endpoint: string;
  version: string;
  /** This process. */
  instance: string;
  /** Told when spans cannot be delivered, once until they can be again. */
  report(error: unknown): void;
}

export interface SpanOptions {
  parent?: Place | null;
  /** Another span that has to do with this one. */
  link?: Place | null;
  kind?: SpanKind;
  /** Milliseconds since 1970; default: now. */
  startedAt?: number;
  /** The span's own id, where others have named it as their parent already. */
  spanId?: string;
}

/** A collector that does not answer holds up no exit. */
const LAST_EXPORT_MS = 2_000;

export type Spans = ReturnType<typeof createSpans>;

export function createSpans({ endpoint, version, instance, report }: SpansNeeds) {
  const random = new RandomIdGenerator();
  /** What the next span shall be called; it is started in the same breath. */
  let nextId: string | undefined;
  const exporter = new OTLPTraceExporter({
    url: `${endpoint.replace(/\/+$/, '')}/v1/traces`,
    timeoutMillis: 10_000,
  });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'overture',
      'service.version': version,
      'service.instance.id': instance,
    }),
    idGenerator: {
      generateTraceId: () => random.generateTraceId(),
      generateSpanId: () => nextId ?? random.generateSpanId(),
    },
    spanProcessors: [
      new BatchSpanProcessor({ exporter: reporting(exporter, report), scheduledDelayMillis: 1_000 }),
    ],
  });
  const tracer = provider.getTracer('overture', version);
  const current = new AsyncLocalStorage<Context>();

  function open(name: string, facts: Facts, options: SpanOptions = {}): Span {
    const { parent, link, kind = SpanKind.INTERNAL, startedAt, spanId } = options;
    const context =
      parent === undefined
        ? (current.getStore() ?? ROOT_CONTEXT)
        : parent === null
          ? ROOT_CONTEXT
          : trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true });
    nextId = spanId;
    try {
      return tracer.startSpan(
        name,
        {
          kind,
          attributes: facts,
          ...(startedAt === undefined ? {} : { startTime: startedAt }),
          ...(link == null ? {} : { links: [{ context: link }] }),
        },
        context,
      );
    } finally {
      nextId = undefined;
    }
  }

  /** Runs work inside the span: what is opened meanwhile is its child. */
  function inside<T>(span: Span, work: () => T): T {
    return current.run(trace.setSpan(ROOT_CONTEXT, span), work);
  }

  return {
    open,
    inside,

    /** A span as long as the work; one that throws is marked with its code. `after` adds what is known then. */
    async around<T>(
      name: string,
      facts: Facts,
      work: () => Promise<T>,
      after: (result: T) => Facts = () => ({}),
      options: SpanOptions = {},
    ): Promise<T> {
      const span = open(name, facts, options);
      try {
        const result = await inside(span, work);
        span.setAttributes(after(result));
        return result;
      } catch (error) {
        fail(span, errorFact(error).code);
        throw error;
      } finally {
        span.end();
      }
    },

    /** The span that the caller works in; null where there is none. */
    here(): Place | null {
      const context = current.getStore();
      return context === undefined ? null : (trace.getSpanContext(context) ?? null);
    },

    newSpanId: () => random.generateSpanId(),

    /** Delivers what is left, for a moment. */
    async stop(): Promise<void> {
      const given = new Promise<void>((resolve) => setTimeout(resolve, LAST_EXPORT_MS).unref());
      await Promise.race([provider.shutdown().catch(report), given]);
    },
  };
}

/** Marks a span as failed, by a code and never by a sentence, which may quote what somebody wrote. */
export function fail(span: Span, code: string): void {
  span.setAttribute('error.type', code);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/;

/** The place that a W3C `traceparent` names; null where it is none. */
export function readTraceparent(header: string | undefined): Place | null {
  const [, version = 'ff', traceId = '', spanId = '', flags = ''] = TRACEPARENT.exec(header ?? '') ?? [];
  if (version === 'ff' || /^0*$/.test(traceId) || /^0*$/.test(spanId)) return null;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED };
}

/** Says once that spans are lost, and is silent until some were delivered. */
function reporting(exporter: SpanExporter, report: (error: unknown) => void): SpanExporter {
  let failing = false;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const failed = result.error !== undefined;
        if (failed && !failing) report(result.error);
        failing = failed;
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
  };
}
