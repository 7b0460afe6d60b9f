/** Traces: each step of a turn is a span in one trace, ids and codes are told, and nothing that anybody wrote. */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  cardOf,
  decide,
  endOf,
  eventually,
  type Mailing,
  openMailing,
  say,
  sendEmail,
} from '../support/mailing.ts';
import type { ServiceHere } from '../support/service.ts';

interface SpanRecord {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  links?: { traceId: string; spanId: string }[];
  attributes: { key: string; value: Record<string, unknown> }[];
  status?: { code?: number; message?: string };
  events?: unknown[];
}

/** A collector that keeps what it is sent. */
interface Collector {
  url: string;
  bodies: string[];
  spans(): SpanRecord[];
  /** What it answers from now on. */
  answer(status: number): void;
  close(): Promise<void>;
}

async function startCollector(): Promise<Collector> {
  const bodies: string[] = [];
  let status = 200;
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (request.url === '/base/v1/traces' && status === 200) bodies.push(Buffer.concat(chunks).toString());
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/base/`,
    bodies,
    spans: () =>
      bodies.flatMap((body) =>
        JSON.parse(body).resourceSpans.flatMap((resource: { scopeSpans: { spans: SpanRecord[] }[] }) =>
          resource.scopeSpans.flatMap((scope) => scope.spans),
        ),
      ),
    answer(next) {
      status = next;
    },
    close() {
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

/** Everything secret or written by somebody in these tests. */
const CANARIES = [
  'canary-words-of-the-user',
  'canary-answer-of-the-model',
  'canary-subject',
  'canary-body',
  'canary-tool',
  'maureen',
  'lead.example',
  'us.example',
  'sk-scripted-model-key',
  'canary-token',
  'Bearer',
];

let collector: Collector;
let mailing: Mailing;
let service: ServiceHere;
let leadId: string;
beforeAll(async () => {
  collector = await startCollector();
  mailing = await openMailing({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
  service = await mailing.start();
  leadId = await mailing.addLead('maureen@lead.example');
  await mailing.addSender({
    data: { from_name: 'Alex', from_email: 'alex@us.example', postal_address: 'Us, 1 Road' },
  });
});
afterAll(async () => {
  await mailing.close();
  await collector.close();
});

const factsOf = (span: SpanRecord): Record<string, unknown> =>
  Object.fromEntries(span.attributes.map(({ key, value }) => [key, Object.values(value)[0]]));

/** The spans of a turn's trace, once the one that is waited for was told. */
function traceOf(turnId: string, name: string): Promise<SpanRecord[]> {
  const look = () => {
    const ofTurn = collector.spans().filter((span) => factsOf(span)['overture.turn_id'] === turnId);
    const traces = new Set(ofTurn.map((span) => span.traceId));
    return ofTurn.some((span) => span.name === name)
      ? collector.spans().filter((span) => traces.has(span.traceId))
      : [];
  };
  return eventually(look, (spans) => spans.length > 0);
}

function one(spans: readonly SpanRecord[], name: string): SpanRecord {
  const found = spans.filter((span) => span.name === name);
  expect(found.map((span) => span.name)).toEqual([name]);
  return found[0] as SpanRecord;
}

function expectNothingWritten(): void {
  const told = collector.bodies.join('\n');
  for (const canary of CANARIES) expect(told, canary).not.toContain(canary);
  for (const span of collector.spans()) {
    expect(span.events ?? []).toEqual([]);
    expect(span.status?.message ?? '').toBe('');
  }
}

describe('a turn that sends after an approval', () => {
  it('is one trace over its runs, under the span of whoever asked, and in the log', async () => {
    mailing.talk.plan('canary-words-of-the-user', [
      {
        toolCalls: [
          sendEmail(leadId, { subject: 'canary-subject', body: 'canary-body. To unsubscribe, answer no.' }),
          { name: 'search_leads', args: { query: 'maureen' } },
          { name: 'canary-tool', args: {} },
        ],
      },
      'canary-answer-of-the-model',
    ]);
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const response = await fetch(`${service.url}/api/v1/agent/chat`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        traceparent: `00-${traceId}-b7ad6b7169203331-01`,
      },
      body: JSON.stringify({ message: 'canary-words-of-the-user' }),
    });
    const told = (await response.json()) as Record<'thread_id' | 'turn_id' | 'run_id', string>;
    const { thread_id: threadId, turn_id: turnId, run_id: runId } = told;
    const requestId = response.headers.get('x-request-id');
    const card = await cardOf(service.client, threadId);
    expect(endOf(await decide(service.client, card, 'approve'))).toBe('completed');

    const spans = await traceOf(turnId, 'turn');
    const request = one(
      spans.filter((span) => span.parentSpanId === 'b7ad6b7169203331'),
      'POST /api/v1/agent/chat',
    );
    expect(request.traceId).toBe(traceId);
    expect(factsOf(request)).toMatchObject({
      'overture.request_id': requestId,
      'http.response.status_code': 200,
    });
    const line = service
      .logged()
      .split('\n')
      .find((text) => text.includes(`"request_id":"${requestId}"`) && text.includes('"msg":"request"'));
    expect(JSON.parse(line ?? '{}')).toMatchObject({ trace_id: traceId });

    const turn = one(spans, 'turn');
    expect(turn).toMatchObject({ traceId, parentSpanId: request.spanId });
    expect(factsOf(turn)).toMatchObject({ 'overture.status': 'completed', 'overture.thread_id': threadId });
    const runs = spans.filter((span) => span.name === 'run');
    expect(runs.map((run) => factsOf(run)['overture.run_kind'])).toEqual(['message', 'resume']);
    expect(runs.map((run) => run.parentSpanId)).toEqual([turn.spanId, turn.spanId]);
    expect(factsOf(runs[0] as SpanRecord)).toMatchObject({
      'overture.run_id': runId,
      'overture.outcome': 'waiting',
    });
    // The run that the decision began points to the request that decided.
    const [decision] = await eventually(
      () => collector.spans().filter((span) => /^POST .*\/decision$/.test(span.name)),
      (found) => found.length > 0,
    );
    expect(runs[1]?.links).toMatchObject([{ traceId: decision?.traceId, spanId: decision?.spanId }]);

    const calls = spans.filter((span) => span.name === 'model call');
    expect(calls.map((call) => call.parentSpanId)).toEqual(runs.map((run) => run.spanId));
    expect(factsOf(calls[0] as SpanRecord)).toMatchObject({ 'gen_ai.request.model': 'scripted' });
    const tools = spans.filter((span) => span.name === 'tool call').map(factsOf);
    expect(tools.map((facts) => facts['overture.tool']).sort()).toEqual([
      'search_leads',
      'send_email',
      'send_email',
      'unknown',
    ]);
    const sent = spans.filter(
      (span) =>
        span.name === 'tool call' &&
        factsOf(span)['overture.status'] === 'ok' &&
        span.parentSpanId === runs[1]?.spanId,
    );
    const effect = one(spans, 'effect');
    expect(sent.map((span) => span.spanId)).toContain(effect.parentSpanId);
    expect(factsOf(effect)).toMatchObject({ 'overture.state': 'done', 'overture.effect_class': 'send' });
    expect(one(spans, 'mail')).toMatchObject({ traceId });
    expectNothingWritten();
  });
});

describe('a turn that does not come to its end', () => {
  it('is told with the code of its failure', async () => {
    mailing.talk.plan('canary-words-of-the-user: fail', [
      { status: 400, body: '{"error":{"message":"canary-answer-of-the-model"}}' },
    ]);
    const { turnId } = await say(service.client, 'canary-words-of-the-user: fail');
    const spans = await traceOf(turnId, 'turn');
    for (const name of ['turn', 'run', 'model call']) {
      expect(factsOf(one(spans, name)), name).toMatchObject({ 'error.type': 'MODEL_REFUSED' });
    }
    expectNothingWritten();
  });

  it('is told when it was given up while it waited', async () => {
    mailing.talk.plan('canary-words-of-the-user: wait', [{ toolCalls: [sendEmail(leadId)] }]);
    const { threadId, turnId } = await say(service.client, 'canary-words-of-the-user: wait');
    await service.client.cancel(threadId);
    const spans = await traceOf(turnId, 'turn');
    expect(factsOf(one(spans, 'turn'))).toMatchObject({ 'overture.status': 'cancelled' });
    expectNothingWritten();
  });
});

describe('a request', () => {
  it('is told by its route and never by its path, query or headers, and has a trace of its own where none is named', async () => {
    for (const traceparent of ['', 'canary-token', `00-${'0'.repeat(32)}-b7ad6b7169203331-01`, 'ff-1-2-3']) {
      await fetch(`${service.url}/api/v1/datasets/maureen@lead.example?search=canary-subject`, {
        headers: { traceparent, authorization: 'Bearer canary-token', 'user-agent': 'canary-token' },
      });
    }
    const told = await eventually(
      () => collector.spans().filter((span) => span.name.startsWith('GET /api/v1/datasets/{')),
      (spans) => spans.length === 4,
    );
    expect(new Set(told.map((span) => span.traceId)).size).toBe(4);
    expect(told.map((span) => span.parentSpanId ?? '')).toEqual(['', '', '', '']);
    expectNothingWritten();
  });

  it('of a trace that is not sampled is not told', async () => {
    const unsampled = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa';
    const sampled = 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb';
    for (const [trace, flags] of [
      [unsampled, '00'],
      [sampled, '01'],
    ]) {
      await fetch(`${service.url}/api/v1/capabilities`, {
        headers: { traceparent: `00-${trace}-b7ad6b7169203331-${flags}` },
      });
    }
    await eventually(
      () => collector.spans(),
      (spans) => spans.some((span) => span.traceId === sampled),
    );
    expect(collector.spans().some((span) => span.traceId === unsampled)).toBe(false);
  });
});

describe('a collector that is away', () => {
  it('costs nothing but its traces, is said once, and what is left is delivered at the end', async () => {
    const broken = await startCollector();
    broken.answer(400);
    const here = await mailing.start({ environment: { OTEL_EXPORTER_OTLP_ENDPOINT: broken.url } });
    const said = () => here.logged().match(/traces cannot be delivered/g)?.length ?? 0;
    expect((await fetch(`${here.url}/api/v1/capabilities`)).status).toBe(200);
    await eventually(said, (count) => count === 1);
    broken.answer(200);
    expect((await fetch(`${here.url}/api/v1/capabilities`)).status).toBe(200);
    await here.close();
    expect(broken.spans().map((span) => span.name)).toContain('GET /api/v1/capabilities');
    expect(said()).toBe(1);
    await broken.close();
  });
});
