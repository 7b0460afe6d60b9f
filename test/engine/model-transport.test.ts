/** How the model's requests travel: kept connections, what becomes of broken ones, and TLS. */

import { createServer, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createModel, type ModelSink } from '../../src/engine/model.ts';
import { ServiceError } from '../../src/errors.ts';
import { CERTIFICATE, CERTIFICATE_KEY } from '../support/certificate.ts';
import { createScriptedModel, deltaEvent, type ScriptedModel } from '../support/scripted-model.ts';

let provider: ScriptedModel;
const servers: Server[] = [];

beforeEach(async () => {
  provider = await createScriptedModel();
});

afterEach(async () => {
  await provider.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

function modelAt(baseUrl: string, { maxRetries = 0, idleTimeoutMs = 20_000 } = {}) {
  const model = createModel({
    apiKey: 'sk-transport',
    baseUrl,
    model: 'gpt-4o-mini',
    idleTimeoutMs,
    maxRetries,
  });
  return {
    call: (told: Partial<ModelSink> = {}, signal = new AbortController().signal, name?: string) =>
      model.call({
        messages: [{ role: 'user', content: 'Hello' }],
        tools: [],
        sink: { text() {}, reasoning() {}, toolStart() {}, toolArgs() {}, ...told },
        signal,
        model: name,
      }),
  };
}

/** The error a call ends with. */
async function failure(call: Promise<unknown>): Promise<ServiceError> {
  const error: unknown = await call.then(
    () => new Error('The call succeeded.'),
    (reason: unknown) => reason,
  );
  if (error instanceof ServiceError) return error;
  throw error;
}

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return (server.address() as AddressInfo).port;
}

describe('connections', () => {
  it('are kept from call to call, for all model names', async () => {
    provider.otherwise('Hi');
    const model = modelAt(provider.url);
    await model.call();
    await model.call();
    await model.call({}, undefined, 'another-model');
    const ports = new Set(provider.calls.map((call) => call.clientPort));
    expect(provider.calls).toHaveLength(3);
    expect(ports.size).toBe(1);
  });

  it('that died while nobody used them are replaced at once, though nothing is to be tried again', async () => {
    provider.script('One.', { noResponse: 'reset' }, 'Two.');
    const model = modelAt(provider.url);
    await model.call();
    expect((await model.call()).content).toBe('Two.');
    const [first, dead, second] = provider.calls.map((call) => call.clientPort);
    expect(dead).toBe(first);
    expect(second).not.toBe(first);
  });

  it('that are new and die are an error: only the settings say how often a request is sent again', async () => {
    provider.otherwise({ noResponse: 'reset' });
    expect((await failure(modelAt(provider.url).call())).code).toBe('MODEL_UNAVAILABLE');
    expect(provider.calls).toHaveLength(1);
  });

  it('that die in the middle of an answer are not replaced: nothing is told twice', async () => {
    const gate = Promise.withResolvers<void>();
    provider.script('One.', { text: ['Hel', gate.promise], fault: 'reset' }, 'Two.');
    const model = modelAt(provider.url, { maxRetries: 2 });
    await model.call();
    const error = await failure(model.call({ text: () => gate.resolve() }));
    expect(error.code).toBe('MODEL_STREAM_BROKEN');
    expect(provider.calls).toHaveLength(2);
  });

  it('are closed by an abort, whoever else uses the same model', async () => {
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    provider.script({ text: ['Hel', gate.promise, 'lo'] }, { text: 'Hel', fault: 'hold' });
    const model = modelAt(provider.url);
    const other = model.call();
    await provider.called(1);
    const controller = new AbortController();
    const call = model.call({ text: () => begun.resolve() }, controller.signal);
    call.catch(() => undefined);
    await begun.promise;
    controller.abort(new Error('Cancelled.'));
    await expect(call).rejects.toThrow('Cancelled.');
    expect(await provider.calls[1]?.ended).toBe('client-closed');
    gate.resolve();
    expect((await other).content).toBe('Hello');
  });

  it('on which no head of an answer ever comes are given up after the idle time', async () => {
    provider.script('One.', { noResponse: 'hold' });
    const model = modelAt(provider.url, { idleTimeoutMs: 300, maxRetries: 2 });
    await model.call();
    expect((await failure(model.call())).code).toBe('MODEL_TIMEOUT');
    expect(await provider.calls[1]?.ended).toBe('client-closed');
  });
});

describe('an answer', () => {
  it('that redirects is not followed: nobody else gets the key', async () => {
    const asked: unknown[] = [];
    const elsewhere = await listen(
      createServer((request, response) => {
        asked.push(request.headers);
        response.end();
      }),
    );
    const port = await listen(
      createServer((request, response) => {
        request.resume();
        response.writeHead(307, { location: `http://127.0.0.1:${elsewhere}/v1/chat/completions` }).end();
      }),
    );
    const error = await failure(modelAt(`http://127.0.0.1:${port}/v1`, { maxRetries: 2 }).call());
    expect(error).toMatchObject({ code: 'MODEL_UNAVAILABLE', retryable: false });
    expect(error.message).toContain('OPENAI_BASE_URL');
    expect(asked).toEqual([]);
  });

  it('that comes compressed, though nobody asked for it, is read', async () => {
    const asked: unknown[] = [];
    const port = await listen(
      createServer((request, response) => {
        asked.push(request.headers['accept-encoding']);
        request.resume();
        response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' });
        response.end(gzipSync(`${deltaEvent({ content: 'Grüezi' }, 'stop')}data: [DONE]\n\n`));
      }),
    );
    expect((await modelAt(`http://127.0.0.1:${port}/v1`).call()).content).toBe('Grüezi');
    expect(asked).toEqual(['identity']);
  });

  it('without measure is given up, and its connection closed', async () => {
    const piece = deltaEvent({ content: 'x'.repeat(512 * 1024) });
    const closed = Promise.withResolvers<void>();
    const port = await listen(
      createServer((request, response) => {
        request.resume();
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.once('close', closed.resolve);
        const say = () => {
          while (!response.destroyed && response.write(piece));
          response.once('drain', say);
        };
        say();
      }),
    );
    const error = await failure(modelAt(`http://127.0.0.1:${port}/v1`).call());
    expect(error.code).toBe('MODEL_STREAM_BROKEN');
    expect(error.message).toContain('8 Mi');
    await closed.promise;
  });

  it('with a status that HTTP does not know is an unreachable provider', async () => {
    const port = await listen(
      createServer((request, response) => {
        request.resume();
        response.writeHead(999).end();
      }),
    );
    expect((await failure(modelAt(`http://127.0.0.1:${port}/v1`).call())).code).toBe('MODEL_UNAVAILABLE');
  });
});

describe('TLS', () => {
  async function secureProvider(): Promise<{ url: string; connections(): number }> {
    const ports = new Set<number | undefined>();
    const server = createSecureServer({ cert: CERTIFICATE, key: CERTIFICATE_KEY }, (request, response) => {
      ports.add(request.socket.remotePort);
      request.resume();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(`${deltaEvent({ content: 'Sealed.' }, 'stop')}data: [DONE]\n\n`);
    });
    return { url: `https://127.0.0.1:${await listen(server)}/v1`, connections: () => ports.size };
  }

  it('to a certificate that nobody vouches for is refused, and says so', async () => {
    const { url, connections } = await secureProvider();
    const error = await failure(modelAt(url).call());
    expect(error.code).toBe('MODEL_UNAVAILABLE');
    expect(error.message).toContain('DEPTH_ZERO_SELF_SIGNED_CERT');
    expect(error.message).toContain('NODE_EXTRA_CA_CERTS');
    expect(connections()).toBe(0);
  });

  it('to a trusted certificate serves one call after the other on one connection', async () => {
    const trusted = getCACertificates('default');
    setDefaultCACertificates([...trusted, CERTIFICATE]);
    try {
      const { url, connections } = await secureProvider();
      const model = modelAt(url);
      expect((await model.call()).content).toBe('Sealed.');
      expect((await model.call()).content).toBe('Sealed.');
      expect(connections()).toBe(1);
    } finally {
      setDefaultCACertificates(trusted);
    }
  });

  it('to a server that speaks plain HTTP says which letter is wrong', async () => {
    const error = await failure(modelAt(provider.url.replace('http:', 'https:')).call());
    expect(error.code).toBe('MODEL_UNAVAILABLE');
    expect(error.message).toContain('https://');
  });
});
