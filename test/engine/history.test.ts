/** Whatever a conversation's past holds, the window of it is valid for a provider, honest about what is left out, and as tainted as all of it. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildHistory } from '../../src/engine/history.ts';
import type { PlainMessage } from '../../src/engine/model.ts';
import type { Past, StoredMessage } from '../../src/resources/turns/summaries.ts';
import type { Part } from '../../src/runtime/events.ts';
import { expectValid } from '../support/provider-rules.ts';
import type { ChatRequest } from '../support/scripted-model.ts';

const isUntrusted = (tool: string) => tool === 'search_leads';

const toolPart = fc.record({
  type: fc.constant('tool' as const),
  call: fc.integer({ min: 1, max: 3 }),
  tool_call_id: fc.uuid(),
  name: fc.constantFrom('search_leads', 'get_credit_balance'),
  args: fc.constant({}),
  status: fc.constantFrom('running', 'ok', 'error', 'rejected', 'cancelled', 'unknown'),
  result: fc.oneof(fc.string(), fc.constant('x'.repeat(20_000))),
});
const textPart = fc.record({
  type: fc.constant('text' as const),
  call: fc.integer({ min: 1, max: 3 }),
  text: fc.oneof(fc.string({ minLength: 1 }), fc.constant('y'.repeat(9_000))),
});
const noticePart = fc.constant({ type: 'notice' as const, call: 0, code: 'SUMMARY_MADE', message: 'Made.' });
const parts: fc.Arbitrary<Part[]> = fc.array(fc.oneof(toolPart, textPart, noticePart), { maxLength: 6 });

const messages: fc.Arbitrary<StoredMessage[]> = fc
  .array(fc.tuple(fc.constantFrom('user' as const, 'assistant' as const), parts, fc.boolean()), {
    maxLength: 60,
  })
  .map((rows) =>
    rows.map(([role, given, tainted], index) => ({
      id: `m${index}`,
      thread_id: 'thread',
      turn_id: `t${Math.floor(index / 2)}`,
      seq: index + 100,
      role,
      status: 'complete' as const,
      content: 'z'.repeat((index % 7) * 1_000),
      parts: role === 'user' ? [] : given,
      metadata: tainted ? { tainted } : {},
      created_at: '2026-11-28T00:00:00.000Z',
    })),
  );

const past: fc.Arbitrary<Past> = fc.record({
  summary: fc.option(
    fc.record({
      text: fc.string(),
      throughSeq: fc.constant(50),
      messages: fc.integer({ min: 2, max: 500 }),
      tainted: fc.boolean(),
      turnId: fc.constant('before'),
    }),
  ),
  triedSeq: fc.constant(0),
  gap: fc.record({ messages: fc.nat({ max: 300 }), tainted: fc.boolean() }),
  messages,
});

/** As the provider gets them. */
const onTheWire = (plain: readonly PlainMessage[]): ChatRequest => ({
  model: 'any',
  messages: plain.map((message) => {
    if (message.role !== 'assistant') return message;
    const calls = message.tool_calls?.map(({ id, name, args }) => ({
      id,
      type: 'function',
      function: { name, arguments: JSON.stringify(args) },
    }));
    return {
      role: message.role,
      content: message.content,
      ...(calls === undefined ? {} : { tool_calls: calls }),
    };
  }),
});

describe('the window of a past', () => {
  it('is valid, bounded, honest and tainted, whatever the past holds', () => {
    fc.assert(
      fc.property(past, (given) => {
        const history = buildHistory(given, isUntrusted);
        expectValid(onTheWire(history.messages));
        // The newest message is shown however long it is; beyond it nothing exceeds the window.
        const newest = JSON.stringify(
          buildHistory({ ...given, messages: given.messages.slice(-1) }, isUntrusted),
        );
        expect(JSON.stringify(history.messages).length).toBeLessThan(4 * 24_000 + newest.length + 20_000);
        const says = history.messages.filter(
          (message) => message.role === 'system' && message.content.includes(`(${history.omitted} `),
        );
        expect(says).toHaveLength(history.omitted > 0 ? 1 : 0);
        expect(history.omitted).toBeGreaterThanOrEqual(given.gap.messages);
        const strangers =
          given.summary?.tainted === true ||
          given.gap.tainted ||
          given.messages.some(
            (message) =>
              message.metadata.tainted === true ||
              message.parts.some(
                (part) => part.type === 'tool' && part.status === 'ok' && isUntrusted(part.name),
              ),
          );
        expect(history.tainted).toBe(strangers);
        expect(history.messages[0]?.content.includes('summary_of_earlier_messages') ?? false).toBe(
          given.summary !== null,
        );
      }),
      { numRuns: 500 },
    );
  });
});
