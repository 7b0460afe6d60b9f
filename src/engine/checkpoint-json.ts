/** Checkpoints as plain JSON: what goes in comes out as data, and nothing read is ever made into a class again. */

import type { SerializerProtocol } from '@langchain/langgraph-checkpoint';

/**
 * The JSON text of a value, fit for PostgreSQL's `jsonb`.
 *
 * A `Send` is written by its own `toJSON` (LangGraph makes one again from `node` and `args`); a property that is
 * `undefined` is left out. NUL and lone surrogates, which a model or a tool may produce and `jsonb` refuses, become U+FFFD.
 */
export function toJson(value: unknown): string {
  const json = JSON.stringify(value) ?? 'null';
  // Stringify writes \u only for control characters and lone surrogates, so most texts pay for one search.
  if (!json.includes('\\u')) return json;
  return json.replace(/\\(?:\\|u(?:0000|d[89a-f][0-9a-f]{2}))/g, (found) =>
    found === '\\\\' ? found : '\\ufffd',
  );
}

/** The serializer a checkpointer shows to LangGraph: `toJson` one way, `JSON.parse` the other, no revival of `lc` records. */
export const plainSerializer: SerializerProtocol = {
  async dumpsTyped(value: unknown): Promise<[string, Uint8Array]> {
    if (value === undefined) return ['undefined', new Uint8Array()];
    return ['json', new TextEncoder().encode(toJson(value))];
  },
  async loadsTyped(type: string, data: Uint8Array | string): Promise<unknown> {
    if (type === 'undefined') return undefined;
    if (type !== 'json') throw new Error(`A checkpoint holds a value of the unknown type ${type}.`);
    return JSON.parse(typeof data === 'string' ? data : new TextDecoder().decode(data));
  },
};
