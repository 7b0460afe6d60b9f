/** Event streams as they come over a socket, frame by frame, for tests that look at what is on the wire. */

import type { JournalEvent } from '../../src/client/events.ts';

/** What stands between two empty lines. */
export interface Frame {
  raw: string;
  id: string | null;
  event: string | null;
  /** Of each `data:` line. */
  data: string[];
  retry: string | null;
  comment: string | null;
}

export interface OpenStream {
  status: number;
  headers: Headers;
  /** All that came so far. */
  frames: Frame[];
  /** The events among them. */
  events(): JournalEvent[];
  /** The first event of this type (and that fits), as soon as it has come; rejects where the stream ends without it. */
  event<Type extends JournalEvent['type']>(
    type: Type,
    fits?: (event: Extract<JournalEvent, { type: Type }>) => boolean,
  ): Promise<Extract<JournalEvent, { type: Type }>>;
  /** The first frame that fits, as soon as it has come. */
  frame(fits: (frame: Frame) => boolean): Promise<Frame>;
  /** Resolves when the body came to its proper end; rejects where the connection broke. */
  ended: Promise<void>;
  /** Leaves, as a closed tab does. */
  close(): void;
}

export interface OpenOptions {
  method?: string;
  headers?: Record<string, string>;
  body?: unknown;
}

/** Asks for a stream; resolves when the headers have come. */
export async function openStream(
  url: string,
  { method, headers = {}, body }: OpenOptions = {},
): Promise<OpenStream> {
  const leave = new AbortController();
  const response = await fetch(url, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: {
      accept: 'text/event-stream',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: leave.signal,
  });
  // The response itself is not held: who follows a stream holds what comes of it.
  const { status } = response;
  const frames: Frame[] = [];
  const waiting = new Set<() => void>();
  let over = false;
  /** Why the body did not come to its proper end. */
  let broken = '';
  const ended = read(response, (frame) => {
    frames.push(frame);
    for (const look of [...waiting]) look();
  })
    .catch((error: unknown) => {
      broken = ` (broken off: ${error instanceof Error ? [error.message, error.cause].join(' ') : String(error)})`;
      throw error;
    })
    .finally(() => {
      over = true;
      for (const look of [...waiting]) look();
    });
  ended.catch(() => undefined);

  function frame(fits: (frame: Frame) => boolean): Promise<Frame> {
    return new Promise((resolve, reject) => {
      let seen = 0;
      const look = () => {
        for (; seen < frames.length; seen += 1) {
          const found = frames[seen];
          if (found === undefined || !fits(found)) continue;
          waiting.delete(look);
          resolve(found);
          return;
        }
        if (!over) return;
        waiting.delete(look);
        reject(
          new Error(
            `the stream of status ${status} ended before what was waited for${broken}; it told:\n${tail(frames)}`,
          ),
        );
      };
      waiting.add(look);
      look();
    });
  }

  return {
    status,
    headers: response.headers,
    frames,
    events: () => frames.flatMap((one) => (isEvent(one) ? [toEvent(one)] : [])),
    frame,
    async event(type, fits = () => true) {
      const found = await frame((one) => isEvent(one) && one.event === type && fits(toEvent(one) as never));
      return toEvent(found) as never;
    },
    ended,
    close: () => leave.abort(),
  };
}

async function read(response: Response, take: (frame: Frame) => void): Promise<void> {
  if (response.body === null) return;
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  for await (const chunk of response.body) {
    rest += decoder.decode(chunk, { stream: true });
    const blocks = rest.split('\n\n');
    rest = blocks.pop() ?? '';
    for (const raw of blocks) take(parse(raw));
  }
  if (rest !== '') throw new Error(`the body ended inside a frame: ${rest}`);
}

function parse(raw: string): Frame {
  const frame: Frame = { raw, id: null, event: null, data: [], retry: null, comment: null };
  for (const line of raw.split('\n')) {
    const [, field = '', value = ''] = /^([a-z]*): ?(.*)$/s.exec(line) ?? [];
    if (line.startsWith(':')) frame.comment = line.slice(1).trim();
    else if (field === 'id') frame.id = value;
    else if (field === 'event') frame.event = value;
    else if (field === 'data') frame.data.push(value);
    else if (field === 'retry') frame.retry = value;
    else throw new Error(`a line that no event stream has: ${JSON.stringify(line)}`);
  }
  return frame;
}

function isEvent(frame: Frame): boolean {
  return frame.data.length > 0 && frame.id !== null;
}

function toEvent(frame: Frame): JournalEvent {
  return {
    seq: Number(frame.id),
    type: frame.event,
    data: JSON.parse(frame.data.join('\n')),
  } as JournalEvent;
}

function tail(frames: readonly Frame[]): string {
  return frames
    .slice(-12)
    .map((frame) => frame.raw.slice(0, 300))
    .join('\n\n');
}
