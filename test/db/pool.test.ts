/** The socket below the database's connections. */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BatchingSocket } from '../../src/db/pool.ts';

describe('a connection to a server that says nothing any more', () => {
  let server: Server;
  /** Answers the first thing it hears, and nothing after that. */
  beforeAll(async () => {
    server = createServer((socket) => {
      socket.once('data', () => socket.write('yes'));
      socket.on('error', () => {});
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterAll(() => server.close());

  async function open(): Promise<BatchingSocket> {
    const socket = new BatchingSocket(200);
    socket.connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write('are you there?');
    await once(socket, 'data');
    socket.resume();
    return socket;
  }

  it.each([
    ['asked plainly', (socket: BatchingSocket) => void socket.write('and now?')],
    [
      'asked in a batch',
      (socket: BatchingSocket) => {
        socket.cork();
        socket.write('and ');
        socket.write('now?');
        socket.uncork();
      },
    ],
  ])('is broken off where it was %s', async (_how, ask) => {
    const socket = await open();
    ask(socket);
    const [error] = await once(socket, 'error').catch((thrown: unknown) => [thrown]);
    expect(error).toMatchObject({ code: 'ETIMEDOUT' });
    expect(socket.destroyed).toBe(true);
  });

  it('is kept where it was answered and is only idle', async () => {
    const socket = await open();
    await once(socket, 'timeout');
    expect(socket.destroyed).toBe(false);
    socket.destroy();
  });
});
