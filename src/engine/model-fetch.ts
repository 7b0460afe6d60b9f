/** Watches each attempt of a model request for silence, below the SDK that retries it. */

import { bodyOf } from './model-body.ts';

const LONGEST_ERROR_BODY = 64 * 1024;

/** Calls `expire` once after a time without a touch. */
export interface IdleTimer {
  start(): void;
  touch(): void;
  stop(): void;
}

export function createIdleTimer(milliseconds: number, expire: () => void): IdleTimer {
  let timer: NodeJS.Timeout | undefined;
  return {
    start() {
      clearTimeout(timer);
      timer = setTimeout(expire, milliseconds);
    },
    touch() {
      timer?.refresh();
    },
    stop() {
      clearTimeout(timer);
      timer = undefined;
    },
  };
}

/** What a request carries down to its fetch, by way of the SDK's `fetchOptions`. */
export interface WatchedOptions extends Omit<RequestInit, 'body' | 'headers' | 'method' | 'signal'> {
  idle?: IdleTimer;
}

/**
 * A fetch that runs the timer of its request while it waits for headers and while it reads the body of a refusal, and
 * leaves it running on a response that is going to stream. Between attempts it rests: waiting as long as `Retry-After`
 * asks is not silence. The body of a refusal is read here because the SDK reads it without any limit.
 */
export function createWatchedFetch(upstream: typeof fetch): typeof fetch {
  return async (input, init?: RequestInit & WatchedOptions) => {
    const idle = init?.idle;
    idle?.start();
    let streams = false;
    try {
      const response = await upstream(input, init);
      idle?.touch();
      streams = response.ok;
      return streams ? response : await readRefusal(response, idle);
    } finally {
      if (!streams) idle?.stop();
    }
  };
}

async function readRefusal(response: Response, idle: IdleTimer | undefined): Promise<Response> {
  const { status, statusText, headers } = response;
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    await bodyOf(response)?.read((piece) => {
      idle?.touch();
      chunks.push(piece);
      length += piece.length;
      return length < LONGEST_ERROR_BODY ? 'more' : 'enough';
    });
  } catch {
    // The status stands without its body.
  }
  return new Response(length === 0 ? null : Buffer.concat(chunks), { status, statusText, headers });
}
