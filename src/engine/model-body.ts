/** The body of a model's answer, read piece by piece: from a connection of ours, or from any fetch's stream. */

import type { Readable } from 'node:stream';
import { StreamedResponse } from './model-transport.ts';

/** How long a finished answer may take to end before its connection is closed instead of used again. */
const DRAIN_MS = 1000;

export interface AnswerBody {
  /**
   * Hands over each piece, once, until `take` says that it is enough (the rest is let go by) or the body ends. What `take`
   * throws passes through; a connection that breaks, or was closed here, rejects with `LostBody`.
   */
  read(take: (piece: Uint8Array) => 'more' | 'enough'): Promise<void>;
  /** Gives the answer up and closes its connection. */
  close(): void;
}

/** The body broke off; `cause` says how. */
export class LostBody extends Error {}

/** The body of a response; null where it has none. */
export function bodyOf(response: Response): AnswerBody | null {
  if (response instanceof StreamedResponse) return createPushedBody(response.pieces);
  return response.body === null ? null : createStreamBody(response.body);
}

/** Pushed, so that a piece costs neither a promise nor a turn of the loop. */
function createPushedBody(pieces: Readable): AnswerBody {
  return {
    read(take) {
      return new Promise((resolve, reject) => {
        let enough = false;
        pieces.on('data', (piece: Uint8Array) => {
          if (enough) return;
          try {
            if (take(piece) === 'more') return;
          } catch (error) {
            reject(error);
            pieces.destroy();
            return;
          }
          enough = true;
          resolve();
          const close = setTimeout(() => pieces.destroy(), DRAIN_MS);
          close.unref();
          pieces.once('end', () => clearTimeout(close));
        });
        pieces.once('end', resolve);
        pieces.on('error', (cause) => reject(new LostBody('the body broke off', { cause })));
        pieces.once('close', () => reject(new LostBody('the body was closed')));
      });
    },
    close: () => void pieces.destroy(),
  };
}

function createStreamBody(stream: ReadableStream<Uint8Array>): AnswerBody {
  const reader = stream.getReader();
  const close = () => void reader.cancel().catch(() => undefined);
  /** Lets what is left go by, so that the connection can serve the next call. */
  async function drain(): Promise<void> {
    const timer = setTimeout(close, DRAIN_MS);
    timer.unref();
    try {
      while (!(await reader.read()).done);
    } catch {
      // The answer is complete; how its connection ends no longer matters.
    } finally {
      clearTimeout(timer);
    }
  }
  let closed = false;
  return {
    async read(take) {
      for (;;) {
        const piece = await reader.read().catch((cause: unknown) => {
          throw new LostBody('the body broke off', { cause });
        });
        if (closed) throw new LostBody('the body was closed');
        if (piece.done) return;
        if (take(piece.value) === 'more') continue;
        void drain();
        return;
      }
    },
    close() {
      closed = true;
      close();
    },
  };
}
