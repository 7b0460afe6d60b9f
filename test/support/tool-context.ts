/** Where a tool's call stands, for tests that call a tool by itself. */

import type { Caller } from '../../src/runtime/caller.ts';
import type { ExecuteContext } from '../../src/tools/tool.ts';

/** A context of the agent that acts for the caller. */
export function toolContext(caller: Caller, changes: Partial<ExecuteContext> = {}): ExecuteContext {
  return {
    caller: { ...caller, kind: 'agent' },
    turnId: '019a0000-0000-7000-8000-000000000001',
    toolCallId: 'call-1',
    tainted: false,
    signal: new AbortController().signal,
    providerKey: 'provider-key',
    progress: () => undefined,
    spent: () => undefined,
    ...changes,
  };
}
