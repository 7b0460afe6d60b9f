/** How long connections are kept on which nothing is asked. */

import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { createHttpServer } from '../../src/http/server.ts';
import { createLog } from '../../src/log.ts';

// Node answers with an empty 408 what is asked in the moment in which it minds that nothing was asked since the opening.
it('are dropped by clients, who are told when, before the server minds', async () => {
  const server = createHttpServer({
    routes: [],
    authenticate: () => Promise.reject(new Error('nobody is asked for')),
    rateLimit: { take: async () => ({}) },
    idempotency: {
      claim: async () => null,
      keep: async () => {},
      release: async () => {},
    },
    corsOrigins: [],
    newId: () => 'id',
    now: () => 0,
    log: createLog({ level: 'fatal', secrets: [], write: () => {} }),
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const { headers } = await fetch(`http://127.0.0.1:${port}/`);
  const told = Number(/timeout=(\d+)/.exec(headers.get('keep-alive') ?? '')?.[1]);
  expect(told).toBeGreaterThan(0);
  expect(server.headersTimeout).toBeGreaterThan(told * 1000);
  await new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
});
