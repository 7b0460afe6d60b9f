/** A `fetch` that hands on what passes through it: for tests that look at the wire under a stock client. */

export interface Tap {
  fetch: typeof globalThis.fetch;
  /** The JSON bodies that were sent. */
  sent: unknown[];
  /** `METHOD path` of each request. */
  requests: string[];
  /** The data of every event stream's frames, in order, as they came: JSON, or text that is none. */
  frames: unknown[];
  /** Resolves with the first frame that fits. */
  frame(fits: (frame: unknown) => boolean): Promise<unknown>;
  /** Breaks every connection that is open, as a network that goes away does. */
  cut(): void;
}

/** As it was before a test put a tap in its place. */
const plainFetch = globalThis.fetch;

export function createTap(): Tap {
  const sent: unknown[] = [];
  const requests: string[] = [];
  const frames: unknown[] = [];
  const waiting = new Set<() => void>();
  const open = new Set<AbortController>();

  /** Reads along, frame by frame. */
  function along(done: () => void): TransformStream<Uint8Array, Uint8Array> {
    const decoder = new TextDecoder();
    let rest = '';
    return new TransformStream({
      transform(chunk, controller) {
        controller.enqueue(chunk);
        rest += decoder.decode(chunk, { stream: true });
        const blocks = rest.split('\n\n');
        rest = blocks.pop() ?? '';
        for (const block of blocks) {
          const lines = block
            .split('\n')
            .flatMap((line) => (line.startsWith('data: ') ? [line.slice(6)] : []));
          if (lines.length > 0) frames.push(parse(lines.join('\n')));
        }
        for (const look of [...waiting]) look();
      },
      flush: done,
    });
  }

  return {
    sent,
    requests,
    frames,
    async fetch(input, init) {
      const url = new URL(input instanceof Request ? input.url : String(input));
      requests.push(`${init?.method ?? 'GET'} ${url.pathname}${url.search}`);
      if (typeof init?.body === 'string') sent.push(JSON.parse(init.body));
      const breaker = new AbortController();
      const signals = [breaker.signal, ...(init?.signal == null ? [] : [init.signal])];
      const response = await plainFetch(input, { ...init, signal: AbortSignal.any(signals) });
      const type = response.headers.get('content-type') ?? '';
      if (!type.startsWith('text/event-stream') || response.body === null) return response;
      open.add(breaker);
      const body = response.body.pipeThrough(along(() => open.delete(breaker)));
      return new Response(body, { status: response.status, headers: response.headers });
    },
    frame(fits) {
      return new Promise((resolve) => {
        let seen = 0;
        const look = () => {
          for (; seen < frames.length; seen += 1) {
            if (!fits(frames[seen])) continue;
            waiting.delete(look);
            resolve(frames[seen]);
            return;
          }
        };
        waiting.add(look);
        look();
      });
    },
    cut() {
      for (const breaker of open) breaker.abort(new TypeError('fetch failed: the network went away'));
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
