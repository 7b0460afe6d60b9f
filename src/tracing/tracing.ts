/** Follows requests, turns, runs, model calls, tool calls and effects: wraps the ports they pass through, and touches nothing else. */

import { type Span, SpanKind } from '@opentelemetry/api';
import type { Gate } from '../engine/gate.ts';
import type { Model } from '../engine/model.ts';
import { errorFact } from '../errors.ts';
import type { RequestTrace } from '../http/server.ts';
import type { Mailer } from '../resources/outbox/mailer.ts';
import type { Ledger } from '../resources/turns/effects.ts';
import type { ClosedTurn } from '../resources/turns/lease.ts';
import type { Engine, LeasedTurn, TurnStore } from '../runtime/ports.ts';
import { createSpans, type Facts, fail, type Place, readTraceparent, type SpansNeeds } from './spans.ts';

export type Tracing = ReturnType<typeof createTracing>;

export function createTracing(needs: SpansNeeds) {
  const spans = createSpans(needs);
  /** Effects that were begun and not settled yet. */
  const begun = new WeakMap<LeasedTurn, Map<string, Span>>();

  function beginEffect(turn: LeasedTurn, toolCallId: string, facts: Facts): void {
    const open = begun.get(turn) ?? new Map<string, Span>();
    begun.set(turn, open);
    open.get(toolCallId)?.end();
    open.set(
      toolCallId,
      spans.open('effect', { ...idsOf(turn), 'overture.tool_call_id': toolCallId, ...facts }),
    );
  }

  function endEffect(turn: LeasedTurn, toolCallId: string, state: string, code?: string): void {
    const span = begun.get(turn)?.get(toolCallId);
    if (span === undefined) return;
    begun.get(turn)?.delete(toolCallId);
    span.setAttribute('overture.state', state);
    if (code !== undefined) fail(span, code);
    span.end();
  }

  /** A turn outlives requests, runs and processes, so its span is told whole when it has ended, by whoever ended it. */
  function tellTurn(turn: ClosedTurn, status: string, code?: string): void {
    const origin = readOrigin(turn.input.trace);
    if (origin === null) return;
    const span = spans.open(
      'turn',
      { ...idsOf(turn), 'overture.status': status },
      { parent: origin.parent, spanId: origin.turn.spanId, startedAt: Date.parse(turn.createdAt) },
    );
    if (code !== undefined) fail(span, code);
    span.end();
  }

  return {
    /** For the server: a span around each request. */
    request(traceparent: string | undefined): RequestTrace {
      const span = spans.open('request', {}, { parent: readTraceparent(traceparent), kind: SpanKind.SERVER });
      return {
        traceId: span.spanContext().traceId,
        within: (work) => spans.inside(span, work),
        end({ route, method, status, requestId, workspaceId }) {
          span.updateName(`${method} ${route}`);
          span.setAttributes({
            'http.request.method': method,
            'http.route': route,
            'http.response.status_code': status,
            'overture.request_id': requestId,
            ...(workspaceId === null ? {} : { 'overture.workspace_id': workspaceId }),
          });
          if (status >= 500) fail(span, String(status));
          span.end();
        },
      };
    },

    turns(store: TurnStore): TurnStore {
      return {
        ...store,
        accept(request) {
          const place = spans.here();
          if (place === null) return store.accept(request);
          const trace = writeOrigin(place, spans.newSpanId());
          return store.accept({ ...request, input: { ...request.input, trace } });
        },
        async settle(turn, settlement) {
          const settled = await store.settle(turn, settlement);
          const isOver = settled === 'settled' || settled === 'inbox-waiting';
          if (isOver && settlement.status !== 'awaiting_approval')
            tellTurn(turn, settlement.status, settlement.error?.code);
          return settled;
        },
      };
    },

    /** A turn that ended while it waited for a person. */
    turnClosed: (turn: ClosedTurn) => tellTurn(turn, 'cancelled'),

    engine(engine: Engine): Engine {
      return {
        ...engine,
        perform(performance) {
          const { turn, reply } = performance;
          const parent = readOrigin(turn.input.trace)?.turn ?? null;
          const here = spans.here();
          return spans.around(
            'run',
            { ...idsOf(turn), 'overture.run_id': turn.runId, 'overture.run_kind': turn.runKind },
            () => engine.perform(performance),
            (outcome) => ({
              'overture.outcome': outcome.status,
              'overture.model_calls': reply.usage.model_calls,
              'overture.tool_calls': reply.usage.tool_calls,
              ...(outcome.status === 'failed' ? { 'error.type': outcome.error.code } : {}),
            }),
            { parent, link: here?.traceId === parent?.traceId ? null : here },
          );
        },
      };
    },

    model(model: Model): Model {
      return {
        name: model.name,
        call: (request) =>
          spans.around(
            'model call',
            {
              'gen_ai.operation.name': 'chat',
              'gen_ai.request.model': request.model ?? model.name,
              'overture.messages': request.messages.length,
            },
            () => model.call(request),
            ({ finishReason, usage, toolCalls }) => ({
              'gen_ai.response.finish_reasons': [finishReason],
              'gen_ai.usage.input_tokens': usage.inputTokens,
              'gen_ai.usage.output_tokens': usage.outputTokens,
              'overture.tool_calls': toolCalls.length,
            }),
            { kind: SpanKind.CLIENT },
          ),
      };
    },

    gate(gate: Gate, isKnown: (tool: string) => boolean): Gate {
      return {
        ...gate,
        execute: (run, call, tainted) =>
          spans.around(
            'tool call',
            {
              ...idsOf(run.turn),
              'overture.tool_call_id': call.toolCallId,
              // A model may call what it likes, in words that it read somewhere.
              'overture.tool': isKnown(call.name) ? call.name : 'unknown',
            },
            () => gate.execute(run, call, tainted),
            (executed) =>
              executed.kind === 'ask'
                ? { 'overture.status': 'asks', 'overture.approval_id': executed.card.approval_id }
                : {
                    'overture.status': executed.end.status,
                    ...(executed.end.status === 'ok' ? {} : { 'error.type': executed.end.error.code }),
                  },
          ),
      };
    },

    ledger(ledger: Ledger): Ledger {
      return {
        ...ledger,
        inside: (turn, call, work) =>
          spans.around(
            'effect',
            {
              ...idsOf(turn),
              'overture.tool_call_id': call.toolCallId,
              'overture.tool': call.tool,
              'overture.effect_class': call.effectClass,
            },
            () => ledger.inside(turn, call, work),
            () => ({ 'overture.state': 'done' }),
          ),
        async intend(turn, call, work) {
          beginEffect(turn, call.toolCallId, {
            'overture.tool': call.tool,
            'overture.effect_class': call.effectClass,
          });
          try {
            const intent = await ledger.intend(turn, call, work);
            if ('done' in intent) endEffect(turn, call.toolCallId, 'done');
            else if ('before' in intent) endEffect(turn, call.toolCallId, intent.before.state);
            return intent;
          } catch (error) {
            endEffect(turn, call.toolCallId, 'refused');
            throw error;
          }
        },
        async again(turn, toolCallId, approvalId) {
          await ledger.again(turn, toolCallId, approvalId);
          beginEffect(turn, toolCallId, { 'overture.again': true });
        },
        async settle(turn, toolCallId, outcome, work) {
          try {
            const result = await ledger.settle(turn, toolCallId, outcome, work);
            endEffect(turn, toolCallId, outcome.state, outcome.error?.code);
            return result;
          } catch (error) {
            endEffect(turn, toolCallId, 'unsettled', errorFact(error).code);
            throw error;
          }
        },
      };
    },

    mailer(mailer: Mailer): Mailer {
      return {
        ...mailer,
        send: (mail) =>
          spans.around(
            'mail',
            {},
            () => mailer.send(mail),
            (outcome) => ({
              'overture.state': outcome.state,
              ...(outcome.state === 'done' ? {} : { 'error.type': outcome.error.code }),
            }),
            { kind: SpanKind.CLIENT },
          ),
      };
    },

    stop: spans.stop,
  };
}

function idsOf(turn: Pick<LeasedTurn, 'turnId' | 'threadId' | 'workspaceId'>): Facts {
  return {
    'overture.turn_id': turn.turnId,
    'overture.thread_id': turn.threadId,
    'overture.workspace_id': turn.workspaceId,
  };
}

/** What is kept with a turn: `<trace>-<its span>-<flags>-<the request's span>`. */
function writeOrigin(request: Place, spanId: string): string {
  return [request.traceId, spanId, request.traceFlags, request.spanId].join('-');
}

function readOrigin(kept: string | undefined): { turn: Place; parent: Place } | null {
  const [traceId, spanId, flags, parentId] = (kept ?? '').split('-');
  if (traceId === undefined || spanId === undefined || parentId === undefined) return null;
  const traceFlags = Number(flags);
  return { turn: { traceId, spanId, traceFlags }, parent: { traceId, spanId: parentId, traceFlags } };
}
