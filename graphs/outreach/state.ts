/** What the chat agent's graph remembers within a turn: plain data only, as history lives in the messages' table. */

import { Annotation } from '@langchain/langgraph';
import type { PlannedCall } from '../../src/engine/gate.ts';
import type { PlainMessage } from '../../src/engine/model.ts';

export const OutreachState = Annotation.Root({
  /** This turn's own messages: the model's answers and the results of their calls. */
  messages: Annotation<PlainMessage[]>({
    reducer: (before, more) => [...before, ...more],
    default: () => [],
  }),
  /** How many model calls are done; the ordinal of the last. */
  calls: Annotation<number>({ reducer: (_before, now) => now, default: () => 0 }),
  /** Whether text that a stranger may have written is in the model's context. */
  tainted: Annotation<boolean>({ reducer: (before, now) => before || now, default: () => false }),
  /** Whether a budget ended: the next answer is the last, without tools. */
  exhausted: Annotation<boolean>({ reducer: (before, now) => before || now, default: () => false }),
  /** Hashes of what the user rejected in this turn. */
  rejected: Annotation<string[]>({ reducer: (before, more) => [...before, ...more], default: () => [] }),
  /** Credits that calls without a card may have cost so far. */
  spent: Annotation<number>({ reducer: (before, more) => before + more, default: () => 0 }),
});

export type Outreach = typeof OutreachState.State;

/** What one `call` task is sent. */
export interface CallTask {
  call: PlannedCall;
  tainted: boolean;
}
