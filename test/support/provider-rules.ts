/** What model providers demand of the messages that they are sent. */

import { expect } from 'vitest';
import type { ChatRequest } from './scripted-model.ts';

/** Every call has its result right behind it, no result is without a call, and no assistant message is empty. */
export function expectValid({ messages }: ChatRequest): void {
  let open = new Set<string>();
  for (const message of messages) {
    if (message.role === 'tool') {
      expect(open.delete(message.tool_call_id ?? ''), 'a result without its call').toBe(true);
      continue;
    }
    expect([...open], 'calls without a result').toEqual([]);
    open = new Set(message.tool_calls?.map(({ id }) => id));
    if (message.role === 'assistant') {
      expect((message.content ?? '') !== '' || open.size > 0, 'an assistant message without anything').toBe(
        true,
      );
    }
    for (const call of message.tool_calls ?? []) JSON.parse(call.function.arguments);
  }
  expect([...open]).toEqual([]);
}
