/** Session tokens: what is not signed for this service, by its issuer, for now, is nobody's, and all are told the same. */

import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { personOf, send } from '../support/people.ts';
import { JWT_SECRET, type ServiceHere } from '../support/service.ts';
import { openStage, type Stage } from '../support/stage.ts';

const ME = '/api/v1/auth/me';
const ISSUER = 'https://issuer.example/';
const AUDIENCE = 'overture';
const WORKSPACE = '019a0000-0000-7000-8000-00000000000a';
const SECRET = new TextEncoder().encode(JWT_SECRET);
const MINUTE = 60;

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ AUTH_MODE: 'jwt', JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE });
});
afterAll(() => stage.close());
afterEach(() => {
  vi.useRealTimers();
});

const now = () => Math.floor(Date.now() / 1000);

/** The claims of a good token, with changes; undefined takes a claim out. */
function claimsWith(changes: Record<string, unknown> = {}): Record<string, unknown> {
  const claims = {
    sub: 'ada',
    iss: ISSUER,
    aud: AUDIENCE,
    exp: now() + 60 * MINUTE,
    app_metadata: { workspace_id: WORKSPACE },
    ...changes,
  };
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
}

/** A token made by hand, so that it may be wrong in every way. */
function handmade(
  header: Record<string, unknown>,
  claims: unknown,
  key: Uint8Array | string = SECRET,
  hash = 'sha256',
): string {
  const [head, body] = [header, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  const signature = createHmac(hash, key).update(`${head}.${body}`).digest('base64url');
  return `${head}.${body}.${signature}`;
}

const hs256 = (claims: unknown, key?: Uint8Array) => handmade({ alg: 'HS256' }, claims, key);

function withoutSignature(token: string): string {
  return token.slice(0, token.lastIndexOf('.') + 1);
}

describe('a shared secret', () => {
  let service: ServiceHere;
  beforeAll(async () => {
    service = await stage.start({ environment: { JWT_SECRET } });
  });

  it('lets in who it has signed for, and for nobody else', async () => {
    const answer = await personOf(service.url, hs256(claimsWith())).ask('GET', ME);
    expect(answer).toMatchObject({
      status: 200,
      json: { user_id: 'ada', app_metadata: { workspace_id: WORKSPACE, kind: 'person', plan: 'free' } },
    });
    const own = await personOf(service.url, hs256(claimsWith({ app_metadata: undefined }))).get(ME);
    const other = await personOf(service.url, hs256(claimsWith({ app_metadata: undefined, sub: 'eve' }))).get(
      ME,
    );
    expect(own.app_metadata).not.toEqual(other.app_metadata);
  });

  it('refuses every other token with one and the same body', async () => {
    const good = hs256(claimsWith());
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const rs256 = await new SignJWT(claimsWith()).setProtectedHeader({ alg: 'RS256' }).sign(privateKey);
    const embedded = await new SignJWT(claimsWith())
      .setProtectedHeader({ alg: 'RS256', jwk: await exportJWK(publicKey) })
      .sign(privateKey);
    const tokens: Record<string, string> = {
      garbage: 'garbage',
      'three dots': '...',
      'not base64': 'ä.ö.ü',
      'five parts': `${good}.x.y`,
      'another secret': hs256(claimsWith(), new TextEncoder().encode('x'.repeat(32))),
      'an empty secret': handmade({ alg: 'HS256' }, claimsWith(), ''),
      'no algorithm, unsigned': withoutSignature(handmade({ alg: 'none' }, claimsWith())),
      'no algorithm, signed': handmade({ alg: 'none' }, claimsWith()),
      'None, unsigned': withoutSignature(handmade({ alg: 'None' }, claimsWith())),
      'HS256, unsigned': withoutSignature(good),
      HS512: handmade({ alg: 'HS512' }, claimsWith(), SECRET, 'sha512'),
      RS256: rs256,
      'a key of its own': embedded,
      'a header that must be understood': handmade({ alg: 'HS256', crit: ['x'], x: 1 }, claimsWith()),
      'a changed body': `${good.split('.')[0]}.${Buffer.from(JSON.stringify(claimsWith({ sub: 'eve' }))).toString('base64url')}.${good.split('.')[2]}`,
      'no subject': hs256(claimsWith({ sub: undefined })),
      'an empty subject': hs256(claimsWith({ sub: '' })),
      'a number for a subject': hs256(claimsWith({ sub: 7 })),
      'a long subject': hs256(claimsWith({ sub: 'x'.repeat(256) })),
      'a subject that cannot be stored': hs256(claimsWith({ sub: 'a\0b' })),
      'no end': hs256(claimsWith({ exp: undefined })),
      'an end in words': hs256(claimsWith({ exp: 'tomorrow' })),
      'not yet': hs256(claimsWith({ nbf: now() + 10 * MINUTE })),
      'another issuer': hs256(claimsWith({ iss: 'https://evil.example/' })),
      'no issuer': hs256(claimsWith({ iss: undefined })),
      'another audience': hs256(claimsWith({ aud: 'elsewhere' })),
      'no audience': hs256(claimsWith({ aud: undefined })),
      'a workspace that is no id': hs256(claimsWith({ app_metadata: { workspace_id: "x' or 1=1" } })),
      'a workspace that is a list': hs256(claimsWith({ app_metadata: { workspace_id: [WORKSPACE] } })),
      'a list for claims': hs256([claimsWith()]),
      'null for claims': hs256(null),
      'half an API key': 'bav_live_abc',
      'an API key that nobody made': `bav_live_${'x'.repeat(43)}`,
      'a key of a third kind': `bav_root_${'x'.repeat(43)}`,
      'key and token in one': `bav_live_${good}`,
    };
    const bodies = new Map<string, string[]>();
    for (const [what, token] of Object.entries(tokens)) {
      const answer = await personOf(service.url, encodeURI(token)).ask('GET', ME);
      const { request_id: _id, ...body } = answer.json ?? {};
      const told = JSON.stringify([answer.status, body, answer.headers.get('www-authenticate')]);
      bodies.set(told, [...(bodies.get(told) ?? []), what]);
    }
    for (const authorization of [
      undefined,
      '',
      'Bearer',
      'Basic YTpi',
      `Token ${good}`,
      `Bearer ${good} x`,
    ]) {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      const answer = await send(service.url, 'GET', ME, { headers });
      const { request_id: _id, ...body } = answer.json ?? {};
      const told = JSON.stringify([answer.status, body, answer.headers.get('www-authenticate')]);
      bodies.set(told, [...(bodies.get(told) ?? []), String(authorization)]);
    }
    expect([...bodies.keys()]).toEqual([expect.stringMatching(/^\[401,\{"detail":"UNAUTHORIZED"/)]);
  });

  it('says of a token that was good that it has ended, after half a minute of grace', async () => {
    const ask = (claims: Record<string, unknown>) =>
      personOf(service.url, hs256(claimsWith(claims))).ask('GET', ME);
    expect((await ask({ exp: now() - 20 })).status).toBe(200);
    const ended = await ask({ exp: now() - 40 });
    expect(ended).toMatchObject({ status: 401, json: { detail: 'UNAUTHORIZED', message: /expired/ } });
    expect(ended.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"');
  });

  it('takes a token from its header only', async () => {
    const good = hs256(claimsWith());
    for (const name of ['access_token', 'token', 'authorization', 'jwt', 'api_key']) {
      expect((await send(service.url, 'GET', `${ME}?${name}=${good}`, {})).status).toBe(401);
      expect((await send(service.url, 'GET', ME, { headers: { cookie: `${name}=${good}` } })).status).toBe(
        401,
      );
    }
    for (const name of ['x-api-key', 'x-access-token', 'proxy-authorization']) {
      expect((await send(service.url, 'GET', ME, { headers: { [name]: `Bearer ${good}` } })).status).toBe(
        401,
      );
    }
  });

  it('is asked for by every route that is not public', async () => {
    for (const route of service.app.routes) {
      if (route.access === 'public') continue;
      const path = route.path.replaceAll(/\{\w+\}/g, WORKSPACE);
      const answer = await send(service.url, route.method, path, {});
      expect({ operation: route.operation, status: answer.status }).toEqual({
        operation: route.operation,
        status: 401,
      });
    }
    const open = service.app.routes.filter((route) => route.access === 'public').map((route) => route.path);
    expect(open.filter((path) => !PUBLIC.some((pattern) => pattern.test(path)))).toEqual([]);
  });

  it('ends the streams of a session with the session', async () => {
    let checks: (() => void)[] = [];
    let ahead = 0;
    const clocked = await stage.start({
      environment: { JWT_SECRET },
      clock: {
        now: () => Date.now() + ahead,
        after(ms, callback) {
          if (ms === 60_000) checks.push(callback);
          const timer = ms === 60_000 ? undefined : setTimeout(callback, ms);
          timer?.unref();
          return () => clearTimeout(timer);
        },
      },
    });
    const person = personOf(clocked.url, hs256(claimsWith({ exp: now() + 5 * MINUTE })));
    const { thread_id } = await person.post('/api/v1/agent/conversations', {});
    const paths = [`/api/v1/agent/conversations/${thread_id}/stream`, '/api/v1/agent/stream'];
    const streams = await Promise.all(
      paths.map((path) =>
        fetch(`${clocked.url}${path}`, { headers: { authorization: `Bearer ${person.token}` } }),
      ),
    );
    const ends = Promise.all(streams.map((stream) => stream.text()));
    expect(checks).toHaveLength(2);
    ahead = 4 * MINUTE * 1000;
    const due = checks;
    checks = [];
    for (const check of due) check();
    // Both hold still, and will be looked at again.
    await expect.poll(() => checks.length).toBe(2);
    ahead = 6 * MINUTE * 1000;
    for (const check of checks) check();
    expect(await ends).toHaveLength(2);
  });
});

/** What may be read by anyone: the service's state, its description, and its page. */
const PUBLIC = [
  /^\/health$/,
  /^\/api\/v1\/(api\/v1\/)?(health|ready|status)$/,
  /^\/(openapi\.json|docs|llms\.txt)$/,
  /^\/(|approvals|t\/\{place\}|assets\/\{file\}|embed\.js)$/,
  // Who has the link may stop the mails; the link is signed.
  /^\/unsubscribe\/\{token\}$/,
];

describe('a JWKS address', () => {
  /** A key that the address tells of by `kid`. */
  function makeKey(kid: string) {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return {
      publicKey,
      jwk: async () => ({ ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }),
      sign: (claims: Record<string, unknown> = claimsWith(), name = kid) =>
        new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: name }).sign(privateKey),
    };
  }

  async function startIssuer() {
    const issuer = { keys: [] as object[], asked: 0, broken: false, url: '' };
    const server = createServer((_request, response) => {
      issuer.asked += 1;
      response.writeHead(issuer.broken ? 500 : 200, { 'content-type': 'application/json' });
      response.end(issuer.broken ? 'sorry' : JSON.stringify({ keys: issuer.keys }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    issuer.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
    return Object.assign(issuer, {
      [Symbol.asyncDispose]: async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    });
  }

  const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();

  it('lets in by its keys, and by no key or secret that a token brings along', async () => {
    await using issuer = await startIssuer();
    const [real, forged] = [makeKey('one'), makeKey('one')];
    issuer.keys = [await real.jwk()];
    const service = await stage.start({ environment: { JWT_JWKS_URL: issuer.url } });
    const status = async (token: string) => (await personOf(service.url, token).ask('GET', ME)).status;
    expect(await status(await real.sign())).toBe(200);
    expect(await status(await forged.sign())).toBe(401);
    // The public key is no secret, so it must not serve as one.
    const jwk = await real.jwk();
    for (const key of [pem(real.publicKey), JSON.stringify(jwk), String(jwk.x)]) {
      expect(await status(handmade({ alg: 'HS256', kid: 'one' }, claimsWith(), key))).toBe(401);
    }
    for (const header of [
      { alg: 'HS256', kid: 'one' },
      { alg: 'HS256', kid: 'one', jku: issuer.url },
      { alg: 'none', kid: 'one' },
      { alg: 'ES256', kid: 'one', jku: 'http://169.254.169.254/' },
      { alg: 'ES256', kid: '../../etc/passwd' },
    ]) {
      expect(await status(handmade(header, claimsWith()))).toBe(401);
    }
    expect(await status(await real.sign(claimsWith({ aud: 'elsewhere' })))).toBe(401);
    expect(await status(await real.sign(claimsWith({ exp: now() - 10 * MINUTE })))).toBe(401);
  });

  it('may change its keys, and is not asked again for every unknown key', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    await using issuer = await startIssuer();
    const [first, second] = [makeKey('first'), makeKey('second')];
    issuer.keys = [await first.jwk()];
    const service = await stage.start({ environment: { JWT_JWKS_URL: issuer.url } });
    const status = async (token: string) => (await personOf(service.url, token).ask('GET', ME)).status;
    const opened = await Promise.all(Array.from({ length: 10 }, async () => status(await first.sign())));
    expect(new Set(opened)).toEqual(new Set([200]));
    expect(issuer.asked).toBe(1);

    issuer.keys = [await second.jwk()];
    vi.setSystemTime(Date.now() + 31_000);
    const [renewed] = await Promise.all([
      second.sign().then(status),
      ...Array.from({ length: 20 }, async (_, index) =>
        status(await first.sign(claimsWith(), `guess-${index}`)),
      ),
    ]);
    expect(renewed).toBe(200);
    expect(issuer.asked).toBe(2);
    expect(await status(await first.sign())).toBe(401);
    expect(issuer.asked).toBe(2);
  });

  it('that is down keeps out nobody whose key was seen, and is said to be down to others', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    await using issuer = await startIssuer();
    issuer.broken = true;
    const key = makeKey('only');
    issuer.keys = [await key.jwk()];
    const service = await stage.start({ environment: { JWT_JWKS_URL: issuer.url } });
    const ask = async () => personOf(service.url, await key.sign()).ask('GET', ME);
    const down = await ask();
    expect(down).toMatchObject({ status: 503, json: { detail: 'SIGN_IN_UNAVAILABLE' } });
    expect(down.headers.get('retry-after')).toBe('2');
    expect((await ask()).status).toBe(503);
    expect(issuer.asked).toBe(1);

    issuer.broken = false;
    vi.setSystemTime(Date.now() + 3_000);
    expect((await ask()).status).toBe(200);
    issuer.broken = true;
    vi.setSystemTime(Date.now() + 20 * MINUTE * 1000);
    expect((await ask()).status).toBe(200);
    expect((await ask()).status).toBe(200);
    expect(issuer.asked).toBe(3);
  });
});
