import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { withUpload } from '../../../src/resources/uploads/multipart.ts';

const FORM =
  '--x\r\ncontent-disposition: form-data; name="file"; filename="a.csv"\r\n\r\nEmail\nada@example.com\n\r\n--x--\r\n';

const server = createServer();
afterEach(() => {
  server.removeAllListeners('request');
  server.closeAllConnections();
  server.close();
});

/** Sends the start of a form, leaves, and tells how the reader of the request ended. */
async function leaveAfter(
  sent: string,
  read: (incoming: IncomingMessage) => Promise<unknown>,
): Promise<unknown> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const outcome = new Promise((resolve) => {
    server.on('request', (incoming) => {
      sending.destroy();
      resolve(read(incoming).catch((error: unknown) => error));
    });
  });
  const sending = request({
    port: (server.address() as AddressInfo).port,
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data; boundary=x', 'content-length': FORM.length },
  });
  sending.on('error', () => undefined);
  sending.write(sent);
  return outcome;
}

describe('a sender who leaves', () => {
  it.each([
    ['in the middle of the file', FORM.slice(0, -30)],
    ['before the file', FORM.slice(0, 20)],
  ])('%s ends the reading', async (_, sent) => {
    const outcome = await leaveAfter(sent, (incoming) => withUpload(incoming, async () => 'work was done'));
    expect(outcome).toMatchObject({ code: 'INVALID_UPLOAD' });
  });

  it.each([
    ['part of the form', FORM.slice(0, -30)],
    ['the whole form', FORM],
  ])('before the reading began, with %s sent, ends it too', async (_, sent) => {
    const outcome = await leaveAfter(sent, async (incoming) => {
      await once(incoming, 'close').catch(() => undefined);
      return withUpload(incoming, async () => 'work was done');
    });
    expect(outcome).toMatchObject({ code: 'INVALID_UPLOAD' });
  });
});
