/** A TCP proxy that a test puts before a server to break what lies between: delay, throttle, silence, cuts. */

import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface FaultProxy {
  port: number;
  /** `url` with this proxy in place of its host and port. */
  before(url: string): string;
  /** Milliseconds by which each chunk is late, in either direction. */
  delay(ms: number): void;
  /** Bytes a second that a connection passes on in either direction; null for as many as come. */
  throttle(bytesPerSecond: number | null): void;
  /** Nothing passes any more, and nobody is told: a network that is gone. New connections hang as well. */
  silence(): void;
  /** Nothing passes on the connections that there are, for ever and untold (half-open ones); new ones are well. */
  forget(): void;
  /** Resets every connection there is. */
  cut(): void;
  /**
   * The next connection whose client sends bytes that fit is reset as soon as the server has answered them: what was asked
   * is done, and nobody hears of it. Resolves when that has happened.
   */
  loseAnswer(fits: (chunk: Buffer) => boolean): Promise<void>;
  /** All is well again for new connections; those that were silenced are reset, as a network does that comes back. */
  heal(): void;
  close(): Promise<void>;
}

/** Starts a proxy on a free port of the loopback, before the server that `url` names. */
export async function startFaultProxy(url: string): Promise<FaultProxy> {
  const target = new URL(url);
  const pairs = new Set<[Socket, Socket]>();
  const forgotten = new WeakSet<Socket>();
  let lateBy = 0;
  let rate: number | null = null;
  let silent = false;
  let doomed: { fits(chunk: Buffer): boolean; done(): void } | null = null;

  const reset = (pair: [Socket, Socket]) => {
    pairs.delete(pair);
    for (const socket of pair) socket.resetAndDestroy();
  };

  function pass(from: Socket, to: Socket, look: (chunk: Buffer) => boolean): void {
    let ready = Promise.resolve();
    from.on('data', (chunk: Buffer) => {
      // A chunk that shall not arrive is not waited for either.
      if (silent || forgotten.has(from) || !look(chunk)) return;
      const wait = lateBy + (rate === null ? 0 : (chunk.length / rate) * 1000);
      if (wait === 0) {
        if (!to.write(chunk)) {
          from.pause();
          to.once('drain', () => from.resume());
        }
        return;
      }
      from.pause();
      ready = ready.then(async () => {
        await new Promise((resolve) => setTimeout(resolve, wait));
        if (!to.destroyed && !silent && !forgotten.has(from)) to.write(chunk);
        from.resume();
      });
    });
    from.on('end', () => void ready.then(() => to.end()));
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  }

  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    const pair: [Socket, Socket] = [client, upstream];
    pairs.add(pair);
    client.once('close', () => pairs.delete(pair));
    for (const socket of pair) socket.setNoDelay(true);
    let lost: (() => void) | null = null;
    pass(client, upstream, (chunk) => {
      if (doomed?.fits(chunk) === true) {
        lost = doomed.done;
        doomed = null;
      }
      return true;
    });
    pass(upstream, client, () => {
      if (lost === null) return true;
      reset(pair);
      lost();
      return false;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  return {
    port,
    before(other) {
      const changed = new URL(other);
      changed.hostname = '127.0.0.1';
      changed.port = String(port);
      return changed.href;
    },
    delay(ms) {
      lateBy = ms;
    },
    throttle(bytesPerSecond) {
      rate = bytesPerSecond;
    },
    silence() {
      silent = true;
    },
    forget() {
      for (const socket of [...pairs].flat()) forgotten.add(socket);
    },
    cut() {
      for (const pair of [...pairs]) reset(pair);
    },
    loseAnswer(fits) {
      const { promise, resolve } = Promise.withResolvers<void>();
      doomed = { fits, done: resolve };
      return promise;
    },
    heal() {
      const wasSilent = silent;
      silent = false;
      lateBy = 0;
      rate = null;
      doomed = null;
      if (wasSilent) for (const pair of [...pairs]) reset(pair);
    },
    async close() {
      for (const pair of [...pairs]) reset(pair);
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
