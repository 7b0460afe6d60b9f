/** Puts an answer's tool calls together from their deltas, however the provider numbers them. */

import { ServiceError } from '../errors.ts';
import { nestsTooDeep } from '../runtime/json.ts';
import type { ModelSink, ModelToolCall } from './model.ts';
import { isJsonObject } from './model-messages.ts';

/** One tool-call delta; every field may be missing, whatever the protocol says. */
export interface ToolCallDelta {
  index?: number | null;
  id?: string | null;
  name?: string | null;
  args?: string | null;
}

interface OpenCall {
  index: number;
  providerId: string;
  name: string;
  argsText: string;
}

export interface ToolCallAssembly {
  add(delta: ToolCallDelta): void;
  readonly size: number;
  /** Length of all argument texts, in characters. */
  readonly length: number;
  /**
   * The calls in order of appearance. `whole: false` says that the answer was cut short: no arguments are given
   * then, even if they parse, for nothing tells which call the cut fell into.
   * Errors: `MODEL_STREAM_BROKEN` for a call without a name.
   */
  finish(whole: boolean): ModelToolCall[];
}

/** Assembles calls and tells the sink of each start and each piece of arguments at once. */
export function createToolCallAssembly(sink: ModelSink): ToolCallAssembly {
  const calls: OpenCall[] = [];
  const byProviderIndex = new Map<number, OpenCall>();

  function callFor(delta: ToolCallDelta): OpenCall {
    const known = typeof delta.index === 'number' ? byProviderIndex.get(delta.index) : calls.at(-1);
    const call = known === undefined || startsAnother(known, delta) ? open() : known;
    if (typeof delta.index === 'number') byProviderIndex.set(delta.index, call);
    return call;
  }

  function open(): OpenCall {
    const call = { index: calls.length, providerId: '', name: '', argsText: '' };
    calls.push(call);
    return call;
  }

  return {
    add(delta) {
      const call = callFor(delta);
      if (delta.id) call.providerId ||= delta.id;
      if (delta.name && call.name === '') {
        call.name = delta.name;
        sink.toolStart(call.index, call.providerId, call.name);
        if (call.argsText !== '') sink.toolArgs(call.index, call.argsText);
      }
      if (!delta.args) return;
      call.argsText += delta.args;
      if (call.name !== '') sink.toolArgs(call.index, delta.args);
    },
    get size() {
      return calls.length;
    },
    get length() {
      return calls.reduce((sum, call) => sum + call.argsText.length, 0);
    },
    finish(whole) {
      return calls.map((call) => {
        if (call.name === '') {
          throw new ServiceError(
            'MODEL_STREAM_BROKEN',
            'The model called a tool without naming it. Try again.',
          );
        }
        return { ...call, args: whole ? parseArguments(call.argsText) : null };
      });
    },
  };
}

/**
 * Whether a delta that points at a known call is in truth the first of another one: some providers number every
 * call 0, or not at all. Only a delta with a name can be a first one (others send a fresh id with every delta).
 */
function startsAnother(call: OpenCall, { id, name, args }: ToolCallDelta): boolean {
  if (!name || call.name === '') return false;
  if (id && call.providerId !== '' && id !== call.providerId) return true;
  if (name !== call.name) return true;
  // Nothing may follow a complete JSON object, so these arguments cannot be this call's.
  return Boolean(args) && call.argsText.trimEnd().endsWith('}') && parseArguments(call.argsText) !== null;
}

/** The arguments as an object, null if they are none. Empty text is how several providers say "no arguments". */
function parseArguments(text: string): Record<string, unknown> | null {
  if (text.trim() === '') return {};
  if (nestsTooDeep(text)) return null;
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}
