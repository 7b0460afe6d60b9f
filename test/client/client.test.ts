import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import { answerJson, startScriptedServer } from './scripted-server.ts';

describe('the client', () => {
  it('asks each thing by its method, path and body', async () => {
    await using server = await startScriptedServer(({ response }) =>
      answerJson(response, 200, { fine: true }),
    );
    const client = createClient({ baseUrl: `${server.baseUrl}/under/` });
    await client.cancel('t/1');
    await client.cancel('t', 'turn');
    await client.decide(
      't',
      'a',
      { decision: 'reject', args_hash: 'h', reason: 'no' },
      { idempotencyKey: 'k' },
    );
    await client.preview('t', 'a', { limit: 1 });
    await client.interrupt('t');
    await client.conversation('t');
    await client.conversation('t', 'a b');
    await client.conversations();
    await client.conversations({ limit: 5, search: 'x&y', archived: true, cursor: undefined });
    expect(await client.request('PATCH', '/api/v1/agent/conversations/t', { title: 'New' })).toEqual({
      fine: true,
    });
    const asked = server.asked.map(({ method, url, body }) => [
      method,
      url.replace('/under/api/v1/agent', ''),
      body,
    ]);
    expect(asked).toEqual([
      ['POST', '/conversations/t%2F1/cancel', {}],
      ['POST', '/conversations/t/cancel', { turn_id: 'turn' }],
      ['POST', '/conversations/t/approvals/a/decision', { decision: 'reject', args_hash: 'h', reason: 'no' }],
      ['POST', '/conversations/t/approvals/a/preview', { args: { limit: 1 } }],
      ['GET', '/conversations/t/interrupt', undefined],
      ['GET', '/conversations/t', undefined],
      ['GET', '/conversations/t?before_cursor=a+b', undefined],
      ['GET', '/conversations', undefined],
      ['GET', '/conversations?limit=5&search=x%26y&archived=true', undefined],
      ['PATCH', '/conversations/t', { title: 'New' }],
    ]);
    expect(server.asked[2]?.headers['idempotency-key']).toBe('k');
    expect(server.asked[4]?.headers).not.toHaveProperty('content-type');
  });

  it('answers null for an empty body and throws a refusal that is no JSON by its status', async () => {
    await using server = await startScriptedServer(({ url, response }) => {
      if (url === '/empty') response.writeHead(204).end();
      else response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>');
    });
    const client = createClient({ baseUrl: server.baseUrl });
    expect(await client.request('DELETE', '/empty')).toBeNull();
    await expect(client.request('GET', '/broken')).rejects.toMatchObject({
      status: 502,
      code: 'HTTP_502',
      message: 'The service answered 502.',
      body: '<h1>Bad gateway</h1>',
      retryAfter: null,
    });
  });

  it('refuses an address that is none', () => {
    expect(() => createClient({ baseUrl: 'nowhere' })).toThrow('Invalid URL');
  });

  it('runs in a browser: only chat.ts knows Node, and nothing is imported from the server', () => {
    const folder = new URL('../../src/client/', import.meta.url);
    const files = readdirSync(folder).filter((name) => name !== 'chat.ts');
    expect(files).toContain('client.ts');
    for (const name of files) {
      const source = readFileSync(new URL(name, folder), 'utf8');
      const imported = [...source.matchAll(/from '([^']+)'/g)].map((match) => match[1]);
      expect({
        name,
        imported: imported.filter((from) => !/^(\.\/|eventsource-parser$)/.test(from ?? '')),
      }).toEqual({
        name,
        imported: [],
      });
      expect({ name, usesNode: /\b(process|Buffer|require)[.(]/.test(source) }).toEqual({
        name,
        usesNode: false,
      });
    }
  });
});
